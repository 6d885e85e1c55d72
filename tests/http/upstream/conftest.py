"""Every test here runs on asyncio's loop and on uvloop's, and leaves no task behind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from gateway_core.upstream import Upstream


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        # uvloop swallows what pytest-timeout raises in a signal handler: a test that hangs ends it all
        if here in item.path.parents and "uvloop" in item.name:
            item.add_marker(pytest.mark.timeout(120, method="thread"))


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    before = asyncio.all_tasks()
    client = Upstream()
    yield client
    await client.close()
    assert asyncio.all_tasks() - before - {asyncio.current_task()} == set()
