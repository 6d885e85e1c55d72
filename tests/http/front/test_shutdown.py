"""Stopping: what runs may finish in its time, what idles closes, nothing new begins."""

import asyncio

from tests.http.front.serving import Message, Receive, Send, body_of, reply, served, until, wire

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
START = {"type": "http.response.start", "status": 200, "headers": []}


async def test_a_request_in_flight_finishes_and_its_connection_closes() -> None:
    release = asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await release.wait()
        await reply(send, b"whole")

    async with served(app, graceful_timeout=10) as server, wire(server) as client:
        await client.send(GET)
        await until(lambda: server.front._connections and server.connection._turn is not None)
        server.stopping.set()
        await until(lambda: server.front.draining)
        release.set()
        answer = await client.answer()
        assert answer is not None
        assert (answer.body, answer.headers["connection"]) == (b"whole", "close")
        assert await client.rest() == b""


async def test_a_stream_in_flight_finishes_and_its_connection_closes() -> None:
    release = asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await release.wait()
        await send({"type": "http.response.body", "body": b"two"})

    async with served(app, graceful_timeout=10) as server, wire(server) as client:
        await client.send(GET)
        await client.reader.readuntil(b"one\r\n")
        server.stopping.set()
        await until(lambda: server.front.draining)
        release.set()
        assert await client.rest() == b"3\r\ntwo\r\n0\r\n\r\n"


async def test_a_body_on_its_way_may_arrive() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, await body_of(receive))

    async with served(app, graceful_timeout=10) as server, wire(server) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
        await until(lambda: server.front._connections and server.connection._turn is not None)
        server.stopping.set()
        await until(lambda: server.front.draining)
        await client.send(b"llo")
        answer = await client.answer()
        assert answer is not None
        assert answer.body == b"hello"
        assert await client.rest() == b""


async def test_idle_and_silent_connections_close_at_once() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await reply(send, b"")

    async with served(app) as server, wire(server) as silent, wire(server) as idle:
        await idle.send(GET)
        assert await idle.answer() is not None
        await until(lambda: len(server.front._connections) == 2)
        server.stopping.set()
        assert await silent.rest() == b""
        assert await idle.rest() == b""


async def test_what_waits_behind_the_last_request_is_not_begun() -> None:
    release = asyncio.Event()
    paths: list[str] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        paths.append(scope["path"])
        await release.wait()
        await reply(send, b"")

    async with served(app, graceful_timeout=10) as server, wire(server) as client:
        await client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: server.front._connections and server.connection._waiting)
        server.stopping.set()
        await until(lambda: server.front.draining)
        release.set()
        answer = await client.answer()
        assert answer is not None
        assert answer.headers["connection"] == "close"
        assert await client.rest() == b""
    assert paths == ["/1"]


async def test_what_does_not_finish_in_time_is_cut_off_and_the_application_hears_of_it() -> None:
    heard: list[str] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    async with served(app, graceful_timeout=0.1) as server, wire(server) as client:
        await client.send(GET)
        await client.reader.readuntil(b"half\r\n")
        server.stopping.set()
        assert await client.rest() == b""
    assert heard == ["cancelled"]


async def test_an_application_whose_client_has_left_may_finish_before_the_end() -> None:
    """Settling a request outlives its connection: the server must not end before."""
    release = asyncio.Event()
    settled: list[bool] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await release.wait()
        settled.append(server.stopping.is_set())

    async with served(app, graceful_timeout=10) as server:
        async with wire(server) as client:
            await client.send(GET)
            await until(lambda: server.front._connections and server.connection._turn is not None)
        await until(lambda: server.connection._lost)
        server.stopping.set()
        await until(lambda: server.front.draining)
        release.set()
    assert settled == [True]
