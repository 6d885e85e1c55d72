"""The ledger of one process: credit in memory, one queue to the database, and the housekeeping of both."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Self

from gateway_core.db.outage import Outage
from gateway_core.db.session import Durability, Store
from gateway_core.db.url import open_store
from gateway_core.ids import Ids
from gateway_core.ledger import recovery
from gateway_core.ledger.filling import Filler
from gateway_core.ledger.instance import this_process
from gateway_core.ledger.pool import Pool
from gateway_core.ledger.records import Begun, Settlement
from gateway_core.ledger.settling import Posting
from gateway_core.ledger.writer import Outcome, Writer
from plugin_sdk.errors import Unavailable
from plugin_sdk.money import Hold, Nanos

SWEEP_SECONDS: Final = 0.05  # a begin row waits one to two of these, and most settlements come before
TEND_SECONDS: Final = 0.2
TIDY_SECONDS: Final = 1.0
_log = logging.getLogger("gateway.ledger")


class Ledger:
    """Holds, settlements and records. Open one per process and database, in the running loop."""

    def __init__(
        self, store: Store, clock: Callable[[], int], heartbeat_seconds: float, dead_after_seconds: float
    ) -> None:
        ids = Ids(clock)
        self.instance_id: str = ids.new()
        self._ids = ids
        self._store = store
        self._clock = clock
        self._heartbeat = heartbeat_seconds
        self._dead_after = dead_after_seconds
        self._process = this_process()
        self._epoch = 1
        self._pool = Pool(store, self.instance_id)
        self._filler = Filler(
            self._pool,
            store,
            self.instance_id,
            ids,
            clock,
            epoch=lambda: self._epoch,
            recover=self._recover,
            revive=self._register,
        )
        self._writer = Writer(store, self.instance_id, self._finished)
        self._settling: dict[str, Posting] = {}
        self._young: dict[str, Begun] = {}
        self._old: dict[str, Begun] = {}
        self._delivered: list[tuple[str, int]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False
        self._loop = asyncio.get_running_loop()  # asked for once: each look at it is a system call

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        durability: Durability,
        clock: Callable[[], int],
        heartbeat_seconds: float = 5,
        dead_after_seconds: float = 30,
    ) -> Self:
        """A ledger that has registered this process and recovered what dead ones left."""
        ledger = cls(open_store(url, durability), clock, heartbeat_seconds, dead_after_seconds)
        try:
            await ledger._register()
            await ledger._recover()
        except BaseException:
            await ledger._writer.close()
            await ledger._store.close()
            raise
        ledger._tasks = [
            asyncio.create_task(ledger._sweep(), name="ledger sweep"),
            ledger._every(TEND_SECONDS, ledger._pool.tend, "leases"),
            ledger._every(TIDY_SECONDS, ledger._store.tidy, "store"),
            ledger._every(heartbeat_seconds, ledger._live, "heartbeat"),
        ]
        return ledger

    async def hold(self, wallet_id: str, wanted: Nanos, *, minimum_balance: Nanos) -> Hold:
        """Set aside min(wanted, available).

        Raise InsufficientFunds with reason `wallet_missing`, or `insufficient_funds`: a ledger balance below
        `minimum_balance`, or nothing available. Raise Unavailable where the database does not answer in time.
        """
        found = self._pool.take(wallet_id, wanted, minimum_balance)
        if found is not None:
            return found
        return await self._filler.ask(wallet_id, wanted, minimum_balance)

    async def cover(self, hold: Hold, amount: Nanos) -> Hold:
        """The hold grown to `amount`, or as far as credit goes; never raises for lack of it."""
        hold, more = self._pool.grow(hold, amount)
        if not more:
            return hold
        try:
            return await self._filler.ask(hold.wallet_id, more, 0, hold)
        except Unavailable:
            return hold

    def release(self, hold: Hold) -> None:
        """Give a hold back that no settlement will end; nothing where it is not open."""
        self._pool.spend(hold, 0)

    def begin(self, begun: Begun) -> None:
        """Note that a request goes upstream; queued, and merged away by a settlement that comes at once."""
        self._young[begun.generation_id] = begun

    def settle(self, settlement: Settlement) -> "asyncio.Future[None]":
        """Done once the settlement is committed; to settle a generation again changes nothing."""
        generation_id = settlement.generation.id
        settling = self.committing(generation_id)
        if settling is not None:
            return settling
        if self._young.pop(generation_id, None) is None:
            self._old.pop(generation_id, None)
        future: asyncio.Future[None] = self._loop.create_future()
        lease, limit = self._pool.spend(settlement.hold, settlement.generation.charge)
        posting = self._settling[generation_id] = Posting(settlement, lease, limit, future)
        self._writer.settle(posting)
        return future

    def committing(self, generation_id: str) -> "asyncio.Future[None] | None":
        """The commit of a settlement that is on its way; another, where who waited for it was cancelled."""
        posting = self._settling.get(generation_id)
        if posting is None:
            return None
        if posting.future.cancelled():
            posting.future = self._loop.create_future()
        return posting.future

    def delivered(self, generation_id: str, at: int) -> None:
        """Note that the answer's last byte has left; queued for a later batch."""
        self._delivered.append((generation_id, at))

    async def close(self) -> None:
        """Write what is queued, return the leases, end this instance."""
        if self._closed:
            return
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._filler.stop()
        self._flush()
        self._flush()
        await self._writer.close()
        try:
            await self._store.write(partial(recovery.retire, self.instance_id, self._clock()))
        finally:
            await self._store.close()

    def _finished(self, posting: Posting, outcome: Outcome) -> None:
        self._settling.pop(posting.settlement.generation.id, None)
        if posting.lease is not None:
            charge = min(max(posting.settlement.generation.charge, 0), posting.limit)
            self._pool.spent(posting.lease, charge, outcome)

    def _flush(self) -> None:
        """Queue what has waited its time; what is young waits one more turn for its settlement."""
        if self._old:
            self._writer.begin(list(self._old.values()))
        self._old, self._young = self._young, {}
        if self._delivered:
            self._writer.delivered(self._delivered)
            self._delivered = []

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._flush()

    def _every(self, seconds: float, work: Callable[[], Awaitable[None]], name: str) -> asyncio.Task[None]:
        outage = Outage(_log, f"the ledger's {name} cannot be looked after, trying again")
        return asyncio.create_task(_repeat(seconds, work, outage), name=f"ledger {name}")

    async def _live(self) -> None:
        """Say that this process lives, and bury those that do not."""
        began = time.monotonic()
        if await self._store.write(partial(recovery.beat, self.instance_id, self._epoch, self._clock())):
            self._trust(began)
        else:
            await self._register()
        await self._recover()

    async def _register(self) -> None:
        began = time.monotonic()
        work = partial(recovery.register, self.instance_id, self._process, self._clock())
        self._epoch = await self._store.write(work)
        self._pool.forget()
        self._trust(began)

    def _trust(self, since: float) -> None:
        """Leases are good for as long as nobody may declare this process dead."""
        self._pool.trusted_until = since + self._dead_after

    async def _recover(self) -> None:
        work = partial(
            recovery.recover,
            self.instance_id,
            self._process.host,
            int(self._dead_after * 1000),
            self._ids,
            self._clock(),
        )
        for reaped in await self._store.write(work):
            _log.warning(
                "recovered an instance that died: %s, %s nanos, %s generations abandoned",
                reaped.instance_id,
                sum(reaped.released.values()),
                reaped.abandoned,
            )


async def _repeat(seconds: float, work: Callable[[], Awaitable[None]], outage: Outage) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception as error:  # noqa: BLE001  # the next turn tries again
            outage.failed(error)
        else:
            outage.over()
