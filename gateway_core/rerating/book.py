"""A run of re-rating: what differs, in sum and by card, and its corrections where they are wanted."""

from functools import partial

import msgspec

from gateway_core.db.corrections import rerate
from gateway_core.db.retries import retried
from gateway_core.db.session import Store
from gateway_core.ids import wall_clock
from gateway_core.rerating.survey import Choice, Difference, Passed, Wanted, survey
from plugin_sdk.errors import InsufficientFunds


class OfCards(msgspec.Struct, kw_only=True):
    """What changes from one card to another, in sum."""

    old: str
    new: str
    generations: int = 0
    paid: int = 0
    target: int = 0
    nanos: int = 0


class Result(msgspec.Struct, kw_only=True):
    """What a run found: nanos that were paid, that should have been, and the difference.

    booked  corrections that this run made; another that ran beside it may have made the rest
    unpaid  generations whose wallets lack the credit for what they should pay more
    """

    compared: int = 0
    paid: int = 0
    target: int = 0
    nanos: int = 0
    booked: int = 0
    cards: list[OfCards] = []
    differences: list[Difference] = []
    passed: list[Passed] = []
    unpaid: list[str] = []


async def run(store: Store, wanted: Wanted, choice: Choice, *, book: bool) -> Result:
    """Price every charge again; book what differs, each in a transaction of its own, if that is wanted."""
    found = Result()
    by_card: dict[tuple[str, str], OfCards] = {}
    async for one in survey(store, wanted, choice):
        if isinstance(one, Passed):
            found.passed.append(one)
            continue
        found.compared += 1
        if isinstance(one, Difference):
            found.differences.append(one)
            key = one.charged.card, one.card
            _count(one, found, by_card.setdefault(key, OfCards(old=key[0], new=key[1])))
    found.cards = sorted(by_card.values(), key=lambda line: -abs(line.nanos))
    if book:
        for difference in found.differences:
            await _book(store, difference, found)
    return found


def _count(one: Difference, *sums: Result | OfCards) -> None:
    for each in sums:
        each.paid += one.charged.paid
        each.target += one.target
        each.nanos += one.nanos
        if isinstance(each, OfCards):
            each.generations += 1


async def _book(store: Store, difference: Difference, found: Result) -> None:
    """Book it; what is booked is no difference any more."""
    try:
        made = await retried(store, partial(rerate, difference.rerated, wall_clock()))
    except InsufficientFunds:
        found.unpaid.append(difference.charged.generation)
    else:
        found.booked += made is not None
