"""Migrations, the models, and the raw tables say the same."""

from pathlib import Path

import pytest
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.operations import AlterModelOptions

from gateway_core.db import tables
from gateway_core.db.connect import APP, MIGRATIONS, MODELS, database, is_empty, migrate, pending
from gateway_core.db.url import DatabaseUrlError, postgres_url, sqlite_path
from tests.core.ledger.books import rows, tamper

RAW = [value for value in vars(tables).values() if isinstance(value, tables.Table)]
WRITTEN_LATER = {"ledger_entries": {"id"}, "settlements": {"delivered_at"}}


async def test_an_empty_database_lacks_every_migration_and_gets_them(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    assert await is_empty(url)
    missing = await pending(url)
    assert missing
    assert await is_empty(url)
    assert await migrate(url) == missing
    assert await pending(url) == []
    assert not await is_empty(url)
    assert await migrate(url) == []


async def test_the_migrations_make_what_the_models_say(url: str) -> None:
    async with database(url) as context:
        assert context.apps is not None
        detector = MigrationAutodetector(context.apps, {APP: {"models": MODELS, "migrations": MIGRATIONS}})
        operations = [operation for writer in await detector.changes() for operation in writer.operations]
    # Options differ in what has no place in a table, and in constraints made by operations of their own.
    assert [operation for operation in operations if not isinstance(operation, AlterModelOptions)] == []


@pytest.mark.parametrize("table", RAW, ids=lambda table: table.name)
def test_raw_rows_have_the_columns_of_their_table(url: str, table: tables.Table) -> None:
    columns = {row[1] for row in rows(url, f"PRAGMA table_info({table.name})")}
    assert set(table.names) == columns - WRITTEN_LATER.get(table.name, set())


@pytest.mark.parametrize(
    "change", ["balance = -1", "leased = 1", "held = 1", "leased = -1", "leased = 3, held = 3, balance = 5"]
)
def test_the_database_itself_refuses_a_wallet_that_is_not_covered(url: str, change: str) -> None:
    tamper(url, "INSERT INTO wallets VALUES ('W', 'T', 'live', 'USD', 0, 0, 0, 0, '', 1)")
    with pytest.raises(Exception, match="wallets_covered"):
        tamper(url, f"UPDATE wallets SET {change}")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite://gateway.db", "gateway.db"),
        ("sqlite://data/gateway.db", "data/gateway.db"),
        ("sqlite:///var/gateway.db", "/var/gateway.db"),
        ("sqlite:////var/gateway.db", "/var/gateway.db"),
        ("sqlite://gateway.db?journal_mode=WAL", "gateway.db"),
    ],
)
def test_a_sqlite_url_names_a_file(url: str, path: str) -> None:
    assert sqlite_path(url) == Path(path)


@pytest.mark.parametrize("url", ["postgres://u@h/d", "postgresql://u@h/d", "asyncpg://u@h/d"])
def test_a_postgresql_url_may_be_written_in_three_ways(url: str) -> None:
    assert sqlite_path(url) is None
    assert postgres_url(url) == "postgresql://u@h/d"


@pytest.mark.parametrize("url", ["mysql://u@h/d", "gateway.db", "sqlite://", "sqlite://:memory:"])
def test_another_url_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(DatabaseUrlError, match=r"write sqlite://<file> or postgresql://"):
        sqlite_path(url)
