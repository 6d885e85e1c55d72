"""A client's bytes cut into requests and checked, so that nothing is left to interpretation."""

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import httptools

from gateway_core.server.heads import REQUEST_LINE, Refused, split_target
from gateway_core.server.limits import Limits
from gateway_core.server.turn import Turn

if TYPE_CHECKING:
    from gateway_core.server.connection import Connection

_END: Final = b"\r\n\r\n"
_PIECE: Final = 64 * 1024
_ASGI: Final = {"version": "3.0", "spec_version": "2.4"}
_TOLD: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade"})
_UPGRADE_LINES: Final = re.compile(rb"\r\n(?:upgrade|http2-settings):[^\r\n]*", re.IGNORECASE)
_TOO_LONG: Final = "The request target is too long."


class Upgrade(Exception):
    """A request to go on with another protocol; `head` is the request as it was sent."""

    def __init__(self, head: bytes, protocol: bytes, *, has_body: bool) -> None:
        super().__init__()
        self.head = head
        self.protocol = protocol
        self.has_body = has_body

    def ignored(self) -> bytes:
        """The same request without the wish."""
        return _UPGRADE_LINES.sub(b"", self.head)


class Intake:
    """Feeds the parser one message at a time and makes turns of what comes out.

    The bytes are cut wherever a message may end, so the parser never sees two messages in one call: what
    follows a message can wait until it is wanted, and every request line is checked as it was sent.
    """

    def __init__(self, connection: "Connection", limits: Limits, scope: dict[str, Any]) -> None:
        self.turn: Turn | None = None
        """The request whose body is coming in."""
        self._connection = connection
        self._limits = limits
        self._scope = scope
        self._body_left = 0
        self._body_size = 0
        self._framing_size = 0
        self.begin()

    def begin(self) -> None:
        """Start over: the next byte is the first of a request."""
        self._parser = httptools.HttpRequestParser(self)
        self._forget()

    def release(self) -> None:
        """Nothing comes any more: let go of what holds us, which only the garbage collector would part."""
        del self._parser, self._connection

    def _forget(self) -> None:
        self.turn = None
        self.head = b""
        self._window = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._host: bytes | None = None
        self._length = 0
        self._chunked = False
        self._expects = False
        self._upgrade = b""

    def cut(self, data: bytes, start: int) -> int:
        """Where the next piece ends, here or later: a message ends by its length or with an empty line."""
        if self._body_left:
            return start + min(self._body_left, _PIECE)
        if self._window:
            found = (self._window + data[start : start + 3]).find(_END)
            if found >= 0:
                return start + found + len(_END) - len(self._window)
        found = data.find(_END, start)
        end = len(data) if found < 0 else found + len(_END)
        return end if self.turn is None else min(end, start + _PIECE)

    def push(self, piece: bytes) -> None:
        """Give the parser one piece; raise Refused for an improper request, Upgrade for another protocol."""
        turn = self.turn
        if turn is None:
            self.head = self.head + piece if self.head else piece
            if len(self.head) > self._limits.head_bytes:
                raise (
                    Refused(431, "The headers are too large.")
                    if b"\n" in self.head
                    else Refused(414, _TOO_LONG)
                )
        elif self._body_left:
            self._body_left -= len(piece)
        before = self._body_size
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            raise Upgrade(self.head, self._upgrade, has_body=self._chunked or self._length > 0) from None
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from None
        except httptools.HttpParserError as error:
            raise Refused(400, f"{error}.") from None
        if self._chunked:
            self._count(len(piece) - (self._body_size - before), turn)
        if self._chunked or (self.head and self.turn is None):
            self._window = (self._window + piece)[-3:] if len(piece) < 3 else piece[-3:]

    def _count(self, framing: int, turn: Turn | None) -> None:
        """Chunk sizes, extensions and trailers are work without a body: bounded."""
        self._framing_size += framing if turn is not None else 0
        if self._framing_size > self._limits.framing_bytes + 16 * self._body_size:
            raise Refused(400, "The chunks are mostly not body.")

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which nobody reads."""
        if self.turn is not None:
            return
        name = name.lower()
        value = value.rstrip()
        if name in _TOLD:
            self._note(name, value)
        self._headers.append((name, value))

    def _note(self, name: bytes, value: bytes) -> None:
        """A header that says how to read the message; the parser refuses contradictory ones."""
        if name == b"host":
            if self._host is not None:
                raise Refused(400, "There are two Host headers.")
            self._host = value
        elif name == b"content-length":
            self._length = int(value)
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked":
                raise Refused(501, "The only transfer-encoding here is chunked.")
            self._chunked = True
        elif name == b"upgrade":
            self._upgrade = value.lower()
        elif value.lower() == b"100-continue":
            self._expects = True

    def on_headers_complete(self) -> None:
        """The head is whole: check what the parser let pass, and make a turn of it."""
        line = REQUEST_LINE.match(self.head)
        if line is None:
            raise Refused(400, "The request line is malformed.")
        method, target, version = line.groups()
        self._check(method, target, version)
        if self._upgrade and self._parser.should_upgrade():
            return  # the parser stops here by itself
        authority, path, query = split_target(target)
        if authority is not None:
            self._headers = [(n, authority if n == b"host" else v) for n, v in self._headers]
        text = path.decode("ascii")
        modern = version == b"1.1"
        scope = {
            **self._scope,
            "type": "http",
            "asgi": _ASGI,
            "http_version": "1.1" if modern else "1.0",
            "method": method.decode("ascii"),
            "path": unquote(text) if "%" in text else text,
            "raw_path": path,
            "query_string": query,
            "headers": self._headers,
            "state": self._scope["state"].copy(),
        }
        self.turn = turn = Turn(
            self._connection,
            scope,
            keep=modern and self._parser.should_keep_alive(),
            more=self._chunked or self._length > 0,
            expects=self._expects and modern,
        )
        self._body_left = self._length
        self._body_size = self._framing_size = 0
        self._connection.arrived(turn)

    def _check(self, method: bytes, target: bytes, version: bytes) -> None:
        if version not in (b"1.1", b"1.0"):
            raise Refused(505, "The version here is HTTP/1.1.")
        if len(target) > self._limits.target_bytes:
            raise Refused(414, _TOO_LONG)
        if len(self._headers) > self._limits.headers:
            raise Refused(431, "There are too many headers.")
        if self._host is None and version == b"1.1":
            raise Refused(400, "The Host header is missing.")
        if self._chunked and version == b"1.0":
            raise Refused(400, "HTTP/1.0 has no transfer-encoding.")
        if method == b"CONNECT":
            raise Refused(501, "This is not a proxy.")

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._body_size += len(data)
        if self.turn is not None:
            self.turn.feed(data)

    def on_message_complete(self) -> None:
        """The request is whole."""
        turn = self.turn
        if turn is None:
            return  # an upgrade: `push` needs what is known of it
        self._forget()
        if turn.more:
            turn.end()
        self._connection.arrived_whole(turn)
