"""What a raw transaction can do, the same on both databases, and the store that runs one."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol, TypeVar

from gateway_core.db.forms import Write
from gateway_core.db.tables import Table

Durability = Literal["full", "normal"]
T = TypeVar("T")
Row = Sequence[Any]


class Session(Protocol):
    """One transaction, or one run of reads. SQL is written with `?`; `{members}` compares with a list.

    Everything is `async` for PostgreSQL's sake. On SQLite nothing in it ever waits, so the same code runs to
    its end in the store's own thread.
    """

    locking: str  # what makes a SELECT lock its rows until the end; SQLite's transaction holds the whole file
    snapshot: str  # what begins a transaction in which every read sees the same state

    async def fetch(self, sql: str, *values: object) -> Sequence[Row]:
        """The rows of a query."""

    async def execute(self, sql: str, *values: object) -> int:
        """Run a statement; how many rows it touched."""

    async def insert(self, table: Table, rows: Sequence[Row], conflict: str = "") -> int:
        """Insert rows, `conflict` being what follows them (`ON CONFLICT ...`); how many were written."""

    async def update(self, table: str, columns: str, rows: Sequence[Row]) -> int:
        """Set columns (written as in tables.py, the key first) of many rows by their key."""

    async def apply(self, writes: Sequence[Write]) -> Sequence[int]:
        """Make these writes, none of which depends on another, at once; how many rows each touched.

        The lists of values are taken: who gave them does not use them again.
        """

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """A part of the transaction that is undone alone if it raises."""

    async def now(self, ours: int) -> int:
        """The time that all processes of this database share, in ms; `ours` where they share a host."""


Work = Callable[[Session], Awaitable[T]]


class Store(Protocol):
    """A database connection of the ledger's own: one thing at a time, in the order asked."""

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction; returns after COMMIT. A lost connection leaves that unknown."""

    async def read(self, work: Work[T]) -> T:
        """Run `work` without one; it must not write."""

    async def tidy(self) -> None:
        """Do beside the writing what would else delay it now and then."""

    def transient(self, error: Exception) -> bool:
        """Whether the database is at fault, not the rows: it may succeed later."""

    async def close(self) -> None:
        """Finish what was asked, and let go."""
