"""Several requests on their way at once: answered in order, one at a time, however they were cut."""

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway_core.server.intake import Intake
from gateway_core.server.limits import Limits
from gateway_core.server.turn import Turn
from tests.http.front.serving import Message, Receive, Send, body_of, reply, served, until, wire


def get(path: str) -> bytes:
    return b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode()


async def _echo(scope: Message, receive: Receive, send: Send) -> None:
    await reply(send, scope["raw_path"] + b" " + await body_of(receive))


async def test_requests_sent_at_once_are_answered_in_order_and_one_at_a_time() -> None:
    count = 2000
    busy = most = 0
    waiting = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        waiting.append(len(server.connection._waiting))
        await asyncio.sleep(0)
        busy -= 1
        await _echo(scope, receive, send)

    async with served(app, keep_alive_max_requests=count + 1) as server, wire(server) as client:
        client.writer.write(b"".join(get(f"/{number}") for number in range(count)))
        for number in range(count):
            answer = await client.answer()
            assert answer is not None
            assert answer.body == b"/%d " % number
    assert most == 1
    assert max(waiting) <= 1


async def test_requests_with_bodies_are_answered_in_order() -> None:
    sent = (
        b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
        b"POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n\r\n\r\n\r\nx"
        b"\r\n0\r\nT: r\r\n\r\n"
        b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n"
        b"POST /4 HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"y" * 200_000 + get("/5")
    )
    expected = [b"/1 one", b"/2 \r\n\r\n\r\nx", b"/3 ", b"/4 " + b"y" * 200_000, b"/5 "]
    async with served(_echo) as server, wire(server) as client:
        client.writer.write(sent)
        for body in expected:
            answer = await client.answer()
            assert answer is not None
            assert answer.body == body


async def test_a_broken_request_is_answered_after_the_good_ones_before_it() -> None:
    release = asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await release.wait()
        await _echo(scope, receive, send)

    async with served(app) as server, wire(server) as client:
        await client.send(get("/1") + b"nonsense\r\n\r\n")
        await until(lambda: server.connection._refusal is not None)
        release.set()
        statuses = [answer.status if (answer := await client.answer()) else None for _ in range(2)]
        assert statuses == [200, 400]
        assert await client.rest() == b""


async def test_a_waiting_request_whose_body_breaks_never_begins() -> None:
    release = asyncio.Event()
    paths = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        paths.append(scope["path"])
        await release.wait()
        await _echo(scope, receive, send)

    async with served(app) as server, wire(server) as client:
        await client.send(get("/1"))
        await client.send(b"POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await until(lambda: server.connection._waiting)
        await client.send(b"nonsense\r\n")
        release.set()
        first, second = await client.answer(), await client.answer()
        assert first is not None
        assert second is not None
        assert (first.status, second.status) == (200, 400)
    assert paths in (["/1"], ["/1", "/2"])


async def test_what_follows_the_last_request_is_not_served() -> None:
    paths = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        paths.append(scope["path"])
        await _echo(scope, receive, send)

    async with served(app) as server, wire(server) as client:
        await client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + get("/2"))
        answer = await client.answer()
        assert answer is not None
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await client.rest() == b""
    assert paths == ["/1"]


async def test_an_upgrade_behind_another_request_is_ignored() -> None:
    release = asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await release.wait()
        await _echo(scope, receive, send)

    async with served(app) as server, wire(server) as client:
        upgrade = b"GET /2 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        await client.send(get("/1") + upgrade + get("/3"))
        await until(lambda: server.connection._waiting)
        release.set()
        bodies = [answer.body if (answer := await client.answer()) else None for _ in range(3)]
        assert bodies == [b"/1 ", b"/2 ", b"/3 "]


class _Arrivals:
    """What an intake tells its connection, kept."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.whole: list[Turn] = []

    def arrived(self, turn: Turn) -> None:
        self.turns.append(turn)

    def arrived_whole(self, turn: Turn) -> None:
        self.whole.append(turn)


STREAM = (
    b"POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"7\r\n\r\n\r\n\r\nx\r\n4;e=f\r\n\r\n\r\n\r\n0\r\nTrailer: t\r\n\r\n"
    b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
    b"POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n\r\n\r\n\r\n\r\n"
    b"POST /4 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    b"GET /5 HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"
)


@settings(max_examples=300, deadline=None)
@given(cuts=st.lists(st.integers(1, len(STREAM) - 1), unique=True).map(sorted))
def test_however_a_stream_is_cut_it_is_the_same_requests(cuts: list[int]) -> None:
    arrivals = _Arrivals()
    intake = Intake(cast("Any", arrivals), Limits(), {"state": {}})
    for begin, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True):
        data, start = STREAM[begin:end], 0
        while start < len(data):
            stop = intake.cut(data, start)
            assert stop > start
            intake.push(data[start:stop])
            start = stop
    assert [turn.scope["path"] for turn in arrivals.turns] == ["/1", "/2", "/3", "/4", "/5"]
    assert arrivals.whole == arrivals.turns
    bodies = [b"".join(turn._body) for turn in arrivals.turns]
    assert bodies == [b"\r\n\r\n\r\nx\r\n\r\n", b"", b"\r\n\r\n\r\n\r\n", b"", b""]
    assert intake.head == b""


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_requests_in_small_pieces_are_answered(size: int) -> None:
    async with served(_echo) as server, wire(server) as client:
        for start in range(0, len(STREAM), size):
            await client.send(STREAM[start : start + size])
            await asyncio.sleep(0)
        bodies = [answer.body if (answer := await client.answer()) else None for _ in range(5)]
    assert bodies == [b"/1 \r\n\r\n\r\nx\r\n\r\n", b"/2 ", b"/3 \r\n\r\n\r\n\r\n", b"/4 ", b"/5 "]
