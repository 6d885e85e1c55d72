"""What is written: the request line, the host, the headers; and what is refused."""

import re

import pytest

from gateway_core.upstream import Upstream
from gateway_core.upstream.limits import TARGETS
from plugin_sdk.errors import UpstreamError
from plugin_sdk.protocol import UpstreamRequest
from plugin_sdk.provider import Deadlines
from tests.http.upstream.peer import OK, answering, fetch, post, serving

SECRET = "sk-very-secret-0123456789"


async def test_a_request_as_it_stands_on_the_wire(upstream: Upstream) -> None:
    async with serving(answering(OK)) as peer:
        request = post(
            peer.url("/v1/chat?a=b#c"), b'{"x":1}', content_type="application/json", authorization="Bearer k"
        )
        (await upstream.send(request, Deadlines())).release()
        assert peer.requests == [
            b"POST /v1/chat?a=b HTTP/1.1\r\n"
            b"host: 127.0.0.1:%d\r\n"
            b"accept-encoding: identity\r\n"
            b"user-agent: ai-stats-gateway\r\n"
            b"content-type: application/json\r\n"
            b"authorization: Bearer k\r\n"
            b"content-length: 7\r\n"
            b"\r\n"
            b'{"x":1}' % peer.port
        ]


@pytest.mark.parametrize(
    ("method", "length"), [("GET", False), ("DELETE", False), ("POST", True), ("PUT", True)]
)
async def test_an_empty_body_has_a_length_where_the_method_means_one(
    upstream: Upstream, method: str, *, length: bool
) -> None:
    async with serving(answering(OK)) as peer:
        response = await upstream.send(UpstreamRequest(method=method, url=peer.url("")), Deadlines())
        assert await response.read(2) == b"ok"
        response.release()
        assert peer.requests[0].startswith(method.encode() + b" / HTTP/1.1\r\n")
        assert (b"content-length: 0\r\n" in peer.requests[0]) is length


async def test_framing_headers_of_the_caller_are_not_sent(upstream: Upstream) -> None:
    theirs = {
        "content-length": "999",
        "Transfer-Encoding": "chunked",
        "connection": "close",
        "accept-encoding": "br",
        "expect": "100-continue",
        "Host": "elsewhere",
    }
    async with serving(answering(OK)) as peer:
        request = UpstreamRequest(method="POST", url=peer.url(), headers=theirs, body=b"{}")
        (await upstream.send(request, Deadlines())).release()
        names = re.findall(rb"^([a-z-]+):", peer.requests[0], re.MULTILINE)
        assert names == [b"host", b"accept-encoding", b"user-agent", b"content-length"]
        assert b"content-length: 2\r\n" in peer.requests[0]
        assert b"host: 127.0.0.1" in peer.requests[0]


async def test_a_host_and_an_agent_that_the_caller_names_are_kept(upstream: Upstream) -> None:
    async with serving(answering(OK)) as peer:
        (
            await upstream.send(post(peer.url(), host="virtual.test", user_agent="other/1"), Deadlines())
        ).release()
        lines = peer.requests[0].split(b"\r\n")
        assert [line for line in lines if line.startswith(b"host:")] == [b"host: virtual.test"]
        assert [line for line in lines if line.startswith(b"user-agent:")] == [b"user-agent: other/1"]


@pytest.mark.parametrize("bad", ["\r\nx: y", "\n", "\r", "\0", "\u20ac", "\r\n"])
async def test_no_header_value_breaks_out_of_its_line_and_no_secret_is_told(
    upstream: Upstream, bad: str
) -> None:
    async with serving(answering(OK)) as peer:
        with pytest.raises(UpstreamError, match="header authorization") as error:
            await upstream.send(post(peer.url(), authorization=f"Bearer {SECRET}{bad}"), Deadlines())
        assert error.value.reason == "invalid_request_head"
        assert SECRET not in str(error.value) + repr(error.value) + repr(error.value.__cause__)
        assert error.value.__cause__ is None
        assert peer.requests == []


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "\u00e9"])
async def test_an_impossible_header_name_is_refused(upstream: Upstream, name: str) -> None:
    request = UpstreamRequest(method="POST", url="http://127.0.0.1:1/", headers={name: SECRET})
    with pytest.raises(UpstreamError) as error:
        await upstream.send(request, Deadlines())
    assert error.value.reason == "invalid_request_head"
    assert SECRET not in repr(error.value)


@pytest.mark.parametrize("method", ["", "get", "GET /x HTTP/1.1\r\n", "CONNECT"])
async def test_an_impossible_method_is_refused(upstream: Upstream, method: str) -> None:
    with pytest.raises(UpstreamError) as error:
        await upstream.send(UpstreamRequest(method=method, url="http://127.0.0.1:1/"), Deadlines())
    assert error.value.reason == "invalid_request_head"


@pytest.mark.parametrize(
    "url",
    ["", "/v1", "ftp://x/", "http://", f"http://x:port/{SECRET}", f"http://x/\r\n{SECRET}", "http://[::1/"],
)
async def test_a_url_that_is_none_is_refused_and_not_repeated(upstream: Upstream, url: str) -> None:
    with pytest.raises(UpstreamError) as error:
        await upstream.send(post(url), Deadlines())
    assert error.value.reason == "invalid_url"
    assert SECRET not in repr(error.value) + repr(error.value.__cause__)


async def test_more_urls_than_are_remembered_still_work(upstream: Upstream) -> None:
    async with serving(answering(OK)) as peer:
        for number in range(TARGETS + 2):
            assert await fetch(upstream, peer.url(f"/{number}")) == b"ok"
        assert await fetch(upstream, peer.url("/0")) == b"ok"
        assert peer.requests[-1].startswith(b"POST /0 HTTP/1.1\r\n")
        assert peer.connections == 1


async def test_ipv6(upstream: Upstream) -> None:
    async with serving(answering(OK), host="::1") as peer:
        assert await fetch(upstream, peer.url()) == b"ok"
        assert b"\r\nhost: [::1]:%d\r\n" % peer.port in peer.requests[0]
