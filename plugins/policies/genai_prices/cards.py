"""A model's prices in the package as price rules, written as an operator would, and what those leave out."""

from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

import msgspec

from plugin_sdk.money import ROLL_UP
from plugin_sdk.price_rules import STANDARD
from plugins.policies.genai_prices.timeline import Prices, Segment, contexts, timeline, to_the_second
from plugins.policies.genai_prices.units import KINDS, METERS, NEEDED, PLANS, Unit, unit_of

_NO_LENGTH: Final = -1  # below any input's
Rule = dict[str, Any]
Shape = tuple[Rule, ...]  # the rules of a meter, but for their plan and dates


class Card(msgspec.Struct, frozen=True):
    """Price rules, and the parts of the package's price that they cannot say."""

    rules: tuple[Rule, ...]
    left_out: tuple[str, ...]


def card(model: Any, known: Mapping[str, Unit], kinds: Container[str] = KINDS) -> Card:
    """The card of a model of the package that takes and gives these kinds of things."""
    left_out: list[str] = ["times of the day to the second"] if to_the_second(model) else []
    plans = {STANDARD: timeline(model, None)}
    for when in contexts(model):
        plan, said = _plan(when), timeline(model, when)
        if plan is not None and plan not in plans:
            plans[plan] = said
        elif said not in (plans[STANDARD], plans.get(plan or STANDARD)):
            left_out.append("prices for " + ", ".join(f"{key}={value}" for key, value in when.items()))
    everything = [prices for segments in plans.values() for one in segments for prices in _all(one)]
    used = {unit.key for prices in everything for meter in METERS if (unit := unit_of(meter, prices, known))}
    left_out += sorted({key for prices in everything for key in prices} - used)
    rules: list[Rule] = []
    for meter in METERS:
        if not _stands(meter, everything, known, kinds):
            continue
        standard = [_shape(meter, one, known) for one in plans[STANDARD]]
        for plan, segments in plans.items():
            if any(_comes_and_goes(meter, one, known) for one in segments):
                left_out.append(f"{meter} at some times of the day only")
            shapes = [_shape(meter, one, known) for one in segments]
            if plan != STANDARD:  # where it says nothing else, the standard rule holds for the plan too
                shapes = [() if own == usual else own for own, usual in zip(shapes, standard, strict=True)]
            rules += _dated(meter, plan, segments, shapes)
    return Card(tuple(rules), tuple(dict.fromkeys(left_out)))


def _plan(when: Mapping[str, str]) -> str | None:
    pairs = list(when.items())
    return PLANS.get(pairs[0]) if len(pairs) == 1 else None


def _all(segment: Segment) -> Iterator[Prices]:
    yield segment.prices
    for one in segment.intervals:
        yield one.prices


def _stands(
    meter: str, everything: Sequence[Prices], known: Mapping[str, Unit], kinds: Container[str]
) -> bool:
    """Whether a meter needs rules: anywhere it is priced otherwise than what it rolls up to."""
    below = ROLL_UP.get(meter)
    for prices in everything:
        unit = unit_of(meter, prices, known)
        if unit is None:
            continue
        said = dict(unit.dimensions)
        if meter in NEEDED:
            return True
        if "modality" not in said and dict(METERS[meter]).get("modality", "text") not in kinds:
            continue
        if below is None:  # a price of all tokens of a direction is none of its own
            if said.keys() != {"family", "direction"}:
                return True
        elif _price(unit, prices) != _price(unit_of(below, prices, known), prices):
            return True
    return False


def _comes_and_goes(meter: str, segment: Segment, known: Mapping[str, Unit]) -> bool:
    """Whether it is priced at some times of the day and not at others: no window can say so."""
    return len({unit_of(meter, prices, known) is None for prices in _all(segment)}) > 1


def _price(unit: Unit | None, prices: Prices) -> Any:
    return None if unit is None else (prices[unit.key], unit.per)


def _shape(meter: str, segment: Segment, known: Mapping[str, Unit]) -> Shape:
    """The rules of a meter in a segment: one for each length of the input that has its own price."""
    unit = unit_of(meter, segment.prices, known)
    if unit is None:
        return ()
    usual = segment.prices[unit.key]
    windows = [
        (one, one.prices[own.key])
        for one in segment.intervals
        if (own := unit_of(meter, one.prices, known)) is not None
    ]
    starts = sorted(_starts(usual).union(*(_starts(price) for _, price in windows)))
    rules = []
    for start, end in zip([_NO_LENGTH, *starts], [*starts, None], strict=True):
        rule: Rule = {"usd": _usd(_at(usual, start)), "per": unit.per}
        when = [{"path": "input_tokens", "op": "gt", "value": start}] if start != _NO_LENGTH else []
        when += [] if end is None else [{"path": "input_tokens", "op": "lte", "value": end}]
        others = [
            {"start": _clock(one.start), "end": _clock(one.end), "usd": _usd(_at(price, start))}
            for one, price in windows
            if _at(price, start) != _at(usual, start)
        ]
        rules.append({**rule, **({"when": when} if when else {}), **({"windows": others} if others else {})})
    return tuple(rules)


def _starts(price: Any) -> set[int]:
    """The lengths of the input above which it is another."""
    return {tier.start for tier in getattr(price, "tiers", ())}


def _at(price: Any, start: int) -> Decimal:
    """The price of inputs longer than that."""
    if not hasattr(price, "tiers"):
        return Decimal(price)
    reached = [tier.price for tier in price.tiers if tier.start <= start]
    return Decimal(reached[-1] if reached else price.base)


def _dated(meter: str, plan: str, segments: Sequence[Segment], shapes: Sequence[Shape]) -> Iterator[Rule]:
    """The rules of a meter in a plan, each for as long as it stays."""
    at = 0
    while at < len(shapes):
        end = at + 1
        while end < len(shapes) and shapes[end] == shapes[at]:
            end += 1
        for rule in shapes[at]:
            said: Rule = {"meter": meter, **({} if plan == STANDARD else {"plan": plan}), **rule}
            if segments[at].first is not None:
                said["effective_from"] = _day(segments[at].first)
            if segments[end - 1].last is not None:
                said["effective_to"] = _day(segments[end - 1].last)
            yield said
        at = end


def _usd(price: Decimal) -> str:
    text = f"{price:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _clock(minute: int) -> str:
    return "{:02}:{:02}".format(*divmod(minute, 60))


def _day(said: date | None) -> str:
    return "" if said is None else said.isoformat()
