"""The connections to one origin: the last used first, a bounded number, none kept for long."""

import asyncio
import math
import socket
import ssl
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Final

from gateway_core.upstream.connection import Connection
from gateway_core.upstream.dial import dial
from gateway_core.upstream.limits import Limits
from gateway_core.upstream.target import Origin
from plugin_sdk.errors import UpstreamError, UpstreamTimeout

_CONNECT_TIMEOUT: Final = "No connection to the provider in time."


class Pool:
    """`take` for a connection at once, `connect` for one that has to be opened or waited for."""

    def __init__(
        self,
        origin: Origin,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        tls: Callable[[], ssl.SSLContext],
    ) -> None:
        self.origin = origin
        self._loop = loop
        self._limits = limits
        self._tls = tls
        self._idle: dict[Connection, None] = {}  # in the order in which they became idle
        self._open: set[Connection] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._reaper: asyncio.TimerHandle | None = None
        self._closed = False
        self._emptied: asyncio.Future[None] | None = None

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return len(self._idle)

    @property
    def size(self) -> int:
        """Connections open or being opened."""
        return len(self._open) + self._opening

    @property
    def busy(self) -> bool:
        """Whether it has, opens or is asked for a connection."""
        return bool(self._open or self._opening or self._waiting)

    def take(self) -> Connection | None:
        """The connection used last, if one is idle and alive."""
        idle = self._idle
        while idle:
            connection = idle.popitem()[0]
            if connection.usable:
                return connection
            connection.drop()
        return None

    async def connect(self, seconds: float) -> Connection:
        """A fresh connection, within `seconds`; at the origin's bound, the next that becomes free."""
        return await self._in_time(self._fresh_or_free(), seconds)

    def put(self, connection: Connection) -> None:
        """A connection whose answer is complete: to whoever waits for one, else kept for a while."""
        connection.idle_since = self._loop.time()
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if self._closed or len(self._idle) >= self._limits.idle:
            connection.drop()
            return
        self._idle[connection] = None
        if self._reaper is None:
            self._reaper = self._loop.call_later(self._limits.idle_seconds, self._reap)

    def lost(self, connection: Connection) -> None:
        """A connection has closed: there is room for another."""
        self._idle.pop(connection, None)
        self._open.discard(connection)
        if self._emptied is not None and not self._open and not self._emptied.done():
            self._emptied.set_result(None)
        self._room()

    async def close(self) -> None:
        """Close every connection, and wait until the loop has let go of them."""
        self._closed = True
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None
        for connection in tuple(self._open):
            connection.drop()
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(ConnectionAbortedError("closed"))
        self._waiting.clear()
        if self._open:
            self._emptied = self._loop.create_future()
            await self._emptied

    async def _in_time(self, opening: Coroutine[object, object, Connection], seconds: float) -> Connection:
        try:
            async with asyncio.timeout(seconds if seconds < math.inf else None):
                return await opening
        except TimeoutError as error:
            # also the kernel's own ETIMEDOUT
            raise UpstreamTimeout(_CONNECT_TIMEOUT, reason="connect_timeout") from error
        except (OSError, UnicodeError) as error:
            raise connect_failed(error) from error

    async def _fresh_or_free(self) -> Connection:
        if self.size < self._limits.connections:
            return await self._fresh()
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            connection = await waiter
        except asyncio.CancelledError:
            self._hand_on(waiter)
            raise
        if connection is None:
            self._opening -= 1  # the place that was kept for us
            return await self._fresh()
        if connection.usable:
            return connection
        connection.drop()
        return await self._fresh()

    def _hand_on(self, waiter: asyncio.Future[Connection | None]) -> None:
        """A waiter left in the moment in which it was served: the next one is."""
        if not waiter.done() or waiter.cancelled():
            return
        connection = waiter.result()
        if connection is None:
            self._opening -= 1
            self._room()
        elif connection.usable:
            self.put(connection)
        else:
            connection.drop()

    def _room(self) -> None:
        while self._waiting and self.size < self._limits.connections:
            waiter = self._waiting.popleft()
            if not waiter.done():
                self._opening += 1
                waiter.set_result(None)

    async def _fresh(self) -> Connection:
        origin = self.origin
        self._opening += 1
        connection: Connection | None = None
        try:
            secure = origin.scheme == "https"
            context = self._tls() if secure else None
            sock = await dial(self._loop, origin.host, origin.port)
            try:
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self._loop, self, sock),
                    sock=sock,
                    ssl=context,
                    server_hostname=origin.host if secure else None,
                )
            except BaseException:
                sock.close()
                raise
            if self._closed:
                connection.drop()
            if connection.closed or self._closed:
                raise ConnectionResetError("closed at once")
            self._open.add(connection)
            return connection
        finally:
            self._opening -= 1
            if connection is None or connection.closed:
                self._room()

    def _reap(self) -> None:
        """Close what was idle for too long; the oldest come first."""
        self._reaper = None
        oldest_kept = self._loop.time() - self._limits.idle_seconds
        for connection in tuple(self._idle):
            if connection.idle_since > oldest_kept:
                due = connection.idle_since - oldest_kept
                self._reaper = self._loop.call_later(max(due, 0.1), self._reap)
                return
            del self._idle[connection]
            connection.drop()


def connect_failed(error: BaseException) -> UpstreamError:
    """What to say of a connection that did not come about; the addresses stay in the cause."""
    return UpstreamError(f"connect failed: {_why(error)}", reason="connect_failed")


def _why(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate was not accepted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return "the TLS handshake failed"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, ConnectionError):
        return "the connection was closed"
    if isinstance(error, (UnicodeError, socket.gaierror)):
        return "the host name has no address"
    return "the host cannot be reached"
