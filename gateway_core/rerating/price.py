"""What a generation on record costs by another card: its usage again, and what policies made of its lines."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import msgspec

from gateway_core.pipeline.pricing import OVER_HOLD, by_card
from plugin_sdk.money import NANOS_PER_USD, ChargeLine, Nanos, PriceCard, Usage, round_half_up
from plugin_sdk.price_rules import STANDARD, Terms

_DECIMALS: Final = 9  # of a price as a record shows it


class Shown(msgspec.Struct, frozen=True):
    """A line of a record, as far as re-rating asks for it."""

    dimension: str
    line_nanos: int
    unit_price_usd: Decimal = Decimal(0)


class _Stored(msgspec.Struct):
    plan: str = STANDARD
    values: dict[str, Any] = {}


decode_lines: Final = msgspec.json.Decoder(list[Shown], float_hook=Decimal).decode
decode_usage: Final = msgspec.json.Decoder(dict[str, int | Decimal], float_hook=Decimal).decode
_decode_terms: Final = msgspec.json.Decoder(_Stored, float_hook=Decimal).decode


def terms_of(stored: str | None, at: int) -> Terms:
    """On what the price of a record depended beside its usage."""
    found = _Stored() if stored is None else _decode_terms(stored)
    return Terms(plan=found.plan, values=found.values, at=at)


def price(usage: Usage, old: PriceCard, new: PriceCard, terms: Terms, shown: Sequence[Shown]) -> Nanos:
    """Nanos by the new card. What policies made of a line of the old one, they make of the new one.

    A line at another price than the old card's keeps its ratio to it, one that policies took away stays
    away, one of their own (a fee) stays as it is. Raises ValueError where no ledger can hold so much.
    """
    left = {line.dimension: line for line in shown if line.dimension != OVER_HOLD}
    before = {line.meter: line for line in by_card(usage, old, terms).lines}
    total = 0
    for line in by_card(usage, new, terms).lines:
        was, seen = before.pop(line.meter, None), left.pop(line.meter, None)
        if was is None:  # the old card had no price for it
            total += line.nanos if seen is None else seen.line_nanos
        elif seen is not None:
            total += _as_before(line, was, seen)
    for meter in before:  # the new card has no price for it
        left.pop(meter, None)
    return Nanos(total + sum(line.line_nanos for line in left.values()))


def _as_before(line: ChargeLine, was: ChargeLine, seen: Shown) -> Nanos:
    """The line with what policies made of the one before: of its unit's price, else of its amount."""
    if seen.line_nanos == was.nanos and seen.unit_price_usd == round(was.usd, _DECIMALS):
        return line.nanos
    if was.usd and seen.line_nanos == _amount(was, Fraction(seen.unit_price_usd)):
        ratio = Fraction(seen.unit_price_usd) / Fraction(was.usd)
    elif was.nanos:  # the price that was shown is not the whole of it
        ratio = Fraction(seen.line_nanos, was.nanos)
    else:
        return Nanos(seen.line_nanos)
    return _amount(line, ratio * Fraction(line.usd))


def _amount(line: ChargeLine, usd: Fraction) -> Nanos:
    """What a line comes to at this price of its unit."""
    unit = usd * NANOS_PER_USD / line.per
    return round_half_up(line.billed, unit.numerator, unit.denominator)
