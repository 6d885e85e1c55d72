"""The HTTP/1.1 front of a worker: takes Hypercorn's TCP connections, gives back what it does not speak."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from hypercorn import protocol as protocols
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio import run as seam
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.typing import AppWrapper, LifespanState
from hypercorn.utils import parse_socket_addr

from gateway_core.server.connection import Connection
from gateway_core.server.heads import header_lines
from gateway_core.server.http2 import Http2
from gateway_core.server.limits import Limits
from gateway_core.server.turn import App

_FIRST_READ = 1 << 20  # more than a stream reader buffers


class Front:
    """Stands where Hypercorn's `TCPServer` class stood; HTTP/2 and websockets stay with that class.

    Hypercorn keeps the sockets, TLS, the lifespan and the shutdown: it sets an event when it stops, and
    cancels the connections that are left after the graceful time.
    """

    def __init__(self, config: Config, limits: Limits | None = None) -> None:
        self.app: App
        self.loop: asyncio.AbstractEventLoop
        self.limits = limits or Limits()
        self.keep_alive = float(config.keep_alive_timeout)
        self.most_requests = config.keep_alive_max_requests
        self.draining = False
        self.now = 0.0
        """The loop's time at the last sweep: near enough for deadlines."""
        self.common = b""
        """Header lines of every answer: the date, and what else Hypercorn's configuration adds."""
        self._config = config
        self._connections: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._stopper: asyncio.Task[None] | None = None

    async def serve(
        self,
        app: AppWrapper,
        loop: asyncio.AbstractEventLoop,
        config: Config,
        context: WorkerContext,
        state: LifespanState,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Serve one accepted connection to its end; takes what Hypercorn's `TCPServer` takes."""
        if _is_http2(writer) or await self._serve_http1(app, loop, context, state, reader, writer):
            await TCPServer(app, loop, config, context, state, reader, writer)

    async def _serve_http1(
        self,
        app: AppWrapper,
        loop: asyncio.AbstractEventLoop,
        context: WorkerContext,
        state: LifespanState,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Whether the stock server has to go on; what it needs is in the reader then."""
        transport = cast("asyncio.Transport", writer.transport)
        scope = _connection_scope(self._config, state, writer)
        if scope is None:
            transport.abort()
            return False
        self._begin(app, loop, context)
        connection = Connection(self, transport, scope)
        self._connections.add(connection)
        try:
            # With TLS the first bytes may be here already, and the end behind them: the reader knows.
            first = await reader.read(_FIRST_READ)
            if first.startswith(b"PRI "):
                reader.feed_data(first)
                return True
            if first and not transport.is_closing():
                streams = transport.get_protocol()
                transport.set_protocol(connection)
                connection.data_received(first)
                if reader.at_eof():
                    connection.eof_received()
                    transport.close()
                await connection.closed
                if connection.handover is not None:
                    transport.set_protocol(streams)
                    reader.feed_data(connection.handover)
                    return True
                cast("asyncio.Protocol", streams).connection_lost(None)  # it and its writer hold one another
        except OSError:
            transport.abort()
        except Exception as error:  # noqa: BLE001  # a connection's failure would end Hypercorn's shutdown early
            connection.kill()
            await self.report(error)
        except asyncio.CancelledError:
            tasks = connection.kill()
            if tasks:
                await asyncio.wait(tasks, timeout=1.0)
            # Not raised again: Hypercorn has timed out already, and asyncio would report each as an error.
        finally:
            self._connections.discard(connection)
            connection.release()
        transport.close()
        return False

    async def report(self, error: Exception) -> None:
        """Log that the application failed, as Hypercorn does."""
        await self._config.log.error("Error in ASGI Framework", exc_info=error)

    def kill(self) -> None:
        """End every connection now."""
        for connection in list(self._connections):
            connection.kill()

    def _begin(self, app: AppWrapper, loop: asyncio.AbstractEventLoop, context: WorkerContext) -> None:
        """Make sure that time is kept and that the end is waited for."""
        if self._stopper is None:
            if not isinstance(app, ASGIWrapper):
                raise TypeError("the front serves ASGI applications")
            self.app = cast("App", app.app)
            self.loop = loop
            self._stopper = loop.create_task(self._drain_at_the_end(context))
        if self._sweeper is None:
            self._sweep()

    async def _drain_at_the_end(self, context: WorkerContext) -> None:
        await context.terminated.wait()
        self.draining = True
        for connection in list(self._connections):
            connection.drain()
        # From Python 3.12 on, a server's wait_closed waits for connections before Hypercorn's timer starts.
        self.loop.call_later(self._config.graceful_timeout, self.kill)

    def _sweep(self) -> None:
        """Look at every deadline; sleeps as long as there is no connection."""
        self.now = self.loop.time()
        self.common = header_lines(self._config.response_headers("h11"))
        for connection in list(self._connections):
            connection.sweep(self.now)
        self._sweeper = self.loop.call_later(self.limits.sweep_seconds, self._sweep_on)

    def _sweep_on(self) -> None:
        self._sweeper = None
        if self._connections:
            self._sweep()


@contextmanager
def installed(front: Front) -> Iterator[None]:
    """Let Hypercorn's `worker_serve` use the front, in the process that serves: it is not inherited."""
    seam.TCPServer = front.serve  # type: ignore[assignment, attr-defined]
    protocols.H2Protocol = Http2  # type: ignore[attr-defined]
    try:
        yield
    finally:
        seam.TCPServer = TCPServer  # type: ignore[attr-defined]
        protocols.H2Protocol = H2Protocol  # type: ignore[attr-defined]


def _is_http2(writer: asyncio.StreamWriter) -> bool:
    tls = writer.get_extra_info("ssl_object")
    return tls is not None and tls.selected_alpn_protocol() == "h2"


def _connection_scope(
    config: Config, state: LifespanState, writer: asyncio.StreamWriter
) -> dict[str, Any] | None:
    """What the scopes of all requests of a connection share; None if the client has left already."""
    sock = writer.get_extra_info("socket")
    try:
        client = parse_socket_addr(sock.family, sock.getpeername())
        server = parse_socket_addr(sock.family, sock.getsockname())
    except OSError:
        return None
    scheme = "http" if writer.get_extra_info("ssl_object") is None else "https"
    return {
        "scheme": scheme,
        "root_path": config.root_path,
        "client": client,
        "server": server,
        "state": state,
    }
