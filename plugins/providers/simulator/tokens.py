"""The simulator's tokens: up to four letters of a word, with the space before them, or one other sign."""

import re
from typing import Final

_TOKEN: Final = re.compile(r"\s*\w{1,4}|\s*[^\w\s]|\s+")
PER_MESSAGE: Final = 3  # what every message costs beside its text, as in real chat formats
_CACHE_FROM: Final = 1_024
_CACHE_STEP: Final = 128


def tokens(text: str) -> list[str]:
    """The text cut into tokens; joined they are the text again."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    """How many tokens a text is."""
    return len(tokens(text))


def cached(prefix: int) -> int:
    """How much of a prompt's prefix would come from a cache: whole steps, and only of a long one."""
    return prefix // _CACHE_STEP * _CACHE_STEP if prefix >= _CACHE_FROM else 0
