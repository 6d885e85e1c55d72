"""Credit when memory has it, and how to get more when it has not: lease, recall, wait a little, take what there is."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from gateway_core.db.session import Store
from gateway_core.ids import Ids
from gateway_core.ledger import leases
from gateway_core.ledger.credit import Holds, Lease, Waiter, Wallet
from gateway_core.ledger.leases import Granted, InstanceEnded, Wish
from gateway_core.ledger.records import LedgerError, LedgerOverloaded, LedgerUnavailable
from gateway_core.ledger.settling import Taken
from plugin_sdk.errors import InsufficientFunds
from plugin_sdk.money import NANOS_PER_USD, Hold

RECALL_SECONDS: Final = 0.8  # how long a request waits for what others give back
RECALL_POLL: Final = 0.03
QUIET_SECONDS: Final = 1.0  # after a recall that brought too little, the next one waits
IDLE_SECONDS: Final = 10.0  # a lease that nobody used for so long goes back
SPARE_HOLDS: Final = 64  # a lease grows by what so many requests like this one may hold
WAITERS: Final = 10_000


class Pool:
    """The wallets that this process uses, their leases, the open holds."""

    def __init__(
        self,
        store: Store,
        instance_id: str,
        ids: Ids,
        clock: Callable[[], int],
        recover: Callable[[], Awaitable[None]],
        revive: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._recover = recover
        self._revive = revive
        self._instance_id = instance_id
        self._ids = ids
        self._clock = clock
        self._wallets: dict[str, Wallet] = {}
        self._ending: list[
            Lease
        ] = []  # not to be drawn on any more; their rows go when the last hold is settled
        self.holds = Holds(instance_id)
        self.epoch = 1
        self.trusted_until = 0.0  # monotonic seconds: later, others may have declared this instance dead

    def take(self, wallet_id: str, wanted: int, minimum: int) -> Hold | None:
        """A hold out of memory; None where the database has to be asked.

        That is: where this process has not leased so much, or the balance is so near `minimum` that what other
        processes have spent since it was read would matter.
        """
        wallet = self._wallets.get(wallet_id)
        if (
            wallet is None
            or (lease := wallet.lease) is None
            or wallet.waiting
            or wallet.balance < 2 * minimum
        ):
            return None
        now = time.monotonic()
        if lease.durable - lease.pending - lease.held - lease.returning < wanted or now > self.trusted_until:
            return None
        lease.used_at = now
        return self.holds.take(lease, wanted)

    async def ask(self, wallet_id: str, wanted: int, minimum: int) -> Hold:
        """A hold of what there is, up to `wanted`, after asking the database and the other processes."""
        return await self._wait(wallet_id, wanted, minimum, None)

    async def cover(self, hold: Hold, amount: int) -> Hold:
        """The hold grown to `amount`, or as far as credit goes."""
        found = self.holds.find(hold)
        if found is None or found[1] >= amount:
            return hold
        lease, held = found
        wallet = self._wallets.get(hold.wallet_id)
        if wallet is None or wallet.lease is not lease:
            return hold  # its lease was lost: what lies in another cannot be added to it
        if lease.free >= amount - held and not wallet.waiting:
            return self.holds.grow(hold, amount - held)
        try:
            return await self._wait(hold.wallet_id, amount - held, 0, hold)
        except (InsufficientFunds, LedgerError):
            return hold

    def spend(self, hold: Hold | None, charge: int) -> tuple[Lease | None, int]:
        """End a hold for a settlement: the lease and the most that it may take; the rest is free at once."""
        if hold is None:
            return None, 0
        lease, amount = self.holds.end(hold)
        if lease is None:
            return None, hold.amount
        limit = min(max(charge, 0), amount)
        lease.pending += limit
        if (wallet := self._wallets.get(lease.wallet_id)) is not None:
            wallet.balance -= limit
        return lease, amount

    def spent(self, lease: Lease, charge: int, outcome: Taken | Exception) -> None:
        """The settlement was committed, or failed for good."""
        lease.pending -= charge
        if isinstance(outcome, Taken):
            lease.durable -= outcome.lease
            if not outcome.live:
                self._lost(lease)
        elif isinstance(outcome, LedgerUnavailable):
            # It may have been committed after all: draw no more on a lease of which that is not known.
            lease.durable -= charge
            self._end_lease(lease)

    async def tend(self) -> None:
        """A few times a second: learn the balances, answer recalls, send back what nobody uses."""
        if any(wallet.lease is not None and wallet.lease.opened for wallet in self._wallets.values()):
            for row in await self._store.read(partial(leases.standing, self._instance_id)):
                wallet = self._wallets.get(row.wallet_id)
                if wallet is None or (lease := wallet.lease) is None or lease.id != row.lease_id:
                    continue
                wallet.balance = row.balance - lease.pending
                if row.recalled:
                    await self._answer(wallet, lease)
        now = time.monotonic()
        for wallet in list(self._wallets.values()):
            lease = wallet.lease
            if lease is not None and lease.idle and not wallet.waiting and now - lease.used_at > IDLE_SECONDS:
                self._end_lease(lease)
        await self._end_idle()

    def forget(self) -> None:
        """Every lease was lost: this instance had been declared dead, and has a new epoch now."""
        for wallet in list(self._wallets.values()):
            if wallet.lease is not None:
                self._lost(wallet.lease)

    async def stop(self) -> None:
        """Let nobody wait any more."""
        for wallet in list(self._wallets.values()):
            if wallet.filling is not None:
                wallet.filling.cancel()
            _fail_all(wallet, LedgerUnavailable("the gateway is stopping"))

    async def _answer(self, wallet: Wallet, lease: Lease) -> None:
        """Another process is short: give it what is not in use, unless this one is short too."""
        if lease.idle and not wallet.waiting:
            self._end_lease(lease)
            return
        free = 0 if wallet.waiting else max(0, lease.free)
        lease.returning += free
        try:
            live = await self._store.write(partial(leases.give_back, wallet.id, lease.id, free))
        except Exception:
            self._end_lease(lease)  # part of it may have gone
            raise
        finally:
            lease.returning -= free
            lease.durable -= free
        if not live:
            self._lost(lease)

    async def _end_idle(self) -> None:
        """Remove the rows of leases that are done with."""
        done = [lease for lease in self._ending if lease.idle]
        if done:
            await self._store.write(partial(leases.end, [(lease.wallet_id, lease.id) for lease in done]))
            self._ending = [lease for lease in self._ending if lease not in done]

    def _end_lease(self, lease: Lease) -> None:
        """Draw no more on a lease; its row goes once its last hold is settled."""
        self._lost(lease)
        self._ending.append(lease)

    def _lost(self, lease: Lease) -> None:
        """There is no such lease any more; open holds in it are settled from what is free."""
        wallet = self._wallets.get(lease.wallet_id)
        if wallet is not None and wallet.lease is lease:
            wallet.lease = None
            if not wallet.waiting and wallet.filling is None:
                del self._wallets[wallet.id]
        if lease in self._ending:
            self._ending.remove(lease)

    async def _wait(self, wallet_id: str, wanted: int, minimum: int, grows: Hold | None) -> Hold:
        wallet = self._wallets.get(wallet_id)
        if wallet is None:
            wallet = self._wallets[wallet_id] = Wallet(wallet_id)
        if len(wallet.waiting) >= WAITERS:
            raise LedgerOverloaded("too many requests wait for this wallet's credit")
        future: asyncio.Future[Hold] = asyncio.get_running_loop().create_future()
        wallet.waiting.append(Waiter(wanted, minimum, future, grows))
        if wallet.filling is None:
            wallet.filling = asyncio.create_task(self._fill(wallet))
        try:
            return await future
        except asyncio.CancelledError:
            if grows is None and future.done() and not future.cancelled() and future.exception() is None:
                self.holds.end(future.result())
            raise

    async def _fill(self, wallet: Wallet) -> None:
        """Serve whoever waits for this wallet, in their order, until nobody does."""
        try:
            while wallet.waiting:
                await self._serve(wallet)
        except Exception as error:  # noqa: BLE001  # it is every waiter's answer
            _fail_all(wallet, error)
        finally:
            wallet.filling = None
            if wallet.lease is None and not wallet.waiting:
                self._wallets.pop(wallet.id, None)

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
            found = self.holds.find(waiter.grows)
            same = found is not None and found[0] is lease
            waiter.future.set_result(self.holds.grow(waiter.grows, amount) if same else waiter.grows)
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
            waiter.future.set_result(self.holds.take(lease, amount))

    async def _recall(self, wallet: Wallet, late: int) -> int:
        """Ask the other processes for what they do not use, and wait for it a little; how many that served."""
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
                epoch=self.epoch,
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
            except Exception as error:
                self._end_lease(lease)  # it may have grown all the same
                if self._store.transient(error):
                    raise LedgerUnavailable(f"the database does not answer: {error}") from error
                raise
            if granted is None:
                return None
            if granted.lost:
                self._lost(lease)
                continue
            lease.durable += granted.granted
            lease.opened = lease.opened or granted.granted > 0
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
