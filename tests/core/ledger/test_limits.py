"""Limits in the database: windows, reservations, and ends that nobody told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway_core.db.limits import Limiter
from gateway_core.db.limits.counters import AGAIN
from gateway_core.db.session import Session
from gateway_core.db.stores import Stores
from gateway_core.db.url import open_store
from gateway_core.ids import Ids, wall_clock
from gateway_core.ledger import Ledger
from plugin_sdk.errors import Unavailable
from plugin_sdk.limits import FIELDS, Limits, reset_at, starts
from plugin_sdk.money import Nanos
from tests.core.ledger.books import TEAM, locked, new_id, opened, rows, settlement
from tests.core.ledger.databases import fetch
from tests.core.ledger.test_recovery import make_dead

KID = "k1"


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


class Desk:
    """One process: its ledger, its limits, and a clock to turn (which PostgreSQL does not look at)."""

    def __init__(self, url: str, ledger: Ledger) -> None:
        self.now = wall_clock()
        self.url = url
        self.began: dict[str, int] = {}
        self.ids = Ids(lambda: self.now)
        self.ledger = ledger
        self.limits = Limiter(open_store(url, "normal"), ledger.instance_id, lambda: self.now)

    async def ask(self, generation: str | None = None, worst: int = 10, kid: str = KID) -> tuple[str, Any]:
        """A reservation: its generation, and what came of it."""
        generation = generation or self.ids.generation()
        self.began[generation] = self.now
        return generation, await self.limits.reserve(generation, TEAM, kid, Nanos(worst))

    async def finish(
        self, generation: str, cost: int = 0, *, success: bool = True, tell: bool = True
    ) -> None:
        """The generation's settlement, and the word of it where it is told."""
        found = settlement(
            None,
            0,
            generation_id=generation,
            success=success,
            created_at=self.began.get(generation, self.now),
        )
        await self.ledger.settle(found)
        await self._cost(generation, cost)
        if tell:
            await self.limits.settle(generation)

    async def _cost(self, generation: str, cost: int) -> None:
        async def work(session: Session) -> int:
            return await session.execute(
                "UPDATE generations SET cost_nanos = ? WHERE id = ?", cost, generation
            )

        store = open_store(self.url, "normal")
        await store.write(work)
        await store.close()


@asynccontextmanager
async def desk(url: str) -> AsyncIterator[Desk]:
    ledger = await opened(url)
    found = Desk(url, ledger)
    yield found
    await found.limits.close()
    await ledger.close()


async def limit(url: str, *, team: bool = False, kid: str = KID, **limits: int) -> None:
    """Set limits: as the stores do, and on PostgreSQL raw (Tortoise speaks one dialect a process)."""
    if not url.startswith("sqlite"):
        await _limit_raw(url, TEAM if team else kid, "team" if team else "key", Limits(**limits))
        return
    stores = await Stores.open(url)
    try:
        if team:
            await stores.keys.limit_team(TEAM, Limits(**limits))
        else:
            if await stores.keys.find(kid) is None:
                await stores.create_key(TEAM, "live", "k", kid, kid.ljust(64, "h"))
            await stores.keys.limit_key(kid, Limits(**limits))
    finally:
        await stores.close()


async def _limit_raw(url: str, name: str, kind: str, limits: Limits) -> None:
    values = [getattr(limits, field) for field in FIELDS]
    if kind == "team":
        columns: dict[str, object] = {"team_id": name, "updated_at": 1}
    else:
        columns = {
            "id": name, "team_id": TEAM, "name": "k", "mode": "live", "kid": name, "hash": name,
            "prefix": "k", "status": "active", "scopes": "[]", "soft_blocked": False, "revision": 1,
            "created_at": 1, "updated_at": 1,
        }  # fmt: skip
    columns.update(zip(FIELDS, values, strict=True))
    table, key = ("team_limits", "team_id") if kind == "team" else ("keys", "id")

    async def work(session: Session) -> None:
        await session.execute(f"DELETE FROM {table} WHERE {key} = ?", name)
        marks = ", ".join("?" * len(columns))
        await session.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", *columns.values()
        )

    store = open_store(url, "normal")
    await store.write(work)
    await store.close()


