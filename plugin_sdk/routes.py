"""Platform routes: what a plugin serves beside the pipeline (`GET /v1/generations`, a webhook ...)."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from plugin_sdk.context import Principal
from plugin_sdk.errors import GatewayError, Unauthenticated

KeyNeed = Literal["inference", "management", "any", "none"]  # default deny: a route says which key it needs


class PlatformRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a platform route; `principal` is None only where the route needs no key."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes = b""
    principal: Principal | None = None
    parameters: Mapping[str, str] = {}

    @property
    def caller(self) -> Principal:
        """Whose key it is; Unauthenticated where there is none."""
        if self.principal is None:
            raise Unauthenticated("Send your key.", reason="missing_or_invalid_authorization_header")
        return self.principal


class PlatformResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Its answer; `body` is rendered as JSON, a msgspec.Raw in it as it is."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = {}


def private(body: Any, status: int = 200) -> PlatformResponse:
    """An answer that no cache on the way may keep: it is the caller's own."""
    return PlatformResponse(status=status, body=body, headers={"cache-control": "no-store"})


def iso(moment: int) -> str:
    """Milliseconds since 1970 as the contract writes times: ISO 8601 in UTC."""
    found = datetime.fromtimestamp(moment / 1000, UTC)
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Handler = Callable[[PlatformRequest], Awaitable[PlatformResponse]]


class PlatformRoute(msgspec.Struct, frozen=True, kw_only=True):
    """`path` is below /v1; `{name}` takes a segment, `{name*}` the rest with its slashes.

    A raised GatewayError becomes `{ok: false, error, message}`, or what `render_error` makes of it (with a
    fresh id) where the route's own SDKs parse another shape.
    """

    method: str
    path: str
    handler: Handler
    key: KeyNeed
    render_error: Callable[[GatewayError, str], bytes] | None = None
