"""A transport of the provider's own: the same answers, deadlines and errors as a connection of ours."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import httpx
import pytest
from typing_extensions import override

from gateway_core.upstream import FastTransport, Upstream
from gateway_core.upstream.limits import BUFFER
from plugin_sdk.errors import (
    InsufficientFunds,
    UpstreamCut,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from plugin_sdk.protocol import UpstreamRequest
from plugin_sdk.provider import Deadlines
from tests.http.upstream.peer import OK, answering, chunks, post, serving

SECRET = "sk-very-secret-0123456789"


class Pieces(httpx.AsyncByteStream):
    """A body in pieces; ends in an exception where one is given."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self.pieces = pieces
        self.error = error
        self.given = 0
        self.closed = asyncio.Event()

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.given += 1
            yield piece
        if self.error is not None:
            raise self.error

    @override
    async def aclose(self) -> None:
        self.closed.set()


def mock(stream: Pieces, **headers: str) -> httpx.MockTransport:
    return httpx.MockTransport(
        lambda _: httpx.Response(
            200, stream=stream, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )
    )


async def test_a_request_reaches_the_transport_and_its_answer_comes_back(upstream: Upstream) -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, content=b"hello", headers={"X-Text": "a"})

    request = post("http://inside/v1?x=1", b'{"a":1}', authorization="Bearer k", content_length="99")
    response = await upstream.send(request, Deadlines(connect=3), transport=httpx.MockTransport(handler))
    assert (response.status, response.headers["x-text"]) == (201, "a")
    assert await response.read(5) == b"hello"
    response.release()
    [got] = seen
    assert (got.method, str(got.url), got.content) == ("POST", "http://inside/v1?x=1", b'{"a":1}')
    assert got.headers["content-length"] == "7"
    assert got.headers["accept-encoding"] == "identity"
    assert got.headers["authorization"] == "Bearer k"
    assert got.extensions["timeout"]["connect"] == 3


async def test_chunks_come_one_after_the_other_and_the_body_is_closed(upstream: Upstream) -> None:
    stream = Pieces(b"a", b"", b"b", b"c")
    response = await upstream.send(post("http://x/"), Deadlines(), transport=mock(stream))
    assert b"".join(await chunks(response)) == b"abc"
    await stream.closed.wait()
    response.release()


async def test_an_answer_to_head_is_not_read(upstream: Upstream) -> None:
    stream = Pieces(b"never")
    request = UpstreamRequest(method="HEAD", url="http://x/")
    response = await upstream.send(request, Deadlines(), transport=mock(stream))
    assert await response.next() is None
    assert stream.given == 0
    response.release()


async def test_a_slow_reader_stops_the_transport(upstream: Upstream) -> None:
    stream = Pieces(*[b"x" * 10_000] * 200)
    response = await upstream.send(post("http://x/"), Deadlines(), transport=mock(stream))
    while not response.paused:
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert stream.given * 10_000 <= BUFFER + 20_000
    assert len(await response.read(3_000_000)) == 2_000_000
    response.release()


async def test_a_body_over_the_limit_ends_the_transport(upstream: Upstream) -> None:
    stream = Pieces(*[b"x" * 10_000] * 200)
    response = await upstream.send(post("http://x/"), Deadlines(), transport=mock(stream))
    with pytest.raises(UpstreamError, match="over 50000 bytes"):
        await response.read(50_000)
    await stream.closed.wait()
    assert stream.given < 200


async def test_a_compressed_answer_is_given_plain(upstream: Upstream) -> None:
    stream = Pieces(gzip.compress(b"hello"))
    response = await upstream.send(
        post("http://x/"), Deadlines(), transport=mock(stream, content_encoding="gzip")
    )
    assert await response.read(5) == b"hello"
    response.release()


