"""What the package counts, by dimensions, and the meters of the gateway in the same dimensions."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

Dimensions = frozenset[tuple[str, str]]


class Unit(msgspec.Struct, frozen=True):
    """A unit of the package: its price key, how many make up the price, what it counts."""

    key: str
    per: int
    dimensions: Dimensions


def units() -> Mapping[str, Unit]:
    """By price key, as the installed package has them."""
    from genai_prices.data_units import unit_data

    return {
        one["price_key"]: Unit(one["price_key"], one["per"], frozenset(one["dimensions"].items()))
        for one in unit_data.values()
    }


def _tokens(direction: str, modality: str, kind: str | None = None, ttl: str | None = None) -> Dimensions:
    named = {"family": "tokens", "direction": direction, "modality": modality}
    named |= {} if kind is None else {"token_type": kind}
    named |= {} if ttl is None else {"cache_ttl": ttl}
    return frozenset(named.items())


KINDS: Final = ("text", "image", "audio", "video")
# Our meters in the package's dimensions. A unit prices a meter whose dimensions contain all of its own; of
# several the one that says most does.
METERS: Final[Mapping[str, Dimensions]] = {
    **{f"input_{kind}_tokens": _tokens("input", kind) for kind in KINDS},
    **{f"cached_read_{kind}_tokens": _tokens("input", kind, "cache_read") for kind in KINDS},
    "cached_write_text_tokens": _tokens("input", "text", "cache_write"),
    "cached_write_text_tokens_5m": _tokens("input", "text", "cache_write", "5m"),
    "cached_write_text_tokens_1h": _tokens("input", "text", "cache_write", "1h"),
    "output_text_tokens": _tokens("output", "text"),
    "output_reasoning_tokens": _tokens("output", "text", "reasoning"),
    "output_image_tokens": _tokens("output", "image"),
    "output_audio_tokens": _tokens("output", "audio"),
    "native_web_search_requests": frozenset({("family", "tool_calls"), ("tool_type", "web_search")}),
    "requests": frozenset({("family", "requests")}),
}
# Always priced by themselves; the others only where the package says more than what they roll up to.
NEEDED: Final = ("input_text_tokens", "output_text_tokens")
# What a variant of the package is for, as the plan that asks for it here.
PLANS: Final[Mapping[tuple[str, str], str]] = {
    ("processing", "batch"): "batch",
    ("service_tier", "flex"): "flex",
    ("service_tier", "priority"): "priority",
    ("service_tier", "fast"): "fast",
    ("speed", "fast"): "priority",
}


def unit_of(meter: str, priced: Mapping[str, Any], known: Mapping[str, Unit]) -> Unit | None:
    """The unit that prices a meter, of those that have a price."""
    fitting = [unit for key, unit in known.items() if key in priced and unit.dimensions <= METERS[meter]]
    return max(fitting, key=lambda unit: len(unit.dimensions), default=None)
