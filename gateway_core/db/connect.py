"""Tortoise bound to a database, for every query off the hot path; its migrations, applied and pending."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from tortoise.connection import get_connection
from tortoise.context import TortoiseContext
from tortoise.migrations.executor import MigrationExecutor

from gateway_core.db.url import sqlite_path

APP: Final = "core"
MODELS: Final = [f"gateway_core.db.{name}" for name in ("models", "provider_key_models", "payment_models")]
MIGRATIONS: Final = "gateway_core.db.migrations"


def config(url: str) -> dict[str, Any]:
    """Tortoise's configuration for this database."""
    path = sqlite_path(url)
    connection: str | dict[str, Any] = "asyncpg://" + url.partition("://")[2]
    if path is not None:
        connection = {
            "engine": "tortoise.backends.sqlite",
            "credentials": {
                "file_path": str(path),
                "journal_mode": "WAL",
                "busy_timeout": 10_000,
                "synchronous": "FULL",
                "journal_size_limit": 67_108_864,
            },
        }
    return {
        "connections": {"default": connection},
        "apps": {APP: {"models": MODELS, "migrations": MIGRATIONS, "default_connection": "default"}},
    }


@asynccontextmanager
async def database(url: str) -> AsyncIterator[TortoiseContext]:
    """Tortoise's models bound to this database, in the task that runs this block."""
    async with TortoiseContext() as context:
        await context.init(config=config(url))
        yield context


async def connect(url: str) -> TortoiseContext:
    """Tortoise's models bound to this database in every task of the process, until `close_connections()`.

    One at a time: requests run in tasks that know nothing of the one that opened the database.
    """
    with TortoiseContext() as context:  # left at once: what stays is the process-wide fallback
        await context.init(config=config(url), _enable_global_fallback=True)
    return context


async def pending(url: str) -> Sequence[str]:
    """The names of the migrations that this database lacks; all of them where it is empty."""
    async with database(url):
        # Tortoise takes a database that does not answer for an empty one.
        await get_connection("default").execute_query("SELECT 1")
        return [step.migration.name for step in await _executor().plan()]


async def is_empty(url: str) -> bool:
    """Whether no migration was ever applied here."""
    path = sqlite_path(url)
    if path is not None and not path.exists():
        return True
    async with database(url):
        return not await _executor().recorder.applied_migrations()


async def migrate(url: str) -> Sequence[str]:
    """Apply what is pending; the names of what was applied."""
    async with database(url):
        steps = [step.migration.name for step in await _executor().plan()]
        if steps:
            await _executor().migrate()
        return steps


def _executor() -> MigrationExecutor:
    return MigrationExecutor(get_connection("default"), {APP: {"models": MODELS, "migrations": MIGRATIONS}})
