"""kill -9 of one process of several, on both databases: what was said is charged, and the others go on."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway_core.ledger import verify
from tests.core.ledger.books import TEAM, USD, fund, opened
from tests.core.ledger.databases import fetch, postgres
from tests.core.ledger.load import CHARGE

ROOT = Path(__file__).parents[3]


@pytest.fixture(params=["sqlite", "postgres"])
async def shared_url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield request.getfixturevalue("url")
        return
    async with postgres() as url:
        yield url


async def start(url: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.core.ledger.load", url,
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def seen(process: asyncio.subprocess.Process, count: int) -> list[str]:
    """The next ids that the process says are committed."""
    assert process.stdout is not None
    return [(await process.stdout.readline()).decode().strip() for _ in range(count)]


async def rest(process: asyncio.subprocess.Process) -> list[str]:
    """What it said until it ended; a line cut by its death is none."""
    assert process.stdout is not None
    left = (await process.stdout.read()).decode()
    await process.wait()
    return left[: left.rfind("\n") + 1].split()


async def charged(url: str) -> dict[str, int]:
    rows = await fetch(url, "SELECT generation_id, charge FROM settlements WHERE outcome = 'charged'")
    return dict(rows)


async def test_siblings_of_a_killed_process_go_on_and_keep_what_they_hold(shared_url: str) -> None:
    await fund(shared_url, 10 * USD)
    processes = [await start(shared_url) for _ in range(3)]
    logged = [generation for process in processes for generation in await seen(process, 60)]
    processes[0].send_signal(signal.SIGKILL)
    logged += await rest(processes[0])
    ledger = await opened(shared_url)
    for process in processes[1:]:
        logged += await seen(process, 60)
    live = await fetch(shared_url, "SELECT COUNT(DISTINCT instance_id) FROM leases WHERE wallet_id = ?", TEAM)
    assert live == [(2,)]
    for process in processes[1:]:
        assert process.stdin is not None
        process.stdin.close()
        logged += await rest(process)
        assert process.returncode == 0
    found = await charged(shared_url)
    assert set(logged) <= set(found)
    await ledger.close()
    assert (await fetch(shared_url, "SELECT balance, leased, held FROM wallets"))[0] == (
        10 * USD - CHARGE * len(found), 0, 0,
    )  # fmt: skip
    assert await verify(shared_url) == []