@pytest.mark.parametrize(
    ("now", "day", "week", "month", "resets"),
    [
        (
            "2026-01-01T00:00",
            "2026-01-01",
            "2025-12-29",
            "2026-01-01",
            ("2026-01-02", "2026-01-05", "2026-02-01"),
        ),
        (
            "2026-11-22T23:59:59.999",
            "2026-11-22",
            "2026-11-16",
            "2026-11-01",
            ("2026-11-23", "2026-11-23", "2026-12-01"),
        ),
        (
            "2026-11-23T00:00",
            "2026-11-23",
            "2026-11-23",
            "2026-11-01",
            ("2026-11-24", "2026-11-30", "2026-12-01"),
        ),
        (
            "2028-02-29T12:00",
            "2028-02-29",
            "2028-02-28",
            "2028-02-01",
            ("2028-03-01", "2028-03-06", "2028-03-01"),
        ),
        (
            "2026-12-31T23:00",
            "2026-12-31",
            "2026-12-28",
            "2026-12-01",
            ("2027-01-01", "2027-01-04", "2027-01-01"),
        ),
    ],
)
def test_windows_begin_and_end_at_midnight_utc_and_weeks_on_monday(
    now: str, day: str, week: str, month: str, resets: tuple[str, str, str]
) -> None:
    at = moment(now)
    assert starts(at) == (moment(day), moment(week), moment(month))
    assert (reset_at("daily", at), reset_at("weekly", at), reset_at("monthly", at)) == tuple(
        map(moment, resets)
    )


async def test_a_request_limit_counts_what_succeeded_and_what_may(both: str) -> None:
    await limit(both, daily_limit_requests=2)
    async with desk(both) as one:
        first, _ = await one.ask()
        second, found = await one.ask()
        assert found.refused is None
        _, found = await one.ask()
        assert (found.refused.window, found.refused.metric, found.refused.reserved) == (
            "daily",
            "requests",
            2,
        )
        await one.finish(first, success=False)
        third, found = await one.ask()
        assert found.refused is None
        await one.finish(second)
        await one.finish(third)
        _, found = await one.ask()
        assert (found.refused.used, found.refused.reserved, found.refused.limit) == (2, 0, 2)


