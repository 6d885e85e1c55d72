"""A migrated database for each test, copied from one that was migrated once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.core.ledger.databases import postgres, sqlite


@pytest.fixture
def url(tmp_path: Path) -> str:
    return sqlite(tmp_path)


@pytest.fixture(params=["sqlite", "postgres"])
async def both(request: pytest.FixtureRequest, url: str) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield url
        return
    async with postgres() as found:
        yield found
