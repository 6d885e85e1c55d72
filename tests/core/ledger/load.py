"""A process under load, to be killed: `python -m tests.core.ledger.load URL`.

Many clients at once hold, begin, settle. A generation's id is printed once its settlement is committed: from
then on its client may have seen the end of the answer. It stops in good order when its standard input ends.
"""

import asyncio
import sys

from gateway_core.ids import wall_clock
from gateway_core.ledger import Begun, Ledger
from plugin_sdk.money import Nanos
from tests.core.ledger.books import TEAM, held, new_id, settlement

CLIENTS = 32
CHARGE = 1_000
HOLD = 5_000


async def client(ledger: Ledger, stop: asyncio.Event) -> None:
    while not stop.is_set():
        generation_id = new_id()
        hold = await held(ledger, HOLD)
        ledger.begin(
            Begun(
                generation_id=generation_id, team_id=TEAM, kid="k1", wallet_id=TEAM, hold=Nanos(HOLD),
                model="m", operation="text.generate", created_at=wall_clock(),
            )
        )  # fmt: skip
        await ledger.settle(settlement(hold, CHARGE, cost=CHARGE // 2, generation_id=generation_id))
        sys.stdout.write(generation_id + "\n")
        sys.stdout.flush()
        ledger.delivered(generation_id, wall_clock())


async def run(url: str) -> None:
    ledger = await Ledger.open(url, durability="full", clock=wall_clock)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
    # These never settle: they are what a crash leaves behind.
    for _ in range(3):
        hold = await held(ledger, HOLD)
        ledger.begin(
            Begun(
                generation_id=new_id(), team_id=TEAM, kid="k1", wallet_id=TEAM, hold=hold.amount, model="m",
                operation="text.generate", created_at=wall_clock(),
            )
        )  # fmt: skip
    await asyncio.gather(*[client(ledger, stop) for _ in range(CLIENTS)])
    await ledger.close()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1]))
