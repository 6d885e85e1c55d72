"""Alerts that wait to be told: kept with what crossed the threshold, told by any process until heard."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from gateway_core.db.outage import Outage
from gateway_core.db.session import Session, Store
from plugin_sdk.limits import Alert

LOOK_SECONDS: Final = 15.0
FIRST_AGAIN: Final = 90_000  # ms after which an alert that nobody has confirmed is told again
TRIES: Final = 9  # each pause is twice the one before: given up after some six hours
_AT_ONCE: Final = 16
_GRACE: Final = 5.0  # seconds that those on their way get when the process ends
_log = logging.getLogger("gateway.limits")
_decode: Final = msgspec.json.Decoder(Alert).decode
Tell = Callable[[Alert], Awaitable[None]]


class Teller:
    """Tells what is due, at once where this process knows of it, else at its next look."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._tell: Tell | None = None
        self._wake = asyncio.Event()
        self._outage = Outage(_log, "limit alerts cannot be read, trying again")
        self._task: asyncio.Task[None] | None = None

    def watch(self, tell: Tell) -> None:
        """From now on, tell them so."""
        self._tell = tell
        self._wake.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="limit alerts")

    def wake(self) -> None:
        """Something is due now."""
        self._wake.set()

    async def close(self) -> None:
        """Let those on their way arrive, or leave them to another process."""
        task, self._task, self._tell = self._task, None, None
        if task is None:
            return
        self._wake.set()
        await asyncio.wait([task], timeout=_GRACE)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def tell_due(self) -> int:
        """Tell what is due now; how many that were."""
        if self._tell is None:
            return 0
        due = await self._store.write(partial(_claim, self._clock()))
        heard = await asyncio.gather(*[self._heard(alert) for _, alert in due])
        told = [row_id for (row_id, _), was_heard in zip(due, heard, strict=True) if was_heard]
        if told:
            await self._store.write(partial(_told, told, self._clock()))
        return len(due)

    async def _run(self) -> None:
        while self._tell is not None:
            self._wake.clear()
            try:
                while await self.tell_due():
                    pass
            except Exception as error:  # noqa: BLE001  # they are kept: the next look finds them
                self._outage.failed(error)
            else:
                self._outage.over()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_SECONDS)

    async def _heard(self, alert: Alert) -> bool:
        if self._tell is None:
            return False
        try:
            await self._tell(alert)
        except Exception as error:  # noqa: BLE001  # a policy's failure: told again later
            left = "it will be told again" if alert.attempt < TRIES else "it is given up"
            _log.warning("a limit alert was not heard, %s: %s", left, type(error).__name__)
            return False
        return True


async def _claim(ours: int, session: Session) -> list[tuple[str, Alert]]:
    """Those that are due, each for one process alone until its next time."""
    now = await session.now(ours)
    rows = await session.fetch(
        "SELECT id, alert, due_at, tries FROM limit_alerts WHERE due_at > 0 AND due_at <= ?"
        " ORDER BY due_at LIMIT ?",
        now,
        _AT_ONCE,
    )
    found = []
    for row_id, alert, due_at, tries in rows:
        again = now + (FIRST_AGAIN << tries) if tries + 1 < TRIES else 0
        claimed = await session.execute(
            "UPDATE limit_alerts SET due_at = ?, tries = ? WHERE id = ? AND due_at = ?",
            again,
            tries + 1,
            row_id,
            due_at,
        )
        if claimed:
            found.append((row_id, msgspec.structs.replace(_decode(alert), attempt=tries + 1)))
    return found


async def _told(told: Sequence[str], ours: int, session: Session) -> None:
    now = await session.now(ours)
    await session.execute("UPDATE limit_alerts SET due_at = 0, told_at = ? WHERE id {members}", now, told)
