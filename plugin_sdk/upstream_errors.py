"""Read a provider's failure: its status and whichever shape of error object it chose."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from plugin_sdk.errors import (
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorized,
)

MAX_MESSAGE: Final = 2_000
_SECRETS: Final = re.compile(
    r"(?i)\b(?:sk|pk|rk|gsk|xai|org|proj|key|aistats_v1_[a-z]k)[-_][A-Za-z0-9*_\-]{6,}"
    r"|\bBearer\s+\S+|\bAKIA[0-9A-Z]{12,}|\bAIza[0-9A-Za-z_\-]{20,}|\beyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-.]+"
)


def classify(status: int, headers: Mapping[str, str], body: bytes, *, provider: str) -> UpstreamError:
    """The error class of an answer whose status is not 2xx, with the provider's own words, redacted."""
    message, code = message_of(body)
    message = message or f"The provider answered {status}."
    if status in UpstreamRejected.CODES:
        return UpstreamRejected(message, upstream_status=status, upstream_code=code, provider=provider)
    if status == 429:
        return UpstreamRateLimited(
            message, upstream_status=status, upstream_code=code, provider=provider,
            retry_after=headers.get("retry-after"),
        )  # fmt: skip
    if status in (401, 403):
        return UpstreamUnauthorized(
            "The provider refused the gateway's credential.", upstream_status=status, upstream_code=code,
            provider=provider,
        )  # fmt: skip
    kind = UpstreamTimeout if status in (408, 504) else UpstreamError
    return kind(message, upstream_status=status, upstream_code=code, provider=provider)


def message_of(body: bytes) -> tuple[str | None, str | None]:
    """(message, code) of an error body; (None, None) where it has no known shape. Never the raw body."""
    try:
        found: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, None
    return describe(found)


def describe(found: Any) -> tuple[str | None, str | None]:
    """The same of a decoded error body, or of the `error` member of an answer."""
    if isinstance(found, list):
        found = found[0] if found else None
    if isinstance(found, str):
        return redact(found), None
    if not isinstance(found, dict):
        return None, None
    inner = found.get("error", found)
    if isinstance(inner, str):
        return redact(inner), _word(found.get("code"))
    if not isinstance(inner, dict):
        inner = found
    for name in ("message", "detail", "msg", "error_description", "errors"):
        text = inner.get(name)
        if isinstance(text, list) and text:
            text = text[0].get("msg") if isinstance(text[0], dict) else text[0]
        if isinstance(text, dict):
            text = text.get("message") or text.get("msg")
        if isinstance(text, str) and text:
            return redact(text), _word(inner.get("code")) or _word(inner.get("type")) or _word(inner.get("status"))
    return None, _word(inner.get("code")) or _word(inner.get("type"))


def redact(text: str) -> str:
    """Text of a provider's, without what looks like a key or an organisation, and of bounded length."""
    return _SECRETS.sub("[redacted]", text)[:MAX_MESSAGE]


def _word(value: Any) -> str | None:
    return str(value)[:100] if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None
