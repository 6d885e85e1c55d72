"""Refunds and adjustments: never more than there is, once a reference, and the chain holds."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway_core.db.book import LARGEST
from gateway_core.db.books import Books
from gateway_core.db.export import Wanted, export
from gateway_core.db.margin import margins
from gateway_core.db.url import open_store
from gateway_core.ledger import verify
from plugin_sdk.errors import Conflict, InsufficientFunds, InvalidRequest, NotFound, Unprocessable
from tests.core.ledger.books import TEAM, USD, fund, held, opened, settlement
from tests.core.ledger.databases import fetch, postgres


@asynccontextmanager
async def corrected(url: str) -> AsyncIterator[Books]:
    store = open_store(url, "full")
    try:
        yield Books(lambda: store)
    finally:
        await store.close()


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, url: str) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield url
    else:
        async with postgres() as found:
            yield found


async def charged(url: str, nanos: int = 1_000, **values: Any) -> str:
    """A generation that cost so much, out of a wallet with ten dollars."""
    await fund(url, 10 * USD)
    ledger = await opened(url)
    found = settlement(await held(ledger, 5_000), nanos, **values)
    await ledger.settle(found)
    await ledger.close()
    return found.generation.id


async def entries(url: str, transaction: str) -> dict[str, int]:
    sql = "SELECT account, amount FROM ledger_entries WHERE transaction_id = ?"
    return dict(await fetch(url, sql, transaction))


async def balance(url: str) -> int:
    ((found,),) = await fetch(url, "SELECT balance FROM wallets WHERE id = ?", TEAM)
    return int(found)


async def test_a_whole_charge_is_given_back_and_named(database: str) -> None:
    generation = await charged(database)
    async with corrected(database) as books:
        made = await books.refund(TEAM, generation, reason="the answer was nonsense")
    assert (made["amount_nanos"], made["amount_usd"], made["booked"]) == (1_000, "0.000001000", True)
    assert await entries(database, made["transaction"]) == {f"wallet:{TEAM}": 1_000, "revenue": -1_000}
    sql = "SELECT kind, corrects, sequence FROM ledger_transactions WHERE id = ?"
    assert [tuple(row) for row in await fetch(database, sql, made["transaction"])] == [
        ("refund", generation, 3)
    ]
    assert await balance(database) == 10 * USD == made["balance_nanos"]
    assert await verify(database) == []


async def test_a_reference_books_once_and_says_so(database: str) -> None:
    generation = await charged(database)
    async with corrected(database) as books:
        first = await books.refund(TEAM, generation, nanos=300, reason="half", reference="ticket 7")
        again = await books.refund(TEAM, generation, nanos=300, reason="half", reference="ticket 7")
        assert again == {**first, "booked": False}
        with pytest.raises(Conflict):
            await books.refund(TEAM, generation, nanos=301, reason="half", reference="ticket 7")
        with pytest.raises(Conflict):
            await books.adjust(TEAM, nanos=300, reason="half", reference="ticket 7")
    assert await balance(database) == 10 * USD - 700
    assert await verify(database) == []


async def test_no_more_is_given_back_than_was_charged_less_what_was_given_before(database: str) -> None:
    generation = await charged(database)
    async with corrected(database) as books:
        await books.refund(TEAM, generation, nanos=600, reason="a part", reference="one")
        with pytest.raises(Unprocessable) as refused:
            await books.refund(TEAM, generation, nanos=401, reason="too much", reference="two")
        assert refused.value.extra == {"left_nanos": 400}
        rest = await books.refund(TEAM, generation, reason="the rest", reference="three")
        assert rest["amount_nanos"] == 400
        with pytest.raises(Unprocessable, match="Nothing is left"):
            await books.refund(TEAM, generation, reason="again", reference="four")
    assert await balance(database) == 10 * USD
    assert await verify(database) == []


async def test_what_the_hold_did_not_pay_for_is_not_given_back(url: str) -> None:
    generation = await charged(url, 1_000, price=1_500)
    async with corrected(url) as books:
        assert (await books.refund(None, generation, reason="x"))["amount_nanos"] == 1_000
    assert await verify(url) == []


async def test_only_what_was_charged_to_the_team_can_be_given_back(url: str) -> None:
    generation, free = await charged(url), await charged(url, 0)
    async with corrected(url) as books:
        with pytest.raises(NotFound):
            await books.refund("another", generation, reason="x")
        with pytest.raises(NotFound):
            await books.refund(TEAM, "G-none", reason="x")
        with pytest.raises(Unprocessable, match="was not charged"):
            await books.refund(TEAM, free, reason="x")


async def test_credit_is_given_and_taken_as_far_as_there_is_any(database: str) -> None:
    await fund(database, 2 * USD)
    async with corrected(database) as books:
        made = await books.adjust(TEAM, nanos=5, reason="sorry")
        assert await entries(database, made["transaction"]) == {f"wallet:{TEAM}": 5, "adjustment": -5}
        with pytest.raises(InsufficientFunds):
            await books.adjust(TEAM, nanos=-2 * USD - 6, reason="too much")
        await books.adjust(TEAM, nanos=-2 * USD - 5, reason="all")
        with pytest.raises(NotFound):
            await books.adjust("nobody", nanos=5, reason="sorry")
    assert await balance(database) == 0
    assert await verify(database) == []


async def test_an_export_has_every_entry_once_in_the_order_of_the_books(database: str) -> None:
    generation = await charged(database, cost=400)
    async with corrected(database) as books:
        await books.refund(TEAM, generation, nanos=300, reason="half")
    found: list[dict[str, Any]] = []
    assert await export(database, Wanted(), found.extend) == len(found) == 8
    assert [row["entry"] for row in found] == sorted(row["entry"] for row in found)
    sums = Counter[str]()
    for row in found:
        sums[row["account"]] += row["amount_nanos"]
    assert sum(sums.values()) == 0
    assert sums[f"wallet:{TEAM}"] == await balance(database) == 10 * USD - 700
    assert (sums["revenue"], sums["cost_of_sales"]) == (700, -400)
    mine: list[dict[str, Any]] = []
    await export(database, Wanted(team_id=TEAM), mine.extend)
    assert mine == found
    for wanted in (Wanted(team_id="another"), Wanted(until=1), Wanted(since=1 << 60)):
        assert await export(database, wanted, mine.extend) == 0


async def test_a_wallet_has_a_largest_balance(database: str) -> None:
    await charged(database)
    async with corrected(database) as books:
        with pytest.raises(Unprocessable, match="at most"):
            await books.adjust(TEAM, nanos=LARGEST, reason="a slip of the hand")
    assert await balance(database) == 10 * USD - 1_000
    assert await verify(database) == []


async def test_credit_that_is_leased_cannot_be_taken(url: str) -> None:
    await fund(url, 2 * USD)
    ledger = await opened(url)
    hold = await held(ledger, USD)
    async with corrected(url) as books:
        with pytest.raises(InsufficientFunds):
            await books.adjust(TEAM, nanos=-2 * USD, reason="all")
    await ledger.settle(settlement(hold, USD))
    await ledger.close()
    assert await verify(url) == []


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"nanos": 0, "reason": "x"}, "nanos"),
        ({"nanos": 10**19, "reason": "x"}, "nanos"),
        ({"nanos": 1, "reason": "  "}, "reason"),
        ({"nanos": 1, "reason": "two\nlines"}, "reason"),
        ({"nanos": 1, "reason": "x", "reference": "r" * 201}, "reference"),
        ({"nanos": 1, "reason": "x", "reference": "rerate:G-1:1"}, "reference"),
    ],
)
async def test_what_makes_no_sense_is_refused(url: str, values: dict[str, Any], field: str) -> None:
    await fund(url, USD)
    async with corrected(url) as books:
        with pytest.raises(InvalidRequest) as refused:
            await books.adjust(TEAM, **values)
    assert refused.value.param == field


async def test_the_books_say_what_went_and_page_the_ledger(database: str) -> None:
    generation = await charged(database)
    async with corrected(database) as books:
        await books.refund(TEAM, generation, nanos=400, reason="a part")
        credit = await books.credits(TEAM)
        first = await books.ledger(TEAM, after=0, limit=2)
        second = await books.ledger(TEAM, after=2, limit=2)
        activity = await books.activity(TEAM, days=30, limit=10, offset=0)
        stranger = await books.activity("another", days=30, limit=10, offset=0)
    assert (credit["remaining"], credit["thirty_day_usage"], credit["thirty_day_requests"]) == (
        10 * USD - 600,
        1_000,
        1,
    )
    kinds = [row["kind"] for row in (*first["transactions"], *second["transactions"])]
    assert kinds == ["top_up", "charge", "refund"]
    assert (first["next_after"], second["next_after"], second["total"]) == (2, None, 3)
    assert second["transactions"][0]["reason"] == "a part"
    assert [(row["request_id"], row["cost_nanos"]) for row in activity["activity"]] == [(generation, 1_000)]
    assert (activity["total"], activity["total_cost_nanos"]) == (1, 1_000)
    assert stranger["activity"] == []


async def test_the_margin_is_what_was_paid_less_what_it_cost(database: str) -> None:
    generation = await charged(database, 1_000, price=1_200, cost=300)
    await charged(database, 0, cost=50, lost=50)
    async with corrected(database) as books:
        await books.refund(TEAM, generation, nanos=100, reason="a part")
    (by_model,) = await margins(database, "model")
    assert by_model.name == "acme/m"
    assert (by_model.paid, by_model.revenue, by_model.cost_of_sales, by_model.loss) == (900, 1_100, 300, 250)
    assert by_model.margin == by_model.paid - by_model.upstream_cost == 550
    assert (by_model.attempts, by_model.attempts_cost, by_model.generations) == (2, 350, 2)
    (by_provider,) = await margins(database, "provider")
    assert (by_provider.name, by_provider.margin) == ("upstream", 550)
    assert await margins(database, "team", since=1 << 60) == []
