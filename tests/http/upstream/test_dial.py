"""Which address of a name is connected to."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from gateway_core.upstream.dial import dial


class Resolver:
    """The running loop, with a name service that knows these addresses."""

    def __init__(self, *addresses: tuple[Any, ...]) -> None:
        self._loop = asyncio.get_running_loop()
        self._addresses = addresses

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def getaddrinfo(self, *_: Any, **__: Any) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM, 0, "", address)
            for address in self._addresses
        ]


async def connected(*addresses: tuple[Any, ...]) -> tuple[Any, ...]:
    sock = await dial(Resolver(*addresses), "name.test", 0)  # type: ignore[arg-type]
    with sock:
        found: tuple[Any, ...] = sock.getpeername()
        return found


def listening(host: str = "127.0.0.1", backlog: int = 10) -> socket.socket:
    server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    server.bind((host, 0))
    server.listen(backlog)
    return server


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with listening() as sock:
        yield sock


@pytest.fixture
def refusing() -> Iterator[tuple[str, int]]:
    with socket.socket() as sock:  # bound, so that the port stays free, and not listening
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()


@pytest.fixture
def stalling() -> Iterator[tuple[str, int]]:
    with listening(backlog=0) as sock:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(sock.getsockname())
        yield sock.getsockname()
        for each in waiting:
            each.close()


async def test_the_only_address_is_taken(server: socket.socket) -> None:
    assert await connected(server.getsockname()) == server.getsockname()


async def test_a_refusing_address_gives_way_to_the_next(
    server: socket.socket, refusing: tuple[str, int]
) -> None:
    assert await connected(refusing, refusing, server.getsockname()) == server.getsockname()


async def test_an_address_that_leads_nowhere_does_not_hold_up_the_next(
    server: socket.socket, stalling: tuple[str, int]
) -> None:
    assert await connected(stalling, server.getsockname()) == server.getsockname()


async def test_the_families_take_turns(refusing: tuple[str, int]) -> None:
    with listening("::1") as server:
        address = server.getsockname()
        assert (await connected(refusing, refusing, address))[:2] == address[:2]


async def test_where_no_address_answers_the_first_error_is_told(refusing: tuple[str, int]) -> None:
    with pytest.raises(ConnectionRefusedError):
        await connected(refusing, refusing)


async def test_a_name_without_an_address_is_an_error() -> None:
    with pytest.raises(OSError, match="no address"):
        await connected()


async def test_cancelling_leaves_no_attempt_behind(stalling: tuple[str, int]) -> None:
    before = asyncio.all_tasks()
    task = asyncio.create_task(connected(stalling, stalling))
    await asyncio.sleep(0.3)  # past the stagger: both attempts are under way
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.gather(*(asyncio.all_tasks() - before), return_exceptions=True)
