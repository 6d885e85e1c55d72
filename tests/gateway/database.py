"""Databases for gateways under test: one seeded by the command line, and cheap copies of it."""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import yaml

T = TypeVar("T")
POSTGRES = os.environ.get("GATEWAY_TEST_POSTGRES", "postgres://postgres@127.0.0.1:5432")
TOP_UP_USD = 1_000_000
PEPPER = "a pepper for tests"

# One process runs all the commands: each would pay for a start of its own.
_SEED = """
import contextlib, io, json, sys
from gateway_core.cli import main
said = []
for arguments in json.loads(sys.argv[1]):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main(arguments, standalone_mode=False)
    said.append(out.getvalue())
print(json.dumps(said))
"""


class Database:
    """One database: its URL for the gateway, the keys in it, and what it holds."""

    def __init__(self, url: str, keys: Mapping[str, str]) -> None:
        self.url = url
        self.keys = keys

    @property
    def sqlite(self) -> Path | None:
        """The file, where it is one."""
        return Path(self.url.removeprefix("sqlite://")) if self.url.startswith("sqlite") else None

    async def rows(self, *queries: str) -> list[list[dict[str, Any]]]:
        """The rows of each query, read past the gateway, all at one moment."""
        if self.sqlite is not None:
            return await asyncio.to_thread(_sqlite_rows, self.sqlite, queries)
        connection = await asyncpg.connect(self.url)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return [[dict(row) for row in await connection.fetch(query)] for query in queries]
        finally:
            await connection.close()


class Template:
    """A seeded database, made once; `copy` gives another like it."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._kind = kind
        self._folder = folder
        self._made: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._name = f"gateway_test_{secrets.token_hex(5)}"
        url = f"sqlite://{folder / 'seed.db'}" if kind == "sqlite" else self._create(self._name, None)
        try:
            self._seeded = Database(url, _seed(folder, url))
        except BaseException:
            self.drop()
            raise

    def copy(self, folder: Path) -> Database:
        """A database of its own for one gateway."""
        keys = self._seeded.keys
        if self._seeded.sqlite is not None:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(self._seeded.sqlite, folder / "gateway.db")
            return Database(f"sqlite://{folder / 'gateway.db'}", keys)
        return Database(self._create(f"gateway_test_{secrets.token_hex(5)}", self._name), keys)

    def drop(self) -> None:
        """Drop every PostgreSQL database that was made here."""
        for name in reversed(self._made):
            with contextlib.suppress(asyncpg.PostgresError, OSError):
                blocking(_execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))

    def _create(self, name: str, template: str | None) -> str:
        suffix = f' TEMPLATE "{template}"' if template else ""
        blocking(_execute(f'CREATE DATABASE "{name}"{suffix}'))
        self._made.append(name)
        return f"{POSTGRES}/{name}"


def postgres_answers() -> bool:
    """Whether a PostgreSQL is there to be used."""
    host, _, port = POSTGRES.rpartition("/")[2].rpartition("@")[2].partition(":")
    try:
        socket.create_connection((host, int(port or 5432)), timeout=2).close()
        blocking(_execute("SELECT 1"))
    except (OSError, asyncpg.PostgresError):
        return False
    return True


def blocking(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, run on a thread with a loop of its own."""
    found: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(asyncio.run(work))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


def environment(**more: str) -> dict[str, str]:
    """The environment of a process that we start: nothing of the tester's own but where programs are."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    return {**kept, "KEY_PEPPER": PEPPER, "PYTHONUNBUFFERED": "1", **more}


async def _execute(statement: str) -> None:
    connection = await asyncpg.connect(f"{POSTGRES}/postgres", timeout=5)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _sqlite_rows(path: Path, queries: Sequence[str]) -> list[list[dict[str, Any]]]:
    with contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN")
        return [[dict(row) for row in connection.execute(query)] for query in queries]


def _seed(folder: Path, url: str) -> dict[str, str]:
    """Teams `rich` and `poor` with a key each, and a test key of the rich one."""
    config = folder / "seed.yaml"
    config.write_text(yaml.safe_dump({"include": "standard", "gateway": {"database": url}}))
    commands = [
        ["migrate"],
        ["teams", "create", "rich", "--json"],
        ["wallet", "top-up", "--team", "rich", "--usd", str(TOP_UP_USD), "--json"],
        ["keys", "create", "--team", "rich", "--json"],
        ["keys", "create", "--team", "rich", "--test", "--json"],
        ["teams", "create", "poor", "--json"],
        ["keys", "create", "--team", "poor", "--json"],
    ]
    arguments = json.dumps([["--config", str(config), *one] for one in commands])
    done = subprocess.run(
        [sys.executable, "-c", _SEED, arguments],
        capture_output=True, cwd=folder, env=environment(), timeout=120, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"seeding failed: {(done.stdout + done.stderr).decode(errors='replace')}")
    said = json.loads(done.stdout.splitlines()[-1])
    keys = [json.loads(said[at])["key"] for at in (3, 4, 6)]
    return dict(zip(("key", "test_key", "poor_key"), keys, strict=True))
