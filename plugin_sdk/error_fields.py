"""The contract's flat error fields, beside every protocol's own error object (architecture 14.4)."""

from typing import Any, Final

from plugin_sdk.errors import GatewayError

_PROTOCOLS: Final = frozenset({"error", "message", "object", "type", "pricing"})  # theirs to write


def flat_fields(error: GatewayError, generation_id: str) -> dict[str, Any]:
    """What a client reads whatever the protocol: whose request, what went wrong, whose turn it is."""
    fields: dict[str, Any] = {
        "generation_id": generation_id,
        "status_code": error.status,
        "error_type": error.error_type,
        "description": error.message,
    }
    if error.reason is not None:
        fields["reason"] = error.reason
    if error.details:
        fields["details"] = list(error.details)
    more = {name: value for name, value in error.extra.items() if name not in _PROTOCOLS}
    return {**more, **fields}
