"""One request and its answer: what the ASGI application gets to see of a connection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Literal

from gateway_core.server.heads import CONTINUE, Head, answer_head, joined_head

if TYPE_CHECKING:
    from gateway_core.server.connection import Connection

Message = dict[str, Any]
App = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]
Framing = Literal["length", "chunked", "to the end", "no body"]

EXTENSION: Final = "gateway.turn"
_JOIN_BELOW: Final = 64 * 1024
_LEFT: Final = "the client has left"
_OVER: Final[Message] = {}


class Turn:
    """A request's `scope`, `receive` and `send`. The connection feeds it and is told when it is answered.

    No queue, lock or event: a list of body pieces and a future, made only when the application has to wait.
    An application that knows the extension has the turn itself: `on_disconnect` and `abort`, which ASGI
    lacks, and `whole`, `start` and `push`: `receive` and `send` without messages and coroutines.
    """

    __slots__ = (
        "_body",
        "_callback",
        "_connection",
        "_delivered",
        "_expects",
        "_framing",
        "_head",
        "_left",
        "_waiter",
        "answered",
        "buffered",
        "gone",
        "keep",
        "more",
        "scope",
        "sent",
        "task",
    )

    def __init__(
        self, connection: "Connection", scope: Message, *, keep: bool, more: bool, expects: bool
    ) -> None:
        self._connection = connection
        self._body: list[bytes] = []
        self._callback: Callable[[], None] | None = None
        self._delivered = False
        self._expects = expects
        self._framing: Framing | None = None
        self._head: Head | None = None
        self._left = 0
        self._waiter: asyncio.Future[None] | None = None
        self.answered = False
        self.buffered = 0
        self.gone = False
        self.keep = keep
        self.more = more
        self.scope = scope
        self.sent = False
        self.task: asyncio.Task[None] | None = None
        scope["extensions"] = {EXTENSION: self}

    @property
    def waits(self) -> bool:
        """Whether the application waits for the body."""
        return self._waiter is not None

    @property
    def ends_by_close(self) -> bool:
        """Whether closing the connection is what ends the body, so that breaking off needs a reset."""
        return self._framing == "to the end"

    def feed(self, data: bytes) -> None:
        """A piece of the request's body."""
        self._body.append(data)
        self.buffered += len(data)
        if self._waiter is not None:
            self._wake()

    def end(self) -> None:
        """The request's body is whole."""
        self.more = False
        if self._waiter is not None:
            self._wake()

    def lose(self) -> None:
        """The client is gone: `send` fails, `receive` says so, and whoever asked to know is told."""
        if self.gone or self.answered:
            return
        self.gone = True
        self._wake()
        callback, self._callback = self._callback, None
        if callback is not None:
            self._connection.loop.call_soon(callback)

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """Call back once, from the loop, if the client leaves before its answer is complete."""
        if self.gone:
            self._connection.loop.call_soon(callback)
        else:
            self._callback = callback

    def abort(self) -> None:
        """Close the connection without ending the body, so that the client sees a broken answer."""
        if self.gone or self.answered:
            return
        self._callback = None  # the application knows
        self.lose()
        self._connection.break_off(reset=self.ends_by_close)

    def whole(self) -> bytes | None:
        """The request's body where all of it is here, and then only once; else None: ask `receive`."""
        if self.more or self._delivered or self.gone:
            return None
        body = b"".join(self._body)
        self._body = []
        self.buffered = 0
        self._delivered = True
        self._connection.consumed()
        return body

    def start(self, status: int, lines: bytes) -> None:
        """Begin the answer. `lines` are headers as they stand behind a first line, neither framing nor date.

        They are sent as they are: that no value ends its line early is up to the caller.
        """
        self._check_open("http.response.start")
        if self._head is not None:
            raise RuntimeError("the answer was started twice")
        self._head = joined_head(status, lines)

    def push(self, data: bytes, *, more: bool) -> "asyncio.Future[None] | None":
        """Send a piece of the body; gives what to wait for while the client is slow. OSError once it left."""
        self._check_open("http.response.body")
        self._send_body(data, more)
        return self._connection.writable

    async def run(self) -> None:
        """Run the application, and make sure that what it leaves unfinished does not look finished."""
        connection = self._connection
        failure: BaseException | None = None
        try:
            await connection.app(self.scope, self.receive, self.send)
        except BaseException as error:
            failure = error
            if not isinstance(error, Exception):
                raise
            if not (self.gone and _is_disconnect(error)):
                await connection.report(error)
        finally:
            self.scope = _OVER  # it holds this turn: a circle that only the garbage collector would break
            connection.ended(self, failure)

    async def receive(self) -> Message:
        """The next piece of the body; `http.disconnect` once the answer is complete or the client left."""
        while True:
            if self._body:
                body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
                self._body = []
                self.buffered = 0
                self._delivered = not self.more
                message = {"type": "http.request", "body": body, "more_body": self.more}
                self._connection.consumed()
                return message
            if not self.more and not self._delivered:
                self._delivered = True
                return {"type": "http.request", "body": b"", "more_body": False}
            if self.gone or self.answered:
                return {"type": "http.disconnect"}
            if self._expects and not self.sent:
                self._expects = False
                self._connection.transport.write(CONTINUE)
            if self._waiter is None or self._waiter.done():
                self._waiter = self._connection.loop.create_future()
            await self._waiter

    async def send(self, message: Message) -> None:
        """Send a part of the answer; waits while the client is slow, raises OSError once it has left."""
        kind = message["type"]
        self._check_open(kind)
        if kind == "http.response.body":
            self._send_body(message.get("body", b""), message.get("more_body", False))
            writable = self._connection.writable
            if writable is not None:
                await writable
                if self.gone:
                    raise OSError(_LEFT)
        elif kind == "http.response.start":
            if self._head is not None:
                raise RuntimeError("the answer was started twice")
            self._head = answer_head(message["status"], message.get("headers", ()))
        else:
            raise RuntimeError(f"HTTP/1.1 has no {kind}")

    def _check_open(self, kind: str) -> None:
        if self.answered:
            raise RuntimeError(f"{kind} after the end of the answer")
        if self._connection.transport.is_closing():
            self.lose()
        if self.gone:
            raise OSError(_LEFT)

    def _send_body(self, body: bytes, more: bool) -> None:  # noqa: FBT001  # ASGI's own flag
        if self._framing is None:
            self._first(body, more)
        else:
            self._next(body, more)
        if not more:
            self.answered = True
            self._callback = None
            self._wake()
            self._connection.answered(self)

    def _first(self, body: bytes, more: bool) -> None:  # noqa: FBT001
        """Write the head, and with it what there is of the body."""
        head = self._head
        if head is None:
            raise RuntimeError("the body was sent before the head")
        framing, lines = self._choose(head, len(body), more)
        if framing == "length" and not self._fits(len(body), more):
            raise RuntimeError("the body is not as long as its content-length")
        connection = self._connection
        if head.closes or framing == "to the end" or self.more or connection.draining:
            # a body that has not come in yet may never come, or be more than anyone would read
            self.keep = False
        self._framing = framing
        self.sent = True
        start = b"".join((
            head.data,
            b"" if head.dated else connection.common,
            lines,
            b"\r\n\r\n" if self.keep else b"\r\nconnection: close\r\n\r\n",
        ))  # fmt: skip
        self._write(start, body, more)

    def _choose(self, head: Head, size: int, more: bool) -> tuple[Framing, bytes]:  # noqa: FBT001
        """How the body is delimited, and the header lines that say so."""
        if head.status in (204, 304) or self.scope["method"] == "HEAD":
            length = head.length
            if length is None and not more and head.status != 304:
                length = size
            return (
                "no body",
                b"" if length is None or head.status == 204 else b"\r\ncontent-length: %d" % length,
            )
        if head.length is not None or not more:
            self._left = size if head.length is None else head.length
            return "length", b"\r\ncontent-length: %d" % self._left
        if self.scope["http_version"] == "1.0":
            return "to the end", b""
        return "chunked", b"\r\ntransfer-encoding: chunked"

    def _next(self, body: bytes, more: bool) -> None:  # noqa: FBT001
        if self._framing == "length" and not self._fits(len(body), more):
            self._connection.break_off(reset=False)
            self.lose()
            raise RuntimeError("the body is not as long as its content-length")
        self._write(b"", body, more)

    def _fits(self, size: int, more: bool) -> bool:  # noqa: FBT001
        self._left -= size
        return self._left >= 0 if more else self._left == 0

    def _write(self, start: bytes, body: bytes, more: bool) -> None:  # noqa: FBT001
        """Frame and write; one write for all that is small."""
        transport = self._connection.transport
        if self._framing == "chunked":
            if len(body) > _JOIN_BELOW:
                transport.writelines(
                    (start + b"%x\r\n" % len(body), body, b"\r\n" if more else b"\r\n0\r\n\r\n")
                )
                return
            if body:
                start = b"%s%x\r\n%s\r\n%s" % (start, len(body), body, b"" if more else b"0\r\n\r\n")
            elif not more:
                start += b"0\r\n\r\n"
        elif self._framing != "no body" and body:
            if start and len(body) > _JOIN_BELOW:
                transport.writelines((start, body))
                return
            start = start + body if start else body
        if start:
            transport.write(start)

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def _is_disconnect(error: BaseException) -> bool:
    """Whether an application failed of nothing but its client's leaving."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_disconnect(each) for each in error.exceptions)
    return isinstance(error, OSError)
