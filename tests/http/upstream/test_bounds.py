"""Memory stays bounded: slow readers, long headers, endless trailers, large bodies."""

import asyncio

import pytest

from gateway_core.upstream import Upstream
from plugin_sdk.errors import UpstreamError
from plugin_sdk.provider import Deadlines
from tests.http.upstream.peer import Line, answering, chunks, fetch, post, serving

BOUND = (
    1 << 20
)  # our buffer of 256 KB, one read of the loop, and the sockets' own buffers, which the tests keep small


async def test_a_slow_reader_stops_the_upstream(upstream: Upstream) -> None:
    total = 64 << 20
    piece = b"x" * 65536
    written = 0
    stalled = asyncio.Event()

    async def script(line: Line) -> None:
        nonlocal written
        await line.request()
        line.writer.transport.set_write_buffer_limits(high=65536)
        await line.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        while written < total:
            line.writer.write(piece)
            written += len(piece)
            try:
                async with asyncio.timeout(0.3):
                    await asyncio.shield(drained := asyncio.ensure_future(line.writer.drain()))
            except TimeoutError:
                stalled.set()
                await drained

    async with serving(script, buffer=65536) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        await stalled.wait()
        assert response.buffered <= BOUND
        assert written < total // 2
        assert sum(len(chunk) for chunk in await chunks(response)) == total
        response.release()


async def test_a_connection_that_was_held_back_is_read_again_when_it_is_used_again(
    upstream: Upstream,
) -> None:
    size = 3_000_000
    async with serving(
        answering(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size)
    ) as peer:
        for _ in range(3):
            response = await upstream.send(post(peer.url()), Deadlines())
            while not response.paused:
                await asyncio.sleep(0)
            assert len(await response.read(size)) == size
            response.release()
        assert peer.connections == 1


@pytest.mark.parametrize("declared", [b"content-length: 5000000\r\n", b"", b"transfer-encoding: chunked\r\n"])
async def test_a_body_over_the_readers_limit_is_refused_before_it_is_all_in(
    upstream: Upstream, declared: bytes
) -> None:
    closed = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.write(b"HTTP/1.1 200 OK\r\n" + declared + b"\r\n")
        framed = b"10000\r\n" + b"x" * 65536 + b"\r\n" if b"chunked" in declared else b"x" * 65536
        try:
            for _ in range(76):
                await line.write(framed)
            await line.gone()
        finally:
            closed.set()

    async with serving(script) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        with pytest.raises(UpstreamError, match="over 100000 bytes") as error:
            await response.read(100_000)
        assert error.value.reason == "answer_too_large"
        await closed.wait()
        response.release()


async def test_a_body_of_exactly_the_limit_is_read(upstream: Upstream) -> None:
    async with serving(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", b"0123456789")) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        assert await response.read(10) == b"0123456789"
        response = await upstream.send(post(peer.url()), Deadlines())
        with pytest.raises(UpstreamError, match="over 9 bytes"):
            await response.read(9)
        response.release()


LONG = {
    "one long header": [b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\ncontent-length: 0\r\n\r\n"],
    "many headers": [b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 300 + b"content-length: 0\r\n\r\n"],
    "a header without end": [b"HTTP/1.1 200 OK\r\nx: ", *[b"y" * 5000] * 20],
    "a status line without end": [b"HTTP/1.1 200 ", *[b"y" * 5000] * 20],
    "interim answers without end": [b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 100] * 20,
    "trailers without end": [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
        *[b"x: y\r\n" * 900] * 20,
    ],
    "a chunk extension without end": [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;x=",
        *[b"y" * 5000] * 20,
    ],
}


@pytest.mark.parametrize("pieces", LONG.values(), ids=LONG)
async def test_headers_are_not_read_for_ever(upstream: Upstream, pieces: list[bytes]) -> None:
    async with serving(answering(*pieces)) as peer:
        with pytest.raises(UpstreamError, match="its header is too long") as error:
            await fetch(upstream, peer.url())
        assert error.value.reason == "malformed_answer"


async def test_a_header_below_the_limit_is_read(upstream: Upstream) -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 60_000 + b"\r\ncontent-length: 100000\r\n\r\n" + b"z" * 100_000
    )
    async with serving(answering(answer)) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        assert len(response.headers["x"]) == 60_000
        assert await response.read(100_000) == b"z" * 100_000
        response.release()


async def test_chunk_sizes_that_come_alone_are_no_header(upstream: Upstream) -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

    async def script(line: Line) -> None:
        await line.request()
        await line.write(head)
        for _ in range(40):
            await line.write(b"5;" + b"x" * 3000 + b"\r\n", b"event\r\n")
        await line.write(b"0\r\n\r\n")

    async with serving(script) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        assert b"".join(await chunks(response)) == b"event" * 40
        response.release()
