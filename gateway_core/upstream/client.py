"""The upstream side as the pipeline sees it: a request in, an answer out, every failure an UpstreamError."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import httpx

from gateway_core.upstream.head import Heads
from gateway_core.upstream.limits import Limits
from gateway_core.upstream.proxies import Proxies
from gateway_core.upstream.pump import Pumps
from gateway_core.upstream.response import UpstreamResponse
from gateway_core.upstream.sweep import Sweep
from gateway_core.upstream.target import Targets
from gateway_core.upstream.tls import TLS
from gateway_core.upstream.wire import Wire
from plugin_sdk.errors import UpstreamCut
from plugin_sdk.protocol import UpstreamRequest
from plugin_sdk.provider import Deadlines

USER_AGENT: Final = "ai-stats-gateway"
_NO_ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType({})
_LIMITS: Final = Limits()


class Upstream:
    """One per process. `environ` names proxies and certificate files, by the rules that httpx has."""

    def __init__(
        self,
        *,
        environ: Mapping[str, str] = _NO_ENVIRONMENT,
        limits: Limits = _LIMITS,
        user_agent: str = USER_AGENT,
    ) -> None:
        self._limits = limits
        self._tls = TLS(environ)
        self._proxies = Proxies(environ, limits, self._tls)
        self._proxied = bool(self._proxies)
        self._targets = Targets()
        self._heads = Heads(user_agent)
        self._sweep: Sweep | None = None
        self._wire: Wire | None = None
        self._pumps: Pumps | None = None

    async def send(
        self,
        request: UpstreamRequest,
        deadlines: Deadlines,
        *,
        verify: bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> UpstreamResponse:
        """Send a request; gives the answer once its status and headers are in."""
        wire = self._wire
        if wire is None:
            wire = self._begin()
        if transport is None:
            to = self._targets.get(request.url, verify=verify)
            if self._proxied:
                transport = self._proxies.transport(to)
            if transport is None:
                head = self._heads.write(request.method, to, request.headers, len(request.body))
                response = await wire.send(
                    to.origin, head, request.body, deadlines, head_only=request.method == "HEAD"
                )
                response.opened()
                return response
        return await self._through(transport, request, deadlines)

    async def close(self) -> None:
        """End what is under way and close every connection."""
        if self._sweep is not None:
            self._sweep.close(UpstreamCut("The gateway is shutting down.", reason="closed"))
        if self._wire is not None:
            await self._wire.close()
        if self._pumps is not None:
            await self._pumps.close()
        await self._proxies.close()

    def _begin(self) -> Wire:
        loop = asyncio.get_running_loop()
        self._sweep = Sweep(loop)
        self._pumps = Pumps(loop, self._sweep)
        self._wire = Wire(loop, self._limits, self._tls, self._sweep)
        return self._wire

    async def _through(
        self, transport: httpx.AsyncBaseTransport, request: UpstreamRequest, deadlines: Deadlines
    ) -> UpstreamResponse:
        if self._pumps is None:
            raise RuntimeError("not begun")
        response = await self._pumps.send(transport, request, self._heads.fields(request.headers), deadlines)
        response.opened()
        return response
