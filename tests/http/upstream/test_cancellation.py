"""A request that nobody waits for any more leaves no connection, no task and no deadline behind."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from typing_extensions import override

from gateway_core.upstream import Upstream
from plugin_sdk.errors import UpstreamCut
from plugin_sdk.provider import Deadlines
from tests.http.upstream.peer import OK, Line, answering, fetch, post, serving

STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nevent\r\n"


@pytest.mark.parametrize(
    "body", [b"{}", b"x" * 30_000_000], ids=["waiting for the answer", "sending the request"]
)
async def test_cancelling_a_request_closes_its_connection(upstream: Upstream, body: bytes) -> None:
    begun, closed = asyncio.Event(), asyncio.Event()

    async def script(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        begun.set()
        await line.gone()
        closed.set()

    async with serving(script) as peer:
        task = asyncio.create_task(upstream.send(post(peer.url(), body), Deadlines()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await closed.wait()
        assert len(upstream._sweep or ()) == 0


@pytest.mark.parametrize("turns", range(12))
async def test_cancelling_while_connecting_leaves_no_socket(upstream: Upstream, turns: int) -> None:
    async with serving(answering(OK)) as peer:
        task = asyncio.create_task(upstream.send(post(peer.url()), Deadlines()))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await fetch(upstream, peer.url()) == b"ok"  # and a leaked socket would be a ResourceWarning


async def test_releasing_an_unfinished_answer_closes_its_connection(upstream: Upstream) -> None:
    closed = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.write(STREAM)
        await line.gone()
        closed.set()

    async with serving(script) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        response.release()
        response.release()
        await closed.wait()
        with pytest.raises(UpstreamCut, match="given up"):
            await response.next()


async def test_a_read_that_was_cancelled_can_be_taken_up_again(upstream: Upstream) -> None:
    go_on = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.write(STREAM)
        await go_on.wait()
        await line.write(b"5\r\nagain\r\n0\r\n\r\n")

    async with serving(script) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        assert await response.next() == b"event"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(response.next(), 0.01)
        go_on.set()
        assert await response.next() == b"again"
        assert await response.next() is None
        response.release()


async def test_a_reader_in_another_task_learns_of_a_release(upstream: Upstream) -> None:
    async with serving(answering(STREAM)) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        assert await response.next() == b"event"
        reading = asyncio.create_task(response.next())
        await asyncio.sleep(0)
        response.release()
        with pytest.raises(UpstreamCut, match="given up"):
            await reading


async def test_a_transports_answer_is_closed_when_it_is_given_up(upstream: Upstream) -> None:
    closed = asyncio.Event()

    class Body(httpx.AsyncByteStream):
        @override
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"event"
            await asyncio.Event().wait()

        @override
        async def aclose(self) -> None:
            closed.set()

    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Body()))
    response = await upstream.send(post("http://x/"), Deadlines(), transport=transport)
    assert await response.next() == b"event"
    response.release()
    await closed.wait()


async def test_cancelling_a_request_cancels_the_transport(upstream: Upstream) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    class Silent(httpx.AsyncBaseTransport):
        @override
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            raise AssertionError

    task = asyncio.create_task(upstream.send(post("http://x/"), Deadlines(), transport=Silent()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await ended.wait()
