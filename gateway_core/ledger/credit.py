"""Credit in this process's memory: the slices leased from each wallet, and the holds inside them."""

import asyncio
from collections import deque
from typing import Final

from plugin_sdk.money import Hold, Nanos


class Lease:
    """A slice of a wallet that this process may spend.

    durable    what the lease's row holds, as far as commits are known
    pending    charges that are queued, not yet known to be committed: part of `durable`
    held       open holds: part of `durable` too
    returning  on its way back to the wallet
    """

    __slots__ = ("durable", "ended", "held", "id", "opened", "pending", "returning", "used_at", "wallet_id")

    def __init__(self, lease_id: str, wallet_id: str) -> None:
        self.id = lease_id
        self.wallet_id = wallet_id
        self.durable = 0
        self.pending = 0
        self.held = 0
        self.returning = 0
        self.opened = False  # its row was seen in the database
        self.ended = False  # not to be drawn on any more
        self.used_at = 0.0  # monotonic seconds

    @property
    def free(self) -> int:
        """What a new hold may take."""
        return self.durable - self.pending - self.held - self.returning

    @property
    def idle(self) -> bool:
        """Nothing is open or on its way."""
        return not self.held and not self.pending and not self.returning


class Waiter:
    """A request that waits for credit; with `grows`, for more of it in a hold that it has."""

    __slots__ = ("future", "grows", "minimum", "wanted")

    def __init__(self, wanted: int, minimum: int, future: "asyncio.Future[Hold]", grows: Hold | None) -> None:
        self.wanted = wanted
        self.minimum = minimum
        self.future = future
        self.grows = grows


class Wallet:
    """What this process knows of a wallet: its balance when last read, less what it has charged since."""

    __slots__ = ("balance", "filling", "id", "lease", "quiet_until", "waiting")

    def __init__(self, wallet_id: str) -> None:
        self.id = wallet_id
        self.balance = 0
        self.lease: Lease | None = None
        self.waiting: deque[Waiter] = deque()
        self.filling: asyncio.Task[None] | None = None
        self.quiet_until = 0.0  # monotonic seconds: asking the others again before then would bring nothing


class Holds:
    """The open holds: by id, the lease each lies in and its amount."""

    __slots__ = ("_instance_id", "_number", "_open")

    def __init__(self, instance_id: str) -> None:
        self._instance_id: Final = instance_id
        self._number = 0
        self._open: dict[str, tuple[Lease, int]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def take(self, lease: Lease, amount: int) -> Hold:
        """A new hold in this lease; the caller has seen that it is free."""
        self._number += 1
        hold_id = f"{self._instance_id}.{self._number}"
        lease.held += amount
        self._open[hold_id] = (lease, amount)
        return Hold(
            id=hold_id, wallet_id=lease.wallet_id, amount=Nanos(amount), instance_id=self._instance_id
        )

    def grow(self, hold: Hold, more: int) -> Hold:
        """The hold with `more` of its own lease; the caller has seen that it is free."""
        lease, amount = self._open[hold.id]
        lease.held += more
        self._open[hold.id] = (lease, amount + more)
        return Hold(
            id=hold.id, wallet_id=hold.wallet_id, amount=Nanos(amount + more), instance_id=hold.instance_id
        )

    def find(self, hold: Hold) -> tuple[Lease, int] | None:
        """The lease and the amount of an open hold."""
        return self._open.get(hold.id)

    def end(self, hold: Hold) -> tuple[Lease | None, int]:
        """Close a hold; (None, 0) where it is not open (any more)."""
        found = self._open.pop(hold.id, None)
        if found is None:
            return None, 0
        lease, amount = found
        lease.held -= amount
        return lease, amount
