"""A batch of reservations and settlements of limits in one short transaction."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from gateway_core.db.limits.counters import (
    Counter,
    Reservation,
    key_subject,
    limits_of,
    locked,
    reservations,
    save,
    team_subject,
)
from gateway_core.db.session import Row, Session
from gateway_core.db.tables import LIMIT_ALERTS, LIMIT_RESERVATIONS
from plugin_sdk.limits import Alert, Limits, Reserved, Standing
from plugin_sdk.money import Nanos

_ROOM: Final = 16  # parts of what is left beyond the worst case, of which a request may take one
_encode: Final = msgspec.json.Encoder().encode
_KEPT: Final = 86_400_000  # ms for which a released reservation waits for an end that was given up


class Ask(msgspec.Struct, frozen=True):
    """Reserve for a generation."""

    generation_id: str
    team_id: str
    kid: str
    worst_case: Nanos

    @property
    def subjects(self) -> tuple[str, str]:
        """Whose limits it meets, in the order in which they are told."""
        return key_subject(self.kid), team_subject(self.team_id)


class End(msgspec.Struct, frozen=True):
    """Settle a generation's reservation: the request is over."""

    generation_id: str


class Anew(msgspec.Struct, frozen=True):
    """Count a key and its team from the records."""

    team_id: str
    kid: str

    @property
    def subjects(self) -> tuple[str, str]:
        """Whose counters."""
        return key_subject(self.kid), team_subject(self.team_id)


Step = Ask | End | Anew


class Done(msgspec.Struct, frozen=True):
    """What became of each step, None for all but an Ask; the ids of the alerts of all that is crossed."""

    answers: Sequence[Reserved | None]
    crossed: Sequence[str]
    due: bool  # some of these are new: they have to be told


async def run(
    steps: Sequence[Step],
    instance_id: str,
    percents: Sequence[int],
    known: Collection[str],
    ours: int,
    session: Session,
) -> Done:
    """Do all steps, or none."""
    now = await session.now(ours)
    ended = [step.generation_id for step in steps if isinstance(step, End)]
    asked = {subject for step in steps if isinstance(step, Ask) for subject in step.subjects}
    anew = {subject for step in steps if isinstance(step, Anew) for subject in step.subjects}
    over = await reservations(session, "generation_id", ended)
    limits = await limits_of(session, asked | anew | {one.subject for one in over})
    subjects = ((asked | anew) & limits.keys()) | {one.subject for one in over}
    counters = await locked(session, subjects, now, anew)
    # Under the counters' locks now: what was read before may have been settled meanwhile.
    open_ = await reservations(session, "subject", sorted(asked & counters.keys()))
    there = {one.id for one in open_}
    open_ += [one for one in await reservations(session, "generation_id", ended) if one.id not in there]
    batch = _Batch(session, instance_id, now, limits, counters, open_)
    await batch.end(set(ended))
    answers = [await batch.ask(step) if isinstance(step, Ask) else None for step in steps]
    await batch.save()
    return Done(answers, *await _alerts(session, batch, percents, known))


