"""What every request of this process shares. `snapshot` is the one reference that a reload swaps."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from gateway_core.host.snapshot import Snapshot
from gateway_core.ids import Ids
from gateway_core.ledger import Ledger
from gateway_core.observe.log import Log
from gateway_core.upstream import Upstream


class Runtime:
    """The snapshot, the ledger, the upstream side, the clock and the ids."""

    __slots__ = ("_adopted", "clock", "ids", "ledger", "log", "snapshot", "upstream")

    def __init__(
        self, *, snapshot: Snapshot, ledger: Ledger, upstream: Upstream, clock: Callable[[], int], log: Log
    ) -> None:
        self.snapshot = snapshot
        self.ledger = ledger
        self.upstream = upstream
        self.clock = clock
        self.ids = Ids(clock)
        self.log = log
        self._adopted: set[asyncio.Task[Any]] = set()

    def adopt(self, work: Coroutine[Any, Any, Any]) -> None:
        """Finish what a cancelled request left; awaited at shutdown."""
        task = asyncio.ensure_future(work)
        self._adopted.add(task)
        task.add_done_callback(self._adopted.discard)

    async def finish(self) -> None:
        """Wait for everything adopted."""
        while self._adopted:
            await asyncio.wait(self._adopted)
