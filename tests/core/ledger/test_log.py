"""SQLite's log: it is moved into the file beside the writing, and begins anew."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from gateway_core.db.session import Session
from gateway_core.db.sqlite import SqliteStore


def teams(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT name FROM teams ORDER BY name")]


async def test_tidying_moves_what_is_committed_into_the_file_while_the_store_is_open(
    url: str, tmp_path: Path
) -> None:
    path = Path(url.removeprefix("sqlite:///"))
    store = SqliteStore(path, "full")

    async def add(session: Session, name: str) -> None:
        await session.execute("INSERT INTO teams (id, name, created_at) VALUES (?, ?, 0)", name, name)

    try:
        await store.write(lambda session: add(session, "first"))
        alone = tmp_path / "file-without-log.db"
        shutil.copy(path, alone)
        assert teams(alone) == []
        await store.tidy()
        shutil.copy(path, alone)
        assert teams(alone) == ["first"]
        size = path.with_name(path.name + "-wal").stat().st_size
        await store.write(lambda session: add(session, "other"))
        assert path.with_name(path.name + "-wal").stat().st_size == size  # it began anew, over the old pages
    finally:
        await store.close()
    assert teams(path) == ["first", "other"]
