"""A server on loopback that is scripted byte by byte, and the request that most tests send to it."""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from gateway_core.upstream import Upstream, UpstreamResponse
from plugin_sdk.protocol import UpstreamRequest
from plugin_sdk.provider import Deadlines

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Line:
    """One connection, from the server's side."""

    def __init__(self, peer: "Peer", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peer = peer
        self.reader = reader
        self.writer = writer
        self.number = peer.connections

    async def request(self) -> bytes:
        """The next whole request."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await self.reader.readexactly(int(length[1])) if length else b""
        self.peer.requests.append(head + body)
        return head + body

    async def write(self, *pieces: bytes) -> None:
        """Each piece by itself."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    def reset(self) -> None:
        """Close with a reset instead of an end."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def gone(self) -> bytes:
        """What still comes until the other side closes."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""


Script = Callable[[Line], Awaitable[None]]


class Peer:
    """What the server has seen."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.base = ""
        self.port = 0

    def url(self, path: str = "/v1/chat/completions") -> str:
        return self.base + path


@asynccontextmanager
async def serving(
    script: Script,
    *,
    host: str = "127.0.0.1",
    context: ssl.SSLContext | None = None,
    buffer: int | None = None,
) -> AsyncIterator[Peer]:
    """Run a script for each connection; the connection is closed where the script ends."""
    peer = Peer()
    running: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        peer.connections += 1
        try:
            await script(Line(peer, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the other side left, or the test is over
        finally:
            running.discard(task)
            writer.close()

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    if buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, 0))
    server = await asyncio.start_server(connected, sock=sock, ssl=context)
    peer.port = sock.getsockname()[1]
    name = f"[{host}]" if ":" in host else host
    peer.base = f"{'https' if context else 'http'}://{name}:{peer.port}"
    try:
        yield peer
    finally:
        server.close()
        tasks = tuple(running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(*pieces: bytes, close: bool = False) -> Script:
    """Answer every request of every connection with these pieces."""

    async def script(line: Line) -> None:
        while True:
            await line.request()
            await line.write(*pieces)
            if close:
                return

    return script


def post(url: str, body: bytes = b"{}", **headers: str) -> UpstreamRequest:
    return UpstreamRequest(
        method="POST",
        url=url,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=body,
    )


async def chunks(response: UpstreamResponse) -> list[bytes]:
    """The body as it came."""
    found = []
    while (data := await response.next()) is not None:
        found.append(data)
    return found


async def fetch(upstream: Upstream, url: str) -> bytes:
    """One request, and the whole body of its answer."""
    return await ask(upstream, post(url))


async def ask(upstream: Upstream, request: UpstreamRequest) -> bytes:
    """This request, and the whole body of its answer."""
    response = await upstream.send(request, Deadlines())
    try:
        return b"".join(await chunks(response))
    finally:
        response.release()
