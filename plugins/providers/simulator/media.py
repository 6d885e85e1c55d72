"""What kind of picture or sound the simulator was shown: read from the first bytes, nothing is decoded."""

import base64
import binascii
import struct
from collections.abc import Mapping
from typing import Any, Final

_TILE: Final = 512
_JPEG_SIZES: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})


def picture(part: Mapping[str, Any]) -> tuple[str, int]:
    """(what it is, in words; its tokens) of an `image_url` part."""
    value = part.get("image_url")
    url = value.get("url") if isinstance(value, Mapping) else value
    if not isinstance(url, str) or not url.startswith("data:"):
        return f"a picture at {str(url)[:80]}", _tokens(1024, 1024)
    data = _decoded(url.partition(",")[2])
    kind, size = _format(data)
    if size is None:
        return f"{kind} of {len(data)} bytes", _tokens(1024, 1024)
    return f"{kind} of {size[0]} x {size[1]} pixels, {len(data)} bytes", _tokens(*size)


def sound(part: Mapping[str, Any]) -> tuple[str, int]:
    """(what it is, in words; its tokens) of an `input_audio` part: ten a second of 16-bit mono at 16 kHz."""
    value = part.get("input_audio")
    value = value if isinstance(value, Mapping) else {}
    size = len(_decoded(str(value.get("data", ""))))
    return f"{value.get('format', 'audio')} sound of {size} bytes", max(1, size // 3_200)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""


def _tokens(width: int, height: int) -> int:
    """85 and 170 for every tile of 512 x 512, the long side being at most 2048: a rule that clients know."""
    scale = max(1.0, max(width, height) / 2_048)
    wide, high = (max(1, -(-int(side / scale) // _TILE)) for side in (width, height))
    return 85 + 170 * wide * high


def _format(data: bytes) -> tuple[str, tuple[int, int] | None]:
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return "a PNG image", (width, height)
    if data.startswith((b"GIF87a", b"GIF89a")) and len(data) >= 10:
        width, height = struct.unpack("<HH", data[6:10])
        return "a GIF image", (width, height)
    if data.startswith(b"\xff\xd8"):
        return "a JPEG image", _jpeg_size(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "a WebP image", None
    return "an image", None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        if data[at + 1] in _JPEG_SIZES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None
