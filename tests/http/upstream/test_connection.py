"""What a connection does with events in an order that loopback sockets do not produce."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from typing_extensions import override

from gateway_core.upstream.connection import Connection
from gateway_core.upstream.limits import BUFFER, Limits
from gateway_core.upstream.pool import Pool
from gateway_core.upstream.response import UpstreamResponse
from gateway_core.upstream.sweep import Sweep
from gateway_core.upstream.target import Origin
from gateway_core.upstream.tls import TLS
from plugin_sdk.errors import UpstreamCut
from plugin_sdk.provider import Deadlines


class Wire(asyncio.Transport):
    """A transport that notes what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    @override
    def pause_reading(self) -> None:
        self.told.append("pause")

    @override
    def resume_reading(self) -> None:
        self.told.append("resume")

    @override
    def abort(self) -> None:
        self.told.append("abort")

    @override
    def is_closing(self) -> bool:
        return "abort" in self.told

    @override
    def get_write_buffer_size(self) -> int:
        return 0


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    loop = asyncio.get_running_loop()
    origin = Origin("k", "http", "x", 80, verify=True)
    pool = Pool(origin, loop, Limits(), lambda: TLS({}).context(verify=True))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        found = Connection(loop, pool, ours)
        found.connection_made(Wire())
        yield found


def ask(connection: Connection) -> UpstreamResponse:
    sweep = Sweep(connection.loop)
    response = UpstreamResponse(connection.loop, sweep, 1e9, head_only=False)
    connection.begin(response, Deadlines())
    return response


async def test_bytes_that_were_under_way_when_reading_was_paused_do_not_leave_it_paused(
    connection: Connection,
) -> None:
    response = ask(connection)
    connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (BUFFER + 2))
    connection.data_received(b"x" * (BUFFER + 1))
    connection.data_received(b"x")
    assert connection.transport.told == ["pause", "resume"]  # type: ignore[attr-defined]
    response.opened()
    assert len(await response.read(BUFFER + 2)) == BUFFER + 2
    assert connection.pool.take() is connection


async def test_a_connection_whose_end_was_read_is_not_given_out(connection: Connection) -> None:
    response = ask(connection)
    connection.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert response.status == 204
    connection.eof_received()
    assert connection.pool.take() is None


async def test_a_connection_that_ended_with_its_answer_is_not_kept(connection: Connection) -> None:
    response = ask(connection)
    connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel")
    connection.eof_received()
    connection.data_received(b"lo")
    response.opened()
    assert await response.read(5) == b"hello"
    assert connection.pool.idle == 0


async def test_a_connection_lost_twice_over_says_it_once(connection: Connection) -> None:
    response = ask(connection)
    response.fail(UpstreamCut("first"))
    connection.connection_lost(ConnectionResetError("second"))
    with pytest.raises(UpstreamCut, match="first"):
        await response.head()
