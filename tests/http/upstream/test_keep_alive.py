"""Connections that are kept: which, how many, how long, and what happens where the peer had closed one."""

import asyncio
import select
import socket

import pytest

from gateway_core.upstream import Limits, Upstream
from plugin_sdk.errors import UpstreamCut, UpstreamError, UpstreamTimeout
from plugin_sdk.protocol import UpstreamRequest
from plugin_sdk.provider import Deadlines
from tests.http.upstream.peer import OK, Line, answering, ask, chunks, fetch, post, serving


async def test_requests_one_after_the_other_share_a_connection(upstream: Upstream) -> None:
    async with serving(answering(OK)) as peer:
        for _ in range(5):
            assert await fetch(upstream, peer.url()) == b"ok"
        assert peer.connections == 1


async def test_an_answer_goes_to_the_pool_before_it_is_read(upstream: Upstream) -> None:
    async with serving(answering(OK)) as peer:
        first = await upstream.send(post(peer.url()), Deadlines())
        second = await upstream.send(post(peer.url()), Deadlines())
        assert (await first.read(2), await second.read(2)) == (b"ok", b"ok")
        assert peer.connections == 1
        first.release()
        first.release()
        second.release()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nother",  # nobody asked for the second one
        OK + b"junk",
    ],
    ids=["close", "1.0", "two answers", "junk behind"],
)
async def test_a_connection_that_cannot_be_trusted_again_is_not_kept(
    upstream: Upstream, answer: bytes
) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.write(answer)
        await line.gone()

    async with serving(script) as peer:
        for _ in range(3):
            assert await fetch(upstream, peer.url()) == b"ok"
        assert peer.connections == 3


@pytest.mark.parametrize(
    ("told", "connections"),
    [
        (b"timeout=1", 3),  # its end may be on its way as soon as it is idle
        (b"max=100, timeout = 0", 3),
        (b'timeout="1"', 3),
        (b"timeout=60, max=1000", 1),
        (b"max=5", 1),
        (b"timeout=soon", 1),
        (b"connection-timeout=1", 1),
        (b"timeout=" + b"9" * 400, 1),
    ],
)
async def test_a_connection_is_used_only_as_long_as_the_peer_says_that_it_keeps_it(
    upstream: Upstream, told: bytes, connections: int
) -> None:
    answer = b"HTTP/1.1 200 OK\r\nkeep-alive: " + told + b"\r\ncontent-length: 2\r\n\r\nok"
    async with serving(answering(answer)) as peer:
        for _ in range(3):
            assert await fetch(upstream, peer.url()) == b"ok"
        assert peer.connections == connections


async def test_a_connection_that_may_not_be_used_again_is_closed_before_a_fresh_one_takes_its_place() -> None:
    closed: list[int] = []

    async def script(line: Line) -> None:
        await line.request()
        await line.write(b"HTTP/1.1 200 OK\r\nkeep-alive: timeout=0\r\ncontent-length: 2\r\n\r\nok")
        await line.gone()
        closed.append(line.number)

    async with serving(script) as peer:
        upstream = Upstream(limits=Limits(connections=1))
        try:
            assert await asyncio.gather(*(fetch(upstream, peer.url()) for _ in range(3))) == [b"ok"] * 3
            async with asyncio.timeout(10):
                while len(closed) < 2:
                    await asyncio.sleep(0.01)
        finally:
            await upstream.close()


async def test_bytes_on_an_idle_connection_are_nobodys_answer(upstream: Upstream) -> None:
    answered, closed = asyncio.Event(), asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.write(OK)
        if line.number == 1:
            await answered.wait()
            await line.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nother")
            await line.gone()
            closed.set()
        await line.gone()

    async with serving(script) as peer:
        assert await fetch(upstream, peer.url()) == b"ok"
        answered.set()
        async with asyncio.timeout(10):  # well before an idle connection would be closed anyway
            await closed.wait()
        assert await fetch(upstream, peer.url()) == b"ok"
        assert peer.connections == 2


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_a_request_is_never_sent_twice_whatever_the_peer_made_of_it(
    upstream: Upstream, method: str, *, reset: bool
) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.write(OK)
        await line.request()  # takes the second request, perhaps works on it, and leaves without a byte
        if reset:
            line.reset()

    async with serving(script) as peer:
        asked = UpstreamRequest(method=method, url=peer.url())
        assert await ask(upstream, asked) == b"ok"
        with pytest.raises(UpstreamCut, match="before it answered") as cut:
            await ask(upstream, asked)
        assert cut.value.retryable  # at another endpoint, if there is one
        assert (peer.connections, len(peer.requests)) == (1, 2)


async def test_a_kept_connection_that_the_peer_closed_before_is_not_used(upstream: Upstream) -> None:
    closing: asyncio.Queue[Line] = asyncio.Queue()

    async def script(line: Line) -> None:
        await line.request()
        await line.write(OK)
        closing.put_nowait(line)

    async with serving(script) as peer:
        for number in range(1, 4):
            assert await fetch(upstream, peer.url()) == b"ok"
            await (await closing.get()).writer.wait_closed()
            assert peer.connections == number
        assert len(peer.requests) == 3


