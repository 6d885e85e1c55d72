"""What the package itself says a usage costs, with our disjoint meters put into its overlapping counts."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from genai_prices import Usage
from genai_prices.data_units import unit_data

from plugin_sdk.money import NANOS_PER_USD, Charge, PriceCard, charge
from plugin_sdk.price_rules import Terms

# Written out once more: what each meter counts, in the words of the package.
_TOKENS = {
    "input_text_tokens": ("input", "text", None, None),
    "input_image_tokens": ("input", "image", None, None),
    "input_audio_tokens": ("input", "audio", None, None),
    "input_video_tokens": ("input", "video", None, None),
    "cached_read_text_tokens": ("input", "text", "cache_read", None),
    "cached_read_image_tokens": ("input", "image", "cache_read", None),
    "cached_read_audio_tokens": ("input", "audio", "cache_read", None),
    "cached_read_video_tokens": ("input", "video", "cache_read", None),
    "cached_write_text_tokens": ("input", "text", "cache_write", None),
    "cached_write_text_tokens_5m": ("input", "text", "cache_write", "5m"),
    "cached_write_text_tokens_1h": ("input", "text", "cache_write", "1h"),
    "output_text_tokens": ("output", "text", None, None),
    "output_reasoning_tokens": ("output", "text", "reasoning", None),
    "output_image_tokens": ("output", "image", None, None),
    "output_audio_tokens": ("output", "audio", None, None),
}
METERS = (*_TOKENS, "native_web_search_requests")


def counts(usage: Mapping[str, int]) -> Usage:
    """The package's counts, each with all that it contains."""
    found: dict[str, int] = {}
    for name, unit in unit_data.items():
        wanted = unit["dimensions"]
        if wanted == {"family": "tool_calls", "tool_type": "web_search"}:
            found[name] = usage.get("native_web_search_requests", 0)
        if wanted["family"] != "tokens":
            continue
        said = [wanted.get(part) for part in ("direction", "modality", "token_type", "cache_ttl")]
        found[name] = sum(
            usage.get(meter, 0)
            for meter, has in _TOKENS.items()
            if all(word in (None, other) for word, other in zip(said, has, strict=True))
        )
    return Usage(**found)


def theirs(provider: Any, model: Any, usage: Mapping[str, int], at: int, when: Any = None) -> Fraction:
    """USD, exact."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    price = model.calc_price(counts(usage), provider, genai_request_timestamp=moment, price_context=when)
    total: Decimal = price.total_price
    return Fraction(total)


def ours(card: PriceCard, usage: Mapping[str, int], terms: Terms) -> tuple[Fraction, Charge]:
    """(USD before any rounding, the charge)."""
    asked = {"requests": 1} if "requests" in card.by_meter else {}  # as the core counts them
    made = charge({**usage, **asked}, card, terms)
    exact = sum((Fraction(line.billed) * Fraction(line.usd) / line.per for line in made.lines), Fraction(0))
    assert abs(exact * NANOS_PER_USD - made.total) <= Fraction(len(made.lines), 2)
    return exact, made
