"""The credit of this process, in memory: slices of wallets leased from the database, holds inside them."""

import asyncio
from collections.abc import Callable
from typing import Self

from gateway_core.ledger.records import Begun, Durability, Settlement
from plugin_sdk.money import Hold, Nanos


class Ledger:
    """Holds, settlements and records of one process. Open one per process and database."""

    instance_id: str

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
        raise NotImplementedError

    async def hold(self, wallet_id: str, wanted: Nanos, *, minimum_balance: Nanos) -> Hold:
        """Set aside min(wanted, available); InsufficientFunds as services.WalletStore.hold says."""
        raise NotImplementedError

    async def cover(self, hold: Hold, amount: Nanos) -> Hold:
        """The hold grown to `amount`, or as far as credit goes; never raises for lack of it."""
        raise NotImplementedError

    def begin(self, begun: Begun) -> None:
        """Note that a request goes upstream; queued, and merged away by a settlement that comes at once."""
        raise NotImplementedError

    def settle(self, settlement: Settlement) -> asyncio.Future[None]:
        """Done once the settlement is committed; a replay of a settled generation is done and changes nothing."""
        raise NotImplementedError

    def delivered(self, generation_id: str, at: int) -> None:
        """Note that the answer's last byte has left; queued for a later batch."""
        raise NotImplementedError

    async def close(self) -> None:
        """Write what is queued, return the leases, end this instance."""
        raise NotImplementedError
