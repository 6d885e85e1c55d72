"""How answers are written, and what becomes of those that an application gets wrong."""

import asyncio
import socket
import struct

import pytest

from tests.http.front.serving import Message, Receive, Send, body_of, reply, served, until, wire

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
START = {"type": "http.response.start", "status": 200, "headers": []}


def piece(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def test_a_body_in_one_piece_has_a_length_and_the_connection_is_kept() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, b"hello", headers=[(b"Content-Type", b"text/plain")])

    async with served(app) as server, wire(server) as client:
        for _ in range(3):
            await client.send(GET)
            answer = await client.answer()
            assert answer is not None
            date = answer.headers.pop("date")
            assert date.endswith(" GMT")
            assert (answer.status, answer.body) == (200, b"hello")
            assert answer.headers == {
                "content-type": "text/plain",
                "server": "hypercorn-h11",
                "content-length": "5",
            }


async def test_a_body_in_pieces_is_chunked() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send(piece(b""))
        await send(piece(b"one"))
        await send(piece(b"x" * 100_000))
        await send(piece(b"three", more=False))

    async with served(app) as server, wire(server) as client:
        for _ in range(2):
            await client.send(GET)
            answer = await client.answer()
            assert answer is not None
            assert answer.headers["transfer-encoding"] == "chunked"
            assert answer.body == b"one" + b"x" * 100_000 + b"three"


async def test_an_empty_last_piece_ends_the_chunks() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send(piece(b"one"))
        await send({"type": "http.response.body"})

    async with served(app) as server, wire(server) as client:
        await client.send(GET)
        raw = await client.reader.readuntil(b"0\r\n\r\n")
        assert raw.partition(b"\r\n\r\n")[2] == b"3\r\none\r\n0\r\n\r\n"


async def test_a_declared_length_is_kept_to() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", b"200003")]}
        )
        await send(piece(b"x" * 200_000))
        await send(piece(b"end", more=False))

    async with served(app) as server, wire(server) as client:
        await client.send(GET)
        answer = await client.answer()
        assert answer is not None
        assert "transfer-encoding" not in answer.headers
        assert answer.body == b"x" * 200_000 + b"end"


@pytest.mark.parametrize("sizes", [(3,), (7,), (3, 3, 0), (3, 1)])
async def test_a_body_that_is_not_as_long_as_declared_never_looks_whole(sizes: tuple[int, ...]) -> None:
    raised: list[BaseException] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        try:
            for number, size in enumerate(sizes, 1):
                await send(piece(b"x" * size, more=number < len(sizes)))
        except RuntimeError as error:
            raised.append(error)
            raise

    async with served(app) as server, wire(server) as client:
        await client.send(GET)
        answer = await client.answer()
        assert answer is not None
        assert not (answer.status == 200 and answer.whole)
        assert await client.rest() == b""
    assert len(raised) == 1


async def test_head_has_headers_only_and_the_connection_is_kept() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
        await send(piece(b"x" * 1000, more=False))

    async with served(app) as server, wire(server) as client:
        for _ in range(2):
            await client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = await client.answer("HEAD")
            assert answer is not None
            assert (answer.status, answer.headers["content-length"]) == (200, "1000")


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_has_none(status: int) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, b"ignored", status)

    async with served(app) as server, wire(server) as client:
        for _ in range(2):
            await client.send(GET)
            answer = await client.answer()
            assert answer is not None
            assert (answer.status, answer.headers.get("content-length")) == (status, None)
            assert "transfer-encoding" not in answer.headers


async def test_http_1_0_gets_its_body_up_to_the_end_of_the_connection() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send(piece(b"one"))
        await send(piece(b"two", more=False))

    async with served(app) as server, wire(server) as client:
        await client.send(OLD)
        answer = await client.answer()
        assert answer is not None
        assert (answer.headers["connection"], answer.body) == ("close", b"onetwo")
        assert "transfer-encoding" not in answer.headers


async def test_an_application_may_close_the_connection() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, b"", headers=[(b"Connection", b"Close"), (b"Transfer-Encoding", b"chunked")])

    async with served(app) as server, wire(server) as client:
        await client.send(GET)
        answer = await client.answer()
        assert answer is not None
        assert answer.headers["connection"] == "close"
        assert "transfer-encoding" not in answer.headers
        assert await client.rest() == b""


