"""PostgreSQL, raw: one asyncpg connection, rows sent as one array per column."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Final, TypeVar

import asyncpg
from typing_extensions import override

from gateway_core.db.forms import Write
from gateway_core.db.postgres_forms import arguments, text
from gateway_core.db.session import Durability, Row, Session, Store, Work
from gateway_core.db.tables import Table

T = TypeVar("T")
_KINDS: Final = {"#": "bigint", "?": "boolean"}
_CONNECT_SECONDS: Final = 5.0
TRANSIENT: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, cancelled
    asyncpg.InsufficientResourcesError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidCatalogNameError,
    OSError,
    TimeoutError,
)


class PostgresSession(Session):
    """The session over a connection."""

    locking = " FOR UPDATE"
    snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @override
    async def fetch(self, sql: str, *values: object) -> Sequence[Row]:
        rows: Sequence[Row] = await self._connection.fetch(_sql(sql), *values)
        return rows

    @override
    async def execute(self, sql: str, *values: object) -> int:
        return _touched(await self._connection.execute(_sql(sql), *values))

    @override
    async def insert(self, table: Table, rows: Sequence[Row], conflict: str = "") -> int:
        if not rows:
            return 0
        return _touched(await self._connection.execute(_insert(table, conflict), *_columns(rows)))

    @override
    async def update(self, table: str, columns: str, rows: Sequence[Row]) -> int:
        if not rows:
            return 0
        return _touched(await self._connection.execute(_update(table, columns), *_columns(rows)))

    @override
    async def apply(self, writes: Sequence[Write]) -> Sequence[int]:
        if not writes:
            return ()
        sql = text(tuple([write.form for write in writes]))
        counts: Sequence[int] = await self._connection.fetchrow(sql, *arguments(writes))
        return counts

    @override
    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        async with self._connection.transaction():
            yield

    @override
    async def now(self, ours: int) -> int:
        rows = await self.fetch("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
        moment: int = rows[0][0]
        return moment


class PostgresStore(Store):
    """The connection, made again when it was lost."""

    def __init__(self, url: str, durability: Durability, patience: float | None) -> None:
        self._url = url
        self._patience = patience  # seconds for one statement
        self._synchronous = "on" if durability == "full" else "off"
        self._connection: Any = None
        self._turn = asyncio.Lock()

    @override
    async def write(self, work: Work[T]) -> T:
        return await self._cared_for(self._write(work))

    @override
    async def read(self, work: Work[T]) -> T:
        return await self._cared_for(self._read(work))

    @override
    def transient(self, error: Exception) -> bool:
        return isinstance(error, TRANSIENT)

    @override
    async def tidy(self) -> None:
        """Nothing: PostgreSQL has processes of its own for that."""

    @override
    async def close(self) -> None:
        async with self._turn:
            if self._connection is not None:
                connection, self._connection = self._connection, None
                await connection.close()

    async def _cared_for(self, work: Awaitable[T]) -> T:
        """Run to the end even if whoever asked is cancelled: half a talk would spoil the connection."""
        return await asyncio.shield(asyncio.ensure_future(work))

    async def _write(self, work: Work[T]) -> T:
        async with self._turn:
            connection = await self._open()
            try:
                async with connection.transaction():
                    return await work(PostgresSession(connection))
            finally:
                self._forget_if_lost()

    async def _read(self, work: Work[T]) -> T:
        async with self._turn:
            connection = await self._open()
            try:
                return await work(PostgresSession(connection))
            finally:
                self._forget_if_lost()

    async def _open(self) -> Any:
        if self._connection is None:
            self._connection = await asyncpg.connect(
                self._url,
                timeout=_CONNECT_SECONDS,
                command_timeout=self._patience,
                server_settings={
                    "synchronous_commit": self._synchronous,
                    "application_name": "gateway ledger",
                },
            )
        return self._connection

    def _forget_if_lost(self) -> None:
        if self._connection is not None and self._connection.is_closed():
            self._connection = None


def _touched(status: str) -> int:
    """The count at the end of `INSERT 0 5`, `UPDATE 3`."""
    last = status.rpartition(" ")[2]
    return int(last) if last.isdecimal() else 0


def _columns(rows: Sequence[Row]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


@lru_cache(256)
def _sql(sql: str) -> str:
    """`?` to `$1`, `$2` ..."""
    parts = sql.replace("{members}", "= ANY(?::text[])").split("?")
    return "".join(f"{part}${number}" for number, part in enumerate(parts[:-1], 1)) + parts[-1]


@lru_cache(256)
def _insert(table: Table, conflict: str) -> str:
    arrays = ",".join(f"${number}::{kind}[]" for number, (_, kind) in enumerate(table.columns, 1))
    # No value is ever in the text: names come from tables.py.
    return f"INSERT INTO {table.name} ({','.join(table.names)}) SELECT * FROM unnest({arrays}) {conflict}"  # noqa: S608


@lru_cache(256)
def _update(table: str, columns: str) -> str:
    words = columns.split()
    names = [word.rstrip("#?") for word in words]
    arrays = ",".join(f"${number}::{_KINDS.get(word[-1], 'text')}[]" for number, word in enumerate(words, 1))
    values = ",".join(f"{name}=d.{name}" for name in names[1:])
    return (
        f"UPDATE {table} SET {values} FROM unnest({arrays}) AS d({','.join(names)}) "  # noqa: S608
        f"WHERE {table}.{names[0]}=d.{names[0]}"
    )