async def test_a_database_that_stays_locked_is_a_503_to_ask_again_and_nothing_stays_reserved(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_core.db.sqlite.LOCK_WAIT", 0.05)
    await limit(url, daily_limit_requests=1)
    async with desk(url) as one:
        with locked(url):
            for _ in range(2):
                with pytest.raises(Unavailable) as refused:
                    await one.ask()
                assert (refused.value.status, refused.value.retry_after) == (503, "1")
        assert rows(url, "SELECT * FROM limit_reservations") == []
        _, found = await one.ask()
        assert found.refused is None


async def test_a_cost_limit_gives_what_is_left_and_then_nothing(both: str) -> None:
    await limit(both, monthly_limit_cost_nanos=100)
    async with desk(both) as one:
        first, found = await one.ask(worst=70)
        assert 70 <= found.cap <= 71
        _, found = await one.ask(worst=70)
        assert found.cap == 100 - 71
        _, found = await one.ask(worst=70)
        assert found.refused.window == "monthly"
        await one.finish(first, cost=5)
        _, found = await one.ask(worst=100)
        assert found.cap == 100 - 5 - 29


async def test_of_key_and_team_the_tighter_limit_counts(both: str) -> None:
    await limit(both, daily_limit_cost_nanos=1_000)
    await limit(both, team=True, weekly_limit_cost_nanos=300)
    async with desk(both) as one:
        _, found = await one.ask(worst=500)
        assert (found.cap, found.tightest.kind, found.tightest.window) == (300, "team", "weekly")
        _, found = await one.ask(worst=500, kid="another")
        assert found.refused.kind == "team"


async def test_processes_that_ask_at_once_never_pass_a_limit(both: str) -> None:
    await limit(both, daily_limit_requests=37)
    async with desk(both) as one, desk(both) as two, desk(both) as three:
        found = await asyncio.gather(*[each.ask() for _ in range(30) for each in (one, two, three)])
        assert sum(answer.refused is None for _, answer in found) == 37


async def test_an_end_that_was_never_told_is_seen_when_it_matters(both: str) -> None:
    await limit(both, daily_limit_cost_nanos=100)
    async with desk(both) as one, desk(both) as two:
        first, _ = await one.ask(worst=100)
        await one.finish(first, cost=30, tell=False)
        _, found = await two.ask(worst=100)
        assert found.cap == 70
        await one.limits.settle(first)
        (standing,) = await two.limits.standings(TEAM, KID)
        assert (standing.used, standing.reserved) == (30, 70)


async def test_what_a_dead_process_reserved_comes_back_but_for_what_it_settled(url: str) -> None:
    await limit(url, daily_limit_requests=2, daily_limit_cost_nanos=1_000)
    async with desk(url) as dead, desk(url) as heir:
        settled, _ = await dead.ask()
        await dead.finish(settled, cost=40, tell=False)
        lost, _ = await dead.ask()
        _, found = await heir.ask()
        assert found.refused is not None
        make_dead(url, dead.ledger.instance_id)
        await heir.ledger._recover()
        _, found = await heir.ask()
        assert found.refused is None
        (count, spent) = await heir.limits.standings(TEAM, KID)
        assert (count.used, count.reserved, spent.used) == (1, 1, 40)
        await dead.finish(lost, cost=7)  # it lived: its end counts all the same
        (count, spent) = await heir.limits.standings(TEAM, KID)
        assert (count.used, count.reserved, spent.used) == (2, 1, 47)


async def test_a_new_day_begins_at_midnight_and_the_old_ones_requests_stay_there(url: str) -> None:
    await limit(url, daily_limit_requests=1, weekly_limit_requests=2)
    async with desk(url) as one:
        one.now = moment("2030-11-19T23:59:59.999")
        late, _ = await one.ask()
        assert (await one.ask())[1].refused.window == "daily"
        one.now += 1
        early, found = await one.ask()
        assert found.refused is None
        await one.finish(late)
        await one.finish(early)
        day, week = await one.limits.standings(TEAM, KID)
        assert (day.used, week.used) == (1, 2)
        one.now = moment("2030-11-21")
        assert (await one.ask())[1].refused.window == "weekly"
        one.now = moment("2030-11-25")
        assert (await one.ask())[1].refused is None


async def test_a_limit_that_is_set_later_counts_what_came_before(both: str) -> None:
    await limit(both)
    async with desk(both) as one:
        for _ in range(3):
            await one.finish(new_id(), cost=11, tell=False)
        await limit(both, daily_limit_requests=10, monthly_limit_cost_nanos=1_000)
        count, spent = await one.limits.standings(TEAM, KID)
        assert (count.used, spent.used) == (3, 33)


async def test_a_limit_that_is_lifted_and_set_again_counts_what_came_between(url: str) -> None:
    await limit(url, daily_limit_requests=10)
    async with desk(url) as one:
        await one.finish((await one.ask())[0])
        await limit(url)
        await one.finish(new_id(), tell=False)
        await limit(url, daily_limit_requests=10)
        running, _ = await one.ask()
        (standing,) = await one.limits.standings(TEAM, KID)
        assert (standing.used, standing.reserved) == (2, 1)
        await one.finish(running)
        (standing,) = await one.limits.standings(TEAM, KID)
        assert (standing.used, standing.reserved) == (3, 0)


async def test_a_request_that_ran_when_its_first_limit_was_set_counts_when_it_ends(both: str) -> None:
    await limit(both)
    async with desk(both) as one, desk(both) as two:
        early, late = one.ids.generation(), two.ids.generation()
        await limit(both, daily_limit_requests=10, daily_limit_cost_nanos=1_000)
        running, _ = await one.ask()
        await two.finish(early, cost=7, tell=False)
        await two.limits.recount(TEAM, KID)
        count, spent = await one.limits.standings(TEAM, KID)
        assert (count.used, count.reserved, spent.used) == (1, 1, 7)
        await one.finish(running, cost=5)
        await two.finish(late, cost=3, tell=False)
        await asyncio.gather(two.limits.recount(TEAM, KID), one.limits.recount(TEAM, KID))
        count, spent = await two.limits.standings(TEAM, KID)
        assert (count.used, count.reserved, spent.used) == (3, 0, 15)


async def test_what_ended_before_its_process_knew_of_the_limit_is_counted_seconds_later(url: str) -> None:
    await limit(url)
    async with desk(url) as one:
        await limit(url, daily_limit_requests=10)
        await one.ask()
        await one.finish(new_id(), tell=False)
        one.now += AGAIN
        (standing,) = await one.limits.standings(TEAM, KID)
        assert (standing.used, standing.reserved) == (1, 1)


async def test_what_has_no_limit_leaves_no_trace(url: str) -> None:
    await limit(url)
    async with desk(url) as one:
        generation, found = await one.ask()
        assert (found.refused, found.cap) == (None, None)
        await one.finish(generation)
    assert rows(url, "SELECT * FROM limit_counters") == rows(url, "SELECT * FROM limit_reservations") == []


async def test_nothing_stays_reserved_when_all_is_told(both: str) -> None:
    await limit(both, daily_limit_requests=100)
    async with desk(both) as one:
        asked = await asyncio.gather(*[one.ask() for _ in range(20)])
        await asyncio.gather(*[one.finish(generation) for generation, _ in asked])
    assert await fetch(both, "SELECT * FROM limit_reservations") == []
    assert [
        tuple(row) for row in await fetch(both, "SELECT day_requests, month_requests FROM limit_counters")
    ] == [(20, 20)]