class _Batch:
    def __init__(
        self,
        session: Session,
        instance_id: str,
        now: int,
        limits: dict[str, Limits],
        counters: dict[str, Counter],
        open_: Iterable[Reservation],
    ) -> None:
        self._session = session
        self._instance_id = instance_id
        self.now = now
        self.limits = limits
        self.counters = counters
        self._open: dict[str, dict[str, Reservation]] = {}
        for one in open_:
            self._open.setdefault(one.subject, {})[one.generation_id] = one
        self._made: list[Row] = []
        self._looked: set[str] = set()

    async def end(self, ended: set[str]) -> None:
        """Settle what these generations have reserved."""
        mine = [one for rows in self._open.values() for one in rows.values() if one.generation_id in ended]
        await self._resolve(mine, ended)

    async def ask(self, step: Ask) -> Reserved:
        """Reserve, or say which limit forbids it."""
        subjects = [subject for subject in step.subjects if subject in self.limits]
        answer = self._judged(step, subjects)
        if answer.refused is not None or (answer.cap is not None and answer.cap < step.worst_case):
            # Somebody's end may not have been told yet, or never will be: then it is seen here.
            stale = [subject for subject in subjects if subject not in self._looked]
            self._looked.update(stale)
            found = [one for subject in stale for one in self._open.get(subject, {}).values()]
            if await self._resolve(found, set()):
                answer = self._judged(step, subjects)
        return answer if answer.refused is not None else self._reserve(step, subjects, answer)

    async def save(self) -> None:
        """Write what this transaction has come to."""
        await self._session.insert(LIMIT_RESERVATIONS, self._made, "ON CONFLICT (id) DO NOTHING")
        await save(self._session, self.counters.values())

    def _judged(self, step: Ask, subjects: Sequence[str]) -> Reserved:
        standings = [
            standing
            for subject in subjects
            for standing in self.counters[subject].standings(
                self.limits[subject],
                [
                    one
                    for one in self._open.get(subject, {}).values()
                    if one.generation_id != step.generation_id
                ],
                self.now,
            )
        ]
        standings.sort(key=lambda one: one.metric != "requests")
        tightest: Standing | None = None
        for one in standings:
            left = one.limit - one.used - one.reserved
            if left <= 0 and (one.metric == "requests" or step.worst_case > 0):
                return Reserved(refused=one)
            if one.metric == "cost" and (tightest is None or left < _left(tightest)):
                tightest = one
        if tightest is None:
            return Reserved()
        return Reserved(cap=Nanos(max(0, _left(tightest))), tightest=tightest)

    def _reserve(self, step: Ask, subjects: Sequence[str], answer: Reserved) -> Reserved:
        """Reserve what the request may be charged; `answer.cap` is all that is left."""
        cost, left = step.worst_case, answer.cap
        if left is not None:
            # An answer can cost more than its worst case, and what is above the cap is the operator's loss:
            # far from the limit the cap is up to twice as much.
            room = max(0, left - cost) // _ROOM
            cost = Nanos(min(left, cost + min(cost, room)))
            answer = msgspec.structs.replace(answer, cap=cost)
        for subject in subjects:
            row_id = f"{step.generation_id}/{subject.partition(':')[0]}"
            one = Reservation(
                row_id, step.generation_id, subject, self._instance_id, self.now, cost, released=False
            )
            self._open.setdefault(subject, {})[step.generation_id] = one
            self._made.append(msgspec.structs.astuple(one))
        return answer

    async def _resolve(self, found: Sequence[Reservation], ended: set[str]) -> bool:
        """Settle those that are over, by their generations' records; whether any was."""
        made = {row[0] for row in self._made}
        found = [one for one in found if one.id not in made]
        if not found:
            return False
        session = self._session
        ids = sorted({one.generation_id for one in found})
        rows = await session.fetch(
            "SELECT id, success, cost_nanos FROM generations WHERE state = 'finished' AND id {members}", ids
        )
        records = {row[0]: row for row in rows}
        living = await self._living({one.instance_id for one in found})
        gone: list[str] = []
        released: list[str] = []
        for one in found:
            record = records.get(one.generation_id)
            if record is not None:
                self.counters[one.subject].count(one.at, int(bool(record[1])), record[2])
            if record is not None or (one.released and one.at < self.now - _KEPT):
                gone.append(one.id)
                del self._open[one.subject][one.generation_id]
            elif not one.released and (one.generation_id in ended or one.instance_id not in living):
                one.released = True
                released.append(one.id)
        if gone:
            await session.execute("DELETE FROM limit_reservations WHERE id {members}", gone)
        if released:
            await session.execute(
                "UPDATE limit_reservations SET released = TRUE WHERE id {members}", released
            )
        return bool(gone or released)

    async def _living(self, instances: set[str]) -> set[str]:
        rows = await self._session.fetch(
            "SELECT id FROM instances WHERE ended_at IS NULL AND id {members}", sorted(instances)
        )
        return {row[0] for row in rows}


def _left(standing: Standing) -> int:
    return standing.limit - standing.used - standing.reserved


async def look(subjects: Sequence[str], ours: int, session: Session) -> list[Standing]:
    """How far the limits of these subjects are used."""
    now = await session.now(ours)
    limits = await limits_of(session, subjects)
    counters = await locked(session, limits, now)
    open_ = await reservations(session, "subject", sorted(limits))
    await save(session, counters.values())
    return [
        standing
        for subject in subjects
        if subject in limits
        for standing in counters[subject].standings(
            limits[subject], [one for one in open_ if one.subject == subject], now
        )
    ]


async def _alerts(
    session: Session, batch: _Batch, percents: Sequence[int], known: Collection[str]
) -> tuple[list[str], bool]:
    """The ids of the thresholds that were crossed; whether some of them are new in this window."""
    crossed = []
    new = 0
    for subject, counter in batch.counters.items():
        limits = batch.limits.get(subject)
        if limits is None or not counter.changed:
            continue
        for standing in counter.standings(limits, (), batch.now):
            for percent in percents:
                alert = Alert(percent=percent, standing=standing)
                if (
                    standing.used * 100 >= standing.limit * percent
                    and (row_id := alert_id(alert)) not in known
                ):
                    row = (row_id, 0, _encode(alert).decode(), batch.now, 0)
                    crossed.append(row_id)
                    new += await session.insert(LIMIT_ALERTS, [row], "ON CONFLICT (id) DO NOTHING")
    return crossed, new > 0


def alert_id(alert: Alert) -> str:
    """What is told once: a percentage of a limit in one window. Another limit is another alert."""
    one = alert.standing
    return f"{one.kind}:{one.id}/{one.window}/{one.metric}/{one.reset_at}/{one.limit}/{alert.percent}"
