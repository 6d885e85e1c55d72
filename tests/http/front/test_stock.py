"""The seam with Hypercorn: where the front goes in, and what it leaves to Hypercorn's own server."""

import asyncio
import inspect
import ssl

import h2.config
import h2.connection
import h2.events
import hypercorn
import hypercorn.asyncio.run
import hypercorn.asyncio.tcp_server
import hypercorn.protocol
import hypercorn.protocol.h2
import pytest

from gateway_core.server.front import Front, installed
from gateway_core.server.http2 import Http2
from tests.http.front.serving import Message, Receive, Send, Served, Wire, body_of, reply, served, wire


async def _which(scope: Message, receive: Receive, send: Send) -> None:
    """Who serves this request, as the application can tell."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "stock websocket"})
        await send({"type": "websocket.close"})
        return
    body = await body_of(receive)
    front = b"front" if "gateway.turn" in scope["extensions"] else b"stock"
    facts = (front, scope["scheme"].encode(), scope["http_version"].encode(), scope["raw_path"], body)
    await reply(send, b" ".join(facts).strip())


def test_hypercorn_still_calls_the_class_that_the_front_replaces() -> None:
    """If this fails, Hypercorn has moved its seam: see how `Front.serve` gets its connections now."""
    assert hypercorn.asyncio.run.TCPServer is hypercorn.asyncio.tcp_server.TCPServer  # type: ignore[attr-defined]
    theirs = list(inspect.signature(hypercorn.asyncio.tcp_server.TCPServer.__init__).parameters)[1:]
    ours = list(inspect.signature(Front.serve).parameters)[1:]
    assert theirs == ours == ["app", "loop", "config", "context", "state", "reader", "writer"]
    assert "await TCPServer(app, loop, config, context, lifespan_state, reader, writer)" in inspect.getsource(
        hypercorn.asyncio.run.worker_serve
    )
    assert inspect.getsource(hypercorn.protocol.ProtocolWrapper).count("self.protocol = H2Protocol(") == 3


def test_the_front_is_in_place_only_while_it_is_installed() -> None:
    from hypercorn.config import Config

    front = Front(Config())
    with installed(front):
        assert hypercorn.asyncio.run.TCPServer == front.serve  # type: ignore[attr-defined, comparison-overlap]
        assert hypercorn.protocol.H2Protocol is Http2  # type: ignore[comparison-overlap]
    assert hypercorn.protocol.H2Protocol is hypercorn.protocol.h2.H2Protocol
    assert hypercorn.asyncio.run.TCPServer is hypercorn.asyncio.tcp_server.TCPServer  # type: ignore[attr-defined]


@pytest.mark.parametrize("front", [True, False])
async def test_an_ordinary_request_goes_to_the_front_where_it_is_installed(front: bool) -> None:
    async with served(_which, front=front) as server, wire(server) as client:
        await client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = await client.answer()
        assert answer is not None
        assert answer.body == (b"front" if front else b"stock") + b" http 1.1 /x"


def _trusting(certificate: tuple[str, str], *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificate[0])
    context.set_alpn_protocols(list(protocols))
    return context


async def test_tls_goes_to_the_front(certificate: tuple[str, str]) -> None:
    tls = _trusting(certificate, "http/1.1")
    async with served(_which, certificate=certificate) as server, wire(server, tls=tls) as client:
        for _ in range(2):
            await client.send(
                b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + b"y" * 300_000
            )
            answer = await client.answer()
            assert answer is not None
            assert answer.body == b"front https 1.1 /x " + b"y" * 300_000


async def test_a_client_that_is_no_tls_leaves_the_server_well(certificate: tuple[str, str]) -> None:
    tls = _trusting(certificate, "http/1.1")
    async with served(_which, certificate=certificate) as server:
        async with wire(server) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await client.rest()
        async with wire(server, tls=tls) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert await client.answer() is not None


async def _over_http2(client: Wire, *, first_read: bytes = b"") -> bytes:
    """One GET by HTTP/2."""
    http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    http2.initiate_connection()
    headers = [(":method", "GET"), (":path", "/x"), (":scheme", "https"), (":authority", "a")]
    http2.send_headers(1, headers, end_stream=True)
    await client.send(http2.data_to_send())
    body = b""
    async with asyncio.timeout(10):
        while True:
            data = await client.reader.read(65536)
            assert data
            for event in http2.receive_data(data):
                if isinstance(event, h2.events.DataReceived):
                    body += event.data or b""
                if isinstance(event, h2.events.StreamEnded):
                    return body


async def test_http2_by_alpn_is_hypercorns_own(certificate: tuple[str, str]) -> None:
    tls = _trusting(certificate, "h2")
    async with served(_which, certificate=certificate) as server, wire(server, tls=tls) as client:
        assert await _over_http2(client) == b"stock https 2 /x"


async def test_http2_by_prior_knowledge_is_hypercorns_own() -> None:
    async with served(_which) as server, wire(server) as client:
        assert await _over_http2(client) == b"stock http 2 /x"


async def _upgraded(server: Served, before: bytes, protocol: bytes) -> tuple[bytes, Wire | None]:
    async with wire(server) as client:
        if before:
            await client.send(before)
            assert await client.answer() is not None
        await client.send(
            b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: %s\r\n"
            b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % protocol
        )
        return await client.rest() if protocol == b"websocket" else await client.reader.readline(), client


@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
async def test_a_websocket_is_hypercorns_own(before: bytes) -> None:
    async with served(_which) as server:
        said, _ = await _upgraded(server, before, b"websocket")
        assert said.startswith(b"HTTP/1.1 101 ")
        assert b"stock websocket" in said


@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
async def test_an_upgrade_to_http2_is_hypercorns_own(before: bytes) -> None:
    async with served(_which) as server:
        said, _ = await _upgraded(server, before, b"h2c")
        assert said.startswith(b"HTTP/1.1 101 ")