@pytest.mark.parametrize(
    "header",
    [
        (b"x", b"a\r\nset-cookie: b"),
        (b"x", b"a\nb"),
        (b"x", b"a\rb"),
        (b"x", b"a\0b"),
        (b"x\r\ny", b"a"),
        (b"x y", b"a"),
        (b"x:", b"a"),
        (b"", b"a"),
        (b"content-length", b"+1"),
        (b"content-length", b"1\r\nx: y"),
    ],
)
async def test_a_header_that_would_inject_another_is_refused(header: tuple[bytes, bytes]) -> None:
    raised: list[BaseException] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        try:
            await reply(send, b"", headers=[header])
        except ValueError as error:
            raised.append(error)
            raise

    async with served(app) as server, wire(server) as client:
        await client.send(GET)
        answer = await client.answer()
        assert answer is not None
        assert answer.status == 500
        assert set(answer.headers) == {"content-type", "content-length", "connection", "date", "server"}
    assert len(raised) == 1


async def test_an_odd_status_is_written_as_it_is() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, b"", 599)

    async with served(app) as server, wire(server) as client:
        await client.send(GET)
        assert (await client.reader.readline()) == b"HTTP/1.1 599 \r\n"


async def _nothing(scope: Message, receive: Receive, send: Send) -> None:
    return


async def _failing(scope: Message, receive: Receive, send: Send) -> None:
    raise LookupError("a bug")


async def _only_started(scope: Message, receive: Receive, send: Send) -> None:
    await send(START)


async def _informational(scope: Message, receive: Receive, send: Send) -> None:
    await reply(send, b"", 103)


async def _body_first(scope: Message, receive: Receive, send: Send) -> None:
    await send(piece(b"x", more=False))


async def _started_twice(scope: Message, receive: Receive, send: Send) -> None:
    await send(START)
    await send(START)


async def _unknown_message(scope: Message, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.trailers"})


@pytest.mark.parametrize(
    "app",
    [_nothing, _failing, _only_started, _informational, _body_first, _started_twice, _unknown_message],
)
async def test_an_application_that_sends_nothing_proper_is_a_500(app: object) -> None:
    async with served(app) as server, wire(server) as client:  # type: ignore[arg-type]
        await client.send(GET)
        answer = await client.answer()
        assert answer is not None
        assert (answer.status, answer.headers["connection"]) == (500, "close")
        assert await client.rest() == b""
        assert len(server.errors) == (0 if app in (_nothing, _only_started) else 1)


@pytest.mark.parametrize("fails", [True, False])
@pytest.mark.parametrize("request_line", [GET, OLD])
async def test_an_application_that_does_not_finish_leaves_a_broken_answer(
    request_line: bytes, fails: bool
) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send(piece(b"half"))
        if fails:
            raise LookupError("a bug")

    async with served(app) as server, wire(server) as client:
        await client.send(request_line)
        if request_line == OLD:
            # Nothing but a reset tells an HTTP/1.0 client that the body is not whole.
            with pytest.raises(ConnectionResetError):
                await client.drained()
        else:
            answer = await client.answer()
            assert answer is not None
            assert not answer.whole
            assert await client.rest() == b""


async def test_the_next_request_is_served_while_the_application_still_works_on_the_last() -> None:
    release = asyncio.Event()
    ended = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, scope["raw_path"])
        await release.wait()
        ended.append(scope["path"])

    async with served(app) as server, wire(server) as client:
        for path in (b"/1", b"/2"):
            await client.send(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path)
            answer = await client.answer()
            assert answer is not None
            assert answer.body == path
        assert ended == []
        release.set()
        await until(lambda: len(ended) == 2)


async def test_a_body_that_is_not_asked_for_is_not_invited() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, b"no", 401)

    async with served(app) as server, wire(server) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        answer = await client.answer()
        assert answer is not None
        assert (answer.status, answer.headers["connection"]) == (401, "close")


async def test_a_body_that_is_asked_for_is_invited_once() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, await body_of(receive))

    async with served(app) as server, wire(server) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n")
        invitation = await client.answer()
        assert invitation is not None
        assert invitation.status == 100
        await client.send(b"he")
        await client.send(b"llo")
        answer = await client.answer()
        assert answer is not None
        assert (answer.status, answer.body, "connection" in answer.headers) == (200, b"hello", False)


async def test_http_1_0_is_not_invited() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, await body_of(receive))

    async with served(app) as server, wire(server) as client:
        await client.send(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        await until(lambda: server.connection._turn is not None and server.connection._turn.waits)
        await client.send(b"hello")
        answer = await client.answer()
        assert answer is not None
        assert (answer.status, answer.body) == (200, b"hello")


async def test_after_so_many_requests_a_connection_closes() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, b"")

    async with served(app, keep_alive_max_requests=2) as server, wire(server) as client:
        connections = []
        for _ in range(2):
            await client.send(GET)
            answer = await client.answer()
            assert answer is not None
            connections.append(answer.headers.get("connection"))
        assert connections == [None, "close"]
        assert await client.rest() == b""


def test_so_linger_is_what_a_reset_is_made_of() -> None:
    """The option's two integers, in this platform's layout."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert struct.unpack("ii", sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)) == (1, 0)
