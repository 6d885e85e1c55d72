"""One HTTP/1.1 connection: bytes out, and llhttp's events into the exchange that it serves."""

import asyncio
import math
import re
import select
import socket
from typing import TYPE_CHECKING, Final, cast

import httptools
from typing_extensions import override

from gateway_core.upstream.exchange import BODY, COMPLETE, HEAD, Exchange
from gateway_core.upstream.limits import BUFFER, MAX_FIELDS, MAX_HEAD, WRITE_PIECE
from plugin_sdk.errors import UpstreamCut, UpstreamError
from plugin_sdk.provider import Deadlines

if TYPE_CHECKING:
    from gateway_core.upstream.pool import Pool

_CHUNKED: Final = b"chunked"
_KEPT: Final = re.compile(rb"(?:^|[,;\s])timeout\s*=\s*\"?(\d{1,9})", re.IGNORECASE)  # RFC 2068, 19.7.1.1
_MARGIN: Final = 1.0  # seconds in which its closing may already be on its way
_SPACE: Final = 0x20


class _StopParsing(Exception):
    """Raised in a parser's callback: no byte behind this one is part of the answer."""


class Connection(asyncio.Protocol):
    """Serves one exchange at a time and returns to its pool by itself once an answer is complete."""

    __slots__ = (
        "_drained", "_framed", "_look", "_overhead", "_parser", "_reusable", "_unsent",
        "closed", "exchange", "idle_since", "kept", "loop", "pool", "transport",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: "Pool", sock: socket.socket) -> None:
        self.loop = loop
        self.pool = pool
        self.exchange: Exchange | None = None
        self.closed = False
        self.idle_since = 0.0
        self.kept = math.inf  # seconds that the peer keeps it when it is idle, if it has said so
        self._look = select.poll()
        self._look.register(sock, select.POLLIN)
        self._parser = httptools.HttpResponseParser(self)
        self._drained: asyncio.Future[None] | None = None
        self._unsent = False
        self._framed = False
        self._reusable = False
        self._overhead = 0

    # What the pool and the client call

    async def write_long(self, exchange: Exchange, head: bytes, body: bytes) -> None:
        """Write the request of the exchange that has begun, as fast as the socket takes it."""
        self._unsent = True
        self.transport.write(head)
        view = memoryview(body)
        for start in range(0, len(body), WRITE_PIECE):
            while self._drained is not None and self.exchange is exchange:
                await self._drained
            if self.exchange is not exchange:  # failed, or answered early: the rest is not wanted
                return
            self.transport.write(view[start : start + WRITE_PIECE])
        self._unsent = False

    def begin(self, exchange: Exchange, deadlines: Deadlines) -> None:
        """From now on what arrives is this exchange's."""
        self.exchange = exchange
        self._overhead = 0
        self._reusable = False
        exchange.begin(self, deadlines)

    @property
    def usable(self) -> bool:
        """Whether a request may still be written to it: the peer is there, and has sent nothing unasked.

        The socket is asked too: its end may have come after the loop last read it, and what is written then
        can neither be known to have arrived nor be repeated.
        """
        return (
            not self.closed
            and not self.transport.is_closing()
            and self.loop.time() - self.idle_since < self.kept
            and not self._look.poll(0)
        )

    def resume(self) -> None:
        """The reader has caught up: read the socket again."""
        if not self.closed and not self.transport.is_closing():
            self.transport.resume_reading()

    def drop(self) -> None:
        """Close at once, whatever is under way."""
        self.exchange = None
        self._let_write()
        if not self.closed:
            self.transport.abort()

    # asyncio.Protocol

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:  # nobody asked, so this is no answer; what follows must not pass for one either
            self.drop()
            return
        if exchange.state == HEAD:
            if not self._overhead and data[0] < _SPACE:  # the parser passes over empty lines
                exchange.fail(_malformed("an empty line where its status should be"))
                return
            self._overhead += len(data)
        before = exchange.buffered
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._broken(exchange, error)
            return
        if exchange.state == COMPLETE:
            self._complete(exchange)
        elif exchange.buffered != before:
            self._received(exchange)
        else:
            self._received_no_body(exchange, len(data))

    @override
    def eof_received(self) -> None:
        self.closed = True  # behind TLS it takes a few turns until the transport itself says so

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.pool.lost(self)
        exchange, self.exchange = self.exchange, None
        del self._parser  # it holds our own methods: a circle that only the garbage collector would break
        self._let_write()
        if exchange is None or exchange.state >= COMPLETE:
            return
        if exchange.state == BODY and not self._framed and exc is None:
            exchange.completed()
            return
        message = (
            "The provider closed the connection before it answered."
            if exchange.state == HEAD
            else "The provider's answer ended before its end."
        )
        error = UpstreamCut(message, reason="cut")
        error.__cause__ = exc
        exchange.fail(error)

    @override
    def pause_writing(self) -> None:
        self._drained = self.loop.create_future()

    @override
    def resume_writing(self) -> None:
        self._let_write()

    # httptools

    def on_message_begin(self) -> None:
        """A second answer behind a complete one is nobody's."""
        exchange = self.exchange
        if exchange is None or exchange.state >= COMPLETE:
            raise _StopParsing

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field; one behind the body (a trailer) is passed over."""
        exchange = self.exchange
        if exchange is not None and exchange.state == HEAD:
            exchange.raw.append((name, value.rstrip()))

    def on_headers_complete(self) -> None:
        """The head is in, unless it is an interim one."""
        exchange = self.exchange
        if exchange is None:
            raise _StopParsing
        status = self._parser.get_status_code()
        if status < 200:
            exchange.raw.clear()
            if status < 100:
                raise _Malformed("no status")
            return
        raw = exchange.raw
        if self._overhead > MAX_HEAD or len(raw) > MAX_FIELDS:
            _check_size(raw)
        self._framed = self._heed(raw)
        exchange.status = status
        exchange.state = BODY
        self._overhead = 0
        if exchange.head_only:
            exchange.state = COMPLETE
            raise _StopParsing

    def on_body(self, body: bytes) -> None:
        """The next bytes of the body."""
        exchange = self.exchange
        if exchange is not None:
            exchange.chunks.append(body)
            exchange.buffered += len(body)

    def on_message_complete(self) -> None:
        """The end of an answer, interim ones included."""
        exchange = self.exchange
        if exchange is not None and exchange.state == BODY:
            exchange.state = COMPLETE
            self._reusable = self._parser.should_keep_alive()

    def _heed(self, raw: list[tuple[bytes, bytes]]) -> bool:
        """Whether the answer itself says where it ends; if not, the end of the connection does."""
        framed = chunked = False
        for name, value in raw:
            size = len(name)
            if size == 14 and name.lower() == b"content-length":
                framed = True
            elif size == 17 and name.lower() == b"transfer-encoding":
                if chunked or value.lower() != _CHUNKED:
                    raise _Malformed("an unknown transfer-encoding")
                framed = chunked = True
            elif size == 10 and name.lower() == b"keep-alive" and (told := _KEPT.search(value)):
                self.kept = int(told[1]) - _MARGIN
        return framed

    # What follows from what arrived

    def _received(self, exchange: Exchange) -> None:
        exchange.heard = True
        self._overhead = 0
        if exchange.want == COMPLETE:
            exchange.flowing = True
            if exchange.buffered > exchange.bound:
                exchange.outgrown()
            return
        if exchange.buffered > BUFFER and not exchange.paused:
            exchange.paused = True
            self.transport.pause_reading()
        waiter = exchange.waiter
        if waiter is not None:
            exchange.waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def _received_no_body(self, exchange: Exchange, size: int) -> None:
        """Header, framing or trailer bytes only: not for ever."""
        if exchange.state == BODY:
            self._overhead += size
            if exchange.want == BODY:
                exchange.wake()
        if self._overhead > MAX_HEAD:
            exchange.fail(_malformed("its header is too long"))

    def _complete(self, exchange: Exchange) -> None:
        self.exchange = None
        was_paused = exchange.paused
        exchange.completed()
        unsent = self._unsent or self.transport.get_write_buffer_size() > 0
        self._let_write()
        if not self._reusable or unsent or self.closed or self.transport.is_closing():
            self.drop()
            return
        if was_paused:
            self.transport.resume_reading()
        self.pool.put(self)

    def _broken(self, exchange: Exchange, error: Exception) -> None:
        if exchange.state == COMPLETE:  # the answer is whole; what came behind it is not ours to read
            self._reusable = False
            self._complete(exchange)
            return
        cause = error.__context__
        exchange.fail(_malformed(str(cause if isinstance(cause, _Malformed) else error)))

    def _let_write(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)


class _Malformed(Exception):
    """Raised in a parser's callback: this is no answer."""


def _malformed(what: str) -> UpstreamError:
    return UpstreamError(f"The provider's answer is not HTTP: {what}.", reason="malformed_answer")


def _check_size(raw: list[tuple[bytes, bytes]]) -> None:
    if len(raw) > MAX_FIELDS or sum(len(name) + len(value) + 4 for name, value in raw) > MAX_HEAD:
        raise _Malformed("its header is too long")
