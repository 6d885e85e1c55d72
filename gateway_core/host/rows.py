"""The catalogue as the routes show it: one row a model that can be called (contract, section 10.1)."""

from collections.abc import Mapping
from typing import Any

from gateway_core.host.endpoints import Listing, Offered

ModelRow = Mapping[str, Any]


def rows(offered: Offered) -> tuple[ModelRow, ...]:
    """Every model once, in YAML order; the first provider that has it says what it is called."""
    by_model: dict[str, list[Listing]] = {}
    for listing in offered.listings:
        by_model.setdefault(listing.entry.id, []).append(listing)
    return tuple(_row(found) for found in by_model.values())


def _row(listings: list[Listing]) -> ModelRow:
    first = listings[0].entry
    organisation, _, rest = first.id.partition("/")
    owner = organisation if rest else None
    return {
        "model_id": first.id,
        "name": first.name or first.id,
        "release_date": first.release_date,
        "status": first.status,
        "organisation_id": owner,
        "organisation_name": owner,
        "organisation_colour": None,
        "aliases": _union(listing.entry.aliases for listing in listings),
        "endpoints": sorted(_union(listing.operations for listing in listings)),
        "input_types": _union(listing.entry.input_types for listing in listings),
        "output_types": _union(listing.entry.output_types for listing in listings),
        "providers": [
            {"api_provider_id": listing.provider, "params": list(listing.entry.params)}
            for listing in listings
        ],
    }


def _union(parts: Any) -> list[str]:
    """Everything once, in the order of its first appearance."""
    return list(dict.fromkeys(word for part in parts for word in part))
