"""The same bytes to stock Hypercorn and to the front: the same answer and fate, or a listed, stricter one."""

import json
from typing import NamedTuple

import pytest

from tests.http.front.serving import Message, Receive, Send, Served, body_of, reply, served, wire
from tests.http.front.test_requests import BROKEN_BODIES, CHUNKED, GET, HOST, POST, REFUSED

SENTINEL = b"GET /still-open HTTP/1.1\r\nHost: a\r\n\r\n"


class Fate(NamedTuple):
    """What became of some bytes."""

    status: int | None
    seen: str | None  # what the application says that it saw
    stays_open: bool


PROPER = {
    "a GET": GET + b"\r\n",
    "a HEAD": b"HEAD /a HTTP/1.1\r\n" + HOST + b"\r\n",
    "an OPTIONS of everything": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "a POST with a body": POST + b"Content-Length: 5\r\n\r\nhello",
    "a POST without a length": POST + b"\r\n",
    "a POST of length zero": POST + b"Content-Length: 0\r\n\r\n",
    "a GET with a body": GET + b"Content-Length: 2\r\n\r\nhi",
    "leading zeros in a length": POST + b"Content-Length: 005\r\n\r\nhello",
    "a length with white space": POST + b"Content-Length: \t5 \t\r\n\r\nhello",
    "chunks": CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    "chunks with extensions and trailers": CHUNKED + b"5;a=b;c\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "chunks with hexadecimal sizes": CHUNKED + b"00A\r\n0123456789\r\n0\r\n\r\n",
    "chunks in capitals": POST + b"TRANSFER-ENCODING: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "no chunks": CHUNKED + b"0\r\n\r\n",
    "an escaped path": b"GET /a%2Fb%20c%C3%A9?q=%20&r HTTP/1.1\r\n" + HOST + b"\r\n",
    "a broken escape": b"GET /%zz%f%ff%00 HTTP/1.1\r\n" + HOST + b"\r\n",
    "dots in the path": b"GET /a/../b//c/./d HTTP/1.1\r\n" + HOST + b"\r\n",
    "odd characters in the target": b"GET /a'(),;:@$!*~{}|^`\"<>\\[] HTTP/1.1\r\n" + HOST + b"\r\n",
    "two question marks": b"GET /a?b?c HTTP/1.1\r\n" + HOST + b"\r\n",
    "connection close": GET + b"Connection: close\r\n\r\n",
    "connection close in a list": GET + b"Connection: foo, Close\r\n\r\n",
    "connection keep-alive": GET + b"Connection: keep-alive\r\n\r\n",
    "HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
    "HTTP/1.0 with keep-alive": b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "HTTP/1.0 with a body": b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi",
    "an empty host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "an empty header": GET + b"X:\r\n\r\n",
    "a header twice": GET + b"X: 1\r\nX: 2\r\n\r\n",
    "a value with latin-1": GET + b"X: \xe9\r\n\r\n",
    "a value with tabs": GET + b"X: a\tb\r\n\r\n",
    "odd characters in a name": GET + b"!#$%&'*+-.^_`|~09azAZ: 1\r\n\r\n",
    "a body that expects": POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
    "another expectation": POST + b"Expect: nonsense\r\nContent-Length: 2\r\n\r\nhi",
    "an upgrade nobody knows": GET + b"Connection: upgrade\r\nUpgrade: foo\r\n\r\n",
    "an upgrade with a body": POST + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi",
    "an upgrade that is not meant": GET + b"Upgrade: foo\r\n\r\n",
    "a PATCH": b"PATCH / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n\r\nx",
    "a DELETE": b"DELETE / HTTP/1.1\r\n" + HOST + b"\r\n",
}

