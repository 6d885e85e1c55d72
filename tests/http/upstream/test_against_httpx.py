"""The same answer to httpx's own transport and to ours: the same message, or a listed, stricter refusal."""

import ssl
from collections.abc import AsyncIterator
from typing import NamedTuple

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway_core.upstream import Upstream
from plugin_sdk.errors import UpstreamError
from plugin_sdk.provider import Deadlines
from tests.http.upstream.peer import Line, Peer, post, serving

ENDS = st.sampled_from([b"\r\n"] * 80 + [b"\n", b"\r", b"\r\r\n", b" \r\n", b"\r\n "])
STARTS = st.sampled_from(
    [b"HTTP/1.1 200 OK"] * 30
    + [b"HTTP/1.0 200 OK"] * 5
    + [
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 ",
        b"HTTP/1.1 404 Not Found",
        b"HTTP/1.1 204 No Content",
        b"HTTP/1.1 304 x",
    ]
    + [
        b"HTTP/1.1 099 x",
        b"HTTP/1.1 600 x",
        b"HTTP/1.1 20 x",
        b"HTTP/1.1 2000 x",
        b"HTTP/2 200 OK",
        b"http/1.1 200 OK",
    ]
    + [
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1 200 \xc3\xa9",
        b"HTTP/1.2 200 OK",
        b"ICY 200 OK",
        b"HTTP/1.1 101 Switching",
        b"",
    ]
)
BEFORE = st.sampled_from(
    [b""] * 20
    + [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n",
        b"HTTP/1.1 102 x\r\ncontent-length: 3\r\n\r\n",
    ]
    + [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", b"\r\n", b"\r\n\r\n", b"junk\r\n"]
)
LINES = [
    b"Content-Length: 5", b"content-length: 5", b"Content-Length: 05", b"Content-Length: +5",
    b"Content-Length: 5, 5", b"Content-Length: 4", b"Content-Length: 6", b"Content-Length: 0",
    b"Content-Length:", b"Content-Length: -1", b"Content-Length: 99999999999999999999",
    b"Content-Length: 5 ", b"Transfer-Encoding: chunked", b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: xchunked", b"Transfer-Encoding:",
    b"Transfer-Encoding : chunked", b"X: y", b"X: \xe9", b"X:", b"X : y", b"X", b": y", b" folded",
    b"X: a\0b", b"X: a\x01b", b"X: a\r\n b", b"X\t: y", b"x(y: z", b"X: a\rb", b"Connection: close",
    b"Connection: keep-alive", b"Connection: upgrade", b"Upgrade: x", b"Trailer: x",
    b"Keep-Alive: timeout=5", b"Set-Cookie: a", b"Set-Cookie: b",
]  # fmt: skip
SIZES = st.sampled_from(
    [b"5"] * 40
    + [
        b"05",
        b"5;a=b",
        b'5;a="b"',
        b"5 ;a",
        b"5 ",
        b" 5",
        b"0x5",
        b"+5",
        b"-5",
        b"g",
        b"",
        b"4",
        b"6",
        b"0",
        b"fffffffffffffffff",
    ]
)
TRAILERS = st.sampled_from(
    [b""] * 10 + [b"X: y\r\n", b"X : y\r\n", b"X\r\n", b"Content-Length: 3\r\n", b" x\r\n"]
)
BEHIND = st.sampled_from([b""] * 12 + [b"x", b"\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"\0"])

# Where httpx is laxer: our reason, and why it is one.
STRICTER = {
    "Duplicate Content-Length.": "one message, one length (RFC 9112, 6.3 allows to refuse)",
    "Invalid character in Content-Length.": "a list of lengths, or none: the same",
    "Content-Length can't be present with Transfer-Encoding.": "an answer of two ends (RFC 9112, 6.1)",
    "Transfer-Encoding can't be present with Content-Length.": "the same",
    "Unexpected whitespace after header value.": "a folded header (RFC 9112, 5.2)",
    "Invalid header value char.": "a control character (RFC 9110, 5.5)",
    "Invalid header field char.": "not a name (RFC 9110, 5.1)",
    "Invalid HTTP version.": "not a version there is",
    "Missing expected CR after response line.": "a bare line feed (RFC 9112, 2.2 allows to refuse)",
    "Missing expected CR after header value.": "the same",
    "Missing expected CR after chunk size.": "the same",
    "Missing expected LF after header value.": "the same",
    "Invalid character in chunk size.": "not a chunk size (RFC 9112, 7.1)",
    "Invalid character in chunk extensions.": "the same",
}


class Message(NamedTuple):
    """What a reader gets."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """The bytes of an answer, the most of it right; the connection ends behind them."""
    lines = draw(st.lists(st.sampled_from(LINES[12:]), max_size=2))
    framing = draw(st.sampled_from(["length", "length", "chunks", "chunks", "end", "any"]))
    if framing == "length":
        lines.append(draw(st.sampled_from([LINES[0]] * 12 + LINES[:12])))
    if framing == "chunks":
        lines.append(draw(st.sampled_from([b"Transfer-Encoding: chunked"] * 12 + LINES[12:20])))
    if framing == "any" or draw(st.integers(0, 20)) == 0:
        lines.append(draw(st.sampled_from(LINES[:20])))
    head = draw(BEFORE) + draw(STARTS) + draw(ENDS)
    head += b"".join(line + draw(ENDS) for line in draw(st.permutations(lines))) + draw(ENDS)
    if framing != "chunks":
        return head + draw(st.sampled_from([b"hello"] * 12 + [b"", b"hell"])) + draw(BEHIND)
    body = b"".join(draw(SIZES) + draw(ENDS) + b"hello" + draw(ENDS) for _ in range(draw(st.integers(0, 3))))
    last = draw(st.sampled_from([b"0"] * 20 + [b"00", b"0;x", b"", b"-0"]))
    return head + body + last + draw(ENDS) + draw(TRAILERS) + draw(ENDS) + draw(BEHIND)


class Scripted:
    """A peer that answers every request with the bytes of the moment, and closes."""

    def __init__(self) -> None:
        self.answer = b""

    async def __call__(self, line: Line) -> None:
        await line.request()
        await line.write(self.answer)


@pytest.fixture
async def scripted() -> AsyncIterator[tuple[Scripted, Peer]]:
    script = Scripted()
    async with serving(script) as peer:
        yield script, peer


def told(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Names in lower case; h11 writes the framing in its own way."""
    framing = (b"content-length", b"transfer-encoding")
    lower = [(name.lower(), value) for name, value in headers]
    return [(name, value.lower() if name in framing else value) for name, value in lower]


async def by_ours(upstream: Upstream, url: str) -> Message | UpstreamError:
    try:
        response = await upstream.send(post(url), Deadlines(first_event=10))
        try:
            body = await response.read(1 << 20)
        finally:
            response.release()
    except UpstreamError as error:
        return error
    return Message(response.status, told(response.raw), body)


TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # not used, and quick to make


async def by_httpx(url: str) -> Message | httpx.HTTPError:
    async with httpx.AsyncHTTPTransport(verify=TLS) as transport:
        request = httpx.Request("POST", url, content=b"{}", headers={"accept-encoding": "identity"})
        try:
            response = await transport.handle_async_request(request)
            body = b"".join([chunk async for chunk in response.stream])
        except httpx.HTTPError as error:
            return error
    return Message(response.status_code, told(response.headers.raw), body)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(answer=answers())
async def test_an_answer_is_what_httpx_makes_of_it_or_refused_for_a_listed_reason(
    upstream: Upstream, scripted: tuple[Scripted, Peer], answer: bytes
) -> None:
    script, peer = scripted
    script.answer = answer
    ours = await by_ours(upstream, peer.url())
    theirs = await by_httpx(peer.url())
    if isinstance(ours, Message):
        assert ours == theirs
    elif isinstance(theirs, Message):
        assert ours.message.removeprefix("The provider's answer is not HTTP: ") in STRICTER
