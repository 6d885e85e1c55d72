"""200 streams at once, a third of their clients leaving on the way: each is settled once, to the nano."""

import asyncio
import random

import pytest

from tests.gateway import load
from tests.gateway.books import books
from tests.gateway.conftest import Start
from tests.gateway.upstream import Upstream
from tests.gateway.waiting import until

STREAMS = 200
EVENTS = 25


@pytest.mark.slow
@pytest.mark.parametrize(("database", "workers"), [("sqlite", 1), ("postgres", 3)])
async def test_every_stream_of_a_storm_is_settled_once_whoever_leaves(
    start: Start, upstream: Upstream, database: str, workers: int
) -> None:
    gateway = start(load.plugins(upstream), database=database, workers=workers)
    script = load.play(upstream, f"storm-{database}", events=EVENTS, pace=0.01)
    die = random.Random(7)
    leaving = set(die.sample(range(STREAMS), STREAMS // 3))
    async with gateway.client() as client:
        outcomes = await asyncio.gather(
            *(
                load.ask(
                    client,
                    script,
                    f"{database}-{number}",
                    leave_after=die.randrange(EVENTS) if number in leaving else None,
                )
                for number in range(STREAMS)
            )
        )
    assert sum(one.left for one in outcomes) == len(leaving)
    assert all(one.complete or one.left for one in outcomes)
    ids = {one.generation_id for one in outcomes}
    assert len(ids) == STREAMS

    async def settled() -> bool:
        return len((await books(gateway.database)).settlements) >= STREAMS

    await until(settled, "every stream is settled")
    found = await books(gateway.database)
    assert list(found.problems()) == []
    assert set(found.settlements) == set(found.generations) == ids
    # Those who left are drained to the provider's own usage: the price is the same for all.
    assert {row["charge"] for row in found.settlements.values()} == {load.COST}
    assert {row["outcome"] for row in found.settlements.values()} == {"charged"}
    gateway.cli("ledger", "verify")
    gateway.stop()
    after = await books(gateway.database)
    assert list(after.problems()) == []
    assert (after.leases, after.holds) == ([], [])
