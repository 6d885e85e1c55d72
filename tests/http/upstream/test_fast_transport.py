"""FastTransport under httpx.AsyncClient behaves as httpx's own transport does."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway_core.upstream import FastTransport
from tests.http.upstream.peer import OK, Line, answering, serving


@pytest.fixture(params=[FastTransport, httpx.AsyncHTTPTransport], ids=["ours", "httpx"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=request.param()) as found:
        yield found


async def test_an_answer_with_its_headers_and_body(client: httpx.AsyncClient) -> None:
    answer = b"HTTP/1.1 201 Created\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 5\r\n\r\nhello"
    async with serving(answering(answer)) as peer:
        for _ in range(2):
            response = await client.post(peer.url("/x?y=1"), content=b"body", headers={"x-a": "b"})
            assert response.status_code == 201
            assert response.content == b"hello"
            assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
            assert response.extensions["http_version"] == b"HTTP/1.1"
        assert peer.connections == 1
        assert peer.requests[0].startswith(b"POST /x?y=1 HTTP/1.1\r\n")
        assert peer.requests[0].endswith(b"\r\n\r\nbody")
        assert b"x-a: b\r\n" in peer.requests[0].lower()


async def test_a_compressed_body_is_decoded_by_httpx(client: httpx.AsyncClient) -> None:
    packed = gzip.compress(b"hello")
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
    async with serving(answering(head + packed)) as peer:
        assert (await client.get(peer.url())).content == b"hello"


async def test_a_stream_is_read_as_it_comes_and_closed_early(client: httpx.AsyncClient) -> None:
    closed = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nevent\r\n")
        await line.gone()
        closed.set()

    async with serving(script) as peer:
        async with client.stream("GET", peer.url()) as response:
            async for data in response.aiter_raw():
                assert data == b"event"
                break
        await closed.wait()


async def test_a_cut_answer_is_a_protocol_error(client: httpx.AsyncClient) -> None:
    async with serving(answering(OK[:-1], close=True)) as peer:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(peer.url())


async def test_a_refused_connection_is_a_connect_error(client: httpx.AsyncClient) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{sock.getsockname()[1]}/")


async def test_a_silent_server_is_a_read_timeout(client: httpx.AsyncClient) -> None:
    async def script(line: Line) -> None:
        await line.gone()

    async with serving(script) as peer:
        with pytest.raises(httpx.ReadTimeout):
            await client.get(peer.url(), timeout=0.15)


async def test_a_header_that_breaks_out_is_a_local_error(client: httpx.AsyncClient) -> None:
    async with serving(answering(OK)) as peer:
        with pytest.raises(httpx.LocalProtocolError):
            await client.get(peer.url(), headers={"x": "a\r\nb: c"})
        assert peer.requests == []


async def test_another_scheme_is_unsupported(client: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.UnsupportedProtocol):
        await client.get("ftp://127.0.0.1/")


async def test_a_body_of_unknown_length_arrives_whole() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    async with serving(answering(OK)) as peer, httpx.AsyncClient(transport=FastTransport()) as client:
        assert (await client.post(peer.url(), content=pieces())).content == b"ok"
        assert peer.requests[0].lower().count(b"content-length: 2\r\n") == 1
        assert peer.requests[0].endswith(b"\r\n\r\nab")
        assert b"transfer-encoding" not in peer.requests[0].lower()


async def test_a_closed_transport_ends_what_is_under_way() -> None:
    async with serving(answering(OK[:-1])) as peer:
        transport = FastTransport()
        client = httpx.AsyncClient(transport=transport)
        async with client.stream("GET", peer.url()) as response:
            await transport.aclose()
            with pytest.raises(httpx.RemoteProtocolError):
                await response.aread()
        await client.aclose()
