"""API keys: their form, their minting and their hash (contract, section 2)."""

import hmac
import secrets
from hashlib import sha256
from typing import Final

import msgspec

from plugin_sdk.context import KeyMode

ALPHABET: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
MARKS: Final[dict[KeyMode, str]] = {"live": "sk", "test": "tk", "management": "mk"}
MODES: Final[dict[str, KeyMode]] = {mark: mode for mode, mark in MARKS.items()}
DEFAULT_PREFIX: Final = "aistats_v1"


class ParsedKey(msgspec.Struct, frozen=True):
    """A key as it was sent: `<prefix>_<mark>_<kid>_<secret>`; the secret may hold underscores."""

    mode: KeyMode
    kid: str
    secret: str


def mint(mode: KeyMode, prefix: str = DEFAULT_PREFIX) -> tuple[str, ParsedKey]:
    """A new key: its text, to be shown once, and its parts. `secrets.choice` is free of modulo bias."""
    kid = "".join(secrets.choice(ALPHABET) for _ in range(12))
    secret = "".join(secrets.choice(ALPHABET) for _ in range(40))
    return f"{prefix}_{MARKS[mode]}_{kid}_{secret}", ParsedKey(mode, kid, secret)


def parse(text: str, prefix: str = DEFAULT_PREFIX) -> ParsedKey | None:
    """The parts of a key, or None if it has not the form."""
    if not text.startswith(prefix + "_"):
        return None
    mark, _, rest = text[len(prefix) + 1 :].partition("_")
    kid, _, secret = rest.partition("_")
    mode = MODES.get(mark)
    if mode is None or not secret or not kid.isascii() or not kid.isalnum():
        return None
    return ParsedKey(mode, kid, secret)


def hashed(secret: str, pepper: bytes) -> str:
    """hex(HMAC-SHA256(pepper, secret)), lower case: what is stored."""
    return hmac.new(pepper, secret.encode(), sha256).hexdigest()
