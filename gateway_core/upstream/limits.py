"""How much the upstream side may hold: connections, buffers, header sizes."""

from typing import Final

import msgspec

MAX_HEAD: Final = 64 * 1024  # bytes of an answer's header, interim answers and trailers included
MAX_FIELDS: Final = 256  # header fields of one answer
BUFFER: Final = 256 * 1024  # bytes of a body that wait for their reader before the socket is left unread
WRITE_PIECE: Final = 64 * 1024  # a longer request is written in pieces of this size, as the socket takes them
TARGETS: Final = 1024  # URLs remembered in their written form


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds per origin.

    connections   open at once or being opened; more requests wait, within their connect deadline
    idle          kept for later
    idle_seconds  how long; below the keep-alive time of most servers and of every NAT on the way
    """

    connections: int = 4096
    idle: int = 256
    idle_seconds: float = 30.0
