"""A model's prices in the package over time: asked for one moment after the other, not read from its rules.

What the package answers is what it would charge; which of its prices goes before which is its own affair.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any

import msgspec

Prices = Mapping[str, Any]  # price key -> a Decimal, or the package's tiers
_DAY = 24 * 60  # minutes
_BEFORE = date(2000, 1, 1)


class Interval(msgspec.Struct, frozen=True):
    """A part of the day, in minutes, with prices of its own."""

    start: int
    end: int
    prices: Prices


class Segment(msgspec.Struct, frozen=True):
    """Days with the same prices: from the first to before the last; `prices` outside of all intervals."""

    first: date | None
    last: date | None
    prices: Prices
    intervals: tuple[Interval, ...]


def contexts(model: Any) -> list[dict[str, str]]:
    """What its variants are for, each once."""
    found: list[dict[str, str]] = []
    for variant in model.price_variants or ():
        if variant.when not in found:
            found.append(variant.when)
    return found


def timeline(model: Any, context: Mapping[str, str] | None) -> list[Segment]:
    """Its prices from the beginning to the end of time."""
    dates, minutes = _changes(model)
    edges: list[date | None] = [None, *dates, None]
    return [_segment(model, context, first, last, minutes) for first, last in pairwise(edges)]


def to_the_second(model: Any) -> bool:
    """Whether some of its times of the day are not whole minutes: a window of ours could not be one."""
    return any(one.second or one.microsecond for pair in _times(model) for one in pair)


def _segment(
    model: Any, context: Mapping[str, str] | None, first: date | None, last: date | None, minutes: list[int]
) -> Segment:
    day = datetime.combine(first or _BEFORE, time(), UTC)
    edges = [*minutes, _DAY]
    found = [
        Interval(start, end, _asked(model, day + timedelta(minutes=start), context))
        for start, end in pairwise(edges)
    ]
    usual = max(found, key=lambda one: sum(two.end - two.start for two in found if two.prices == one.prices))
    return Segment(
        first, last, usual.prices, tuple(_joined(one for one in found if one.prices != usual.prices))
    )


def _joined(intervals: Iterator[Interval]) -> Iterator[Interval]:
    """Neighbors with the same prices as one."""
    open_: Interval | None = None
    for one in intervals:
        if open_ is not None and open_.end == one.start and open_.prices == one.prices:
            open_ = Interval(open_.start, one.end, one.prices)
            continue
        if open_ is not None:
            yield open_
        open_ = one
    if open_ is not None:
        yield open_


def _asked(model: Any, moment: datetime, context: Mapping[str, str] | None) -> Prices:
    prices = model.get_prices(moment, context)
    return {key: value for key, value in vars(prices).items() if value is not None}


def _changes(model: Any) -> tuple[list[date], list[int]]:
    """(the days on which something changes, the minutes of the day at which it does)."""
    constraints = [one.constraint for one in _parts(model)]
    dates = {one.start_date for one in constraints if hasattr(one, "start_date")}
    minutes = {0} | {one.hour * 60 + one.minute for pair in _times(model) for one in pair}
    return sorted(dates), sorted(minutes)


def _times(model: Any) -> Iterator[tuple[time, time]]:
    """(start, end) of its times of the day, UTC."""
    for one in _parts(model):
        if hasattr(one.constraint, "start_time"):
            yield _utc(one.constraint.start_time), _utc(one.constraint.end_time)


def _utc(said: time) -> time:
    """A time without a zone is UTC, as in the package."""
    if said.tzinfo is None:
        return said
    return datetime.combine(date(1970, 1, 1), said).astimezone(UTC).time()


def _parts(model: Any) -> list[Any]:
    prices = model.prices if isinstance(model.prices, list) else []
    return [*prices, *(model.price_variants or ())]
