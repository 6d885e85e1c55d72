"""Compressed answers, although plain ones are asked for."""

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_core.upstream import Upstream, UpstreamResponse
from gateway_core.upstream.decode import PIECE, inflater
from plugin_sdk.errors import UpstreamCut, UpstreamError
from plugin_sdk.provider import Deadlines
from tests.http.upstream.peer import answering, chunks, post, serving

TEXT = b'data: {"choices":[{"delta":{"content":"hello"}}]}\n\n' * 50


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZIP", gzip.compress),
    "gzip in two members": ("gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
    "gzip with padding": ("gzip", lambda data: gzip.compress(data) + b"\0" * 10),
    "deflate": ("deflate", zlib.compress),
    "bare deflate": ("deflate", _raw_deflate),
    "identity": ("identity", bytes),
}


def answer(encoding: str, body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\ncontent-length: %d\r\n\r\n" % (
        encoding.encode(),
        len(body),
    )
    return head + body


@pytest.mark.parametrize(("encoding", "pack"), PACKED.values(), ids=PACKED)
async def test_a_compressed_body_is_given_plain(
    upstream: Upstream, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    async with serving(answering(answer(encoding, pack(TEXT)))) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        assert response.headers.get("content-encoding", "identity") == "identity"
        assert await response.read(len(TEXT)) == TEXT
        response.release()
        response = await upstream.send(post(peer.url()), Deadlines())
        assert b"".join(await chunks(response)) == TEXT
        response.release()
        assert b"\r\naccept-encoding: identity\r\n" in peer.requests[0]
        assert peer.connections == 1


async def test_events_leave_as_they_are_flushed(upstream: Upstream) -> None:
    packer = zlib.compressobj(wbits=31)
    first = packer.compress(b"data: 1\n\n") + packer.flush(zlib.Z_SYNC_FLUSH)
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n"
    async with serving(answering(head + first)) as peer:  # and the rest never comes
        response = await upstream.send(post(peer.url()), Deadlines())
        assert await response.next() == b"data: 1\n\n"
        response.release()


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x"])
async def test_an_encoding_that_cannot_be_read_is_an_error(upstream: Upstream, encoding: str) -> None:
    async with serving(answering(answer(encoding, b"abc"))) as peer:
        with pytest.raises(UpstreamError) as error:
            await upstream.send(post(peer.url()), Deadlines())
        assert error.value.reason == "unknown_content_encoding"
        assert error.value.retryable


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_is_not_what_it_says_is_an_error(upstream: Upstream, encoding: str) -> None:
    async with serving(answering(answer(encoding, b'{"plain": "json"}'))) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        with pytest.raises(UpstreamError) as error:
            await response.read(1000)
        assert error.value.reason == "malformed_answer"
        response.release()


async def test_a_compressed_body_without_its_end_is_cut(upstream: Upstream) -> None:
    async with serving(answering(answer("gzip", gzip.compress(TEXT)[:-9]))) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        with pytest.raises(UpstreamCut):
            await response.read(len(TEXT))
        response.release()


async def test_an_empty_body_may_call_itself_compressed(upstream: Upstream) -> None:
    async with serving(answering(answer("gzip", b""))) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        assert await response.read(0) == b""
        response.release()


async def test_a_small_body_that_unpacks_to_a_large_one_never_is_in_memory_whole(upstream: Upstream) -> None:
    bomb = gzip.compress(b"\0" * (64 << 20))
    async with serving(answering(answer("gzip", bomb))) as peer:
        response = await upstream.send(post(peer.url()), Deadlines())
        with pytest.raises(UpstreamError, match="over 1000000 bytes"):
            await response.read(1_000_000)
        response.release()
        response = await upstream.send(post(peer.url()), Deadlines())
        sizes: list[int] = []
        with pytest.raises(UpstreamError, match="unpacks to too much") as error:
            await _measure(response, sizes)
        assert max(sizes) <= PIECE
        assert sum(sizes) < 20 << 20
        assert error.value.reason == "answer_too_large"
        response.release()


async def _measure(response: UpstreamResponse, sizes: list[int]) -> None:
    while (piece := await response.next()) is not None:
        sizes.append(len(piece))


@given(
    body=st.binary(max_size=2000) | st.just(b"a" * 300_000),
    data=st.data(),
    name=st.sampled_from(sorted(PACKED)),
)
def test_compressed_bytes_cut_anywhere_unpack_to_the_same(
    body: bytes, data: st.DataObject, name: str
) -> None:
    encoding, pack = PACKED[name]
    packed = pack(body)
    decoder = inflater(encoding)
    if decoder is None:
        return
    cuts = sorted(data.draw(st.sets(st.integers(0, len(packed)), max_size=6)))
    found = b""
    for start, end in zip([0, *cuts], [*cuts, len(packed)], strict=True):
        decoder.feed(packed[start:end])
        while piece := decoder.take():
            found += piece
    assert found == body
    assert decoder.finished
