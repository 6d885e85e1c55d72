"""A gateway that is told to stop finishes what it has begun; one whose supervisor is killed does so too."""

import asyncio
import contextlib
import os
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.gateway import load
from tests.gateway.books import books
from tests.gateway.conftest import Start
from tests.gateway.upstream import Upstream
from tests.gateway.waiting import until

STREAMS = 12


@pytest.mark.parametrize(
    ("how", "workers"),
    [("SIGTERM", 1), ("SIGTERM", 2), ("SIGINT", 1), ("SIGINT", 2), ("the supervisor is killed", 2)],
)
async def test_streams_that_have_begun_are_finished_and_settled(
    start: Start, upstream: Upstream, how: str, workers: int
) -> None:
    gateway = start(load.plugins(upstream), workers=workers)
    children = gateway.workers()
    script = load.play(upstream, f"stop-{how}-{workers}", events=30, pace=0.02)
    async with gateway.client() as client:
        asked = [
            asyncio.create_task(load.ask(client, script, f"{how}-{workers}-{number}"))
            for number in range(STREAMS)
        ]

        async def begun() -> bool:
            return len(upstream.calls(f"stop-{how}-{workers}")) == STREAMS

        await until(begun, "every stream has begun")
        number = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}.get(how, signal.SIGKILL)
        gateway.process.send_signal(number)
        outcomes = await asyncio.gather(*asked)
    assert all(one.complete for one in outcomes)
    status = await asyncio.to_thread(gateway.process.wait, 30)
    assert status == (-signal.SIGKILL if number == signal.SIGKILL else 0)

    async def gone() -> bool:
        return not any(_alive(pid) for pid in children)

    await until(gone, "the workers have ended")
    found = await books(gateway.database)
    assert found.charged == {one.generation_id for one in outcomes}
    assert list(found.problems()) == []
    assert (found.leases, found.holds) == ([], [])
    assert all(row["ended_at"] is not None for row in found.instances.values())


def _alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    return False


async def test_a_worker_that_dies_is_replaced(start: Start, upstream: Upstream) -> None:
    gateway = start(load.plugins(upstream), workers=2)
    first = gateway.workers()
    for pid in first:
        os.kill(pid, signal.SIGKILL)

    async def replaced() -> bool:
        now = gateway.workers()
        return len(now) == 2 and not set(now) & set(first)

    await until(replaced, "both workers are replaced")
    gateway.wait_ready()
    script = load.play(upstream, "replaced", events=1, pace=0)
    async with gateway.client() as client:
        assert (await client.chat(load.body(script, "replaced", stream=False))).status == 200


async def test_a_second_gateway_on_a_taken_port_says_so_and_ends(start: Start, upstream: Upstream) -> None:
    gateway = start(load.plugins(upstream))
    done = await asyncio.create_subprocess_exec(
        *gateway.program, "--config", str(gateway.config), *gateway.arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=gateway.folder,
        env={**os.environ, "KEY_PEPPER": "x"},
    )  # fmt: skip
    said, _ = await asyncio.wait_for(done.communicate(), 30)
    assert done.returncode not in (0, None)
    assert str(gateway.port) in said.decode()
    assert "Traceback" not in said.decode()
    await asyncio.to_thread(urllib.request.urlopen(f"{gateway.base_url}/health").close)
