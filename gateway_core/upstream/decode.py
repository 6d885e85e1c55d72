"""Bodies that come compressed although we asked for plain ones: gzip and deflate, piece by bounded piece."""

import zlib
from typing import Final

from plugin_sdk.errors import UpstreamError

PIECE: Final = 128 * 1024  # decoded bytes handed out at once: a small body cannot become a large buffer
FREE: Final = 16 * 1024 * 1024  # decoded bytes before the ratio is looked at
RATIO: Final = 100  # beyond this it is no text, but an attack or a defect

_GZIP: Final = 31
_ZLIB: Final = 15
_BARE: Final = -15
_ZLIB_HEAD: Final = 2
_GZIP_MAGIC: Final = b"\x1f\x8b"


def inflater(encoding: str) -> "Inflater | None":
    """What decodes a body of this content-encoding; None where nothing has to be done."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return None
    if name in ("gzip", "x-gzip"):
        return Inflater(gzip=True)
    if name == "deflate":
        return Inflater(gzip=False)
    raise UpstreamError(
        "The provider's answer is compressed in a way that was not asked for.",
        reason="unknown_content_encoding",
    )


class Inflater:
    """Compressed bytes in by `feed`, decoded pieces out by `take`."""

    __slots__ = ("_decoded", "_fed", "_gzip", "_more", "_pending", "_zlib")

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._zlib = zlib.decompressobj(_GZIP) if gzip else None
        self._pending = b""
        self._more = False
        self._fed = self._decoded = 0

    @property
    def finished(self) -> bool:
        """Whether the body may end here: nothing came at all, or the last member is complete."""
        return not self._fed or (self._zlib is not None and self._zlib.eof)

    def feed(self, data: bytes) -> None:
        """The next compressed bytes."""
        self._pending = self._pending + data if self._pending else data
        self._fed += len(data)

    def take(self) -> bytes:
        """The next decoded piece; b"" when more input is needed."""
        if self._zlib is None:
            if len(self._pending) < _ZLIB_HEAD:
                return b""
            self._zlib = zlib.decompressobj(_ZLIB if _is_zlib(self._pending) else _BARE)
        while self._pending or self._more:
            if self._zlib.eof and not self._next_member():
                return b""
            try:
                piece = self._zlib.decompress(self._pending, PIECE)
            except zlib.error:
                raise UpstreamError(
                    "The provider's answer is not the compressed data it says it is.",
                    reason="malformed_answer",
                ) from None
            self._more = len(piece) == PIECE and not self._zlib.eof
            self._pending = self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail
            if piece:
                self._count(len(piece))
                return piece
        return b""

    def _next_member(self) -> bool:
        """Behind a complete gzip member comes another one, or padding that is passed over."""
        self._more = False
        if self._gzip and self._pending[:2] == _GZIP_MAGIC:
            self._zlib = zlib.decompressobj(_GZIP)
            return True
        if not self._gzip or self._pending != _GZIP_MAGIC[:1]:
            self._pending = b""
        return False

    def _count(self, size: int) -> None:
        self._decoded += size
        if self._decoded > FREE and self._decoded > RATIO * self._fed:
            raise UpstreamError("The provider's answer unpacks to too much data.", reason="answer_too_large")


def _is_zlib(data: bytes) -> bool:
    """Whether RFC 1950's header is there: the standard says a zlib stream, habit leaves it out."""
    return data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0
