"""API keys: their form, their minting and their hash (contract, section 2)."""

import hmac
import re
import secrets
from functools import lru_cache
from hashlib import sha256
from typing import Final

import msgspec
from typing_extensions import override

from plugin_sdk.context import KeyMode

ALPHABET: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
MARKS: Final[dict[KeyMode, str]] = {"live": "sk", "test": "tk", "management": "mk"}
MODES: Final[dict[str, KeyMode]] = {mark: mode for mode, mark in MARKS.items()}
DEFAULT_PREFIX: Final = "aistats_v1"
KID_LENGTH: Final = 12
SECRET_LENGTH: Final = 40
PROVIDER_KEY: Final = re.compile(r"[!-~]{8,4000}")  # what a team may bring as its key for a provider


class ParsedKey(msgspec.Struct, frozen=True):
    """A key as it was sent: `<prefix>_<mark>_<kid>_<secret>`; the secret may hold underscores."""

    mode: KeyMode
    kid: str
    secret: str

    @override
    def __repr__(self) -> str:
        return f"ParsedKey(mode={self.mode!r}, kid={self.kid!r}, secret='...')"


def mint(mode: KeyMode, prefix: str = DEFAULT_PREFIX) -> tuple[str, ParsedKey]:
    """A new key: its text, to be shown once, and its parts. `secrets.choice` is free of modulo bias."""
    kid = "".join(secrets.choice(ALPHABET) for _ in range(KID_LENGTH))
    secret = "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))
    return f"{prefix}_{MARKS[mode]}_{kid}_{secret}", ParsedKey(mode, kid, secret)


def parse(text: str, prefix: str = DEFAULT_PREFIX) -> ParsedKey | None:
    """The parts of a key, or None if it has not the form: nothing else of it ever reaches a look-up."""
    found = _form(prefix).fullmatch(text)
    return ParsedKey(MODES[found[1]], found[2], found[3]) if found else None


def hashed(secret: str, pepper: bytes) -> str:
    """hex(HMAC-SHA256(pepper, secret)), lower case: what is stored."""
    return hmac.new(pepper, secret.encode(), sha256).hexdigest()


@lru_cache(maxsize=16)
def _form(prefix: str) -> re.Pattern[str]:
    marks = "|".join(MODES)
    return re.compile(rf"{re.escape(prefix)}_({marks})_([A-Za-z0-9]{{6,64}})_([!-~]{{1,200}})")