ERRORS = [
    (httpx.ConnectError("[Errno 111] refused"), UpstreamError, "connect_failed"),
    (httpx.ProxyError("407"), UpstreamError, "connect_failed"),
    (httpx.UnsupportedProtocol("x"), UpstreamError, "connect_failed"),
    (httpx.ConnectTimeout("x"), UpstreamTimeout, "connect_timeout"),
    (httpx.PoolTimeout("x"), UpstreamTimeout, "connect_timeout"),
    (httpx.ReadTimeout("x"), UpstreamTimeout, "first_event_timeout"),
    (httpx.WriteTimeout("x"), UpstreamTimeout, "first_event_timeout"),
    (httpx.ReadError("x"), UpstreamCut, "cut"),
    (httpx.WriteError("x"), UpstreamCut, "cut"),
    (httpx.RemoteProtocolError("x"), UpstreamCut, "cut"),
    (httpx.LocalProtocolError(f"Illegal header value b'{SECRET}'"), UpstreamError, "transport_failed"),
    (ZeroDivisionError("x"), UpstreamError, "transport_failed"),
]


@pytest.mark.parametrize("when", ["head", "body"])
@pytest.mark.parametrize(
    ("raised", "kind", "reason"), ERRORS, ids=lambda value: getattr(value, "__name__", str(value))
)
async def test_errors_of_a_transport_become_ours(
    upstream: Upstream, raised: Exception, kind: type[UpstreamError], reason: str, when: str
) -> None:
    class Failing(httpx.AsyncBaseTransport):
        @override
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if when == "head":
                raise raised
            return httpx.Response(200, stream=Pieces(b"some", error=raised))

    async def all_of_it() -> None:
        response = await upstream.send(post("http://x/"), Deadlines(), transport=Failing())
        assert await response.next() == b"some"
        await response.next()

    with pytest.raises(kind) as error:
        await all_of_it()
    assert type(error.value) is kind
    assert error.value.reason == reason
    assert error.value.retryable
    assert SECRET not in repr(error.value) + repr(error.value.__cause__)


@pytest.mark.parametrize("raised", [UpstreamRateLimited("busy"), InsufficientFunds("none")])
async def test_errors_of_the_gateways_own_pass_as_they_are(upstream: Upstream, raised: Exception) -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        raise raised

    with pytest.raises(type(raised)) as error:
        await upstream.send(post("http://x/"), Deadlines(), transport=httpx.MockTransport(handler))
    assert error.value is raised


async def test_a_stall_after_the_first_event_is_given_up(upstream: Upstream) -> None:
    class Stalling(Pieces):
        @override
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"event"
            await asyncio.Event().wait()

    stream = Stalling()
    response = await upstream.send(post("http://x/"), Deadlines(between_events=0.1), transport=mock(stream))
    assert await response.next() == b"event"
    response.started()
    with pytest.raises(UpstreamTimeout) as late:
        await response.next()
    assert late.value.reason == "event_timeout"
    await stream.closed.wait()


async def test_a_bad_url_is_refused_by_name_only(upstream: Upstream) -> None:
    with pytest.raises(UpstreamError) as error:
        await upstream.send(post(f"http://x:y/{SECRET}"), Deadlines(), transport=mock(Pieces()))
    assert error.value.reason == "invalid_url"
    assert SECRET not in repr(error.value)


@pytest.mark.parametrize("bad", ["a\r\nb", "a\nb", "\0", "\u20ac"])
async def test_headers_are_refused_before_the_transport_sees_them(upstream: Upstream, bad: str) -> None:
    with pytest.raises(UpstreamError) as error:
        await upstream.send(
            post("http://x/", authorization=SECRET + bad), Deadlines(), transport=mock(Pieces())
        )
    assert error.value.reason == "invalid_request_head"
    assert SECRET not in repr(error.value)


async def test_httpxs_transport_and_ours_fit_in_the_same_place(upstream: Upstream) -> None:
    async with serving(answering(OK)) as peer, httpx.AsyncHTTPTransport() as stock, FastTransport() as fast:
        for transport in (stock, fast):
            response = await upstream.send(post(peer.url()), Deadlines(), transport=transport)
            assert await response.read(2) == b"ok"
            response.release()
        assert [request.split(b"\r\n")[0] for request in peer.requests] == [
            b"POST /v1/chat/completions HTTP/1.1"
        ] * 2
