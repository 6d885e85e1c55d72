"""A migrated SQLite database for each test, copied from one that was migrated once."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway_core.db.connect import migrate
from tests.core.ledger.databases import postgres


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "empty.db"
    with ThreadPoolExecutor() as threads:  # a test's own loop may be running
        threads.submit(asyncio.run, migrate(f"sqlite:///{path}")).result()
    return path


@pytest.fixture
def url(migrated: Path, tmp_path: Path) -> str:
    path = tmp_path / "gateway.db"
    shutil.copy(migrated, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgres"])
async def both(request: pytest.FixtureRequest, url: str) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield url
        return
    async with postgres() as found:
        yield found
