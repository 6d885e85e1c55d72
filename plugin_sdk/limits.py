"""Limits of keys and teams: requests and cost by the UTC day, week and month (contract 2.4)."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, Protocol, get_args

import msgspec

from plugin_sdk.money import Nanos

Window = Literal["daily", "weekly", "monthly"]
Metric = Literal["requests", "cost"]
Kind = Literal["key", "team"]
WINDOWS: Final[tuple[Window, ...]] = get_args(Window)
METRICS: Final[tuple[Metric, ...]] = get_args(Metric)

_DAY: Final = 86_400_000
_MONDAY: Final = 3  # days from the Monday before 1970 to its first day, a Thursday


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a key or a team may use; 0 is no limit. Only successful requests count as requests."""

    daily_limit_requests: int = 0
    weekly_limit_requests: int = 0
    monthly_limit_requests: int = 0
    daily_limit_cost_nanos: int = 0
    weekly_limit_cost_nanos: int = 0
    monthly_limit_cost_nanos: int = 0

    @property
    def any(self) -> bool:
        """Whether there is a limit at all."""
        return any(getattr(self, name) for name in FIELDS)

    def of(self, window: Window, metric: Metric) -> int:
        """One of them."""
        found: int = getattr(self, field(window, metric))
        return found


FIELDS: Final = Limits.__struct_fields__


def field(window: Window, metric: Metric) -> str:
    """The name of a limit: `daily_limit_requests`, `monthly_limit_cost_nanos`."""
    return f"{window}_limit_{'requests' if metric == 'requests' else 'cost_nanos'}"


def starts(now: int) -> tuple[int, int, int]:
    """When the day, the week (on its Monday) and the month of a moment began, all in ms since 1970."""
    days = now // _DAY
    week = (days + _MONDAY) // 7 * 7 - _MONDAY
    month = _date(now).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return days * _DAY, week * _DAY, _ms(month)


def reset_at(window: Window, now: int) -> int:
    """When the window of a moment ends and counting begins anew, in ms since 1970."""
    day, week, month = starts(now)
    if window == "daily":
        return day + _DAY
    if window == "weekly":
        return week + 7 * _DAY
    within_next = _date(month).replace(day=28) + timedelta(days=4)
    return _ms(within_next.replace(day=1))


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one limit is used; `reserved` is what requests that still run may come to."""

    kind: Kind
    id: str  # a kid, or a team's id
    window: Window
    metric: Metric
    used: int
    reserved: int
    limit: int
    reset_at: int  # ms since 1970


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of which `percent` were used for the first time in its window.

    `attempt` counts how often it has been told by now: above 1, somebody may have heard it before.
    """

    percent: int
    standing: Standing
    attempt: int = 1


class Reserved(msgspec.Struct, frozen=True, kw_only=True):
    """What became of asking: `refused` by a limit, or let in, to be charged at most `cap`."""

    refused: Standing | None = None
    cap: Nanos | None = None  # None: no limit of cost
    tightest: Standing | None = None  # the limit that leaves least, before this request


class LimitStore(Protocol):
    """Counts what limited keys and teams use, exactly, whatever number of processes ask at once.

    Every question raises Unavailable where the database does not answer in time.
    """

    async def limited(self, team_id: str, kid: str) -> bool:
        """Whether the key or its team has a limit, straight from the database."""

    async def reserve(self, generation_id: str, team_id: str, kid: str, worst_case: Nanos) -> Reserved:
        """Reserve one request, and min(worst case, what is left) of cost, in the limits as they are now.

        In one transaction. What was reserved by requests that have ended, or whose process has died, is
        settled first where it matters.
        """

    async def settle(self, generation_id: str) -> None:
        """Replace a generation's reservation by what its record says; nothing where that was done."""

    async def standings(self, team_id: str, kid: str | None) -> Sequence[Standing]:
        """How far the limits of a team, or of one of its keys, are used at the moment."""

    async def recount(self, team_id: str, kid: str) -> None:
        """Count a key and its team anew: a request has ended that began before they had a limit."""

    def watch(self, percents: Sequence[int], tell: Callable[[Alert], Awaitable[None]]) -> None:
        """From now on, and instead of whoever asked before: `tell` of each limit used by so many percent.

        Each is told once a window, by one process; where `tell` raises, or the process dies in it, again some
        minutes later, by any, for some hours.
        """


def _date(moment: int) -> datetime:
    return datetime.fromtimestamp(moment / 1000, UTC)


def _ms(date: datetime) -> int:
    return int(date.timestamp()) * 1000
