"""The client's side of one request over ASGI: read the body, write the answer, know when the client left."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from plugin_sdk.errors import PayloadTooLarge

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
TURN: Final = "gateway.turn"


class Turn(Protocol):
    """The extension by which our own server knows ASGI's messages as plain calls (server/turn.py)."""

    gone: bool

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """Call back once, if the client leaves before its answer is complete."""

    def abort(self) -> None:
        """Close the connection without ending the body."""

    def whole(self) -> bytes | None:
        """The request's body where all of it is here."""

    def start(self, status: int, lines: bytes) -> None:
        """The status, and the headers as lines."""

    def push(self, data: bytes, *, more: bool) -> Awaitable[None] | None:
        """A piece of the body; gives what to wait for while the client is slow. OSError once it left."""


class ClientLeft(Exception):
    """The client went away before its request was whole."""


class Client:
    """Writes are no-ops once the client has left: what becomes of the upstream is the exchange's business."""

    __slots__ = (
        "_ended", "_on_left", "_receive", "_recorded", "_room", "_send", "_turn", "_type", "_watcher",
        "left", "started",
    )  # fmt: skip

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._on_left: Callable[[], None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._recorded: list[bytes] | None = None
        self._room = 0
        self._type = ""
        self._ended = False
        self.left = False
        self.started = False
        extensions = scope.get("extensions")
        self._turn: Turn | None = extensions.get(TURN) if extensions else None
        if self._turn is not None:
            self._turn.on_disconnect(self._has_left)

    def whole(self, limit: int) -> bytes | None:
        """The request's body where all of it is here; PayloadTooLarge where it is over `limit`."""
        whole = None if self._turn is None else self._turn.whole()
        if whole is not None and len(whole) > limit:
            raise _too_large(limit)
        return whole

    async def body(self, limit: int, declared: int | None) -> bytes:
        """The request's body to come; raise PayloadTooLarge as soon as it is known to be over `limit`."""
        if declared is not None and declared > limit:
            raise _too_large(limit)
        parts = []
        size = 0
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise _too_large(limit)
            more = message.get("more_body", False)
        return b"".join(parts)

    def on_left(self, callback: Callable[[], None]) -> None:
        """Call back once, when the client leaves."""
        self._on_left = callback

    def watch(self) -> None:
        """The body is read: from now on a task watches for a disconnect, unless the server tells of it.

        Raises ClientLeft where the client is gone by now.
        """
        if self.left:
            raise ClientLeft
        if self._turn is None and self._watcher is None:
            self._watcher = asyncio.ensure_future(self._watch())

    def unwatch(self) -> None:
        """The request is over."""
        self._on_left = None
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    def record(self, most: int) -> None:
        """Keep what is sent, up to so many bytes, whether or not the client is still there."""
        self._recorded = []
        self._room = most

    @property
    def records(self) -> bool:
        """Whether what is sent is kept."""
        return self._recorded is not None

    def told(self) -> tuple[str, bytes | None]:
        """(the content type, the body) that was sent; None for one that was larger than is kept."""
        return self._type, b"".join(self._recorded or ()) if self._room >= 0 else None

    async def start(self, status: int, lines: bytes) -> None:
        """Send the status and the headers: each a line break, then `name: value`, the content type first."""
        self.started = True
        if self._recorded is not None:
            self._type = lines.split(b"\r\n", 2)[1].partition(b": ")[2].decode("latin-1")
        if self.left:
            return
        if self._turn is None:
            await self._deliver({"type": "http.response.start", "status": status, "headers": _pairs(lines)})
            return
        try:
            self._turn.start(status, lines)
        except OSError:
            self._has_left()

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; waits while the client is slow."""
        await self._push(data, more=True)

    async def finish(self, data: bytes = b"") -> None:
        """Send the last piece and the body's terminator."""
        await self._push(data, more=False)

    async def answer(self, status: int, lines: bytes, body: bytes) -> None:
        """Send a whole answer."""
        if self._turn is None:
            lines += b"\r\ncontent-length: %d" % len(body)  # our own server says so itself
            if self._watcher is None:  # a body that nobody reads may hold up its connection, this answer too
                self._watcher = asyncio.ensure_future(self._watch())
        await self.start(status, lines)
        await self._push(body, more=False)

    def abort(self) -> None:
        """Close the connection without the body's terminator: the client must see a broken answer."""
        if self._turn is not None and not self.left:
            self._turn.abort()

    async def _push(self, data: bytes, *, more: bool) -> None:
        if self._recorded is not None:
            self._keep(data, self._recorded)
        if self.left:
            return
        turn = self._turn
        if turn is None:
            self._ended = not more
            await self._deliver({"type": "http.response.body", "body": data, "more_body": more})
            return
        try:
            slow = turn.push(data, more=more)
        except OSError:
            self._has_left()
            return
        if slow is not None:
            await slow
            if turn.gone:
                self._has_left()

    def _keep(self, data: bytes, recorded: list[bytes]) -> None:
        self._room -= len(data)
        if self._room >= 0:
            recorded.append(data)
        else:
            recorded.clear()

    async def _deliver(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:
            self._has_left()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._ended:  # behind the end of an answer, a disconnect is only the end of its request
            self._has_left()

    def _has_left(self) -> None:
        if not self.left:
            self.left = True
            if self._on_left is not None:
                self._on_left()


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than {limit} bytes.")


def _pairs(lines: bytes) -> list[tuple[bytes, ...]]:
    """The headers as ASGI has them."""
    return [tuple(line.split(b": ", 1)) for line in lines.split(b"\r\n")[1:]]
