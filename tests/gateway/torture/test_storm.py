"""Clients that leave at any moment: what their upstreams count is billed exactly, the rest is estimated."""

import asyncio
import random
from typing import Any
from zlib import crc32

import pytest

from tests.gateway import load
from tests.gateway.books import Books, books
from tests.gateway.conftest import Start
from tests.gateway.samples import chunk
from tests.gateway.upstream import Received, Script, Upstream, sse
from tests.gateway.waiting import until
from tests.gateway.wire import Client

EVENTS = 25
PACE = 0.01
DRAIN_SECONDS = 10.0  # far more than an upstream needs that goes on at all
AT_ONCE = 200
EARLY = 0.1


def _stalls(tag: str) -> bool:
    """Whether the upstream of this tag never comes to its usage."""
    return crc32(tag[::-1].encode()) % 10 == 0


@pytest.mark.slow
@pytest.mark.parametrize(("database", "workers"), [("sqlite", 1), ("postgres", 3)])
async def test_of_clients_that_leave_at_any_moment_the_ledger_knows_what_their_upstreams_know(
    start: Start, upstream: Upstream, whole: bool, database: str, workers: int
) -> None:
    clients = 1_000 if whole else 250
    plugins = load.plugins(upstream, drain_seconds=DRAIN_SECONDS)
    gateway = start(plugins, database=database, workers=workers)
    script = _play(upstream, f"storm-{database}")
    die, room = random.Random(database), asyncio.Semaphore(AT_ONCE)
    async with gateway.client() as client:

        async def one(number: int) -> str | None:
            asked = load.body(script, f"{database}-{number}", stream=True)
            async with room:
                return await _visit(client, asked, die)

        seen = await asyncio.gather(*(one(number) for number in range(clients)))
    assert seen.count(None) > clients / 2
    called = [call.json["x_tag"] for call in upstream.calls(script)]
    assert len(called) == len(set(called)) > clients / 2

    async def settled() -> bool:
        return set(called) <= _charges(await books(gateway.database)).keys()

    await until(settled, "every upstream that was called is paid for", 60)
    found = await books(gateway.database)
    assert list(found.problems()) == []
    charges = _charges(found)
    # To the nano what the upstreams that came to their end have counted; the others' part is an estimate.
    told = {tag for tag in called if not _stalls(tag)}
    assert told <= upstream.finished
    assert {tag: charges[tag] for tag in told} == {tag: (load.cost(load.tokens(tag)), False) for tag in told}
    assert all(charge > 0 and estimated for tag, (charge, estimated) in charges.items() if tag not in told)
    assert charges.keys() == set(called)
    assert set(seen) - {None} <= found.charged
    free = [key for key, row in found.generations.items() if row["native_response_id"] is None]
    assert len(free) <= clients - len(called)  # they left before anyone was called
    assert {found.settlements[key]["charge"] for key in free} <= {0}
    gateway.cli("ledger", "verify")
    gateway.stop()
    after = await books(gateway.database)
    assert list(after.problems()) == []
    assert (after.leases, after.holds) == ([], [])


async def _visit(client: Client, asked: Any, die: random.Random) -> str | None:
    """Ask and leave, a few before the answer begins, a few never; the generation of what was seen whole."""
    moment, kind = die.uniform(0, 1.2 * EVENTS * PACE), die.random()
    stays = kind > 1 - EARLY and not _stalls(asked["x_tag"])
    try:
        async with asyncio.timeout(moment if kind < EARLY else None) as patience:
            async with client.stream(asked) as reading:
                if not stays:
                    patience.reschedule(asyncio.get_running_loop().time() + moment)
                _, complete = await reading.rest()
    except TimeoutError:
        return None
    assert complete
    return reading.headers["x-generation-id"]


def _play(upstream: Upstream, name: str) -> str:
    """Streams whose usage comes at the end, but for those that never come there."""
    ending = upstream.scripts[load.play(upstream, name, events=EVENTS, pace=PACE)]

    def choose(request: Received) -> Script:
        tag = request.json["x_tag"]
        if _stalls(tag):
            pieces = tuple(sse(chunk(f" {number}", id=tag), done=False) for number in range(EVENTS // 2))
            return Script(pieces=pieces, pace=PACE, then="stall", content_type="text/event-stream")
        assert not isinstance(ending, Script)
        return ending(request)

    return upstream.play(name, choose)


def _charges(found: Books) -> dict[str, tuple[int, bool]]:
    """What was charged for each upstream's answer, all in all, and whether it is an estimate."""
    charges: dict[str, tuple[int, bool]] = {}
    for key, row in found.generations.items():
        if (tag := row["native_response_id"]) is not None and key in found.settlements:
            before, estimated = charges.get(tag, (0, False))
            charges[tag] = (before + found.settlements[key]["charge"], estimated or bool(row["estimated"]))
    return charges
