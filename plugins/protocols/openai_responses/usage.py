"""A usage object in disjoint meters.

Cached reads and cache writes are inside `input_tokens`; reasoning is inside `output_tokens`, except where the
provider's own total says that it stands beside them (as one does).
"""

from collections.abc import Mapping
from typing import Any, Final

from plugin_sdk.money import Usage

ABSURD: Final = 1 << 40  # a count above it is noise, not a quantity


def meters(usage: Mapping[str, Any]) -> Usage | None:
    """The meters; None for an object that counts nothing at all."""
    total_in, total_out = _count(usage.get("input_tokens")), _count(usage.get("output_tokens"))
    if total_in is None and total_out is None:
        return None
    into, out = total_in or 0, total_out or 0
    inside = usage.get("input_tokens_details")
    inside = inside if isinstance(inside, Mapping) else {}
    behind = usage.get("output_tokens_details")
    behind = behind if isinstance(behind, Mapping) else {}
    read = min(_count(inside.get("cached_tokens")) or 0, into)
    written = min(_count(inside.get("cache_write_tokens")) or 0, into - read)
    reasoning = _count(behind.get("reasoning_tokens")) or 0
    total = _count(usage.get("total_tokens"))
    if total is not None and reasoning and total == into + out + reasoning:
        text = out  # beside
    else:
        reasoning = min(reasoning, out)
        text = out - reasoning
    found = {
        "input_text_tokens": into - read - written,
        "cached_read_text_tokens": read,
        "cached_write_text_tokens": written,
        "output_text_tokens": text,
        "output_reasoning_tokens": reasoning,
    }
    kept = {meter: quantity for meter, quantity in found.items() if quantity}
    return kept or {"input_text_tokens": 0}


def usage_object(usage: Usage) -> dict[str, Any]:
    """Meters in this protocol's words."""
    into = sum(
        int(n) for meter, n in usage.items() if meter.startswith(("input_", "cached_")) and _tokens(meter)
    )
    out = sum(int(n) for meter, n in usage.items() if meter.startswith("output_") and _tokens(meter))
    read = sum(int(n) for meter, n in usage.items() if meter.startswith("cached_read_"))
    written = sum(int(n) for meter, n in usage.items() if meter.startswith("cached_write_"))
    return {
        "input_tokens": into,
        "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "output_tokens": out,
        "output_tokens_details": {"reasoning_tokens": int(usage.get("output_reasoning_tokens", 0))},
        "total_tokens": into + out,
    }


def _tokens(meter: str) -> bool:
    return "_tokens" in meter


def _count(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int):
        return None
    return value if 0 <= value < ABSURD else 0
