"""Whatever bytes a client sends, the front lets through what stock Hypercorn does, or less; nothing else."""

import re
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from hypercorn.asyncio import run as seam
from hypercorn.asyncio.tcp_server import TCPServer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.http.front.bytes_of_clients import damaged, requests
from tests.http.front.serving import Message, Receive, Send, Served, body_of, reply, served, wire

# Where stock Hypercorn is laxer: the front's reason, and why it is one.
STRICTER = {
    "Content-Length can't be present with Transfer-Encoding.": "request smuggling (RFC 9112, 6.1)",
    "Transfer-Encoding can't be present with Content-Length.": "the same",
    "Duplicate Content-Length.": "one message, one length (RFC 9112, 6.3 allows to refuse)",
    "Invalid character in Content-Length.": "a list of lengths: the same",
    "HTTP/1.0 has no transfer-encoding.": "faulty framing (RFC 9112, 6.1)",
    "Invalid `Transfer-Encoding` header value.": "chunked must be the last coding, and once (RFC 9112, 6.1)",
    "Empty Transfer-Encoding.": "the same",
    "Invalid character in chunk size.": "not a chunk size (RFC 9112, 7.1)",
    "Invalid character in chunk extensions.": "the same",
    "Invalid character in chunk extensions name.": "the same",
    "Invalid character in chunk extensions value.": "the same",
    "Invalid character in chunk extensions quoted value.": "the same",
    "Missing expected CR after header value.": "a bare line feed (RFC 9112, 2.2 allows to refuse)",
    "Missing expected CR after chunk size.": "the same",
    "Expected CRLF after version.": "the same",
    "Missing expected LF after header value.": "the same",
    "Missing expected LF after chunk size.": "the same",
    "Unexpected whitespace after header value.": "a folded header (RFC 9112, 5.2)",
    "Invalid header value char.": "a control character (RFC 9110, 5.5)",
    "Invalid header field char.": "not a name (RFC 9110, 5.1)",
    "There are two Host headers.": "RFC 9112, 3.2",
    "Invalid method encountered.": "no route has it; methods are case-sensitive (RFC 9110, 9.1)",
    "This is not a proxy.": "no route has it",
    "Unexpected char in url schema.": "not a target (RFC 9112, 3.2)",
    "Invalid characters in url.": "the same",
    "Unexpected start char in url.": "the same",
    "The request target must be a path or an http URL.": "the same",
    "The request line is malformed.": "RFC 9112, 3",
    "Expected space after method.": "the same",
    "Invalid HTTP version.": "not a version there is",
    "The version here is HTTP/1.1.": "not this protocol",
}
SENTINEL = b"GET /sentinel HTTP/1.1\r\nHost: a\r\n\r\n"
STATUS = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9])")


class Outcome(NamedTuple):
    """The requests that the application got, whole, and what the client was answered."""

    seen: list[tuple[object, ...]]
    statuses: list[int]
    said: bytes


class Pair(NamedTuple):
    """Both servers, and what their applications have seen."""

    stock: Served
    ours: Served
    seen: dict[int, list[tuple[object, ...]]]


@pytest.fixture
async def pair(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    seen: dict[int, list[tuple[object, ...]]] = {}

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        try:
            body = await body_of(receive)
        except EOFError:
            return
        # An ignored upgrade is not shown, and stock writes "Chunked" in lower case.
        headers = [(name, value.lower()) for name, value in scope["headers"] if name != b"upgrade"]
        facts = (
            scope["method"],
            scope["raw_path"],
            scope["query_string"],
            scope["http_version"],
            headers,
            body,
        )
        seen.setdefault(scope["client"][1], []).append(facts)
        await reply(send, b"seen")

    async with served(app, front=False) as stock, served(app) as ours:
        # both run in this process, where Hypercorn has one class for connections: choose by the port
        def chosen(*facts: Any) -> Any:
            mine = facts[-1].get_extra_info("sockname") == ours.address
            return ours.front.serve(*facts) if mine else TCPServer(*facts)

        monkeypatch.setattr(seam, "TCPServer", chosen)
        yield Pair(stock, ours, seen)


async def outcome(server: Served, pair: Pair, sent: bytes) -> Outcome:
    async with wire(server) as client, wire(server) as other:
        port = client.writer.get_extra_info("sockname")[1]
        await client.send(sent + SENTINEL)
        for _ in range(2):  # once a later request of another client is answered, nothing more comes of ours
            await other.send(SENTINEL)
            assert await other.answer() is not None
        seen = list(pair.seen.pop(port, ()))
        pair.seen.clear()
        said = bytes(client.reader._buffer)  # type: ignore[attr-defined]
        return Outcome(seen, [int(status) for status in STATUS.findall(said)], said)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@example(sent=b"GET / HTTP/1.0\r\n\r\n")
@given(sent=st.lists(damaged(requests()), min_size=1, max_size=2).map(b"".join))
async def test_the_front_lets_through_what_stock_does_or_refuses_more_for_a_listed_reason(
    pair: Pair, sent: bytes
) -> None:
    stock = await outcome(pair.stock, pair, sent)
    ours = await outcome(pair.ours, pair, sent)
    assert ours.seen == stock.seen[: len(ours.seen)]
    if len(ours.seen) < len(stock.seen):
        assert ours.statuses[-1:] >= [400]
        assert ours.said.rpartition(b"\r\n\r\n")[2].decode().strip() in STRICTER
    elif stock.statuses[-1:] >= [400]:
        assert b"connection: close" in ours.said
