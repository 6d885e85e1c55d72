"""Failures: an upstream's inside a 200, and ours as this protocol's clients expect them."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from plugin_sdk.error_fields import flat_fields
from plugin_sdk.errors import GatewayError, UpstreamError
from plugin_sdk.upstream_errors import classify, describe

_decode = msgspec.json.Decoder().decode
NO_WORDS: Final = "The provider reported an error in its answer."


def failure(error: Any) -> UpstreamError:
    """What an `error` member means. A status that it names decides the class, as outside a 200."""
    message, code = describe(error)
    status = _status(error)
    if status is None:
        return UpstreamError(message or NO_WORDS, upstream_code=code)
    found = classify(status, {}, msgspec.json.encode({"error": error}), provider="")
    found.provider = None
    return found


def failure_in_field(value: bytes) -> UpstreamError:
    """The same of the raw content of a bare `error:` field, which may be JSON or plain words."""
    try:
        found = _decode(value)
    except (msgspec.DecodeError, RecursionError):
        found = value.decode("utf-8", "replace")
    return failure(found["error"] if isinstance(found, dict) and "error" in found else found)


def failure_in(answer: Mapping[str, Any]) -> UpstreamError | None:
    """The failure that a body or an event reports at its top or inside a choice, or None."""
    if (error := answer.get("error")) and isinstance(error, dict | str):
        return failure(error)
    choices = answer.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and (error := choice.get("error")) and isinstance(error, dict | str):
            return failure(error)
    return None


def _status(error: Any) -> int | None:
    """A status that the error object itself names: `status_code`, or a numeric `code` or `status`."""
    if not isinstance(error, dict):
        return None
    for name in ("status_code", "code", "status"):
        value = error.get(name)
        if isinstance(value, str) and value.isdecimal() and len(value) == 3:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599:
            return value
    return None


# What the protocol's own service calls them; its SDKs show the word and decide by the status.
_TYPES: Final = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
}


def error_object(error: GatewayError) -> dict[str, Any]:
    """The `error` member that the protocol's SDKs parse."""
    other = "invalid_request_error" if error.status < 500 else "server_error"
    return {
        "message": error.message,
        "type": _TYPES.get(error.status, other),
        "param": error.param,
        "code": error.code,
    }


def render_error(error: GatewayError, generation_id: str) -> bytes:
    """The body of an error answer."""
    return msgspec.json.encode({"error": error_object(error), **flat_fields(error, generation_id)})


def render_stream_error(error: GatewayError, generation_id: str, pricing: bytes | None) -> bytes:
    """The event that ends a stream which failed; no [DONE] follows it."""
    body: dict[str, Any] = {
        "error": error_object(error),
        "object": "error",
        "message": error.message,
        **flat_fields(error, generation_id),
    }
    if pricing is not None:
        body["pricing"] = msgspec.Raw(pricing)
    return b"data: " + msgspec.json.encode(body) + b"\n\n"
