"""TLS with a certificate authority of our own: verification, names, and what is said when it fails."""

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from gateway_core.upstream import Upstream
from plugin_sdk.errors import UpstreamError, UpstreamTimeout
from plugin_sdk.protocol import UpstreamRequest
from plugin_sdk.provider import Deadlines
from tests.http.upstream.peer import OK, Line, answering, post, serving

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="needs the openssl command for certificates"
)


class Authority:
    """A CA, and certificates by it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "ca.pem"
        self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip

    def server(self, names: str, *, days: int = 2) -> ssl.SSLContext:
        """A server's context with a certificate for these names (`DNS:a,IP:b`), good for so many days."""
        stem = names.replace(":", "_").replace(",", "_")
        self._openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", f"{stem}.key", "-out", f"{stem}.csr", "-subj", "/CN=test server",
        )  # fmt: skip
        extensions = self._folder / f"{stem}.ext"
        extensions.write_text(f"subjectAltName={names}\n")
        self._openssl(
            "x509", "-req", "-in", f"{stem}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", str(days), "-out", f"{stem}.pem", "-extfile", extensions.name,
        )  # fmt: skip
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._folder / f"{stem}.pem", self._folder / f"{stem}.key")
        return context

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def trusting(authority: Authority) -> Upstream:
    return Upstream(environ={"SSL_CERT_FILE": str(authority.file)})


async def body(upstream: Upstream, url: str, *, verify: bool = True) -> bytes:
    response = await upstream.send(post(url), Deadlines(), verify=verify)
    found = await response.read(1000)
    response.release()
    return found


async def test_a_certificate_that_verifies_is_accepted_and_its_connection_kept(authority: Authority) -> None:
    upstream = trusting(authority)
    async with serving(answering(OK), context=authority.server("DNS:localhost,IP:127.0.0.1")) as peer:
        for _ in range(3):
            assert await body(upstream, peer.url()) == b"ok"
        assert peer.connections == 1
        await upstream.close()


async def test_the_name_of_the_host_is_sent_and_checked(authority: Authority) -> None:
    upstream = trusting(authority)
    context = authority.server("DNS:localhost")
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with serving(answering(OK), context=context) as peer:
        assert await body(upstream, f"https://localhost:{peer.port}/") == b"ok"
        assert asked == ["localhost"]
        with pytest.raises(UpstreamError, match="the certificate was not accepted") as refused:
            await body(upstream, f"https://127.0.0.1:{peer.port}/")
        assert refused.value.reason == "connect_failed"
        assert refused.value.retryable
        await upstream.close()


async def test_a_certificate_whose_time_is_over_is_refused(authority: Authority) -> None:
    upstream = trusting(authority)
    async with serving(answering(OK), context=authority.server("IP:127.0.0.1", days=-1)) as peer:
        with pytest.raises(UpstreamError, match=r"the certificate was not accepted .*expired"):
            await body(upstream, peer.url())
        assert peer.requests == []
        await upstream.close()


async def test_an_unknown_authority_is_refused_unless_verification_is_off(authority: Authority) -> None:
    upstream = Upstream()
    async with serving(answering(OK), context=authority.server("IP:127.0.0.1")) as peer:
        with pytest.raises(UpstreamError, match="the certificate was not accepted"):
            await body(upstream, peer.url())
        assert await body(upstream, peer.url(), verify=False) == b"ok"
        # a connection that was not verified never serves a request that wants it
        with pytest.raises(UpstreamError, match="the certificate was not accepted"):
            await body(upstream, peer.url())
        await upstream.close()


async def test_a_long_request_and_a_long_answer_pass_through_tls(authority: Authority) -> None:
    upstream = trusting(authority)
    size = 5_000_000
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"y" * size
    async with serving(answering(answer), context=authority.server("IP:127.0.0.1")) as peer:
        for _ in range(2):
            response = await upstream.send(post(peer.url(), b"x" * size), Deadlines())
            assert await response.read(size) == b"y" * size
            response.release()
        assert [len(request.partition(b"\r\n\r\n")[2]) for request in peer.requests] == [size, size]
        assert peer.connections == 1
        await upstream.close()


async def test_a_server_without_tls_fails_the_handshake(upstream: Upstream) -> None:
    async def script(line: Line) -> None:
        await line.reader.read(1)
        await line.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

    async with serving(script) as peer:
        with pytest.raises(UpstreamError, match="connect failed") as error:
            await body(upstream, f"https://127.0.0.1:{peer.port}/")
        assert error.value.reason == "connect_failed"


async def test_a_handshake_that_stalls_is_held_to_the_connect_deadline(upstream: Upstream) -> None:
    closed = asyncio.Event()

    async def script(line: Line) -> None:
        await line.gone()
        closed.set()

    async with serving(script) as peer:
        request = UpstreamRequest(method="GET", url=f"https://127.0.0.1:{peer.port}/")
        with pytest.raises(UpstreamTimeout) as late:
            await upstream.send(request, Deadlines(connect=0.2))
        assert late.value.reason == "connect_timeout"
        await closed.wait()


async def test_certificates_that_cannot_be_read_are_named(authority: Authority) -> None:
    upstream = Upstream(environ={"SSL_CERT_FILE": str(authority.file) + ".missing"})
    async with serving(answering(OK), context=authority.server("IP:127.0.0.1")) as peer:
        with pytest.raises(UpstreamError, match="SSL_CERT_FILE"):
            await body(upstream, peer.url())
        await upstream.close()


async def test_a_folder_of_certificates_is_read(authority: Authority, tmp_path: Path) -> None:
    name = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", str(authority.file)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    (tmp_path / f"{name}.0").write_bytes(authority.file.read_bytes())
    upstream = Upstream(environ={"SSL_CERT_DIR": str(tmp_path)})
    async with serving(answering(OK), context=authority.server("IP:127.0.0.1")) as peer:
        assert await body(upstream, peer.url()) == b"ok"
        await upstream.close()
