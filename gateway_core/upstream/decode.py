"""Bodies that come compressed although we asked for plain ones: gzip and deflate, piece by bounded piece."""

import zlib
from typing import Final

from plugin_sdk.errors import UpstreamError

PIECE: Final = 128 * 1024  # decoded bytes handed out at once: a small body cannot become a large buffer
FREE: Final = 16 * 1024 * 1024  # decoded bytes before the ratio is looked at
RATIO: Final = 100  # beyond this it is no text, but an attack or a defect

_GZIP: Final = 31
_ZLIB: Final = 15
_RAW_DEFLATE: Final = -15
_GZIP_MAGIC: Final = b"\x1f\x8b"


def inflater(encoding: str) -> "Inflater | None":
    """What decodes a body of this content-encoding; None where nothing has to be done."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return None
    if name in ("gzip", "x-gzip"):
        return Inflater(_GZIP)
    if name == "deflate":
        return Inflater(_ZLIB)
    raise UpstreamError(
        "The provider's answer is compressed in a way that was not asked for.",
        reason="unknown_content_encoding",
    )


class Inflater:
    """Compressed bytes in by `feed`, decoded pieces out by `take`."""

    __slots__ = ("_decoded", "_fed", "_more", "_pending", "_started", "_wbits", "_zlib")

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._zlib = zlib.decompressobj(wbits)
        self._pending = b""
        self._more = False
        self._started = False
        self._fed = self._decoded = 0

    @property
    def finished(self) -> bool:
        """Whether the body may end here: nothing came at all, or the last member is complete."""
        return not self._started or self._zlib.eof

    def feed(self, data: bytes) -> None:
        """The next compressed bytes."""
        self._pending = self._pending + data if self._pending else data
        self._fed += len(data)

    def take(self) -> bytes:
        """The next decoded piece; b"" when more input is needed."""
        while self._pending or self._more:
            if self._zlib.eof and not self._next_member():
                return b""
            piece = self._inflate()
            if piece:
                self._count(len(piece))
                return piece
        return b""

    def _inflate(self) -> bytes:
        try:
            piece = self._zlib.decompress(self._pending, PIECE)
        except zlib.error:
            if self._started or self._wbits != _ZLIB:
                raise UpstreamError(
                    "The provider's answer is not the compressed data it says it is.",
                    reason="malformed_answer",
                ) from None
            # "deflate" is a zlib stream by the standard and a bare one by habit
            self._wbits = _RAW_DEFLATE
            self._zlib = zlib.decompressobj(_RAW_DEFLATE)
            return self._inflate()
        self._started = True
        self._more = len(piece) == PIECE and not self._zlib.eof
        self._pending = self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail
        return piece

    def _next_member(self) -> bool:
        """Behind a complete gzip member comes another one, or padding that is passed over."""
        self._more = False
        if self._wbits == _GZIP and self._pending[:2] == _GZIP_MAGIC:
            self._zlib = zlib.decompressobj(_GZIP)
            return True
        if self._wbits != _GZIP or self._pending != _GZIP_MAGIC[:1]:
            self._pending = b""
        return False

    def _count(self, size: int) -> None:
        self._decoded += size
        if self._decoded > FREE and self._decoded > RATIO * self._fed:
            raise UpstreamError("The provider's answer unpacks to too much data.", reason="answer_too_large")
