"""Where an answer ends: by length, by chunks, by the end of the connection, or at once."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway_core.upstream import Upstream
from plugin_sdk.errors import UpstreamCut, UpstreamError
from plugin_sdk.protocol import UpstreamRequest
from plugin_sdk.provider import Deadlines
from tests.http.upstream.peer import Line, answering, ask, chunks, fetch, post, serving

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n"
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + LENGTH
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello world"
VERSION_1_0 = b"HTTP/1.0 200 OK\r\nContent-Length: 11\r\n\r\nhello world"
VERSION_1_0_UNTIL_CLOSED = b"HTTP/1.0 200 OK\r\n\r\nhello world"
ANSWERS = {
    "length": LENGTH,
    "chunked": CHUNKED,
    "interim": INTERIM,
    "until closed": UNTIL_CLOSED,
    "1.0": VERSION_1_0,
    "1.0 until closed": VERSION_1_0_UNTIL_CLOSED,
}
FRAMED = {name: answer for name, answer in ANSWERS.items() if "until closed" not in name}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_a_body_is_the_same_in_every_framing(upstream: Upstream, answer: bytes) -> None:
    async with serving(answering(answer, close=True)) as peer:
        assert await fetch(upstream, peer.url()) == b"hello world"
    async with serving(answering(answer, close=True)) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        assert await response.read(11) == b"hello world"
        response.release()


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_a_body_that_comes_a_byte_at_a_time_is_the_same(upstream: Upstream, answer: bytes) -> None:
    pieces = [answer[place : place + 1] for place in range(len(answer))]
    async with serving(answering(*pieces, close=True)) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        assert response.status == 200
        assert await response.read(1 << 20) == b"hello world"
        response.release()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(ANSWERS)),
    places=st.sets(st.integers(1, 200), max_size=8),
    whole=st.booleans(),
)
async def test_an_answer_cut_into_packets_anywhere_has_the_same_body(
    upstream: Upstream, name: str, places: set[int], *, whole: bool
) -> None:
    answer = ANSWERS[name]
    bounds = [0, *sorted(place for place in places if place < len(answer)), len(answer)]
    pieces = [answer[start:end] for start, end in pairwise(bounds)]
    async with serving(answering(*pieces, close=True)) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        body = await response.read(1 << 20) if whole else b"".join(await chunks(response))
        response.release()
        assert body == b"hello world"


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("answer", FRAMED.values(), ids=FRAMED)
async def test_an_answer_that_ends_before_its_end_is_cut_wherever_that_is(
    upstream: Upstream, answer: bytes, *, reset: bool
) -> None:
    async def script(line: Line) -> None:
        request = await line.request()
        await line.write(answer[: int(request.rpartition(b"\r\n")[2])])
        if reset:
            line.reset()

    async with serving(script) as peer:
        for place in range(len(answer)):
            with pytest.raises(UpstreamCut) as cut:
                await ask(upstream, post(peer.url(), b"%d" % place))
            assert cut.value.retryable
            assert cut.value.reason == "cut"


async def test_what_came_before_a_cut_is_given_first(upstream: Upstream) -> None:
    async with serving(answering(LENGTH[:-5], close=True)) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        assert await response.next() == b"hello "
        with pytest.raises(UpstreamCut):
            await response.next()
        with pytest.raises(UpstreamCut):
            await response.next()
        response.release()


async def test_an_unframed_answer_that_is_reset_is_cut(upstream: Upstream) -> None:
    got = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.write(UNTIL_CLOSED)
        await got.wait()
        line.reset()

    async with serving(script) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        assert await response.next() == b"hello world"
        got.set()
        with pytest.raises(UpstreamCut):
            await response.next()
        response.release()


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize("header", [b"", b"content-length: 11\r\n", b"transfer-encoding: chunked\r\n"])
async def test_an_answer_without_a_body_ends_with_its_head(
    upstream: Upstream, status: bytes, header: bytes
) -> None:
    async with serving(answering(b"HTTP/1.1 " + status + b"\r\n" + header + b"\r\n")) as peer:
        for _ in range(2):
            response = await upstream.send(post(peer.url()), Deadlines())
            assert response.status == int(status[:3])
            assert await response.next() is None
            response.release()


async def test_an_answer_to_head_has_no_body_whatever_it_declares(upstream: Upstream) -> None:
    async with serving(
        answering(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\ncontent-encoding: gzip\r\n\r\n")
    ) as peer:
        for _ in range(2):
            response = await upstream.send(UpstreamRequest(method="HEAD", url=peer.url()), Deadlines())
            assert response.headers["content-length"] == "11"
            assert await response.read(0) == b""
            response.release()


MALFORMED = {
    "not HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "no status": b"HTTP/1.1 abc OK\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\nabcde",
    "length and chunks": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    "an unknown transfer coding": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc",
    "two transfer codings": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a folded header": b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n",
    "a header name with a space": b"HTTP/1.1 200 OK\r\nbad name: a\r\ncontent-length: 0\r\n\r\n",
    "a zero byte in a header": b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
    "an upgrade nobody asked for": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nabc",
    "HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
}


@pytest.mark.parametrize("answer", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_answer_is_a_retryable_error(upstream: Upstream, answer: bytes) -> None:
    async def script(line: Line) -> None:
        await line.request()
        await line.write(answer)
        await line.gone()

    async with serving(script) as peer:
        with pytest.raises(UpstreamError, match="not HTTP") as error:
            await fetch(upstream, peer.url())
        assert error.value.reason == "malformed_answer"
        assert error.value.retryable


async def test_a_bad_chunk_fails_after_the_good_ones(upstream: Upstream) -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
    async with serving(answering(head, b"zz\r\nworld\r\n")) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        with pytest.raises(UpstreamError) as error:
            await chunks(response)
        assert error.value.reason == "malformed_answer"
        response.release()


async def test_repeated_headers_are_joined_and_names_are_lower_case(upstream: Upstream) -> None:
    answer = b"HTTP/1.1 200 OK\r\nVia: a\r\nVIA: b\r\nX-Text: caf\xe9\r\nContent-Length: 0\r\n\r\n"
    async with serving(answering(answer)) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        assert dict(response.headers) == {"via": "a, b", "x-text": "caf\xe9", "content-length": "0"}
        assert response.headers.get("Via") is None
        assert response.headers.get("\u20ac", "none") == "none"
        assert "missing" not in response.headers
        assert repr(response.headers) == "Headers(via, x-text, content-length)"
        response.release()


@pytest.mark.parametrize("answer", [CHUNKED, INTERIM], ids=["trailer", "interim"])
async def test_headers_of_trailers_and_of_interim_answers_are_not_the_answers(
    upstream: Upstream, answer: bytes
) -> None:
    async with serving(answering(answer)) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        assert len(response.headers) == 1
        assert not {"x-trailer", "link"} & set(response.headers)
        response.release()
