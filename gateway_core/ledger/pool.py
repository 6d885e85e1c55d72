"""Credit out of memory: holds inside leases, what settlements take of them, what goes back unused."""

import time
from functools import partial
from typing import Final

from gateway_core.db.session import Store
from gateway_core.ledger import leases
from gateway_core.ledger.credit import Holds, Lease, Wallet
from gateway_core.ledger.records import LedgerUnavailable
from gateway_core.ledger.settling import Taken
from plugin_sdk.money import Hold

IDLE_SECONDS: Final = 10.0  # a lease that nobody used for so long goes back


class Pool:
    """The wallets that this process uses, their leases, the open holds."""

    def __init__(self, store: Store, instance_id: str) -> None:
        self._store = store
        self._instance_id = instance_id
        self._ending: list[Lease] = []  # their rows go when their last hold is settled
        self.wallets: dict[str, Wallet] = {}
        self.holds = Holds(instance_id)
        self.trusted_until = 0.0  # monotonic seconds: later, others may have declared this instance dead

    def take(self, wallet_id: str, wanted: int, minimum: int) -> Hold | None:
        """A hold out of memory; None where the database has to be asked.

        That is: where this process has not leased so much, or the balance is so near `minimum` that what
        other processes have spent since it was read would matter.
        """
        wallet = self.wallets.get(wallet_id)
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

    def grow(self, hold: Hold, amount: int) -> tuple[Hold, int]:
        """The hold grown to `amount` out of memory, and how much the database has to be asked for."""
        found = self.holds.find(hold)
        if found is None or found[1] >= amount:
            return hold, 0
        lease, held = found
        wallet = self.wallets.get(hold.wallet_id)
        if wallet is None or wallet.lease is not lease:
            return hold, 0  # its lease was lost: what lies in another cannot be added to it
        if lease.free >= amount - held and not wallet.waiting:
            return self.holds.grow(hold, amount - held), 0
        return hold, amount - held

    def spend(self, hold: Hold | None, charge: int) -> tuple[Lease | None, int]:
        """End a hold for a settlement: the lease and the most that it may take; the rest is free at once."""
        if hold is None:
            return None, 0
        lease, amount = self.holds.end(hold)
        if lease is None:
            return None, hold.amount
        limit = min(max(charge, 0), amount)
        lease.pending += limit
        if (wallet := self.wallets.get(lease.wallet_id)) is not None:
            wallet.balance -= limit
        return lease, amount

    def spent(self, lease: Lease, charge: int, outcome: Taken | Exception) -> None:
        """The settlement was committed, or failed for good."""
        lease.pending -= charge
        if isinstance(outcome, Taken):
            lease.durable -= outcome.lease
            if not outcome.live:
                self.lose(lease)
        elif isinstance(outcome, LedgerUnavailable):
            # It may have been committed after all: draw no more on a lease of which that is not known.
            lease.durable -= charge
            self.retire(lease)

    async def tend(self) -> None:
        """A few times a second: learn the balances, answer recalls, send back what nobody uses."""
        if any(wallet.lease is not None and wallet.lease.opened for wallet in self.wallets.values()):
            for row in await self._store.read(partial(leases.standing, self._instance_id)):
                wallet = self.wallets.get(row.wallet_id)
                if wallet is None or (lease := wallet.lease) is None or lease.id != row.lease_id:
                    continue
                wallet.balance = row.balance - lease.pending
                if row.recalled:
                    await self._answer(wallet, lease)
        now = time.monotonic()
        for wallet in list(self.wallets.values()):
            lease = wallet.lease
            if lease is not None and lease.idle and not wallet.waiting and now - lease.used_at > IDLE_SECONDS:
                self.retire(lease)
        await self._end_idle()

    def forget(self) -> None:
        """Every lease was lost: this instance had been declared dead, and has a new epoch now."""
        for wallet in list(self.wallets.values()):
            if wallet.lease is not None:
                self.lose(wallet.lease)

    def retire(self, lease: Lease) -> None:
        """Draw no more on a lease; its row goes once its last hold is settled."""
        self.lose(lease)
        self._ending.append(lease)

    def lose(self, lease: Lease) -> None:
        """There is no such lease any more; open holds in it are settled from what is free."""
        lease.ended = True
        wallet = self.wallets.get(lease.wallet_id)
        if wallet is not None and wallet.lease is lease:
            wallet.lease = None
            if not wallet.waiting and wallet.filling is None:
                del self.wallets[wallet.id]
        if lease in self._ending:
            self._ending.remove(lease)

    async def _answer(self, wallet: Wallet, lease: Lease) -> None:
        """Another process is short: give it what is not in use, unless this one is short too."""
        if lease.idle and not wallet.waiting:
            self.retire(lease)
            return
        free = 0 if wallet.waiting else max(0, lease.free)
        lease.returning += free
        try:
            live = await self._store.write(partial(leases.give_back, wallet.id, lease.id, free))
        except Exception:
            self.retire(lease)  # part of it may have gone
            raise
        finally:
            lease.returning -= free
            lease.durable -= free
        if not live:
            self.lose(lease)

    async def _end_idle(self) -> None:
        """Remove the rows of leases that are done with."""
        done = [lease for lease in self._ending if lease.idle]
        if done:
            await self._store.write(partial(leases.end, [(lease.wallet_id, lease.id) for lease in done]))
            self._ending = [lease for lease in self._ending if lease not in done]
