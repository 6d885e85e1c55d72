"""kill -9 of one worker of several; of the whole gateway see torture/."""

import os
import signal
from contextlib import AsyncExitStack

import pytest

from tests.gateway import load
from tests.gateway.books import books
from tests.gateway.conftest import Start
from tests.gateway.process import Gateway
from tests.gateway.samples import chunk, usage_event
from tests.gateway.upstream import Script, Upstream, sse
from tests.gateway.waiting import until
from tests.gateway.wire import Reading


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
@pytest.mark.slow
async def test_a_killed_worker_takes_nothing_from_its_siblings(
    start: Start, upstream: Upstream, database: str
) -> None:
    gateway = start(load.plugins(upstream), database=database, workers=3)
    workers = gateway.workers()
    assert len(workers) == 3
    pieces = (sse(chunk(), done=False), sse(chunk(None, "stop"), usage_event()))
    held = Script(pieces=pieces, hold_at=1, content_type="text/event-stream")
    name = upstream.play(f"siblings-{database}", held)
    async with AsyncExitStack() as stack, gateway.client() as client:
        readings = await _spread(gateway, stack, name)
        victim = min(
            (pid for pid in workers if gateway.clients_of(pid)), key=lambda p: len(gateway.clients_of(p))
        )
        ports = gateway.clients_of(victim)
        os.kill(victim, signal.SIGKILL)
        broken = [one for one in readings if one.port in ports]
        others = [one for one in readings if one.port not in ports]
        assert broken
        assert others
        assert [await one.rest() for one in broken] == [(b"", False)] * len(broken)
        await until(
            lambda: _replaced(gateway, victim), "the dead worker is replaced and its requests are dealt with"
        )
        leased = (await books(gateway.database)).leases
        held.release()
        ends = [await one.rest() for one in others]
        assert all(complete and end.endswith(b"data: [DONE]\n\n") for end, complete in ends)
        assert (await client.get("/v1/models")).status == 200
    found = await books(gateway.database)
    assert list(found.problems()) == []
    siblings = {key for key, row in found.instances.items() if row["pid"] in set(workers) - {victim}}
    assert siblings & {row["instance_id"] for row in leased}
    kept = {one.headers["x-generation-id"] for one in others}
    assert found.charged == kept
    for key in kept:
        row = found.settlements[key]
        assert (row["charge"], row["price"], row["lost"]) == (load.COST, load.COST, 0)
    for one in broken:  # one that died before its begin row was written has none, and the recovery covers it
        row = found.settlements.get(one.headers["x-generation-id"], {"outcome": "abandoned", "charge": 0})
        assert (row["outcome"], row["charge"]) == ("abandoned", 0)
    dead = {key for key, row in found.instances.items() if row["pid"] == victim}
    assert dead == {row["instance_id"] for row in found.recoveries}
    gateway.cli("ledger", "verify")
    gateway.stop()
    after = await books(gateway.database)
    assert (after.leases, after.holds) == ([], [])


async def _spread(gateway: Gateway, stack: AsyncExitStack, script: str) -> list[Reading]:
    """Streams that have begun, three or more at each of at least two workers."""
    readings = []
    for number in range(150):
        client = gateway.client()
        asked = load.body(script, f"sibling-{number}", stream=True)
        reading = await stack.enter_async_context(client.stream(asked))
        await reading.until(1)
        readings.append(reading)
        if number % 5 == 4 and sum(len(gateway.clients_of(pid)) >= 3 for pid in gateway.workers()) >= 2:
            break
    return readings


async def _replaced(gateway: Gateway, victim: int) -> bool:
    found = await books(gateway.database)
    dead = {key for key, row in found.instances.items() if row["pid"] == victim}
    begun = any(row["state"] == "begun" and row["instance_id"] in dead for row in found.generations.values())
    released = not any(row["instance_id"] in dead for row in found.leases)
    now = gateway.workers()
    return len(now) == 3 and victim not in now and released and not begun
