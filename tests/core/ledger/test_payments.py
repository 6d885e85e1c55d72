"""Money from outside: credited once, taken back no further than it came, and the books hold."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway_core.db.payments import Payments
from gateway_core.db.session import Session
from gateway_core.db.url import open_store
from gateway_core.ledger import verify
from plugin_sdk.errors import Conflict, GatewayError, InvalidRequest, NotFound, Unprocessable
from tests.core.ledger.books import TEAM, USD, held, opened, settlement
from tests.core.ledger.databases import fetch, postgres, sqlite

OTHER = "02TEAM"


@asynccontextmanager
async def taking(url: str) -> AsyncIterator[Payments]:
    store = open_store(url, "full")
    try:
        yield Payments(lambda: store)
    finally:
        await store.close()


async def _teams(url: str) -> None:
    store = open_store(url, "full")

    async def work(session: Session) -> None:
        for team in (TEAM, OTHER):
            await session.execute("INSERT INTO teams (id, name, created_at) VALUES (?, ?, 1)", team, team)

    await store.write(work)
    await store.close()


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, url: str) -> AsyncIterator[str]:
    if request.param == "sqlite":
        await _teams(url)
        yield url
    else:
        async with postgres() as found:
            await _teams(found)
            yield found


async def paid(payments: Payments, nanos: int = 10 * USD, reference: str = "p1", **more: Any) -> Any:
    values = {"team_id": TEAM, "source": "acme", "reason": "paid", "nanos": nanos, "reference": reference}
    return await payments.credit(**{**values, **more})


async def back(payments: Payments, nanos: int, reference: str, payment: str = "p1") -> Any:
    return await payments.reverse(
        source="acme", payment=payment, reference=reference, nanos=nanos, reason="returned"
    )


async def entries(url: str, transaction: str) -> dict[str, int]:
    sql = "SELECT account, amount FROM ledger_entries WHERE transaction_id = ?"
    return dict(await fetch(url, sql, transaction))


async def balances(url: str) -> dict[str, int]:
    return dict(await fetch(url, "SELECT id, balance FROM wallets"))


async def test_a_payment_is_credited_less_its_fee_and_the_wallet_is_made(database: str) -> None:
    async with taking(database) as payments:
        assert await payments.balance(TEAM) == 0
        made = await paid(payments, 105, fee=5)
        assert await payments.balance(TEAM) == 100
    assert (made["kind"], made["amount_nanos"], made["reference"], made["booked"]) == (
        "top_up",
        100,
        "p1",
        True,
    )
    assert await entries(database, made["transaction"]) == {
        f"wallet:{TEAM}": 100,
        "fees": 5,
        "top_up:acme": -105,
    }
    assert await verify(database) == []


async def test_a_payment_is_credited_once_by_however_many_who_ask_at_once(database: str) -> None:
    async with taking(database) as one, taking(database) as two:
        made = await asyncio.gather(*[paid(payments) for payments in (one, two) * 10])
    assert Counter(each["booked"] for each in made) == {True: 1, False: 19}
    assert len({each["transaction"] for each in made}) == 1
    assert await balances(database) == {TEAM: 10 * USD}
    assert await verify(database) == []


async def test_a_payment_is_one_teams_only_whoever_asks_at_once(database: str) -> None:
    async with taking(database) as one, taking(database) as two:
        found = await asyncio.gather(
            paid(one), paid(two, team_id=OTHER), paid(two), paid(one, team_id=OTHER), return_exceptions=True
        )
    assert sum(isinstance(each, Conflict) for each in found) == 2
    assert sum((await balances(database)).values()) == 10 * USD
    assert await verify(database) == []


async def test_a_reference_stands_for_one_booking_of_its_source(database: str) -> None:
    async with taking(database) as payments:
        await paid(payments)
        for other in ({"nanos": 11 * USD}, {"fee": 1}, {"reason": "else"}, {"kind": "test"}):
            with pytest.raises(Conflict):
                await paid(payments, **{"nanos": 10 * USD, **other})
        await back(payments, USD, "r1")
        with pytest.raises(Conflict):
            await paid(payments, reference="r1")
        assert (await paid(payments, source="another"))["booked"] is True
    assert await verify(database) == []


async def test_what_was_returned_outside_is_taken_back_once_with_its_part_of_the_fee(database: str) -> None:
    async with taking(database) as payments:
        await paid(payments, 105, fee=5)
        half = await back(payments, 50, "r1")
        assert await back(payments, 50, "r1") == {**half, "booked": False}
        assert await entries(database, half["transaction"]) == {
            f"wallet:{TEAM}": -47,
            "fees": -3,
            "top_up:acme": 50,
        }
        with pytest.raises(Unprocessable) as refused:
            await back(payments, 56, "r2")
        assert refused.value.extra == {"left_nanos": 55}
        rest = await back(payments, 55, "r2")
        assert (rest["amount_nanos"], rest["balance_nanos"]) == (-53, 0)
        with pytest.raises(Unprocessable, match="more than the 0"):
            await back(payments, 1, "r3")
    sums = dict(await fetch(database, "SELECT account, SUM(amount) FROM ledger_entries GROUP BY account"))
    assert set(sums.values()) == {0}
    assert await verify(database) == []


async def test_what_was_spent_already_is_a_loss_and_comes_back_with_the_money(database: str) -> None:
    async with taking(database) as payments:
        await paid(payments)
        ledger = await opened(database)
        await ledger.settle(settlement(await held(ledger, 8 * USD), 8 * USD))
        await ledger.close()
        made = await back(payments, 10 * USD, "dispute")
        assert await entries(database, made["transaction"]) == {
            f"wallet:{TEAM}": -2 * USD,
            "loss": -8 * USD,
            "top_up:acme": 10 * USD,
        }
        assert await balances(database) == {TEAM: 0}
        nothing = await payments.credit(
            TEAM, source="acme", reference="p2", nanos=USD, reason="paid"
        )  # later credit is the team's own
        assert nothing["balance_nanos"] == USD
        won = {"source": "acme", "reversal": "dispute", "reference": "won", "reason": "won"}
        assert (await payments.reinstate(**won))["amount_nanos"] == 2 * USD
        assert (await payments.reinstate(**won))["booked"] is False
    assert await balances(database) == {TEAM: 3 * USD}
    assert await fetch(database, "SELECT SUM(amount) FROM ledger_entries WHERE account = 'loss'") == [(0,)]
    assert await verify(database) == []


async def test_credit_that_lies_idle_in_a_lease_is_asked_for_before_anything_is_a_loss(database: str) -> None:
    async with taking(database) as payments:
        await paid(payments)
        ledger = await opened(database)
        await ledger.settle(settlement(await held(ledger, 6 * USD), 0))  # 6 of 10 dollars stay leased, unused
        ((leased,),) = await fetch(database, "SELECT leased FROM wallets")
        assert leased >= 6 * USD
        made = await back(payments, 10 * USD, "r1")
        await ledger.close()
    assert made["amount_nanos"] == -10 * USD
    assert await verify(database) == []


async def test_what_is_not_there_cannot_be_taken_back_or_credited(database: str) -> None:
    async with taking(database) as payments:
        with pytest.raises(NotFound):
            await paid(payments, team_id="nobody")
        with pytest.raises(NotFound):
            await back(payments, 1, "r1")
        await paid(payments)
        for payment in ("p2", "r9"):
            with pytest.raises(NotFound):
                await back(payments, 1, "r1", payment)
        with pytest.raises(NotFound):
            await payments.reinstate(source="acme", reversal="p1", reference="x", reason="x")
        with pytest.raises(NotFound):
            await payments.reverse(source="else", payment="p1", reference="r", nanos=1, reason="x")
    assert await verify(database) == []


@pytest.mark.parametrize(
    "values",
    [
        {"nanos": 0},
        {"nanos": -5},
        {"nanos": 5, "fee": 5},
        {"nanos": 5, "fee": -1},
        {"nanos": 10**19},
        {"reference": ""},
        {"reference": "r" * 200},
        {"reference": "a\nb"},
        {"source": ""},
        {"source": "a:b"},
        {"reason": " "},
    ],
)
async def test_what_makes_no_sense_is_refused(url: str, values: dict[str, Any]) -> None:
    await _teams(url)
    async with taking(url) as payments:
        with pytest.raises(InvalidRequest):
            await paid(payments, **values)
    assert await balances(url) == {}


STEP = st.tuples(st.sampled_from(["pay", "return", "undo", "spend"]), st.integers(0, 4), st.integers(1, 400))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=14))
async def test_whatever_comes_in_whatever_order_the_books_hold(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    url = sqlite(tmp_path_factory.mktemp("payments"))
    await _teams(url)
    async with taking(url) as payments:
        for kind, number, nanos in steps:
            try:
                await _step(url, payments, kind, number, nanos)
            except GatewayError as refused:
                assert refused.status in (402, 404, 409, 422)  # noqa: PT017
    assert await verify(url) == []
    assert all(balance >= 0 for balance in (await balances(url)).values())


async def _step(url: str, payments: Payments, kind: str, number: int, nanos: int) -> None:
    if kind == "pay":
        await paid(payments, 2 * nanos, f"p{number}", fee=nanos // 7)
    elif kind == "return":
        await back(payments, nanos, f"r{nanos % 3}", f"p{number}")
    elif kind == "undo":
        await payments.reinstate(source="acme", reversal=f"r{number}", reference=f"u{number}", reason="x")
    else:
        ledger = await opened(url)
        hold = await held(ledger, nanos)
        await ledger.settle(settlement(hold, min(nanos, hold.amount)))
        await ledger.close()


async def test_an_event_that_is_done_with_is_known_to_every_process_for_its_source_alone(
    database: str,
) -> None:
    async with taking(database) as first, taking(database) as second:
        assert await first.told(source="acme", event="evt_1") is False
        await asyncio.gather(*[one.done(source="acme", event="evt_1") for one in (first, second) * 5])
        for source, event, known in (
            ("acme", "evt_1", True),
            ("acme", "evt_2", False),
            ("b", "evt_1", False),
        ):
            assert [await one.told(source=source, event=event) for one in (first, second)] == [known] * 2
    async with taking(database) as restarted:
        assert await restarted.told(source="acme", event="evt_1") is True
    store = open_store(database, "full")
    await store.write(lambda session: session.execute("UPDATE payment_events SET done_at = 1"))
    await store.close()
    async with taking(database) as later:
        await later.done(source="acme", event="evt_2")
        assert [await later.told(source="acme", event=f"evt_{n}") for n in (1, 2)] == [False, True]
        with pytest.raises(InvalidRequest):
            await later.done(source="a:b", event="evt_1")
