"""A database that is away: what a client is told of it, and how often an operator."""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tortoise.exceptions import DBConnectionError

from plugin_sdk.errors import Unavailable

EVERY: Final = 60.0  # seconds between two lines of one outage
SAME: Final = 1.0  # seconds after its end in which a failure is still the same outage, and no news


def is_away(error: BaseException | None) -> bool:
    """Whether a query failed of a database that is locked or away: to ask again may do."""
    from gateway_core.db.postgres import TRANSIENT  # its driver is loaded where there is such a database

    while error is not None:
        if isinstance(error, (DBConnectionError, sqlite3.OperationalError, *TRANSIENT)):
            return True
        error = error.__cause__ or error.__context__
    return False


class Outage:
    """One kind of failure that may last: logged when it begins, then once a minute, and when it is over."""

    def __init__(
        self,
        log: logging.Logger,
        what: str,
        *,
        level: int = logging.WARNING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._what = what
        self._level = level
        self._clock = clock  # seconds
        self._failing = False
        self._began = 0.0
        self._ended = float("-inf")
        self._told: float | None = None  # when its last line was written
        self._shown = False  # whether a line was written that awaits the one of its end
        self._count = 0

    def failed(self, error: Exception, count: int = 1) -> None:
        """It has failed, `count` times at once."""
        now = self._clock()
        if not self._failing and now - self._ended > SAME:
            self._began, self._told, self._count = now, None, 0
        self._failing = True
        self._count += count
        if self._told is not None and now - self._told < EVERY:
            return
        self._told, self._shown = now, True
        self._log.log(self._level, "%s (%s): %r", self._what, self._extent(now), error)

    def over(self) -> None:
        """It has succeeded; nothing where it was not failing."""
        if not self._failing:
            return
        self._failing, self._ended = False, self._clock()
        if self._shown:
            self._shown = False
            self._log.log(self._level, "over: %s (%s)", self._what, self._extent(self._ended))

    def unavailable(self, error: Exception) -> Unavailable:
        """What a client is told of a failure, which is noted."""
        self.failed(error)
        found = Unavailable(
            "The gateway's database does not answer; nothing was charged.", reason="db_error", retry_after="1"
        )
        found.__cause__ = error
        return found

    @contextmanager
    def answering(self) -> Iterator[None]:
        """A block of queries; raises Unavailable where the database is at fault, and not what they ask."""
        try:
            yield
        except Exception as error:
            if is_away(error):
                raise self.unavailable(error) from error
            raise
        self.over()

    def _extent(self, now: float) -> str:
        return f"{self._count} in {now - self._began:.0f} s"
