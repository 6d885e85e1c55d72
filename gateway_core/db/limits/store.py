"""The limits of one process: reservations and ends, written in batches by a connection of its own."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from typing_extensions import override

from gateway_core.db import models
from gateway_core.db.limits.alerts import Tell, Teller
from gateway_core.db.limits.counters import key_subject, team_subject
from gateway_core.db.limits.setting import limits_in
from gateway_core.db.limits.work import Anew, Ask, Done, End, Step, look, run
from gateway_core.db.outage import Outage
from gateway_core.db.retries import retried
from gateway_core.db.session import Session, Store
from plugin_sdk.limits import LimitStore, Reserved, Standing
from plugin_sdk.money import Nanos

_MOST: Final = 64  # steps of one transaction
_TRIES: Final = 3
_PAUSE: Final = 0.05  # seconds
_REMEMBERED: Final = 10_000  # alerts that are known to be kept
_log = logging.getLogger("gateway.limits")
_Waiting = tuple[Step, "asyncio.Future[Reserved | None]"]


class Limiter(LimitStore):
    """Reserve and settle. What queues while one transaction runs goes into the next.

    Nothing here needs a commit to be on disk at once: the record that settles a reservation is written
    after it, to the same log, and is on disk before an answer's end leaves.
    """

    def __init__(self, store: Store, instance_id: str, clock: Callable[[], int]) -> None:
        self._store = store
        self._instance_id = instance_id
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._running: asyncio.Task[None] | None = None
        self._percents: tuple[int, ...] = ()
        self._known: set[str] = set()
        self._teller = Teller(store, clock)
        self._reading = Outage(_log, "no limits can be looked up, the database does not answer")
        self._writing = Outage(_log, "limits cannot be counted, the database does not answer")

    @override
    async def limited(self, team_id: str, kid: str) -> bool:
        with self._reading.answering():
            row = await models.Key.get_or_none(kid=kid)
            team = await models.TeamLimit.get_or_none(team_id=team_id)
        return any(one is not None and limits_in(one).any for one in (row, team))

    @override
    async def reserve(self, generation_id: str, team_id: str, kid: str, worst_case: Nanos) -> Reserved:
        found = await self._do(Ask(generation_id, team_id, kid, worst_case))
        if found is None:
            raise RuntimeError("a reservation has an answer")
        return found

    @override
    async def settle(self, generation_id: str) -> None:
        await self._do(End(generation_id))

    @override
    async def recount(self, team_id: str, kid: str) -> None:
        await self._do(Anew(team_id, kid))

    @override
    async def standings(self, team_id: str, kid: str | None) -> Sequence[Standing]:
        subject = team_subject(team_id) if kid is None else key_subject(kid)
        with self._writing.answering():
            return await self._store.write(partial(look, [subject], self._clock()))

    @override
    def watch(self, percents: Sequence[int], tell: Tell) -> None:
        self._percents = tuple(percents)
        self._teller.watch(tell)

    async def close(self) -> None:
        """Finish what was asked, and let go."""
        while self._running is not None:
            await asyncio.wait([self._running])
        await self._teller.close()
        await self._store.close()

    async def _do(self, step: Step) -> Reserved | None:
        future: asyncio.Future[Reserved | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((step, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="limits")
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._batch(self._next())
        finally:
            self._running = None

    def _next(self) -> list[_Waiting]:
        """The next steps; the end of a generation comes later than its beginning."""
        batch: list[_Waiting] = []
        begun: set[str] = set()
        while self._waiting and len(batch) < _MOST:
            step = self._waiting[0][0]
            if isinstance(step, Ask):
                begun.add(step.generation_id)
            elif isinstance(step, End) and step.generation_id in begun:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _batch(self, batch: list[_Waiting]) -> None:
        try:
            done = await self._written([step for step, _ in batch])
        except Exception as error:  # noqa: BLE001  # it belongs to whoever asked
            if self._store.transient(error):
                error = self._writing.unavailable(error)
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        self._writing.over()
        for (_, future), answer in zip(batch, done.answers, strict=True):
            if not future.done():
                future.set_result(answer)
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        self._known.update(done.crossed)
        if done.due:
            self._teller.wake()

    async def _written(self, steps: Sequence[Step]) -> Done:
        def work(session: Session) -> Awaitable[Done]:
            return run(steps, self._instance_id, self._percents, self._known, self._clock(), session)

        return await retried(self._store, work, tries=_TRIES, pause=_PAUSE)
