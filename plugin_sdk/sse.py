"""Server-sent events, incrementally: bytes cut anywhere in, whole events out, each with its own raw bytes."""

import re
from typing import Final

import msgspec

from plugin_sdk.errors import UpstreamError

MAX_EVENT: Final = 16 * 1024 * 1024  # an image in one event is a few MiB; more is no event
BOM: Final = b"\xef\xbb\xbf"

# Line ends are CRLF, LF or CR. A CR at the very end may be half a CRLF, so it does not end a line yet.
_EOL: Final = rb"(?>\r\n|\n|\r(?!\Z))"
_BLANK = re.compile(_EOL + _EOL)
_LINES = re.compile(rb"\r\n|\n|\r")


class Event(msgspec.Struct, frozen=True):
    """One event. `raw` is what stood on the wire; `data` is None where it had no data line.

    `lines` says where each data line's content starts: (in `data`, in `raw`), so that `raw` can be spliced at
    a place in `data`.
    `error` is the content of a bare `error:` field, which no standard knows and some servers send.
    """

    raw: bytes
    data: bytes | None = None
    name: str = ""
    error: bytes | None = None
    lines: tuple[tuple[int, int], ...] = ()


class Frames:
    """Holds back the part of a stream that is not yet a whole event; UpstreamError above `limit` bytes."""

    __slots__ = ("_held", "_limit", "_size")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._held: list[bytes] = []
        self._size = 0
        self._limit = limit

    def feed(self, data: bytes) -> bytes:
        """The whole events that these bytes complete, as one block; b"" for none."""
        if not self._held and data.endswith(b"\n\n") and b"\r" not in data:
            return data
        self._held.append(data)
        self._size += len(data)
        if b"\n" in data or b"\r" in data or (len(self._held) > 1 and self._held[-2].endswith(b"\r")):
            block = b"".join(self._held)
            if cut := _last_blank(block):
                self._held = [block[cut:]] if cut < len(block) else []
                self._size = len(block) - cut
                return block[:cut]
            self._held = [block]
        if self._size > self._limit:
            raise UpstreamError(f"The provider sent an event of more than {self._limit} bytes.")
        return b""

    def close(self) -> bytes:
        """What was held back: a last event without its blank line, or nothing."""
        left = b"".join(self._held)
        self._held, self._size = [], 0
        return left


def split(block: bytes) -> list[bytes]:
    """The events of a block, raw. They join to the block again."""
    if b"\r" not in block:
        events = [part + b"\n\n" for part in block.split(b"\n\n")]
        last = events.pop()[:-2]
        return [*events, last] if last else events
    events = []
    at = 0
    for blank in _BLANK.finditer(block + b"x"):  # with a byte behind it, a last CR is a line end
        events.append(block[at : blank.end()])
        at = blank.end()
    return [*events, block[at:]] if at < len(block) else events


def read(raw: bytes) -> Event:
    """The fields of one raw event. Comments and unknown fields are passed over."""
    if raw.startswith(b"data: ") and raw.endswith(b"\n\n") and raw.count(b"\n") == 2 and b"\r" not in raw:
        return Event(raw, raw[6:-2], lines=((0, 6),))
    name = ""
    error = None
    data: list[bytes] = []
    places = []
    length = 0
    at = len(BOM) if raw.startswith(BOM) else 0
    while at < len(raw):
        eol = _LINES.search(raw, at)
        end, after = (eol.start(), eol.end()) if eol else (len(raw), len(raw))
        field, _, value = raw[at:end].partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if field == b"data":
            places.append((length, end - len(value)))
            data.append(value)
            length += len(value) + 1
        elif field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"error":
            error = value
        at = after
    return Event(raw, b"\n".join(data) if data else None, name, error, tuple(places))


def _last_blank(block: bytes) -> int:
    """Where the last whole event ends; 0 if there is none."""
    if b"\r" not in block:
        return block.rfind(b"\n\n") + 2 if b"\n\n" in block else 0
    end = 0
    for blank in _BLANK.finditer(block):
        end = blank.end()
    return end
