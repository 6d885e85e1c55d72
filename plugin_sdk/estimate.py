"""How many tokens bytes may come to, where nobody has counted them: upper estimates, no tokenizer."""

import re
from typing import Final

BYTES_PER_TOKEN_IN: Final = 3  # money.md 6
BYTES_PER_TOKEN_OUT: Final = 4

# Declared figures for media, per item; a second of speech is at most 32 tokens and, compressed, about 8 kB.
IMAGE_TOKENS: Final = 2_000
FILE_TOKENS: Final = 2_000
BYTES_PER_AUDIO_TOKEN: Final = 200
BYTES_PER_FILE_TOKEN: Final = 50

_LONG: Final = 1_024  # a shorter value counts as text

# Only as the whole value of a member that carries media: quotes in a text are escaped, so no prompt can fake one.
_MEDIA = re.compile(
    rb'"(?:url|image_url|video_url|file_data|data)"\s*+:\s*+"(?:data:([a-z]+)/[^",]{0,100}+,)?([A-Za-z0-9+/_=\\-]{1024,}+)"'
)
_IMAGES = re.compile(rb'"type"\s*+:\s*+"(?:image_url|input_image|image)"')


def input_tokens(body: bytes) -> int:
    """The input of a JSON request at most: bytes / 3, with base64 media replaced by declared figures."""
    size = len(body)
    tokens = 0
    images = 0
    if size > _LONG:
        for found in _MEDIA.finditer(body):
            kind, start, end = found[1], found.start(2), found.end(2)
            around = body[max(0, found.start() - 80) : found.start()]
            size -= end - start
            if kind == b"image" or (kind is None and b"image" in around):
                images += 1
            elif kind == b"audio" or b"audio" in around:
                tokens += (end - start) // BYTES_PER_AUDIO_TOKEN
            else:
                tokens += FILE_TOKENS + (end - start) // BYTES_PER_FILE_TOKEN
    if b"image" in body:
        images = max(images, len(_IMAGES.findall(body)))
    return -(-size // BYTES_PER_TOKEN_IN) + tokens + images * IMAGE_TOKENS


def output_tokens(size: int) -> int:
    """The output that so many bytes of text come to, roughly."""
    return -(-size // BYTES_PER_TOKEN_OUT)
