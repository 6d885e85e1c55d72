"""Re-rating: what past charges would be by another card, booked once, within what their wallets allowed."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_core.db.books import Books
from gateway_core.db.session import Store
from gateway_core.db.url import open_store
from gateway_core.ledger import verify
from gateway_core.pipeline.pricing import by_card, capped, kept, pricing_lines
from gateway_core.rerating.book import Result, run
from gateway_core.rerating.price import Shown, decode_lines, price, terms_of
from gateway_core.rerating.survey import Choice, Wanted
from plugin_sdk.money import Charge, ChargeLine, Nanos, Price, PriceCard
from plugin_sdk.price_rules import PLAIN, Condition, Terms
from tests.core.ledger.books import TEAM, USD, fund, held, opened, settlement
from tests.core.ledger.databases import fetch, postgres

USAGE = {"input_text_tokens": 1_000, "output_text_tokens": 100}


def card(name: str, into: str, out: str, *more: Price) -> PriceCard:
    rules = [("input_text_tokens", into), ("output_text_tokens", out)]
    prices = tuple(Price(meter=meter, usd=Decimal(usd), per=1_000_000) for meter, usd in rules)
    return PriceCard(id=name, prices=(*prices, *more))


OLD, DEARER, CHEAPER = card("pc_old", "1", "10"), card("pc_dear", "2", "15"), card("pc_cheap", "0.5", "5")
FREE = PriceCard(id="pc_free", prices=(), free=True)
PAID, MORE, LESS = 2_000_000, 3_500_000, 1_000_000  # what USAGE costs by each


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, url: str) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield url
    else:
        async with postgres() as found:
            yield found


@asynccontextmanager
async def stored(url: str) -> AsyncIterator[Store]:
    store = open_store(url, "full")
    try:
        yield store
    finally:
        await store.close()


async def charged(
    url: str,
    *,
    of: Charge | None = None,
    hold: int = USD,
    pays: int | None = None,
    usd: int = 10,
    **more: Any,
) -> str:
    """A generation charged for USAGE by OLD, or what policies made of it; `pays` is less than its price."""
    if usd:
        await fund(url, usd * USD)
    ledger = await opened(url)
    made = by_card(USAGE, OLD) if of is None else of
    shown = made if pays is None else capped(made, Nanos(pays))
    values = {"usage": USAGE, "lines": pricing_lines(shown), "card_id": OLD.id, **more}
    one = settlement(await held(ledger, hold), shown.total, price=made.total, **values)
    await ledger.settle(msgspec.structs.replace(one, card=OLD))
    await ledger.close()
    return one.generation.id


def always(new: PriceCard) -> Choice:
    return lambda _charged, _card: new


async def rerated(url: str, new: PriceCard | Choice, *, book: bool = False, **wanted: Any) -> Result:
    async with stored(url) as store:
        choice = always(new) if isinstance(new, PriceCard) else new
        return await run(store, Wanted(since=0, **wanted), choice, book=book)


async def balance(url: str) -> int:
    ((found,),) = await fetch(url, "SELECT balance FROM wallets WHERE id = ?", TEAM)
    return int(found)


async def test_the_differences_are_shown_before_any_is_booked(database: str) -> None:
    generation = await charged(database)
    found = await rerated(database, CHEAPER)
    (one,) = found.differences
    assert (one.charged.generation, one.charged.card, one.card) == (generation, "pc_old", "pc_cheap")
    assert (one.charged.paid, one.price, one.target, one.nanos) == (PAID, LESS, LESS, LESS - PAID)
    (line,) = found.cards
    assert (line.old, line.new, line.generations, line.nanos) == ("pc_old", "pc_cheap", 1, LESS - PAID)
    assert (found.compared, found.paid, found.target, found.booked) == (1, PAID, LESS, 0)
    assert await balance(database) == 10 * USD - PAID


@pytest.mark.parametrize(("new", "paid"), [(CHEAPER, LESS), (DEARER, MORE)])
async def test_a_difference_is_booked_once_and_names_what_it_corrects(
    database: str, new: PriceCard, paid: int
) -> None:
    generation = await charged(database)
    assert (await rerated(database, new, book=True)).booked == 1
    again = await rerated(database, new, book=True)
    assert (again.compared, again.differences, again.booked) == (1, [], 0)
    assert await balance(database) == 10 * USD - paid
    sql = "SELECT id, kind, corrects FROM ledger_transactions WHERE corrects = ?"
    ((made, kind, corrects),) = await fetch(database, sql, generation)
    assert (kind, corrects) == ("adjustment", generation)
    entries = dict(
        await fetch(database, "SELECT account, amount FROM ledger_entries WHERE transaction_id = ?", made)
    )
    assert entries == {f"wallet:{TEAM}": PAID - paid, "revenue": paid - PAID}
    ((reason,),) = await fetch(database, "SELECT reason FROM corrections WHERE id = ?", made)
    assert reason == f"re-rated by {new.id} instead of pc_old"
    assert await verify(database) == []


async def test_two_runs_at_once_book_a_difference_once(database: str) -> None:
    for _ in range(4):
        await charged(database, usd=1)
    found = await asyncio.gather(*[rerated(database, CHEAPER, book=True) for _ in range(3)])
    assert sum(one.booked for one in found) == 4
    assert await balance(database) == 4 * (USD - LESS)
    assert await verify(database) == []


async def test_another_card_starts_from_what_the_one_before_left(database: str) -> None:
    await charged(database)
    for new, paid in (
        (CHEAPER, LESS),
        (DEARER, MORE),
        (OLD, PAID),
        (FREE, 0),
    ):
        assert (await rerated(database, new, book=True)).booked == 1
        assert await balance(database) == 10 * USD - paid
    assert (await rerated(database, OLD, book=True)).booked == 1
    assert await balance(database) == 10 * USD - PAID
    assert await verify(database) == []


async def test_its_own_card_proves_a_charge(database: str) -> None:
    await charged(database)
    found = await rerated(database, lambda _, card: card)
    assert (found.compared, found.differences, found.passed) == (1, [], [])


async def test_what_was_not_charged_stays_so(url: str) -> None:
    await fund(url, USD)
    ledger = await opened(url)
    nothing = settlement(
        await held(ledger, 5_000), 0, usage=USAGE, card_id=OLD.id, suppressed="pricing_failed"
    )
    await ledger.settle(nothing)
    await ledger.close()
    assert (await rerated(url, DEARER, book=True)).compared == 0
    assert await balance(url) == USD


async def test_who_could_not_pay_the_whole_then_pays_no_more_now(database: str) -> None:
    await charged(database, hold=1_500_000, pays=1_500_000)
    assert (await rerated(database, DEARER, book=True)).differences == []
    (one,) = (await rerated(database, CHEAPER, book=True)).differences
    assert (one.charged.paid, one.target, one.nanos) == (1_500_000, LESS, -500_000)
    assert await verify(database) == []


async def test_nobody_pays_more_than_was_held(url: str) -> None:
    await charged(url, hold=3_000_000)
    (one,) = (await rerated(url, DEARER, book=True)).differences
    assert (one.price, one.target) == (MORE, 3_000_000)
    assert await balance(url) == 10 * USD - 3_000_000


async def test_a_refund_stays_a_refund(database: str) -> None:
    part, whole = await charged(database), await charged(database, usd=0)
    async with stored(database) as store:
        books = Books(lambda: store)
        await books.refund(None, part, nanos=300_000, reason="sorry")
        await books.refund(None, whole, reason="sorry")
    found = await rerated(database, DEARER, book=True)
    assert [one.charged.generation for one in found.differences] == [part]
    assert await balance(database) == 10 * USD - MORE + 300_000
    await rerated(database, FREE, book=True)
    assert await balance(database) == 10 * USD
    assert await verify(database) == []


async def test_a_wallet_without_the_credit_is_not_charged_until_it_has_it(database: str) -> None:
    generation = await charged(database, usd=1)
    async with stored(database) as store:
        await Books(lambda: store).adjust(TEAM, nanos=-(USD - PAID - 1), reason="spent")
    found = await rerated(database, DEARER, book=True)
    assert (found.unpaid, found.booked, await balance(database)) == ([generation], 0, 1)
    await fund(database, USD)
    assert (await rerated(database, DEARER, book=True)).booked == 1
    assert await balance(database) == 1 + USD - (MORE - PAID)
    assert await verify(database) == []


async def test_what_a_policy_made_of_a_line_it_makes_of_the_new_one(database: str) -> None:
    lines = tuple(line.times(Decimal("1.075")) for line in by_card(USAGE, OLD).lines)
    fee = ChargeLine(meter="fee", quantity=1, nanos=Nanos(77), usd=Decimal("0.000000077"))
    await charged(database, of=Charge(card_id=OLD.id, lines=(*lines, fee)))
    (one,) = (await rerated(database, DEARER)).differences
    assert one.price == MORE * 1_075 // 1_000 + 77
    assert (await rerated(database, OLD)).differences == []


async def test_a_key_of_the_team_and_a_card_that_is_gone_are_passed_over(url: str) -> None:
    own, gone = await charged(url, byok=True), await charged(url)
    found = await rerated(url, lambda charge, _: None)
    assert [(one.charged.generation, one.why) for one in found.passed] == [
        (own, "the team's own provider key served it"),
        (gone, "the catalogue has no card for it now"),
    ]


async def test_only_the_charges_that_are_wanted_are_priced_again(database: str) -> None:
    await charged(database, model="acme/other")
    generation = await charged(database)
    ((at,),) = await fetch(database, "SELECT created_at FROM generations WHERE id = ?", generation)
    assert (await rerated(database, CHEAPER, model="acme/m")).compared == 1
    assert (await rerated(database, CHEAPER, team_id="nobody")).compared == 0
    assert (await rerated(database, CHEAPER, until=at)).compared <= 1
    async with stored(database) as store:
        assert (await run(store, Wanted(since=at + 1), always(CHEAPER), book=True)).compared == 0


FLEX = Price(meter="output_text_tokens", usd=Decimal("4"), per=1_000_000, plan="flex")
LONG = Price(
    meter="input_text_tokens", usd=Decimal("3"), per=1_000_000, priority=200,
    conditions=(Condition("search.size", "eq", "high"),),
)  # fmt: skip


@pytest.mark.parametrize(
    "terms", [Terms(plan="flex", at=9), Terms(values={"search": {"size": "high", "more": "x"}}, at=9), PLAIN]
)
def test_the_terms_of_a_charge_are_those_of_its_re_rating(terms: Terms) -> None:
    old, new = card("old", "1", "10", FLEX, LONG), card("new", "2", "20", FLEX, LONG)
    before, after = by_card(USAGE, old, terms), by_card(USAGE, new, terms)
    said = kept(terms, old)
    again = terms_of(said, terms.at)
    assert "more" not in (said or "")
    assert price(USAGE, old, new, again, shown(before.lines)) == after.total
    assert price(USAGE, old, old, again, shown(before.lines)) == before.total


def shown(lines: Sequence[ChargeLine]) -> list[Shown]:
    return decode_lines(msgspec.json.encode(pricing_lines(Charge(card_id="", lines=tuple(lines)))))


METERS = ("input_text_tokens", "cached_read_text_tokens", "output_text_tokens", "output_reasoning_tokens")
cards = st.dictionaries(st.sampled_from(METERS), st.decimals(0, 100, places=4), min_size=1)
usages = st.dictionaries(st.sampled_from(METERS), st.integers(0, 10**7))
percents = st.dictionaries(st.sampled_from(METERS), st.decimals(-100, 300, places=1))


@given(cards, cards, usages, percents)
def test_a_marked_up_charge_is_re_rated_to_what_it_would_have_been(
    old: Mapping[str, Decimal],
    new: Mapping[str, Decimal],
    usage: dict[str, int],
    marked: Mapping[str, Decimal],
) -> None:
    """To the nano wherever the price was shown whole; within its rounding elsewhere."""

    def made(prices: Mapping[str, Decimal]) -> tuple[PriceCard, tuple[ChargeLine, ...]]:
        rules = tuple(Price(meter=meter, usd=usd, per=1_000_000) for meter, usd in prices.items())
        one = PriceCard(id="pc", prices=rules)
        lines = by_card(usage, one).lines
        return one, tuple(line.times(1 + marked.get(line.meter, Decimal(0)) / 100) for line in lines)

    (before, paid), (after, wanted) = made(old), made(new)
    seen = {line.meter: line for line in paid}
    expected = [line for line in wanted if line.meter in seen and seen[line.meter].nanos]
    if len(expected) == len(wanted) == len(paid):
        assert price(usage, before, after, PLAIN, shown(paid)) == sum(line.nanos for line in wanted)
    assert price(usage, before, before, PLAIN, shown(paid)) == sum(line.nanos for line in paid)
