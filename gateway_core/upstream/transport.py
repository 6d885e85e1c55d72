"""The same connections behind httpx's own interface, for whoever holds an `httpx.AsyncClient`."""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Final

import httpx
from typing_extensions import override

from gateway_core.upstream.head import raw_head
from gateway_core.upstream.limits import Limits
from gateway_core.upstream.response import UpstreamResponse
from gateway_core.upstream.sweep import Sweep
from gateway_core.upstream.target import Targets
from gateway_core.upstream.tls import TLS
from gateway_core.upstream.wire import Wire
from plugin_sdk.errors import UpstreamCut, UpstreamError, UpstreamTimeout
from plugin_sdk.provider import Deadlines

_NO_ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType({})
_LIMITS: Final = Limits()
_BY_REASON: Final[Mapping[str | None, type[httpx.TransportError]]] = MappingProxyType(
    {
        "connect_failed": httpx.ConnectError,
        "connect_timeout": httpx.ConnectTimeout,
        "invalid_request_head": httpx.LocalProtocolError,
        "invalid_url": httpx.UnsupportedProtocol,
    }
)


class FastTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1, no proxies. Bodies stay encoded, as httpx expects; a request's body is read whole."""

    def __init__(
        self,
        *,
        verify: bool = True,
        environ: Mapping[str, str] = _NO_ENVIRONMENT,
        limits: Limits = _LIMITS,
    ) -> None:
        self._verify = verify
        self._limits = limits
        self._tls = TLS(environ)
        self._targets = Targets()
        self._sweep: Sweep | None = None
        self._wire: Wire | None = None

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the response's stream holds the connection until it is read or closed."""
        if self._wire is None:
            loop = asyncio.get_running_loop()
            self._sweep = Sweep(loop)
            self._wire = Wire(loop, self._limits, self._tls, self._sweep)
        try:
            to = self._targets.get(str(request.url), verify=self._verify)
            body = await request.aread()
            head = raw_head(request.method, to, _framed(request, len(body)))
            response = await self._wire.send(
                to.origin, head, body, _deadlines(request), head_only=request.method == "HEAD"
            )
        except UpstreamError as error:
            raise _mapped(error) from error
        response.opened(decode=False)
        response.started()
        return httpx.Response(
            response.status,
            headers=response.raw,
            stream=_Body(response),
            extensions={"http_version": b"HTTP/1.1"},
        )

    @override
    async def aclose(self) -> None:
        """End what is under way and close every connection."""
        if self._sweep is not None and self._wire is not None:
            self._sweep.close(UpstreamCut("The transport was closed."))
            await self._wire.close()


class _Body(httpx.AsyncByteStream):
    """The bytes of a body."""

    def __init__(self, response: UpstreamResponse) -> None:
        self._response = response

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while (data := await self._response.next()) is not None:
                yield data
        except UpstreamError as error:
            raise _mapped(error) from error

    @override
    async def aclose(self) -> None:
        self._response.release()


def _framed(request: httpx.Request, size: int) -> list[tuple[bytes, bytes]]:
    """The request's headers; a body that was to be sent in chunks has a length now."""
    if "transfer-encoding" not in request.headers:
        return request.headers.raw
    kept = [
        field
        for field in request.headers.raw
        if field[0].lower() not in (b"transfer-encoding", b"content-length")
    ]
    return [*kept, (b"content-length", b"%d" % size)]


def _deadlines(request: httpx.Request) -> Deadlines:
    timeout = request.extensions.get("timeout", {})
    connect = min(timeout.get("connect") or math.inf, timeout.get("pool") or math.inf)
    read = timeout.get("read") or 0.0
    return Deadlines(
        connect=0.0 if connect == math.inf else connect, first_event=read, between_events=read, total=0.0
    )


def _mapped(error: UpstreamError) -> httpx.TransportError:
    kind = _BY_REASON.get(error.reason)
    if kind is None:
        kind = httpx.ReadTimeout if isinstance(error, UpstreamTimeout) else httpx.RemoteProtocolError
    return kind(error.message)