# What stock Hypercorn makes of these, where it is laxer. Why each is refused:
STRICTER = {
    "the same length twice": "one message, one length (RFC 9112, 6.3 allows to refuse)",
    "a list of lengths": "the same",
    "a length and chunks": "the classic of request smuggling (RFC 9112, 6.1)",
    "chunks and a length": "the same",
    "a length in the trailers": "the same, later",
    "chunks in HTTP/1.0": "faulty framing (RFC 9112, 6.1)",
    "a folded header": "obsolete (RFC 9112, 5.2)",
    "bare line feeds": "a proxy in front may see other lines (RFC 9112, 2.2 allows to refuse)",
    "one bare line feed": "the same",
    "a control character in a value": "not a field value (RFC 9110, 5.5)",
    "a chunk size with a space": "not a chunk size (RFC 9112, 7.1)",
    "endless extensions": "work without a body",
    "version 2.0": "not this protocol",
    "version 1.2": "not a version there is",
    "a method in lower case": "methods are case-sensitive (RFC 9110, 9.1); stock would serve it as a GET",
    "an unknown method": "no route has it",
    "a proxy's method": "this is not a proxy",
    "a target that is not a path": "not a target (RFC 9112, 3.2)",
    "a fragment": "not part of a target",
    "another scheme": "not ours to fetch",
    "a user in the target": "forbidden (RFC 9110, 4.2.4)",
    "a long target": "a limit of ours",
    "a long header": "a limit of ours; stock has it only for headers that come in pieces",
    "many long headers": "the same",
    "many short headers": "a limit of ours",
}


# The parser's 400 comes before the 501 that stock has for what is not "chunked".
ANOTHER_CLASS = {"chunks and gzip", "chunks twice"}


async def _echo(scope: Message, receive: Receive, send: Send) -> None:
    try:
        body = await body_of(receive)
    except EOFError:
        return
    names = ("method", "path", "query_string", "http_version")
    seen = {name: repr(scope[name]) for name in names} | {"body": repr(body)}
    # An ignored upgrade is not shown, and stock writes "Chunked" in lower case.
    headers = [(name, value.lower()) for name, value in scope["headers"] if name != b"upgrade"]
    seen["headers"] = repr(headers)
    await reply(send, json.dumps(seen).encode())


async def _fate(server: Served, sent: bytes) -> Fate:
    async with wire(server) as client:
        await client.send(sent)
        method = sent.partition(b" ")[0].decode("latin-1")
        answer = await client.answer(method)
        while answer is not None and answer.status == 100:
            answer = await client.answer(method)
        if answer is None:
            return Fate(None, None, stays_open=False)
        seen = answer.body.decode() if answer.status == 200 else None
        if answer.headers.get("connection") == "close":
            await client.rest()
            return Fate(answer.status, seen, stays_open=False)
        await client.send(SENTINEL)
        return Fate(answer.status, seen, stays_open=await client.answer() is not None)


async def _fates(sent: bytes) -> tuple[Fate, Fate]:
    async with served(_echo, front=False) as server:
        stock = await _fate(server, sent)
    async with served(_echo) as server:
        return stock, await _fate(server, sent)


@pytest.mark.parametrize("name", PROPER)
async def test_a_proper_request_has_the_same_answer_and_fate(name: str) -> None:
    stock, ours = await _fates(PROPER[name])
    assert stock.status == 200
    assert ours == stock


@pytest.mark.parametrize("name", sorted((REFUSED.keys() | BROKEN_BODIES.keys()) - STRICTER.keys()))
async def test_an_improper_request_has_the_same_answer_and_fate(name: str) -> None:
    sent = CHUNKED + BROKEN_BODIES[name] if name in BROKEN_BODIES else REFUSED[name][0]
    stock, ours = await _fates(sent)
    assert stock.status is not None
    assert stock.status >= 400
    assert ours.status is not None
    assert ours.status >= 400
    assert ours.stays_open == stock.stays_open
    assert (ours.status // 100 == stock.status // 100) == (name not in ANOTHER_CLASS)


@pytest.mark.parametrize("name", STRICTER)
async def test_a_listed_difference_is_a_stricter_one(name: str) -> None:
    sent = CHUNKED + BROKEN_BODIES[name] if name in BROKEN_BODIES else REFUSED[name][0]
    stock, ours = await _fates(sent)
    assert stock.status == 200, "no difference any more: take it off the list"
    assert ours.status is not None
    assert 400 <= ours.status < 600
    assert not ours.stays_open
