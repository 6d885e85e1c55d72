"""Clocks that are put forward and back, of two processes that think each other dead: the books hold."""

import random

import msgspec
import pytest

from gateway_core.ids import Ids
from gateway_core.ledger import verify
from tests.core.ledger.books import USD, fund, held, opened, rows, settlement

NOW = 1_790_000_000_000
DAY = 86_400_000


class Clock:
    """Milliseconds since 1970, as somebody sets them."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_clocks_say_each_charge_is_made_once_and_all_is_paid(url: str, seed: int) -> None:
    await fund(url, 10 * USD)
    dice = random.Random(seed)
    clocks = Clock(), Clock()
    ids = [Ids(clock) for clock in clocks]
    ledgers = [await opened(url, clock=clock, heartbeat_seconds=0.005) for clock in clocks]
    charged = 0
    made: list[str] = []
    for _ in range(30):
        which = dice.randrange(2)
        clock, ledger = clocks[which], ledgers[which]
        clock.now += dice.choice((1, 1_000, -1_000, 60_000, -60_000, DAY, -DAY, -40 * DAY))
        hold = await held(ledger, 1_000)
        clocks[dice.randrange(2)].now += dice.choice((0, -DAY, DAY))
        charge = dice.randrange(1_000)
        found = settlement(hold, charge, generation_id=ids[which].generation(), created_at=clock.now)
        await ledger.settle(msgspec.structs.replace(found, settled_at=clock.now))
        made.append(found.generation.id)
        charged += charge
    for ledger in ledgers:
        await ledger.close()
    assert await verify(url) == []
    assert [row[:] for row in rows(url, "SELECT balance, leased, held FROM wallets")] == [
        (10 * USD - charged, 0, 0)
    ]
    assert {row[0] for row in rows(url, "SELECT generation_id FROM settlements")} == set(made)
    assert len(set(made)) == len(made)
