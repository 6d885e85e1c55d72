"""A database of either kind, for the tests that must hold on both."""

import asyncio
import atexit
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from gateway_core.db.connect import migrate
from gateway_core.db.session import Session
from gateway_core.db.url import open_store

_templates: list[str] = []  # the migrated database of this process: a copy takes a tenth of the time
SERVER = os.environ.get("TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432")


@asynccontextmanager
async def postgres() -> AsyncIterator[str]:
    """A migrated database on the local server, dropped at the end; skips where there is no server."""
    try:
        server = await asyncpg.connect(f"{SERVER}/postgres", timeout=2)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        pytest.skip(f"no PostgreSQL at {SERVER}: {error}")
    name = f"gw_test_{uuid4().hex[:12]}"
    try:
        await server.execute(f"CREATE DATABASE {name} TEMPLATE {await _template(server)}")
        yield f"{SERVER}/{name}"
    finally:
        await server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await server.close()


def sqlite(folder: Path) -> str:
    """A migrated database in this folder."""
    path = folder / "gateway.db"
    path.write_bytes(_migrated())
    return f"sqlite:///{path}"


@cache
def _migrated() -> bytes:
    """An empty database, made once in a process."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as threads:
        path = Path(folder) / "empty.db"  # in a thread: a test's own loop may be running
        threads.submit(asyncio.run, migrate(f"sqlite:///{path}")).result()
        return path.read_bytes()


async def _template(server: asyncpg.Connection) -> str:
    if not _templates:
        name = f"gw_template_{uuid4().hex[:12]}"
        await server.execute(f"CREATE DATABASE {name}")
        atexit.register(lambda: asyncio.run(_drop(name)))
        await migrate(f"{SERVER}/{name}")
        _templates.append(name)
    return _templates[0]


async def _drop(name: str) -> None:
    with contextlib.suppress(OSError, asyncpg.PostgresError):
        server = await asyncpg.connect(f"{SERVER}/postgres", timeout=2)
        await server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await server.close()


async def fetch(url: str, sql: str, *values: object) -> Sequence[Any]:
    """Rows of either kind of database, as tuples."""
    store = open_store(url, "full")

    async def work(session: Session) -> Sequence[Any]:
        return [tuple(row) for row in await session.fetch(sql, *values)]

    try:
        return await store.read(work)
    finally:
        await store.close()
