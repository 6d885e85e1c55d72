"""The client's side of one request over ASGI: read the body, write the answer, know when the client left."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from plugin_sdk.errors import PayloadTooLarge

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

ON_DISCONNECT: Final = "gateway.on_disconnect"
ABORT: Final = "gateway.abort"


class ClientLeft(Exception):
    """The client went away before its request was whole."""


class Client:
    """Writes are no-ops once the client has left: what becomes of the upstream is the exchange's business."""

    __slots__ = ("_abort", "_on_left", "_receive", "_send", "_told", "_watcher", "left", "started")

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._on_left: Callable[[], None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.left = False
        self.started = False
        extensions = scope.get("extensions") or {}
        self._abort: Callable[[], None] | None = extensions.get(ABORT)
        register = extensions.get(ON_DISCONNECT)
        self._told = register is not None
        if register is not None:
            register(self._has_left)

    async def body(self, limit: int, declared: int | None) -> bytes:
        """The whole request body; raise PayloadTooLarge as soon as it is known to be over `limit`."""
        if declared is not None and declared > limit:
            raise _too_large(limit)
        message = await self._receive()
        body: bytes = message.get("body", b"")
        if message["type"] == "http.disconnect":
            raise ClientLeft
        if not message.get("more_body"):
            if len(body) > limit:
                raise _too_large(limit)
            return body
        parts = [body]
        size = len(body)
        while message.get("more_body"):
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise _too_large(limit)
        return b"".join(parts)

    def on_left(self, callback: Callable[[], None]) -> None:
        """Call back once, when the client leaves."""
        self._on_left = callback

    def watch(self) -> None:
        """The body is read: from now on a task watches for a disconnect, unless the server tells of it."""
        if not self._told and self._watcher is None:
            self._watcher = asyncio.ensure_future(self._watch())

    def unwatch(self) -> None:
        """The request is over."""
        self._on_left = None
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status and the headers."""
        self.started = True
        if not self.left:
            await self._deliver({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes) -> None:
        """Send a piece of the body; waits while the client is slow."""
        if not self.left:
            await self._deliver({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, data: bytes = b"") -> None:
        """Send the last piece and the body's terminator."""
        if not self.left:
            await self._deliver({"type": "http.response.body", "body": data, "more_body": False})

    def abort(self) -> None:
        """Close the connection without the body's terminator: the client must see a broken answer."""
        if self._abort is not None and not self.left:
            self._abort()

    async def _deliver(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:
            self._has_left()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._has_left()

    def _has_left(self) -> None:
        if not self.left:
            self.left = True
            if self._on_left is not None:
                self._on_left()


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than {limit} bytes.")
