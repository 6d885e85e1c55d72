"""More credit than memory has: lease it, recall it from the other processes, take what there is."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from gateway_core.db.outage import Outage
from gateway_core.db.session import Store
from gateway_core.ids import Ids
from gateway_core.ledger import leases
from gateway_core.ledger.credit import Lease, Waiter, Wallet
from gateway_core.ledger.leases import Granted, InstanceEnded, Wish
from gateway_core.ledger.pool import Pool
from plugin_sdk.errors import InsufficientFunds, Unavailable
from plugin_sdk.money import NANOS_PER_USD, Hold

RECALL_SECONDS: Final = 0.8  # how long a request waits for what others give back
RECALL_POLL: Final = 0.03
QUIET_SECONDS: Final = 1.0  # after a recall that brought too little, the next one waits
SPARE_HOLDS: Final = 64  # a lease grows by what so many requests like this one may hold
WAITERS: Final = 10_000
_log = logging.getLogger("gateway.ledger")


class Filler:
    """Serves the requests that wait for credit: one task per wallet, in the order in which they came.

    recover   releases what dead instances left
    revive    registers this instance again, and gives up its leases
    """

    def __init__(
        self,
        pool: Pool,
        store: Store,
        instance_id: str,
        ids: Ids,
        clock: Callable[[], int],
        *,
        epoch: Callable[[], int],
        recover: Callable[[], Awaitable[None]],
        revive: Callable[[], Awaitable[None]],
    ) -> None:
        self._pool = pool
        self._store = store
        self._instance_id = instance_id
        self._ids = ids
        self._clock = clock
        self._epoch = epoch
        self._recover = recover
        self._revive = revive
        self._outage = Outage(_log, "no credit can be leased, the database does not answer")

    async def ask(self, wallet_id: str, wanted: int, minimum: int, grows: Hold | None = None) -> Hold:
        """A hold of what there is, up to `wanted`; with `grows`, that hold and as much more."""
        wallet = self._pool.wallets.get(wallet_id)
        if wallet is None:
            wallet = self._pool.wallets[wallet_id] = Wallet(wallet_id)
        if len(wallet.waiting) >= WAITERS:
            raise _unavailable("Too many requests wait for this wallet's credit.")
        future: asyncio.Future[Hold] = asyncio.get_running_loop().create_future()
        wallet.waiting.append(Waiter(wanted, minimum, future, grows))
        if wallet.filling is None:
            wallet.filling = asyncio.create_task(self._fill(wallet))
        try:
            return await future
        except asyncio.CancelledError:
            if grows is None and future.done() and not future.cancelled() and future.exception() is None:
                self._pool.holds.end(future.result())
            raise

    def stop(self) -> None:
        """Let nobody wait any more."""
        for wallet in list(self._pool.wallets.values()):
            if wallet.filling is not None:
                wallet.filling.cancel()
            _fail_all(wallet, _unavailable("The gateway is stopping."))

    async def _fill(self, wallet: Wallet) -> None:
        """Serve whoever waits for this wallet, in their order, until nobody does."""
        try:
            while wallet.waiting:
                await self._serve(wallet)
                self._outage.over()
        except Exception as error:  # noqa: BLE001  # it is every waiter's answer
            if self._store.transient(error):
                error = self._outage.unavailable(error)
            _fail_all(wallet, error)
        finally:
            wallet.filling = None
            if wallet.lease is None and not wallet.waiting:
                self._pool.wallets.pop(wallet.id, None)

    async def _serve(self, wallet: Wallet) -> None:
        late = len(wallet.waiting)  # whoever comes from here on is served in the next round
        granted = await self._grow(wallet)
        if granted is None:
            _fail_all(wallet, _no_funds("wallet_missing", "There is no wallet to pay from."))
            return
        late -= self._hand_out(wallet)
        if late > 0 and granted.others and time.monotonic() >= wallet.quiet_until:
            late -= await self._recall(wallet, late)
        for _ in range(late):
            if not wallet.waiting:
                break
            self._settle_for_less(wallet, wallet.waiting.popleft())

    def _hand_out(self, wallet: Wallet) -> int:
        """Serve from the front all whose wish can be met in full; how many that were."""
        served = 0
        while wallet.waiting:
            waiter = wallet.waiting[0]
            free = wallet.lease.free if wallet.lease is not None else 0
            if wallet.balance >= waiter.minimum and free < waiter.wanted and not waiter.future.done():
                break
            self._settle_for_less(wallet, wallet.waiting.popleft())
            served += 1
        return served

    def _settle_for_less(self, wallet: Wallet, waiter: Waiter) -> None:
        """Answer one waiter with what there is now."""
        if waiter.future.done():
            return
        lease = wallet.lease
        amount = min(waiter.wanted, max(0, lease.free)) if lease is not None else 0
        if waiter.grows is not None:
            found = self._pool.holds.find(waiter.grows)
            same = found is not None and found[0] is lease
            waiter.future.set_result(self._pool.holds.grow(waiter.grows, amount) if same else waiter.grows)
        elif wallet.balance < waiter.minimum:
            waiter.future.set_exception(
                _no_funds("insufficient_funds", "The wallet is below its minimum balance.")
            )
        elif amount == 0 and waiter.wanted > 0:
            waiter.future.set_exception(_no_funds("insufficient_funds", "The wallet's credit is all in use."))
        else:
            if lease is None:
                lease = wallet.lease = Lease(self._ids.new(), wallet.id)
            lease.used_at = time.monotonic()
            waiter.future.set_result(self._pool.holds.take(lease, amount))

    async def _recall(self, wallet: Wallet, late: int) -> int:
        """Ask the other processes for what they do not use, and wait a little; how many that served."""
        served = 0
        until = time.monotonic() + RECALL_SECONDS
        await self._recover()
        await self._store.write(partial(leases.recall, wallet.id, self._instance_id, self._clock()))
        while served < late:
            granted = await self._grow(wallet)
            served += self._hand_out(wallet)
            if granted is None or not granted.asked or time.monotonic() >= until:
                break
            await asyncio.sleep(RECALL_POLL)
        if served < late:
            wallet.quiet_until = time.monotonic() + QUIET_SECONDS
        return served

    async def _grow(self, wallet: Wallet) -> Granted | None:
        """Lease what the waiters want beyond what is free; None if the wallet does not exist."""
        while True:
            lease = wallet.lease or Lease(self._ids.new(), wallet.id)
            wanted = [waiter.wanted for waiter in wallet.waiting]
            wish = Wish(
                wallet_id=wallet.id,
                lease_id=lease.id,
                instance_id=self._instance_id,
                epoch=self._epoch(),
                opened=lease.opened,
                needed=max(0, sum(wanted) - lease.free),
                spare=max(SPARE_HOLDS * max(wanted, default=0), NANOS_PER_USD),
                now=self._clock(),
            )
            try:
                granted = await self._store.write(partial(leases.grow, wish))
            except InstanceEnded:
                await self._revive()
                continue
            except Exception:
                self._pool.retire(lease)  # it may have grown all the same
                raise
            if granted is None:
                return None
            if granted.lost:
                self._pool.lose(lease)
                continue
            lease.durable += granted.granted
            lease.opened = lease.opened or granted.granted > 0
            if lease.ended:  # meanwhile: what it got goes back
                self._pool.retire(lease)
                continue
            if lease.opened and wallet.lease is None:
                wallet.lease = lease
            wallet.balance = granted.balance - lease.pending
            return granted


def _fail_all(wallet: Wallet, error: Exception) -> None:
    while wallet.waiting:
        waiter = wallet.waiting.popleft()
        if waiter.future.done():
            continue
        if waiter.grows is not None:
            waiter.future.set_result(waiter.grows)
        else:
            waiter.future.set_exception(error)


def _no_funds(reason: str, message: str) -> InsufficientFunds:
    return InsufficientFunds(message, reason=reason)


def _unavailable(message: str) -> Unavailable:
    return Unavailable(message, reason="db_error", retry_after="1")
