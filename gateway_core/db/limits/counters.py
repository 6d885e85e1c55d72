"""What limited keys and teams have used in their windows, and what requests that run may add."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from gateway_core.db.session import Row, Session
from gateway_core.db.tables import LIMIT_COUNTERS
from plugin_sdk.limits import (
    FIELDS,
    METRICS,
    WINDOWS,
    Kind,
    Limits,
    Metric,
    Standing,
    Window,
    reset_at,
    starts,
)

AGAIN: Final = 5_000  # ms after a first count: by then every process knows of the limit, and tells each end
_COLUMNS: Final = " ".join(name + "#" * (kind == "bigint") for name, kind in LIMIT_COUNTERS.columns)
_NAMES: Final = ", ".join(LIMIT_COUNTERS.names)
_SLACK: Final = 60_000  # ms by which an id may be older than its record says
_KEY: Final = "key:"
_TEAM: Final = "team:"


class Reservation(msgspec.Struct):
    """One subject's share of a request that runs; `released` when that was given up, unless it ends yet."""

    id: str
    generation_id: str
    subject: str
    instance_id: str
    at: int
    cost: int
    released: bool


class Counter:
    """The row of one subject as it stands in this transaction: (start, requests, cost) of each window."""

    __slots__ = ("changed", "recount_at", "subject", "windows")

    def __init__(self, row: Row) -> None:
        self.subject: str = row[0]
        self.windows: list[list[int]] = [list(row[at : at + 3]) for at in (1, 4, 7)]
        self.recount_at: int | None = row[10]
        self.changed = False

    def roll(self, now: int) -> None:
        """Begin the windows anew that have ended."""
        for window, start in zip(self.windows, starts(now), strict=True):
            if start > window[0]:
                window[:] = [start, 0, 0]
                self.changed = True

    def count(self, at: int, requests: int, cost: int) -> None:
        """Add what a request of that time has used to the windows that it was in."""
        for window in self.windows:
            if at >= window[0]:
                window[1] += requests
                window[2] += cost
        self.changed = True

    def row(self) -> Row:
        """The row to write."""
        return (self.subject, *(value for window in self.windows for value in window), self.recount_at)

    def standings(self, limits: Limits, open_: Iterable[Reservation], now: int) -> list[Standing]:
        """How far each of the limits is used, requests first; the shortest window first."""
        running = [one for one in open_ if not one.released]
        found = []
        for metric in METRICS:
            for number, window in enumerate(WINDOWS):
                if limit := limits.of(window, metric):
                    found.append(self._standing(number, window, metric, limit, running, now))
        return found

    def _standing(
        self,
        number: int,
        window: Window,
        metric: Metric,
        limit: int,
        running: Sequence[Reservation],
        now: int,
    ) -> Standing:
        start, requests, cost = self.windows[number]
        inside = [one for one in running if one.at >= start]
        kind, name = named(self.subject)
        return Standing(
            kind=kind,
            id=name,
            window=window,
            metric=metric,
            used=requests if metric == "requests" else cost,
            reserved=len(inside) if metric == "requests" else sum([one.cost for one in inside]),
            limit=limit,
            reset_at=reset_at(window, now),
        )


def key_subject(kid: str) -> str:
    """The subject of a key's counters."""
    return _KEY + kid


def team_subject(team_id: str) -> str:
    """The subject of a team's counters."""
    return _TEAM + team_id


def named(subject: str) -> tuple[Kind, str]:
    """The kind of a subject, and the kid or the team's id."""
    kind, _, name = subject.partition(":")
    return ("key" if kind == "key" else "team"), name


async def limits_of(session: Session, subjects: Iterable[str]) -> dict[str, Limits]:
    """The limits of those subjects that have any, as they are now."""
    found = {}
    wanted = sorted(subjects)
    for mark, table, column in ((_KEY, "keys", "kid"), (_TEAM, "team_limits", "team_id")):
        names = [subject.removeprefix(mark) for subject in wanted if subject.startswith(mark)]
        if names:
            sql = f"SELECT {column}, {', '.join(FIELDS)} FROM {table} WHERE {column} {{members}}"  # noqa: S608  # names of ours
            for row in await session.fetch(sql, names):
                limits = Limits(**dict(zip(FIELDS, row[1:], strict=True)))
                if limits.any:
                    found[mark + row[0]] = limits
    return found


async def locked(
    session: Session, subjects: Iterable[str], now: int, anew: Collection[str] = ()
) -> dict[str, Counter]:
    """The counters of these subjects, locked in the order of their names, made where they are missing.

    They are counted from the records where that is due, and `anew` whatever was counted.
    """
    wanted = sorted(subjects)
    if not wanted:
        return {}
    sql = f"SELECT {_NAMES} FROM limit_counters WHERE subject {{members}} ORDER BY subject"  # noqa: S608  # names of ours
    there = {row[0] for row in await session.fetch(sql, wanted)}
    if missing := [subject for subject in wanted if subject not in there]:
        rows = [(subject, *([0] * 9), 0) for subject in missing]
        await session.insert(LIMIT_COUNTERS, rows, "ON CONFLICT (subject) DO NOTHING")
    counters = [Counter(row) for row in await session.fetch(sql + session.locking, wanted)]
    for counter in counters:
        counter.roll(now)
        if (due := counter.recount_at is not None and now >= counter.recount_at) or counter.subject in anew:
            await _recount(session, counter)
        if due:
            counter.recount_at = None if counter.recount_at else now + AGAIN
    return {counter.subject: counter for counter in counters}


async def save(session: Session, counters: Iterable[Counter]) -> None:
    """Write what has changed."""
    await session.update("limit_counters", _COLUMNS, [one.row() for one in counters if one.changed])


async def reservations(session: Session, column: str, values: Sequence[str]) -> list[Reservation]:
    """The open reservations of these subjects, or of these generations."""
    sql = (
        "SELECT id, generation_id, subject, instance_id, at, cost, released"  # noqa: S608  # a column of ours
        f" FROM limit_reservations WHERE {column} {{members}}"
    )
    rows = await session.fetch(sql, list(values)) if values else ()
    return [Reservation(row[0], row[1], row[2], row[3], row[4], row[5], bool(row[6])) for row in rows]


async def _recount(session: Session, counter: Counter) -> None:
    """Count from the records: at first, and again for what ended without a reservation.

    What has a reservation is left out: it is counted when that is settled.
    """
    kind, name = named(counter.subject)
    since = [window[0] for window in counter.windows]
    column, value = ("key_id", f"kid_{name}") if kind == "key" else ("team_id", name)
    sums = ", ".join(
        f"CAST(COALESCE(SUM(CASE WHEN created_at >= {start} AND success THEN 1 ELSE 0 END), 0) AS BIGINT),"
        f" CAST(COALESCE(SUM(CASE WHEN created_at >= {start} THEN cost_nanos ELSE 0 END), 0) AS BIGINT)"
        for start in since
    )
    (row,) = await session.fetch(
        f"SELECT {sums} FROM generations WHERE id >= ? AND {column} = ? AND state = 'finished'"  # noqa: S608  # ints of ours
        " AND id NOT IN (SELECT generation_id FROM limit_reservations WHERE subject = ?)",
        first_id(min(since) - _SLACK),
        value,
        counter.subject,
    )
    for number, window in enumerate(counter.windows):
        window[1], window[2] = row[2 * number], row[2 * number + 1]
    counter.changed = True


_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def first_id(moment: int) -> str:
    """What no generation's id of this millisecond or a later one sorts before."""
    moment = max(moment, 0)
    return "G-" + "".join(_LETTERS[moment >> shift & 31] for shift in range(45, -5, -5))