@pytest.mark.parametrize("sent", [b"", OK], ids=["end", "bytes"])
async def test_what_an_idle_peer_did_is_seen_although_the_loop_has_not_read_it_yet(
    upstream: Upstream, sent: bytes
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> socket.socket:
            peer, _ = server.accept()
            peer.recv(1000)
            peer.sendall(OK)
            return peer

        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        for _ in range(3):
            serving = asyncio.get_running_loop().run_in_executor(None, serve)
            assert await fetch(upstream, url) == b"ok"
            peer = await serving
            if sent:
                peer.sendall(sent)
            else:
                peer.close()
            arrived(upstream)
            # no await before the next request is written: only a look at the socket can tell
            peer.close()


def arrived(upstream: Upstream) -> None:
    """Until the one idle connection has something to be read."""
    assert upstream._wire is not None
    (kept,) = upstream._wire._pools.values()
    (idle,) = kept._idle
    number = idle.transport.get_extra_info("socket").fileno()
    assert select.select([number], [], [], 10)[0]


async def test_the_connection_used_last_is_used_first(upstream: Upstream) -> None:
    lines: list[int] = []
    both = asyncio.Barrier(2)

    async def script(line: Line) -> None:
        while True:
            await line.request()
            lines.append(line.number)
            if len(lines) <= 2:
                await both.wait()
            await line.write(OK)

    async with serving(script) as peer:
        await asyncio.gather(fetch(upstream, peer.url()), fetch(upstream, peer.url()))
        for _ in range(4):
            await fetch(upstream, peer.url())
        assert peer.connections == 2
        assert len(set(lines[2:])) == 1


async def test_an_origin_has_a_bounded_number_of_connections_and_the_rest_wait_their_turn() -> None:
    async with serving(answering(OK)) as peer:
        upstream = Upstream(limits=Limits(connections=3))
        bodies = await asyncio.gather(*(fetch(upstream, peer.url()) for _ in range(20)))
        assert bodies == [b"ok"] * 20
        assert peer.connections == 3
        await upstream.close()


async def test_a_request_that_waits_for_a_connection_is_held_to_its_connect_deadline() -> None:
    async with serving(answering(OK[:-1])) as peer:  # never complete: the only connection stays taken
        upstream = Upstream(limits=Limits(connections=1))
        first = await upstream.send(post(peer.url()), Deadlines())
        with pytest.raises(UpstreamTimeout) as late:
            await upstream.send(post(peer.url()), Deadlines(connect=0.05))
        assert late.value.reason == "connect_timeout"
        first.release()
        second = await upstream.send(
            post(peer.url()), Deadlines(connect=5)
        )  # a dropped connection makes room
        second.release()
        assert peer.connections == 2
        await upstream.close()


async def test_a_waiter_that_is_cancelled_as_it_is_served_passes_the_connection_on() -> None:
    head_is_read = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.write(OK[:-2])
        await head_is_read.wait()
        await line.write(OK[-2:])
        await answering(OK)(line)

    async with serving(script) as peer:
        upstream = Upstream(limits=Limits(connections=1))
        first = await upstream.send(post(peer.url()), Deadlines())
        cancelled = asyncio.create_task(fetch(upstream, peer.url()))
        next_in_line = asyncio.create_task(fetch(upstream, peer.url()))
        await asyncio.sleep(0)
        head_is_read.set()
        await first.read(2)
        cancelled.cancel()  # woken with us: it has its connection already, and has not run yet
        assert await next_in_line == b"ok"
        assert len(peer.requests) == 2
        assert peer.connections == 1
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        await upstream.close()


@pytest.mark.parametrize(
    ("limits", "closes"),
    [(Limits(idle=2), 1), (Limits(idle_seconds=0.2), 3)],
    ids=["only a few", "not for long"],
)
async def test_idle_connections_are_kept_within_bounds(limits: Limits, closes: int) -> None:
    closed: asyncio.Queue[int] = asyncio.Queue()
    together = asyncio.Barrier(3)

    async def script(line: Line) -> None:
        await line.request()
        await together.wait()
        await line.write(OK)
        await line.gone()
        closed.put_nowait(line.number)

    async with serving(script) as peer:
        upstream = Upstream(limits=limits)
        await asyncio.gather(*(fetch(upstream, peer.url()) for _ in range(3)))
        async with asyncio.timeout(10):
            assert len({await closed.get() for _ in range(closes)}) == closes
        assert closed.empty()
        await upstream.close()


async def test_an_answer_that_comes_before_its_request_was_sent_ends_the_connection(
    upstream: Upstream,
) -> None:
    async def script(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        await line.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        await line.gone()

    async with serving(script) as peer:
        for number in (1, 2):
            response = await upstream.send(post(peer.url(), b"x" * 20_000_000), Deadlines())
            assert response.status == 413
            assert await response.read(10) == b"big"
            response.release()
            assert peer.connections == number


async def test_a_long_request_arrives_whole(upstream: Upstream) -> None:
    body = bytes(range(256)) * 40_000
    async with serving(answering(OK)) as peer:
        for _ in range(2):
            response = await upstream.send(post(peer.url(), body), Deadlines())
            assert await response.read(2) == b"ok"
            response.release()
            assert peer.requests.pop().endswith(b"\r\n\r\n" + body)
        assert peer.connections == 1


async def test_a_closed_upstream_ends_what_is_under_way() -> None:
    async with serving(answering(OK[:-1])) as peer:
        upstream = Upstream()
        response = await upstream.send(post(peer.url()), Deadlines())
        await upstream.close()
        with pytest.raises(UpstreamError):
            await chunks(response)
        await upstream.close()


async def test_a_closed_upstream_ends_those_who_wait_for_a_connection() -> None:
    async with serving(answering(OK[:-1])) as peer:
        upstream = Upstream(limits=Limits(connections=1))
        first = await upstream.send(post(peer.url()), Deadlines())
        waiting = asyncio.create_task(upstream.send(post(peer.url()), Deadlines()))
        await asyncio.sleep(0)
        await upstream.close()
        with pytest.raises(UpstreamError, match="connect failed"):
            await waiting
        first.release()
