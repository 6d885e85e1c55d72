"""Answers of an httpx transport (a provider's own, a proxy's, a test's) under the deadlines of any other."""

import asyncio
import math
from typing import Final

import httpx

from gateway_core.upstream.exchange import BODY, COMPLETE, Exchange
from gateway_core.upstream.limits import BUFFER
from gateway_core.upstream.response import UpstreamResponse
from gateway_core.upstream.sweep import Sweep
from plugin_sdk.errors import GatewayError, UpstreamCut, UpstreamError, UpstreamTimeout
from plugin_sdk.protocol import UpstreamRequest
from plugin_sdk.provider import Deadlines


class Pumps:
    """The tasks that move bytes from transports into exchanges, one per request."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sweep: Sweep) -> None:
        self._loop = loop
        self._sweep = sweep
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    async def send(
        self,
        transport: httpx.AsyncBaseTransport,
        request: UpstreamRequest,
        headers: list[tuple[str, str]],
        deadlines: Deadlines,
    ) -> UpstreamResponse:
        """Send a request through a transport; gives the answer once its head is in."""
        wired = _httpx_request(request, headers, deadlines)
        ends = self._loop.time() + (deadlines.total or math.inf)
        response = UpstreamResponse(self._loop, self._sweep, ends, head_only=request.method == "HEAD")
        pump = _Pump(transport, wired, response)
        pump.task = self._loop.create_task(pump.run())
        self._tasks.add(pump.task)
        pump.task.add_done_callback(self._tasks.discard)
        response.begin(pump, deadlines)
        try:
            await response.head()
        except BaseException:
            response.give_up()
            raise
        return response

    async def close(self) -> None:
        """Cancel what still runs, and wait for it."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Pump:
    """Reads one answer; stops while the reader is behind."""

    task: asyncio.Task[None]

    def __init__(
        self, transport: httpx.AsyncBaseTransport, request: httpx.Request, exchange: Exchange
    ) -> None:
        self._transport = transport
        self._request = request
        self._exchange = exchange
        self._room = asyncio.Event()

    def resume(self) -> None:
        self._room.set()

    def drop(self) -> None:
        self.task.cancel()

    async def run(self) -> None:
        try:
            await self._answer()
        except httpx.HTTPError as error:
            self._fail(_mapped(error, self._exchange))
        except GatewayError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - a transport may be anybody's; another endpoint may do
            failed = UpstreamError("The provider's transport failed.", reason="transport_failed")
            failed.__cause__ = error
            self._fail(failed)
        finally:
            self._fail(UpstreamCut("The provider's answer was broken off.", reason="cut"))

    async def _answer(self) -> None:
        response = await self._transport.handle_async_request(self._request)
        try:
            exchange = self._exchange
            exchange.raw = list(response.headers.raw)
            exchange.status = response.status_code
            exchange.state = BODY
            exchange.wake()
            if not exchange.head_only:
                async for chunk in response.stream:  # type: ignore[union-attr]  # an async transport's
                    if chunk:
                        await self._give(chunk)
            if exchange.state < COMPLETE:
                exchange.completed()
        finally:
            await response.aclose()

    async def _give(self, chunk: bytes) -> None:
        exchange = self._exchange
        exchange.chunks.append(chunk)
        exchange.buffered += len(chunk)
        exchange.heard = True
        if exchange.want == COMPLETE:
            exchange.flowing = True
            if exchange.buffered > exchange.bound:
                exchange.outgrown()
            return
        exchange.wake()
        if exchange.buffered > BUFFER:
            exchange.paused = True
            self._room.clear()
            await self._room.wait()

    def _fail(self, error: Exception) -> None:
        exchange = self._exchange
        exchange.source = None  # this task ends by itself
        exchange.fail(error)


def _httpx_request(
    request: UpstreamRequest, headers: list[tuple[str, str]], deadlines: Deadlines
) -> httpx.Request:
    connect = deadlines.connect or None
    timeout = {"connect": connect, "pool": connect, "read": None, "write": None}  # the others are the sweep's
    try:
        return httpx.Request(
            request.method,
            request.url,
            headers=headers,
            content=request.body,
            extensions={"timeout": timeout},
        )
    except (httpx.InvalidURL, ValueError, TypeError):
        raise UpstreamError("The provider's URL is not a URL.", reason="invalid_url") from None


_CONNECT_TIMEOUTS: Final = (httpx.ConnectTimeout, httpx.PoolTimeout)
_NOT_CONNECTED: Final = (httpx.ConnectError, httpx.ProxyError, httpx.UnsupportedProtocol)
_CUT: Final = (httpx.NetworkError, httpx.RemoteProtocolError)


def _mapped(error: httpx.HTTPError, exchange: Exchange) -> UpstreamError:
    """Short words of our own; what httpx said is the cause, but for what may quote a header."""
    found: UpstreamError
    if isinstance(error, _CONNECT_TIMEOUTS):
        found = UpstreamTimeout("No connection to the provider in time.", reason="connect_timeout")
    elif isinstance(error, httpx.TimeoutException):
        reason = "event_timeout" if exchange.flowing else "first_event_timeout"
        found = UpstreamTimeout("The provider stopped sending.", reason=reason)
    elif isinstance(error, _NOT_CONNECTED):
        found = UpstreamError(
            "connect failed: the provider or its proxy cannot be reached", reason="connect_failed"
        )
    elif isinstance(error, _CUT):
        found = UpstreamCut("The provider's answer ended before its end.", reason="cut")
    else:
        return UpstreamError("The request to the provider failed.", reason="transport_failed")
    found.__cause__ = error
    return found
