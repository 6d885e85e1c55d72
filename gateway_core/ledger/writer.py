"""The one queue to the database: what gathers while a commit runs goes into the next."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, TypeVar

import msgspec

from gateway_core.db.outage import Outage
from gateway_core.db.session import Session, Store
from gateway_core.ledger.records import (
    AttemptRecord,
    Begun,
    GenerationRecord,
    LedgerCorrupt,
    LedgerError,
    LedgerOverloaded,
    LedgerUnavailable,
    Settlement,
    uncharged,
)
from gateway_core.ledger.rows import begun_rows, delivered_rows
from gateway_core.ledger.settling import Posting, Taken, settle, settled

BATCH: Final = 256  # settlements a commit
QUEUE: Final = 20_000  # settlements that may wait; above it they fail at once
LATE: Final = 20_000  # records of what failed that may wait; above it they are lost
RETRY_SECONDS: Final = 10.0  # how long a commit is tried before its settlements fail
_BACKOFF: Final = 0.05
_BUSY: Final = 4  # settlements in the last commit that tell of load: more are on their way
_PASSES: Final = 4  # of the event loop without a settlement: none is on its way
_GATHERING: Final = 0.005  # seconds that the first of them waits for the others at most
T = TypeVar("T")
R = TypeVar("R", GenerationRecord, AttemptRecord)
_log = logging.getLogger("gateway.ledger")


class _Batch(msgspec.Struct):
    begun: list[Begun]
    postings: list[Posting]
    delivered: list[tuple[str, int]]


Outcome = Taken | Exception
Finished = Callable[[Posting, Outcome], None]


class Writer:
    """Takes the queue, commits it, tells `finished` of each posting, then resolves its future."""

    def __init__(self, store: Store, instance_id: str, finished: Finished) -> None:
        self._store = store
        self._instance_id = instance_id
        self._finished = finished
        self._begun: list[Begun] = []
        self._postings: list[Posting] = []
        self._late: list[Posting] = []  # not charged, since that failed: still to be put on record
        self._delivered: list[tuple[str, int]] = []
        self._wake = asyncio.Event()
        self._cards: set[str] = set()
        self._failing_since: float | None = None
        self._outage = Outage(_log, "the ledger's database fails, trying again")
        self._lost = Outage(_log, "requests end without a record, uncharged", level=logging.ERROR)
        self._closing = False
        self._taken = 0  # settlements in the last commit
        self._task = asyncio.create_task(self._run(), name="ledger writer")

    def settle(self, posting: Posting) -> None:
        """Queue a settlement; where too many wait, it is refused at once and recorded later, uncharged."""
        if self._closing or len(self._postings) >= QUEUE:
            error = LedgerOverloaded("too many settlements wait for the database; it is too slow or down")
            self._put_off([posting], error, room=0 if self._task.done() else LATE)
            self._resolve(posting, error)
            return
        self._postings.append(posting)
        if not self._wake.is_set():
            self._wake.set()

    def begin(self, begun: Sequence[Begun]) -> None:
        """Queue begin rows. Above the bound they are let go: recovery's record covers what died unseen."""
        if len(self._begun) < QUEUE and not self._closing:
            self._begun += begun
            self._wake.set()

    def delivered(self, delivered: Sequence[tuple[str, int]]) -> None:
        """Queue delivery times. Above the bound they are let go: null is `not known`."""
        if len(self._delivered) < QUEUE and not self._closing:
            self._delivered += delivered
            self._wake.set()

    async def close(self) -> None:
        """Write what is queued, then stop."""
        self._closing = True
        self._wake.set()
        await self._task
        self._lost.over()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._postings or self._begun or self._delivered or self._late:
                if self._taken >= _BUSY:
                    await self._gather()
                await self._commit(self._next())
            if self._closing:
                return

    async def _gather(self) -> None:
        """Let those come along that are about to end: a commit of many costs little more than one of few."""
        until = time.monotonic() + _GATHERING
        passes = 0
        while passes < _PASSES and len(self._postings) < BATCH and time.monotonic() < until:
            waiting = len(self._postings)
            await asyncio.sleep(0)
            passes = 0 if len(self._postings) > waiting else passes + 1

    def _next(self) -> _Batch:
        postings, late = self._postings, self._late
        batch = _Batch(self._begun, [*postings[:BATCH], *late[:BATCH]], self._delivered)
        self._begun, self._delivered = [], []
        self._postings, self._late = postings[BATCH:], late[BATCH:]
        self._taken = len(batch.postings)
        return batch

    async def _commit(self, batch: _Batch) -> None:
        """Commit, again while the database is at fault, and apart from the others where rows are."""
        work = self._together
        while True:
            try:
                outcomes = await self._store.write(partial(work, batch))
            except Exception as error:  # noqa: BLE001  # every one of them is somebody's answer
                if not self._store.transient(error):
                    if work == self._apart:
                        outcomes = [_corrupt(posting.settlement, error) for posting in batch.postings]
                        break
                    work = self._apart
                elif self._is_over(error):
                    outcomes = [_unavailable(error)] * len(batch.postings)
                    self._put_off(batch.postings, error, room=0 if self._closing else LATE)
                    await asyncio.sleep(_BACKOFF)
                    break
                else:
                    await asyncio.sleep(_BACKOFF)
            else:
                self._failing_since = None
                self._outage.over()
                self._lost.over()
                self._cards.update(
                    p.settlement.card.id for p in batch.postings if p.settlement.card is not None
                )
                break
        for posting, outcome in zip(batch.postings, outcomes, strict=True):
            self._resolve(posting, outcome)

    def _put_off(self, postings: Sequence[Posting], error: Exception, *, room: int) -> None:
        """Whoever waits is told that it failed; the record is written when the database answers again.

        As many as there is room for; those beyond are lost, and counted in the log.
        """
        kept = postings[: max(0, room - len(self._late))]
        self._late += [Posting(uncharged(one.settlement), None, 0, one.future) for one in kept]
        if kept:
            self._wake.set()
        if len(kept) < len(postings):
            self._lost.failed(error, len(postings) - len(kept))

    def _is_over(self, error: Exception) -> bool:
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        self._outage.failed(error)
        return now - self._failing_since >= RETRY_SECONDS

    def _resolve(self, posting: Posting, outcome: Outcome) -> None:
        self._finished(posting, outcome)
        future = posting.future
        if future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(None)

    async def _together(self, batch: _Batch, session: Session) -> Sequence[Outcome]:
        """The ordinary case: everything at once."""
        others = [*begun_rows(self._instance_id, batch.begun), *delivered_rows(batch.delivered)]
        if batch.postings:
            return await settle(session, self._instance_id, batch.postings, self._cards, others)
        await session.apply(others)
        return ()

    async def _apart(self, batch: _Batch, session: Session) -> Sequence[Outcome]:
        """One by one: a replay is a no-op, a row that cannot be written fails alone."""
        for begun in batch.begun:
            await self._alone(session, partial(session.apply, begun_rows(self._instance_id, [begun])))
        done = await settled(session, [posting.settlement.generation.id for posting in batch.postings])
        outcomes: list[Outcome] = []
        for posting in batch.postings:
            if posting.settlement.generation.id in done:
                # Its commit was cut off and had gone through after all; or it is a replay, without a lease.
                outcomes.append(Taken(min(posting.settlement.generation.charge, posting.limit)))
            else:
                outcomes.append(await self._settle_alone(session, posting))
        await self._alone(session, partial(session.apply, delivered_rows(batch.delivered)))
        return outcomes

    async def _settle_alone(self, session: Session, posting: Posting) -> Outcome:
        """Settle one; where its text is what the database refuses, settle it with the text made harmless."""
        first = await self._one(session, posting)
        if not isinstance(first, Exception):
            return first[0]
        settlement = posting.settlement
        plain = Posting(scrubbed(settlement), posting.lease, posting.limit, posting.future)
        second = await self._one(session, plain)
        if not isinstance(second, Exception):
            return second[0]
        _log.error("a settlement cannot be written: %s: %r", settlement.generation.id, second)
        return second if isinstance(second, LedgerError) else _corrupt(settlement, second)

    async def _one(self, session: Session, posting: Posting) -> list[Taken] | Exception:
        work = partial(settle, session, self._instance_id, [posting], self._cards)
        return await self._alone(session, work)

    async def _alone(self, session: Session, work: Callable[[], Awaitable[T]]) -> T | Exception:
        """Run a part of the transaction that may fail without the rest."""
        try:
            async with session.savepoint():
                return await work()
        except Exception as error:
            if self._store.transient(error):
                raise
            return error


def scrubbed(settlement: Settlement) -> Settlement:
    """The settlement with every text such that any database takes it: no NUL, no half of a surrogate pair."""
    record = settlement.generation
    attempts = tuple(_plain(attempt) for attempt in record.attempts)
    return msgspec.structs.replace(
        settlement, generation=msgspec.structs.replace(_plain(record), attempts=attempts)
    )


def _plain(value: R) -> R:
    texts = {
        name: text.encode("utf-8", "replace").decode().replace("\0", "")
        for name, text in msgspec.structs.asdict(value).items()
        if isinstance(text, str) and name != "id"
    }
    return msgspec.structs.replace(value, **texts)


def _corrupt(settlement: Settlement, error: Exception) -> LedgerCorrupt:
    found = LedgerCorrupt(f"{settlement.generation.id}: the database refuses its rows: {error}")
    found.__cause__ = error
    return found


def _unavailable(error: Exception) -> LedgerUnavailable:
    found = LedgerUnavailable(
        f"the database took no commit for {RETRY_SECONDS:.0f} s; see that it runs and has room: {error}"
    )
    found.__cause__ = error
    return found
