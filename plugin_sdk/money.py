"""Money is an int of nano-dollars, prices are Decimals; they meet, and round, in one place only: `charge`."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Final, NewType, TypeGuard

import msgspec

from plugin_sdk.errors import GatewayError
from plugin_sdk.price_rules import (
    PLAIN,
    STANDARD,
    Terms,
    chosen,
    dearness,
    even,
    in_force,
    of_plan,
    scaled,
    usd_at,
)
from plugin_sdk.price_rules import Price as Price

Nanos = NewType("Nanos", int)  # 1 USD = 1_000_000_000; a signed BIGINT holds 9.2 billion dollars
NANOS_PER_USD = 1_000_000_000
Quantity = int | Decimal
TOKENS = ("_tokens", "_tokens_5m", "_tokens_1h")  # how the names of token meters end
Usage = Mapping[str, Quantity]  # meter -> quantity; meters are DISJOINT: cached input is not also input
_LARGEST: Final = (1 << 53) - 1  # of one meter: any reader of JSON reads it
_FINEST: Final = -30  # the exponent of a Decimal's last digit

Rate = tuple[int, int, Price]  # (nanos, per, the rule): nanos/per is the exact price of one unit
Dearest = tuple[int, int, int]  # nanos: (per 1M input tokens, per 1M output tokens, flat)

# Where a meter without a rule of its own goes next (money.md 9). A chain that ends is an unpriced meter.
ROLL_UP: Mapping[str, str] = {
    "output_reasoning_tokens": "output_text_tokens",
    "cached_read_text_tokens": "input_text_tokens",
    "cached_read_audio_tokens": "input_audio_tokens",
    "cached_read_image_tokens": "input_image_tokens",
    "cached_read_video_tokens": "input_video_tokens",
    "cached_write_text_tokens_5m": "cached_write_text_tokens",
    "cached_write_text_tokens_1h": "cached_write_text_tokens",
    "cached_write_text_tokens": "input_text_tokens",
    "input_image_tokens": "input_text_tokens",
    "input_audio_tokens": "input_text_tokens",
    "input_video_tokens": "input_text_tokens",
}


class PriceCard(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What one endpoint costs; append-only: an old charge keeps its card id. A `free` card costs nothing."""

    id: str
    prices: tuple[Price, ...]
    free: bool = False

    @cached_property
    def rates(self) -> Mapping[str, Rate]:
        """By meter, the rate of a plain rule, which holds whatever the terms are."""
        return {
            meter: _rate(rules[0])
            for meter, rules in self.by_meter.items()
            if len(rules) == 1 and rules[0].plain
        }

    @cached_property
    def by_meter(self) -> Mapping[str, Sequence[Price]]:
        """The rules of each meter."""
        found: dict[str, list[Price]] = {}
        for price in self.prices:
            found.setdefault(price.meter, []).append(price)
        return found

    def dearest(self, plan: str = STANDARD, at: int | None = None) -> Dearest:
        """Nanos at the dearest rules, rounded up: (per 1M input tokens, per 1M output tokens, flat).

        No charge at that time (ms since 1970; None: at any) is above them, served by the plan or by
        `standard`; where a meter has neither then, it is counted at the rules that stand in for them.
        """
        whenever, spans = self._dearest.get(plan) or self._dearest[STANDARD]
        if at is None or len(spans) == 1:
            return whenever
        return spans[max(0, bisect_right(self._changes, at) - 1)]

    @cached_property
    def _changes(self) -> Sequence[int]:
        """The times from which other rules are in force, in their order; the first is the beginning."""
        ends = {end for price in self.prices for end in (price.since, price.until) if end is not None}
        return sorted({0, *ends})

    @cached_property
    def _dearest(self) -> Mapping[str, tuple[Dearest, Sequence[Dearest]]]:
        """By plan, (the dearest of all times, that from each change on)."""
        found = {}
        for plan in {STANDARD, *(price.plan for price in self.prices)}:
            spans = [self._dearest_of(plan, at) for at in self._changes]
            into, out, flat = (max(each) for each in zip(*spans, strict=True))
            found[plan] = (into, out, flat), spans
        return found

    @cached_property
    def plain(self) -> bool:
        """Whether no charge by it depends on any terms."""
        return len(self.rates) == len(self.prices)

    @cached_property
    def dated(self) -> bool:
        """Whether some of its rules begin or end."""
        return any(price.since is not None or price.until is not None for price in self.prices)

    def _dearest_of(self, plan: str, at: int) -> Dearest:
        into, out, flat, total = 0, 0, 0, 0
        for meter, rules in self.by_meter.items():
            if not (left := in_force(rules, at)):
                continue  # what it counts is priced as another
            unit = max(dearness(rule) for rule in (*of_plan(left, plan), *of_plan(left, STANDARD)))
            numerator, denominator = (unit * NANOS_PER_USD).as_integer_ratio()
            million = -(-numerator * 1_000_000 // denominator)
            if meter == "requests":
                flat += -(-numerator // denominator)
            elif meter == "total_tokens":
                total = million
            elif meter.endswith(TOKENS) and meter.startswith("output_"):
                out = max(out, million)
            elif meter.endswith(TOKENS):
                into = max(into, million)
        return into + total, out + total, flat + self._rounding

    def times(self, factor: Callable[[str], Decimal], card_id: str) -> "PriceCard":
        """Each price so many times its own, by the meter of the line that it makes.

        A meter that is priced as another, always or while its own rules are out of force, gets prices of its
        own: its factor may be its own, too.
        """
        found = []
        for meter in {*self.by_meter, *ROLL_UP}:
            for at in priced_as(meter):
                rules = self.by_meter.get(at, ())
                found += [scaled(price, meter, factor(meter)) for price in rules]
                if any(price.since is None and price.until is None for price in rules):
                    break
        return PriceCard(id=card_id, prices=tuple(found), free=self.free)

    @cached_property
    def _rounding(self) -> int:
        """Nanos that rounding can add: half a one for each line whose price is no whole number of them."""
        uneven = {price.meter for price in self.prices if not even(price)}
        lines = [meter for meter in {*self.by_meter, *ROLL_UP} if not uneven.isdisjoint(priced_as(meter))]
        return -(-len(lines) // 2)

    def takes(self, meter: str) -> bool:
        """Whether there is a rule for a meter, after roll-up, whenever and for whomever it holds."""
        at: str | None = meter
        while at is not None and at not in self.by_meter:
            at = ROLL_UP.get(at)
        return at is not None

    def rule(self, meter: str, terms: Terms = PLAIN, usage: Usage | None = None) -> tuple[Rate, bool] | None:
        """(the rate that takes this meter, whether it fell through a hole between conditions).

        After the roll-up of money.md 9; None if its chain has no rule in force.
        """
        for at in priced_as(meter):
            if (rate := self.rates.get(at)) is not None:
                return rate, False
            if (rules := self.by_meter.get(at)) and (
                found := chosen(rules, terms, {} if usage is None else usage)
            ) is not None:
                price, hole = found
                return _rate(_at(price, terms.at)), hole
        return None


def priced_as(meter: str) -> Iterator[str]:
    """A meter, and those whose rules it takes where it has none, in their order."""
    at: str | None = meter
    while at is not None:
        yield at
        at = ROLL_UP.get(at)


def _rate(price: Price) -> Rate:
    numerator, denominator = price.usd.as_integer_ratio()
    return numerator * NANOS_PER_USD, denominator * price.per, price


def _at(price: Price, at: int) -> Price:
    """The rule with the price of that time of the day."""
    return price if not price.windows else msgspec.structs.replace(price, usd=usd_at(price, at))


class ChargeLine(msgspec.Struct, frozen=True, kw_only=True):
    """One meter's share of a charge, rounded half up to the nano-dollar.

    `priced_as` names the rule's meter where it is not the line's own (a roll-up), `plan` the rule's plan;
    `included` units of the quantity are free.
    """

    meter: str
    quantity: Quantity
    nanos: Nanos
    usd: Decimal = Decimal(0)
    per: int = 1
    priced_as: str | None = None
    plan: str = STANDARD
    included: Quantity = 0

    @property
    def billed(self) -> Quantity:
        """The quantity without the units that the price includes."""
        return self.quantity - self.included

    def times(self, factor: Decimal) -> "ChargeLine":
        """The line at so many times its price, or its amount where it has no price; rounded once."""
        usd = self.usd * factor
        top, bottom = (usd if self.usd else factor).as_integer_ratio()
        if self.usd:
            nanos = round_half_up(self.billed, top * NANOS_PER_USD, bottom * self.per)
        else:
            nanos = round_half_up(self.nanos, top, bottom)
        return msgspec.structs.replace(self, usd=usd, nanos=nanos)


class Charge(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What a generation costs, line by line.

    `unpriced` lists metered quantities that no rule takes, `holes` those that no rule's conditions fit, and
    that the dearest rule took.
    """

    card_id: str
    lines: tuple[ChargeLine, ...] = ()
    unpriced: tuple[str, ...] = ()
    holes: tuple[str, ...] = ()
    more: Mapping[str, int | Decimal | str] = {}  # what else the pricing object says, by policies

    @cached_property
    def total(self) -> Nanos:
        """The amount to take from the wallet: the sum of the lines."""
        return Nanos(sum([line.nanos for line in self.lines]))


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Credit set aside at check_credit; settled exactly once, by the core (after a crash: money.md 6)."""

    id: str
    wallet_id: str
    amount: Nanos
    instance_id: str


class Cap(msgspec.Struct, frozen=True, kw_only=True):
    """The most that a request may be charged, whatever it comes to: the core asks for no more output.

    `refusal` is what the client is told where the amount pays for no output.
    """

    amount: Nanos
    refusal: GatewayError | None = None


def is_usage(found: object) -> TypeGuard[Usage]:
    """Whether these are quantities by meter: finite, exact, not negative, whole where they count tokens."""
    if type(found) is not dict and not isinstance(found, Mapping):
        return False
    for meter, quantity in found.items():  # a loop, since each request comes here
        if not isinstance(meter, str) or not meter.isascii():
            return False
        if type(quantity) is not int and not _is_exact(meter, quantity):
            return False
        if not 0 <= quantity <= _LARGEST:
            return False
    return True


def _is_exact(meter: str, quantity: object) -> bool:
    """Whether it is a Decimal with an end, of a meter that can have parts."""
    return (
        type(quantity) is Decimal
        and quantity.is_finite()
        and not meter.endswith(TOKENS)
        and int(quantity.as_tuple().exponent) >= _FINEST
    )


def charge(usage: Usage, card: PriceCard, terms: Terms = PLAIN) -> Charge:
    """Multiply a usage by a card, on these terms. The one place where money rounds: half up, once a line."""
    if card.free:
        return Charge(card_id=card.id)
    lines = []
    unpriced = []
    holes = []
    plain = card.rates
    for meter, quantity in usage.items():
        if quantity < 0:
            raise ValueError(f"{meter}: a quantity cannot be negative, got {quantity}")
        if not quantity:
            continue
        if (rate := plain.get(meter)) is None:
            if (rule := card.rule(meter, terms, usage)) is None:
                unpriced.append(meter)
                continue
            rate, hole = rule
            if hole:
                holes.append(meter)
        nanos, per, price = rate
        included = price.included and min(quantity, price.included)
        lines.append(
            ChargeLine(
                meter=meter,
                quantity=quantity,
                nanos=round_half_up(quantity - included, nanos, per),
                usd=price.usd,
                per=price.per,
                priced_as=None if price.meter == meter else price.meter,
                plan=price.plan,
                included=included,
            )
        )
    return Charge(card_id=card.id, lines=tuple(lines), unpriced=tuple(unpriced), holes=tuple(holes))


def round_half_up(quantity: Quantity, numerator: int, denominator: int) -> Nanos:
    """The nearest nano to quantity * numerator / denominator, a half going up; exact, no float."""
    if not isinstance(quantity, int):
        top, bottom = quantity.as_integer_ratio()
        quantity, denominator = top, denominator * bottom
    return Nanos((2 * quantity * numerator + denominator) // (2 * denominator))
