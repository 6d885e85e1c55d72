"""A request cancelled wherever it waits: one settlement, nothing held or reserved, no key stuck."""

import asyncio
import contextlib
import sqlite3
import types
from collections.abc import Coroutine, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin_sdk.context import Attempt, RequestContext
from plugin_sdk.money import Charge, Usage
from tests.gateway.upstream import Upstream
from tests.pipeline.driver import Driver, driver
from tests.pipeline.test_endings import ANSWER, chunk, plugins, request, stream, usage_event, whole
from tests.pipeline.test_money import held


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as found:
        yield found


async def slow_price(ctx: RequestContext, attempt: Attempt, usage: Usage, charge: Charge) -> Charge | None:
    await asyncio.sleep(0)
    return None


async def slow_route(ctx: RequestContext, candidates: Any) -> None:
    await asyncio.sleep(0)


async def slow_credit(ctx: RequestContext) -> None:
    await asyncio.sleep(0)


@types.coroutine
def cancelling(work: Coroutine[Any, Any, Any], place: int) -> Generator[Any, Any, Any]:
    """Run the work, and cancel its task the moment it waits for the `place`th time."""
    waited, step, value = 0, work.send, None
    while True:
        try:
            future = step(value)
        except StopIteration as end:
            return end.value
        waited += 1
        if waited == place and (task := asyncio.current_task()) is not None:
            task.cancel()
        try:
            step, value = work.send, (yield future)
        except BaseException as error:
            step, value = work.throw, error


async def cancelled_at(place: int, gateway: Driver, body: Any, key: str) -> bool:
    """Whether the request waited so often."""

    async def ask() -> None:
        await cancelling(gateway.ask(body, idempotency_key=key), place)

    asking = asyncio.ensure_future(ask())
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    await gateway.app.config["LANE"]._runtime.finish()
    return asking.cancelled()


def settings(upstream: Upstream, *, streamed: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The request, and policies that wait in every hook."""
    script = stream(chunk("Hi"), chunk(finish="stop"), usage_event()) if streamed else whole(ANSWER)
    script.pace = 0.0
    name = upstream.play(f"any-{streamed}", script)
    hooks = {"price": slow_price, "route": slow_route, "check_credit": slow_credit}
    return request(name, stream=streamed, max_tokens=100), hooks


def limited(gateway: Driver) -> None:
    """Reservations are made too."""
    with sqlite3.connect(gateway.database) as connection:
        connection.execute("UPDATE keys SET daily_limit_requests = 1000000")


def nothing_is_left(gateway: Driver) -> None:
    rows = gateway.settled()
    assert all(row["outcome"] is not None for row in rows)
    assert {row["state"] for row in rows} <= {"finished"}
    assert gateway.rows("SELECT * FROM limit_reservations") == []
    assert all(row[:] == (0, 0) for row in gateway.rows("SELECT leased, held FROM wallets"))


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_request_that_is_cancelled_wherever_it_waits_ends_once_and_leaves_nothing_behind(
    upstream: Upstream, tmp_path: Path, streamed: bool
) -> None:
    body, hooks = settings(upstream, streamed=streamed)
    async with driver(tmp_path, plugins(upstream), **hooks) as gateway:
        limited(gateway)
        await gateway.ask(body)
        place = 1
        while await cancelled_at(place, gateway, body, f"key {place}"):
            assert held(gateway) == 0, place
            place += 1
        for number in range(1, place):
            again = await gateway.ask(body, idempotency_key=f"key {number}")
            assert again.status == 200 or b"was not kept" in again.body, (number, again.body)
    assert place > 9
    nothing_is_left(gateway)


async def test_the_first_request_of_a_process_that_is_cancelled_wherever_it_waits_leaves_nothing_behind(
    upstream: Upstream, tmp_path: Path
) -> None:
    """It asks the database for what later ones find in memory: the key, the wallet, a lease."""
    body, hooks = settings(upstream, streamed=False)
    place, more = 1, True
    while more:
        folder = tmp_path / str(place)
        folder.mkdir()
        async with driver(folder, plugins(upstream), **hooks) as gateway:
            limited(gateway)
            more = await cancelled_at(place, gateway, body, "key")
            assert held(gateway) == 0, place
        nothing_is_left(gateway)
        place += 1
    assert place > 15
