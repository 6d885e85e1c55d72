"""Asking a raw store again where the database was at fault, and what is said where that does not help."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from gateway_core.db.outage import Outage
from gateway_core.db.session import Store, Work

TRIES: Final = 5  # a database that is locked for a moment; nothing was booked then
PAUSE: Final = 0.2  # seconds
_log = logging.getLogger("gateway.db")
T = TypeVar("T")


class RetryingStore:
    """Over a raw store, which is opened at its first use. Unavailable where the database does not answer."""

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store
        self._outage = Outage(_log, "the books cannot be opened, the database does not answer")

    async def read(self, work: Work[T]) -> T:
        """What the work reads; it is asked once."""
        store = self._store()
        return await self._answered(store, store.read(work))

    async def write(self, work: Work[T]) -> T:
        """Book something; its reference keeps it from being two, however often it is tried."""
        store = self._store()
        return await self._answered(store, retried(store, work))

    async def _answered(self, store: Store, asked: Awaitable[T]) -> T:
        try:
            found = await asked
        except Exception as error:
            if store.transient(error):
                raise self._outage.unavailable(error) from error
            self._outage.over()  # it has answered: what was asked cannot be
            raise
        self._outage.over()
        return found


async def retried(store: Store, work: Work[T], *, tries: int = TRIES, pause: float = PAUSE) -> T:
    """Write, again where the database was at fault; such work is booked once, however often it is tried."""
    for left in reversed(range(tries)):
        try:
            return await store.write(work)
        except Exception as error:
            if not left or not store.transient(error):
                raise
        await asyncio.sleep(pause)
    raise RuntimeError("unreachable")
