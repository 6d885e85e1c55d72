"""How many tokens bytes may come to, where nobody has counted them: upper estimates, no tokenizer."""

import re
from collections.abc import Iterable
from typing import Final

BYTES_PER_TOKEN_IN: Final = 3  # money.md 6
BYTES_PER_TOKEN_OUT: Final = 4

# Declared figures for media, per item; a second of speech is at most 32 tokens and, compressed, about 8 kB.
IMAGE_TOKENS: Final = 2_000
FILE_TOKENS: Final = 2_000
BYTES_PER_AUDIO_TOKEN: Final = 200
BYTES_PER_FILE_TOKEN: Final = 50

# A value of base64 (a shorter one counts as text), with the media type of a data URL where it is one. Only as
# the whole value of a member for media: quotes in a text are escaped, so that no prompt can fake one.
_MEDIA = re.compile(
    rb'"(?:url|image_url|video_url|file_data|data)"\s*+:\s*+'
    rb'"(?:data:([a-z]+)\\?+/[^",]{0,100}+,)?([A-Za-z0-9+/_=\\-]{1024,}+)"'
)
_IMAGES = re.compile(rb'"type"\s*+:\s*+"(?:image_url|input_image|image)"')


def input_tokens(size: int, media: Iterable[bytes] = ()) -> int:
    """The input of a JSON request of so many bytes at most: a third of them, but declared figures for media.

    `media` are the parts of the request in which media may be: they cannot stand in a message of plain text.
    """
    tokens = 0
    for part in media:
        found, base64 = _media_tokens(part)
        tokens += found
        size -= base64
    return -(-size // BYTES_PER_TOKEN_IN) + tokens


def output_tokens(size: int) -> int:
    """The output that so many bytes of text come to, roughly."""
    return -(-size // BYTES_PER_TOKEN_OUT)


def _media_tokens(part: bytes) -> tuple[int, int]:
    """(tokens, bytes of base64) of the media in a part of a request."""
    tokens = images = base64 = 0
    for found in _MEDIA.finditer(part):
        kind, length = found[1], len(found[2])
        around = part[max(0, found.start() - 80) : found.start()]
        base64 += length
        if kind == b"image" or (kind is None and b"image" in around):
            images += 1
        elif kind == b"audio" or b"audio" in around:
            tokens += length // BYTES_PER_AUDIO_TOKEN
        else:
            tokens += FILE_TOKENS + length // BYTES_PER_FILE_TOKEN
    images = max(images, len(_IMAGES.findall(part)))
    return tokens + images * IMAGE_TOKENS, base64
