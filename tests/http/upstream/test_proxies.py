"""Proxies named in the environment: the same rules as httpx, and requests that really go through them."""

import asyncio
import itertools

import httpx
import pytest
from httpx._utils import URLPattern, get_environment_proxies

from gateway_core.upstream import Limits, Upstream
from gateway_core.upstream.proxies import Proxies, patterns
from gateway_core.upstream.tls import TLS
from plugin_sdk.errors import UpstreamError
from plugin_sdk.provider import Deadlines
from tests.http.upstream.peer import OK, Line, answering, fetch, post, serving

ENVIRONMENTS: list[dict[str, str]] = [
    {},
    {"HTTP_PROXY": "http://p:1"},
    {"http_proxy": "p:1", "HTTP_PROXY": "q:2"},
    {"HTTPS_PROXY": "http://p:1", "https_proxy": ""},
    {"ALL_PROXY": "http://p:1", "HTTPS_PROXY": "http://q:2"},
    {"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"},
    {"http_proxy": "http://p:1", "REQUEST_METHOD": "GET"},
    {"ALL_PROXY": "http://p:1", "NO_PROXY": "*"},
    {"ALL_PROXY": "http://p:1", "NO_PROXY": "example.com, .internal ,localhost,127.0.0.1,::1,10.0.0.0/8"},
    {"ALL_PROXY": "http://p:1", "NO_PROXY": "https://example.com,api.example.org:8443"},
    {"HTTP_PROXY": "http://p:1", "HTTPS_PROXY": "http://p:1", "no_proxy": "a.example.com", "NO_PROXY": "b"},
]
URLS = [
    f"{scheme}://{host}"
    for scheme, host in itertools.product(
        ("http", "https"),
        [
            "example.com", "a.example.com", "notexample.com", "x.internal", "internal", "localhost",
            "127.0.0.1", "[::1]", "10.0.0.0", "10.1.2.3", "api.example.org:8443", "api.example.org",
        ],
    )
]  # fmt: skip


@pytest.mark.parametrize("environ", ENVIRONMENTS, ids=str)
def test_the_rules_are_those_of_httpx(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    theirs = get_environment_proxies()
    assert patterns(environ) == theirs
    ours = Proxies(environ, Limits(), TLS({}))
    rules = sorted((URLPattern(pattern), proxy) for pattern, proxy in theirs.items())
    for url in map(httpx.URL, URLS):
        assert ours.choose(url) == next((proxy for rule, proxy in rules if rule.matches(url)), None), url
    assert bool(ours) is bool(theirs)


async def test_http_goes_to_the_proxy_with_its_whole_url_and_the_proxys_password() -> None:
    async with serving(answering(OK)) as proxy:
        upstream = Upstream(environ={"HTTP_PROXY": f"http://user:pw@127.0.0.1:{proxy.port}"})
        for _ in range(2):
            assert await fetch(upstream, "http://upstream.test/v1/chat") == b"ok"
        assert proxy.requests[0].startswith(b"POST http://upstream.test/v1/chat HTTP/1.1\r\n")
        assert b"proxy-authorization: basic dxnlcjpwdw==" in proxy.requests[0].lower()
        assert b"accept-encoding: identity\r\n" in proxy.requests[0].lower()
        assert proxy.connections == 1
        await upstream.close()


async def test_https_goes_through_a_tunnel() -> None:
    async def script(line: Line) -> None:
        line.peer.requests.append(await line.reader.readuntil(b"\r\n\r\n"))
        await line.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        line.peer.requests.append(await line.reader.readexactly(1))

    async with serving(script) as proxy:
        upstream = Upstream(environ={"https_proxy": f"127.0.0.1:{proxy.port}"})
        with pytest.raises(UpstreamError, match="connect failed"):  # the tunnel ends nowhere
            await fetch(upstream, "https://upstream.test/v1/chat")
        assert proxy.requests[0].startswith(b"CONNECT upstream.test:443 HTTP/1.1\r\n")
        assert proxy.requests[1] == b"\x16"  # a TLS handshake began
        await upstream.close()


async def test_a_host_in_no_proxy_is_reached_directly() -> None:
    async def script(line: Line) -> None:
        raise AssertionError("the proxy was asked")

    async with serving(script) as proxy, serving(answering(OK)) as peer:
        upstream = Upstream(environ={"HTTP_PROXY": proxy.base, "NO_PROXY": "127.0.0.1"})
        assert await fetch(upstream, peer.url()) == b"ok"
        assert proxy.connections == 0
        assert peer.requests[0].startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
        await upstream.close()


@pytest.mark.parametrize(
    "proxy", ["http://user:hunter2@127.0.0.1:{port}", "ftp://user:hunter2@x", "http://user:hunter2@x:port"]
)
async def test_a_proxy_that_fails_is_a_failed_connection_and_its_password_is_not_told(proxy: str) -> None:
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"

    async def script(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        await line.write(refusal)

    async with serving(script) as peer:
        upstream = Upstream(environ={"https_proxy": proxy.format(port=peer.port)})
        with pytest.raises(UpstreamError, match="connect failed") as error:
            await upstream.send(post("https://upstream.test/"), Deadlines())
        assert error.value.reason == "connect_failed"
        assert "hunter2" not in repr(error.value) + str(error.value) + repr(error.value.__cause__)
        await upstream.close()


def test_an_entry_of_no_proxy_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ValueError, match="NO_PROXY"):
        Upstream(environ={"HTTP_PROXY": "http://p", "NO_PROXY": "host:port:x"})


async def test_deadlines_hold_behind_a_proxy_too() -> None:
    closed = asyncio.Event()

    async def script(line: Line) -> None:
        await line.request()
        await line.gone()
        closed.set()

    async with serving(script) as proxy:
        upstream = Upstream(environ={"HTTP_PROXY": proxy.base})
        with pytest.raises(UpstreamError) as late:
            await upstream.send(post("http://upstream.test/"), Deadlines(first_event=0.1))
        assert late.value.reason == "first_event_timeout"
        await closed.wait()
        await upstream.close()
