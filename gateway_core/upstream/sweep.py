"""Deadlines, looked at together every 100 ms: no timer and no task per request."""

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway_core.upstream.exchange import Exchange

PERIOD: Final = 0.1


class Sweep:
    """The open exchanges of one loop; one timer while there are any, none when there are not."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open: set[Exchange] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    @property
    def running(self) -> bool:
        """Whether a next look is due."""
        return self._timer is not None

    def watch(self, exchange: "Exchange") -> None:
        """Hold this exchange to its deadlines until `forget`."""
        self._open.add(exchange)
        if self._timer is None:
            self._timer = self._loop.call_later(PERIOD, self._look)

    def forget(self, exchange: "Exchange") -> None:
        """It has ended."""
        self._open.discard(exchange)

    def close(self, error: Exception) -> None:
        """End every open exchange with this error, and stop."""
        for exchange in tuple(self._open):
            exchange.fail(error)
        self._open.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self._loop.time()
        late = []
        for exchange in self._open:
            # A reader that is not waiting is slow itself: its upstream is not to blame for the silence.
            waits = exchange.waiter is not None and not exchange.waiter.done()
            if exchange.flowing and (exchange.heard or not waits):
                exchange.heard = False
                exchange.due = now + exchange.between
            if now >= exchange.due or now >= exchange.ends:
                late.append(exchange)
        for exchange in late:
            exchange.expire(now)
        self._timer = self._loop.call_later(PERIOD, self._look) if self._open else None
