"""Requests on direct connections: a pool for each origin.

A request is written once. If its connection then closes without an answer, nobody can say whether the
provider worked on it, and perhaps counted it: to repeat it is for failover to decide, not for us.
"""

import asyncio
import math

from gateway_core.upstream.limits import WRITE_PIECE, Limits
from gateway_core.upstream.pool import Pool
from gateway_core.upstream.response import UpstreamResponse
from gateway_core.upstream.sweep import Sweep
from gateway_core.upstream.target import Origin
from gateway_core.upstream.tls import TLS
from plugin_sdk.provider import Deadlines

POOLS = 512  # origins remembered; beyond it, those without a connection are forgotten


class Wire:
    """Bound to one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits, tls: TLS, sweep: Sweep) -> None:
        self._loop = loop
        self._limits = limits
        self._tls = tls
        self._sweep = sweep
        self._pools: dict[str, Pool] = {}

    async def send(
        self, origin: Origin, head: bytes, body: bytes, deadlines: Deadlines, *, head_only: bool = False
    ) -> UpstreamResponse:
        """Send a request; gives the answer once its head is in."""
        now = self._loop.time()
        ends = now + (deadlines.total or math.inf)
        pool = self._pools.get(origin.key) or self._pool(origin)
        connection = pool.take()
        if connection is None:
            connection = await pool.connect(min(deadlines.connect or math.inf, ends - now))
        response = UpstreamResponse(self._loop, self._sweep, ends, head_only=head_only)
        try:
            connection.begin(response, deadlines)
            if len(body) <= WRITE_PIECE:
                connection.transport.write(head + body if body else head)
            else:
                await connection.write_long(response, head, body)
            await response.head()
        except BaseException:
            response.give_up()
            raise
        return response

    async def close(self) -> None:
        """Close every connection."""
        pools = list(self._pools.values())
        self._pools.clear()
        for pool in pools:
            await pool.close()

    def _pool(self, origin: Origin) -> Pool:
        if len(self._pools) >= POOLS:
            self._pools = {key: pool for key, pool in self._pools.items() if pool.busy}
        pool = Pool(origin, self._loop, self._limits, lambda: self._tls.context(verify=origin.verify))
        self._pools[origin.key] = pool
        return pool
