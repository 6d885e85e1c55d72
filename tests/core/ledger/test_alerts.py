"""Alerts of limits: kept with what crossed the threshold, told until somebody has heard, by one process."""

import asyncio

import pytest

from gateway_core.db.limits import alerts as telling
from gateway_core.db.session import Session
from gateway_core.db.url import open_store
from plugin_sdk.limits import Alert
from tests.core.ledger.databases import fetch
from tests.core.ledger.test_limits import Desk, desk, limit


class Ears:
    """Hears alerts, or does not want to."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.told: list[tuple[int, int, int]] = []  # percent, used, attempt
        self.deaf = deaf
        self.heard = asyncio.Event()

    async def __call__(self, alert: Alert) -> None:
        self.told.append((alert.percent, alert.standing.used, alert.attempt))
        self.heard.set()
        if self.deaf:
            raise OSError("nobody is there")


async def use(one: Desk, times: int = 1) -> None:
    for _ in range(times):
        await one.finish((await one.ask())[0])


async def elapse(url: str) -> None:
    """The time of the next try has come for all that is to be tried again."""

    async def work(session: Session) -> None:
        await session.execute("UPDATE limit_alerts SET due_at = 1 WHERE due_at > 0")

    store = open_store(url, "normal")
    await store.write(work)
    await store.close()


async def waiting(url: str) -> list[tuple[bool, bool]]:
    """Of each alert: whether somebody has heard it, whether it will be told (again)."""
    rows = await fetch(url, "SELECT told_at, due_at FROM limit_alerts ORDER BY id")
    return [(row[0] > 0, row[1] > 0) for row in rows]


async def test_an_alert_is_told_once_a_window_by_one_process(both: str) -> None:
    await limit(both, daily_limit_requests=4)
    ears = Ears()
    async with desk(both) as one, desk(both) as two:
        for each in (one, two):
            each.limits.watch([50, 100], ears)
        for each in (one, two, one, two):
            await use(each)
    async with desk(both) as three:
        three.limits.watch([50, 100], ears)
        await three.limits._teller.tell_due()
    assert sorted(ears.told) == [(50, 2, 1), (100, 4, 1)]
    assert await waiting(both) == [(True, False)] * 2


async def test_an_alert_outlives_the_process_that_found_it(both: str) -> None:
    await limit(both, daily_limit_requests=1)
    ears = Ears()
    async with desk(both) as one:
        one.limits._percents = (100,)  # its policy wants them told, and it dies before it can
        await use(one)
    assert await waiting(both) == [(False, True)]
    async with desk(both) as two:
        two.limits.watch([100], ears)
        await ears.heard.wait()
    assert ears.told == [(100, 1, 1)]
    assert await waiting(both) == [(True, False)]


async def test_an_alert_that_was_being_told_when_its_process_died_is_told_by_another(
    both: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "_GRACE", 0.0)
    await limit(both, daily_limit_requests=1)
    began = asyncio.Event()

    async def never(_: Alert) -> None:
        began.set()
        await asyncio.Event().wait()

    ears = Ears()
    async with desk(both) as one, desk(both) as two:
        one.limits.watch([100], never)
        await use(one)
        await began.wait()
        await one.limits._teller.close()
        two.limits.watch([100], ears)
        assert await two.limits._teller.tell_due() == 0  # not yet: the first may be at it
        await elapse(both)
        await two.limits._teller.tell_due()
    assert ears.told == [(100, 1, 2)]
    assert await waiting(both) == [(True, False)]


async def test_an_alert_that_is_not_heard_is_told_again_and_given_up_in_the_end(both: str) -> None:
    await limit(both, daily_limit_requests=1)
    ears = Ears(deaf=True)
    async with desk(both) as one:
        one.limits._percents = (100,)
        await use(one)
        one.limits._teller._tell = ears
        for _ in range(telling.TRIES + 3):
            await one.limits._teller.tell_due()
            await elapse(both)
        one.limits._teller._tell = None
    assert [attempt for *_, attempt in ears.told] == list(range(1, telling.TRIES + 1))
    assert await waiting(both) == [(False, False)]


async def test_two_processes_that_look_at_once_tell_an_alert_once(both: str) -> None:
    await limit(both, daily_limit_requests=1)
    ears = Ears()
    async with desk(both) as one, desk(both) as two, desk(both) as three:
        one.limits._percents = (100,)
        await use(one)
        tellers = [each.limits._teller for each in (one, two, three)]
        for teller in tellers:
            teller._tell = ears
        await asyncio.gather(*[teller.tell_due() for teller in tellers])
        for teller in tellers:
            teller._tell = None
    assert ears.told == [(100, 1, 1)]
