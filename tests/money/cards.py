"""A price for every recorded model: the real catalogue's, else one that no two meters share."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from plugins.modalities.text import GENERATE
from tests.money.recordings import SHARED

CATALOGUE = SHARED / "data" / "catalogue.json"
# How the catalogue calls the providers that the recordings call otherwise.
_CALLED = {
    "azure-openai": "azure", "azure-foundry": "azure", "bedrock": "amazon-bedrock",
    "google": "google-ai-studio", "vertex": "google-vertex", "xai": "spacex-ai", "zai": "z-ai",
}  # fmt: skip
_PRIMES = (
    1_009, 1_013, 1_019, 1_021, 1_031, 1_033, 1_039, 1_049, 1_051, 1_061, 1_063, 1_069, 1_087, 1_091, 1_093,
    1_097, 1_103, 1_109, 1_117, 1_123,
)  # fmt: skip
Price = dict[str, str]


def distinct(meters: frozenset[str] = GENERATE.meters - {"requests", "total_tokens"}) -> Price:
    """A price for each meter, no two alike and none a multiple of another: USD for 1M tokens, or for one."""
    return {
        meter: f"{Decimal(prime) / (1_000 if meter.endswith(('_tokens', '_5m', '_1h')) else 100_000):f}"
        for meter, prime in zip(sorted(meters), _PRIMES, strict=False)
    }


def known() -> dict[tuple[str, str], list[dict[str, Any]]]:
    """(provider, model without its date) -> the rules of the real catalogue for text, by now in force."""
    catalogue = json.loads(CATALOGUE.read_text(), parse_float=Decimal)
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for model in catalogue["models"]:
        for offer in model.get("providers", ()):
            rules = (offer.get("prices") or {}).get("text.generate") or ()
            rules = [one for one in rules if one["meter"] in GENERATE.meters and not one.get("region")]
            for name in {model["id"], offer.get("slug") or model["id"]}:
                if rules and (card := _card(rules)) is not None:
                    found.setdefault((offer["provider"], plain(name)), card)
    return found


def catalogued(
    cards: Mapping[tuple[str, str], list[dict[str, Any]]], provider: str, model: str
) -> list[dict[str, Any]] | None:
    """The catalogue's rules for a recorded model, if it knows it."""
    return cards.get((_CALLED.get(provider, provider), plain(model)))


def plain(model: str) -> str:
    """A model's name as different providers have it in common: no vendor, no date, no `latest`."""
    name = re.sub(r"^(us|eu|apac|global)\.", "", model.lower().rpartition("/")[2])
    name = re.sub(r"^[a-z0-9]+\.(?=[a-z])", "", name)  # anthropic.claude-...
    name = re.sub(r"-(\d{8}|\d{4}-\d{2}-\d{2}|latest|v\d+)?(:\d+)?$", "", name)
    return name.replace(".", "-").replace(":", "-")


def _card(rules: list[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
    """The rules as an operator writes them, the newest of each; None where they price no input or output."""
    newest: dict[str, dict[str, Any]] = {}
    for rule in sorted(rules, key=lambda one: one.get("effective_from") or ""):
        written = {
            "meter": rule["meter"], "usd": f"{Decimal(rule['price_usd']):f}", "per": rule["unit_size"],
            "plan": rule.get("plan") or "standard", "priority": rule.get("priority") or 100,
            "when": rule.get("match") or [],
        }  # fmt: skip
        place = {name: value for name, value in written.items() if name not in ("usd", "per")}
        newest[json.dumps(place, default=str)] = written
    meters = {one["meter"] for one in newest.values()}
    return list(newest.values()) if {"input_text_tokens", "output_text_tokens"} <= meters else None


def cost(usage: Mapping[str, int], price: Price) -> int:
    """What a usage comes to by such a price, each line rounded half up: over fractions, in nanos."""
    total = 0
    for meter, quantity in usage.items():
        per = 1_000_000 if meter.endswith(("_tokens", "_5m", "_1h")) else 1
        total += int(Fraction(quantity) * Fraction(price[meter]) * 10**9 / per + Fraction(1, 2))
    return total
