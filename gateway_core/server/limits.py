"""What one client connection may cost: sizes in bytes, times in seconds."""

from typing import Final

import msgspec

KIB: Final = 1024
MIB: Final = 1024 * KIB


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The front's limits; the keep-alive time and the graceful time are Hypercorn's own settings."""

    head_bytes: int = 32 * KIB
    """A request's line and headers; 431 above, or 414 if the line alone is longer."""
    target_bytes: int = 8 * KIB
    """The request target; 414 above."""
    headers: int = 100
    """How many headers a request may have; 431 above."""
    body_buffer: int = 128 * KIB
    """How much of a body waits for the application before the connection is read no further."""
    framing_bytes: int = 16 * KIB
    """What chunk sizes, extensions and trailers may take beyond sixteen times the body they frame."""
    discard_bytes: int = 64 * MIB
    """How much of an unwanted body is read and dropped so that the client gets to read its answer."""
    head_seconds: float = 15.0
    """From a request's first byte to the end of its headers; 408 after."""
    body_seconds: float = 60.0
    """Between two pieces of a body that the application waits for; 408 after."""
    write_seconds: float = 120.0
    """How long a client may read nothing of a waiting answer; then its connection is dropped."""
    discard_seconds: float = 10.0
    """How long an answered client may go on sending before its connection is dropped."""
    sweep_seconds: float = 0.5
    """How often deadlines are looked at: times above are kept to within this."""
