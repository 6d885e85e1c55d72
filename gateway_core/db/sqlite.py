"""SQLite, raw: one connection in a thread of its own.

Every call into SQLite gives up the interpreter's lock and must win it back from a busy event loop, so that a
batch is few statements of many rows rather than many of one.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from typing_extensions import override

from gateway_core.db.forms import Write
from gateway_core.db.session import Durability, Row, Session, Store, Work
from gateway_core.db.sqlite_forms import statements
from gateway_core.db.tables import Table

T = TypeVar("T")
_MEMBERS: Final = "IN (SELECT value FROM json_each(?))"
LOCK_WAIT: Final = 2.0  # seconds for the file's write lock, before the error goes to whoever may retry
_CHUNK: Final = (
    64  # rows a statement; smaller chunks are powers of two, so that few statements are ever prepared
)
_LOG_PAGES: Final = 16_000  # 64 MB: a log so long is moved by whoever commits, if `tidy` could not before
_LOCK_POLL: Final = 0.0005  # SQLite's own busy handler sleeps up to 100 ms, and three workers take turns
_Job = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class SqliteSession(Session):
    """The session over a connection; its coroutines never wait."""

    locking = ""
    snapshot = "BEGIN"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._savepoints = 0

    @override
    async def fetch(self, sql: str, *values: object) -> Sequence[Row]:
        return self._connection.execute(*_statement(sql, values)).fetchall()

    @override
    async def execute(self, sql: str, *values: object) -> int:
        return self._connection.execute(*_statement(sql, values)).rowcount

    @override
    async def insert(self, table: Table, rows: Sequence[Row], conflict: str = "") -> int:
        written = 0
        for chunk in _chunks(rows):
            sql = _insert(table, len(chunk), conflict)
            written += self._connection.execute(sql, [value for row in chunk for value in row]).rowcount
        return written

    @override
    async def update(self, table: str, columns: str, rows: Sequence[Row]) -> int:
        touched = 0
        for chunk in _chunks(rows):
            sql = _update(table, columns, len(chunk))
            touched += self._connection.execute(sql, [value for row in chunk for value in row]).rowcount
        return touched

    @override
    async def apply(self, writes: Sequence[Write]) -> Sequence[int]:
        execute = self._connection.execute
        return [sum([execute(sql, values).rowcount for sql, values in statements(write)]) for write in writes]

    @override
    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        self._savepoints += 1
        name = f"s{self._savepoints}"
        self._connection.execute(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            self._connection.execute(f"ROLLBACK TO {name}")
            raise
        finally:
            self._connection.execute(f"RELEASE {name}")

    @override
    async def now(self, ours: int) -> int:
        return ours


class SqliteStore(Store):
    """The thread and its connection."""

    def __init__(self, path: Path, durability: Durability) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._path = path
        self._synchronous = "FULL" if durability == "full" else "NORMAL"
        self._thread = threading.Thread(target=self._serve, name="ledger", daemon=True)
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._thread.start()

    @override
    async def write(self, work: Work[T]) -> T:
        return await self._ask(lambda: self._transact(work))

    @override
    async def read(self, work: Work[T]) -> T:
        return await self._ask(lambda: _run(work(SqliteSession(self._open()))))

    @override
    async def tidy(self) -> None:
        """Move committed pages from the log into the file, which no writer waits for."""
        await asyncio.to_thread(self._checkpoint)

    @override
    def transient(self, error: Exception) -> bool:
        return isinstance(error, sqlite3.OperationalError)

    @override
    async def close(self) -> None:
        if self._closed:
            return
        await self._ask(self._let_go)
        self._closed = True
        self._jobs.put(None)
        self._thread.join()

    def _ask(self, job: Callable[[], T]) -> "asyncio.Future[T]":
        if self._closed:
            raise sqlite3.ProgrammingError("the store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put((job, loop, future))
        return future

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, loop, future = job
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001  # it belongs to whoever asked
                loop.call_soon_threadsafe(_fail, future, error)
            else:
                loop.call_soon_threadsafe(_finish, future, result)
            del job, work, future

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(
                self._path, isolation_level=None, cached_statements=256, timeout=LOCK_WAIT
            )
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA synchronous={self._synchronous}")
            connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
            connection.execute("PRAGMA journal_size_limit=67108864")
            connection.execute("PRAGMA cache_size=-16000")
            connection.execute(
                "PRAGMA temp_store=MEMORY"
            )  # else every batch opens a file for its statements' undo
            connection.execute("PRAGMA busy_timeout=0")  # _begin waits itself
            self._connection = connection
        return self._connection

    def _checkpoint(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=0)
        try:
            connection.execute(f"PRAGMA synchronous={self._synchronous}")
            # The second moves what was committed during the first: then the log begins anew.
            for _ in range(2):
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            connection.close()

    def _transact(self, work: Work[T]) -> T:
        connection = self._open()
        _begin(connection)
        try:
            result = _run(work(SqliteSession(connection)))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _begin(connection: sqlite3.Connection) -> None:
    """Take the file's write lock, asking often: its holder is done within a millisecond."""
    until = time.monotonic() + LOCK_WAIT
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            if time.monotonic() >= until:
                raise
            time.sleep(_LOCK_POLL)
        else:
            return


def _run(work: Awaitable[T]) -> T:
    """The result of a coroutine that never waits."""
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as end:
        result: T = end.value
        return result
    raise RuntimeError("a transaction on SQLite must not wait for anything but its session")


def _fail(future: "asyncio.Future[Any]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _finish(future: "asyncio.Future[Any]", result: object) -> None:
    if not future.done():
        future.set_result(result)


def _chunks(rows: Sequence[Row]) -> list[Sequence[Row]]:
    chunks = []
    at, left = 0, len(rows)
    while left:
        size = min(_CHUNK, 1 << left.bit_length() - 1)
        chunks.append(rows[at : at + size])
        at += size
        left -= size
    return chunks


def _statement(sql: str, values: tuple[object, ...]) -> tuple[str, Sequence[Any]]:
    """The statement with its list, if any, as JSON (ids need no escaping), or as `=` for a single one."""
    if "{members}" not in sql:
        return sql, values
    members = values[-1]
    if not isinstance(members, list):
        raise TypeError("the list of {members} comes last")
    if len(members) == 1:
        return sql.replace("{members}", "= ?"), (*values[:-1], members[0])
    return sql.replace("{members}", _MEMBERS), (
        *values[:-1],
        '["' + '","'.join(members) + '"]' if members else "[]",
    )


@lru_cache(256)
def _insert(table: Table, count: int, conflict: str) -> str:
    row = "(" + ",".join("?" * len(table.columns)) + ")"
    # No value is ever in the text: names come from tables.py.
    return f"INSERT INTO {table.name} ({','.join(table.names)}) VALUES {','.join([row] * count)} {conflict}"  # noqa: S608


@lru_cache(256)
def _update(table: str, columns: str, count: int) -> str:
    key, *rest = [word.rstrip("#?") for word in columns.split()]
    row = "(" + ",".join("?" * (len(rest) + 1)) + ")"
    values = ",".join(f"{name}=d.{name}" for name in rest)
    return (
        f"WITH d({','.join((key, *rest))}) AS (VALUES {','.join([row] * count)}) "  # noqa: S608
        f"UPDATE {table} SET {values} FROM d WHERE {table}.{key}=d.{key}"
    )
