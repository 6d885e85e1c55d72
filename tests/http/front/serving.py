"""A real Hypercorn on loopback with or without the front, and a client that sends what it is given."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any, cast

from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.run import worker_serve
from hypercorn.config import Config, Sockets

from gateway_core.server.front import Front, installed
from gateway_core.server.limits import Limits

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

PATIENCE = 20.0  # only a broken test waits as long


class Served:
    """A running server."""

    def __init__(self, address: tuple[str, int], front: Front | None) -> None:
        self.address = address
        self._front = front
        self.stopping = asyncio.Event()
        self.errors: list[str] = []

    @property
    def front(self) -> Front:
        assert self._front is not None
        return self._front

    @property
    def connection(self) -> Any:
        """The one connection that the front has."""
        (connection,) = self.front._connections
        return connection


class _Errors:
    """Hypercorn's logger as far as the front uses it: errors are kept, so that a test can expect them."""

    def __init__(self, kept: list[str]) -> None:
        self._kept = kept

    async def error(self, message: str, *args: Any, **kwargs: Any) -> None:
        self._kept.append(f"{message}: {kwargs.get('exc_info')!r}")

    exception = error

    async def info(self, message: str, *args: Any, **kwargs: Any) -> None: ...
    async def warning(self, message: str, *args: Any, **kwargs: Any) -> None: ...
    async def access(self, request: Any, response: Any, request_time: float) -> None: ...


def with_lifespan(app: App) -> App:
    async def wrapped(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    return wrapped


@asynccontextmanager
async def served(
    app: App,
    *,
    front: bool = True,
    limits: Limits | None = None,
    certificate: tuple[str, str] | None = None,
    **settings: Any,
) -> AsyncIterator[Served]:
    """Serve `app` until the block ends; `settings` are Hypercorn's."""
    config = Config()
    config.keep_alive_timeout = 60
    config.graceful_timeout = 5
    if certificate is not None:
        config.certfile, config.keyfile = certificate
    for name, value in settings.items():
        setattr(config, name, value)
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    ours = Front(config, limits or Limits(sweep_seconds=0.05)) if front else None
    server = Served(sock.getsockname(), ours)
    config._log = _Errors(server.errors)  # type: ignore[assignment]
    ready = asyncio.Event()

    async def until_stopped() -> None:
        ready.set()
        await server.stopping.wait()

    sockets = Sockets([sock], [], []) if certificate is not None else Sockets([], [sock], [])
    with installed(ours) if ours is not None else nullcontext():
        running = asyncio.create_task(
            worker_serve(
                ASGIWrapper(cast("Any", with_lifespan(app))),
                config,
                sockets=sockets,
                shutdown_trigger=until_stopped,
            )
        )
        try:
            await asyncio.wait({running, asyncio.create_task(ready.wait())}, return_when="FIRST_COMPLETED")
            yield server
        finally:
            server.stopping.set()
            await asyncio.wait_for(running, PATIENCE)
            sock.close()


class Answer:
    """An HTTP/1.1 answer as it came."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes, *, whole: bool) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.whole = whole


class Wire:
    """A client that sends what it is told and reads what comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, method: str = "GET") -> Answer | None:
        """The next answer; None if the connection ended before one began."""
        async with asyncio.timeout(PATIENCE):
            return await self._answer(method)

    async def _answer(self, method: str) -> Answer | None:
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        status = int(first.split(" ")[1])
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        if status == 100:
            return Answer(status, headers, b"", whole=True)
        try:
            return Answer(status, headers, await self._body(method, status, headers), whole=True)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            return Answer(status, headers, getattr(error, "partial", b""), whole=False)

    async def _body(self, method: str, status: int, headers: dict[str, str]) -> bytes:
        if method == "HEAD" or status in (204, 304):
            return b""
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            assert await self.reader.readexactly(2) == b"\r\n"
            return body
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"]))
        return await self.reader.read()

    async def drained(self) -> None:
        """Read, and drop, until the connection ends; raises ConnectionResetError if it ended by a reset."""
        async with asyncio.timeout(PATIENCE):
            while await self.reader.read(1000):
                pass

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


@asynccontextmanager
async def wire(
    server: Served, *, receive_buffer: int | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Wire]:
    """A connection to the server."""
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, server.address)
    limit = 65536 if receive_buffer is None else 1024
    reader, writer = await asyncio.open_connection(
        sock=sock, limit=limit, ssl=tls, server_hostname="localhost" if tls else None
    )
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def until(condition: Callable[[], object]) -> None:
    """Wait for what will happen; what never does fails the test."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.002)


async def body_of(receive: Receive) -> bytes:
    """The whole request body, as an application reads it."""
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise EOFError("the client left")
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def reply(
    send: Send, body: bytes, status: int = 200, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    """A whole answer."""
    await send({"type": "http.response.start", "status": status, "headers": headers or []})
    await send({"type": "http.response.body", "body": body, "more_body": False})
