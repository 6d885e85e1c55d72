"""Every test here runs on asyncio's loop and on uvloop's, and leaves no task behind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from gateway_core.upstream import Upstream


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    before = asyncio.all_tasks()
    client = Upstream()
    yield client
    await client.close()
    assert asyncio.all_tasks() - before - {asyncio.current_task()} == set()
