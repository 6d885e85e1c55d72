"""Secrets at rest: encrypted and authenticated under the pepper, with the standard library alone.

HMAC-SHA256 as a pseudo-random function in counter mode, then an HMAC over where the secret stands, the nonce
and the ciphertext, under a key of its own: a row that was changed, or moved to another team, does not open.
"""

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Final

_VERSION: Final = "v1."
_NONCE: Final = 16
_TAG: Final = 32


class BrokenSealError(ValueError):
    """It was sealed under another pepper or for another place, or it was changed."""


def sealed(secret: str, pepper: bytes, place: str) -> str:
    """The secret as it is stored at its place."""
    nonce = secrets.token_bytes(_NONCE)
    hidden = nonce + _mixed(secret.encode(), pepper, nonce)
    return _VERSION + urlsafe_b64encode(hidden + _tag(hidden, pepper, place)).decode()


def opened(text: str, pepper: bytes, place: str) -> str:
    """What was sealed; BrokenSealError where that is not for us to read."""
    try:
        whole = urlsafe_b64decode(text.removeprefix(_VERSION))
    except ValueError as error:
        raise BrokenSealError("not a sealed secret") from error
    hidden, tag = whole[:-_TAG], whole[-_TAG:]
    if len(hidden) < _NONCE or not hmac.compare_digest(tag, _tag(hidden, pepper, place)):
        raise BrokenSealError("sealed under another pepper, or changed")
    return _mixed(hidden[_NONCE:], pepper, hidden[:_NONCE]).decode()


def _mixed(data: bytes, pepper: bytes, nonce: bytes) -> bytes:
    key = _key(pepper, b"encryption")
    stream = b"".join(
        hmac.digest(key, nonce + number.to_bytes(4), sha256) for number in range(-(-len(data) // 32))
    )
    return bytes(one ^ other for one, other in zip(data, stream, strict=False))


def _tag(hidden: bytes, pepper: bytes, place: str) -> bytes:
    return hmac.digest(_key(pepper, b"authentication"), place.encode() + b"\0" + hidden, sha256)


def _key(pepper: bytes, use: bytes) -> bytes:
    if not pepper:
        raise BrokenSealError("there is no pepper to seal with")
    return hmac.digest(pepper, b"secrets at rest: " + use, sha256)
