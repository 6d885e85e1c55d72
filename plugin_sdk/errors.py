"""One hierarchy. Every failure a client can see is a GatewayError.

GatewayError
  ClientError                   4xx, the caller must change something
    InvalidJson                   400 invalid_json
    InvalidRequest                400 validation_error
      CannotCarry                   the upstream's protocol has no words for it
    ModelRequired                 400 model_required
    UnsupportedModelOrEndpoint    400 unsupported_model_or_endpoint
    Unauthenticated               401 unauthorised
    InsufficientFunds             402 insufficient_funds
    PricingNotConfigured          402 pricing_not_configured
    Forbidden                     403 forbidden
    NotFound                      404 not_found
    ModelNotFound                 404 model_not_found
    MethodNotAllowed              405 method_not_allowed
    Conflict                      409 conflict
    NotReady                      409 not_ready
    PayloadTooLarge               413 payload_too_large
    Unprocessable                 422 unprocessable
    KeyLimitExceeded              429 key_limit_exceeded
    RateLimited                   429 rate_limited
  ServerError                   5xx, ours
    Internal                      500 gateway_error
    NotImplementedYet             501 not_implemented
    NoEndpointLeft                503 no_endpoint_left
    Unavailable                   503 gateway_error: ours for the moment, and worth asking again
  UpstreamError                 502 upstream_error; `retryable` says if another endpoint may be tried
    UpstreamRejected              the upstream's own 400, 404, 409, 413 or 422: it would fail anywhere
    UpstreamRateLimited           429 rate_limited
    UpstreamUnauthorized          502 upstream_error: our credential's fault, not the client's
    UpstreamTimeout               504 upstream_timeout
    UpstreamCut                   502 upstream_error: the answer ended before its end
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from typing_extensions import override


class GatewayError(Exception):
    """A failure with a status and a code; `message` is for the client, `__cause__` for the log only.

    reason      a finer word from the contract, e.g. `invalid_secret`
    param       the request field at fault, dotted
    details     [{message, path, keyword, params}] of a validation error
    retry_after the `retry-after` header: an upstream's is forwarded as it came
    extra       further flat fields of the error body, e.g. {"min_usd": 1}
    provider    the provider that failed, where one did
    """

    status: int = 500
    code: ClassVar[str] = "gateway_error"
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        param: str | None = None,
        details: Sequence[Mapping[str, Any]] = (),
        retry_after: str | None = None,
        extra: Mapping[str, Any] | None = None,
        provider: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.param = param
        self.details = tuple(details)
        self.retry_after = retry_after
        self.extra = dict(extra or {})
        self.provider = provider

    @property
    def error_type(self) -> str:
        """The contract's flat `error_type`: whose turn it is to act."""
        return "user" if self.status < 500 and self.status not in (408, 429) else "system"

    @property
    def attribution(self) -> str:
        """The contract's `X-Gateway-Error-Attribution`: `user` or `upstream`."""
        return "user" if self.status < 500 else "upstream"


class ClientError(GatewayError):
    """The caller must change something."""

    status = 400


class InvalidJson(ClientError):
    """The body is not UTF-8 JSON, repeats a top-level key, or is nested too deep."""

    code = "invalid_json"


class InvalidRequest(ClientError):
    """A field is missing, has the wrong type, or cannot be carried."""

    code = "validation_error"


class CannotCarry(InvalidRequest):
    """The upstream's protocol cannot carry the request; another endpoint may."""


class ModelRequired(ClientError):
    """The body names no model."""

    code = "model_required"


class UnsupportedModelOrEndpoint(ClientError):
    """A known model that cannot do this operation."""

    code = "unsupported_model_or_endpoint"


class Unauthenticated(ClientError):
    """No key, or a key we do not accept; `reason` is one of the contract's words."""

    status = 401
    code = "unauthorised"


class InsufficientFunds(ClientError):
    """The wallet does not exist, is below the minimum, or pays for no output."""

    status = 402
    code = "insufficient_funds"


class PricingNotConfigured(ClientError):
    """No endpoint of the model has a price for what the operation needs."""

    status = 402
    code = "pricing_not_configured"


class Forbidden(ClientError):
    """The caller is known and may not do this."""

    status = 403
    code = "forbidden"


class NotFound(ClientError):
    """There is nothing here, or nothing of the caller's."""

    status = 404
    code = "not_found"


class ModelNotFound(ClientError):
    """No provider offers a model of this name."""

    status = 404
    code = "model_not_found"


class MethodNotAllowed(ClientError):
    """The path exists, not for this method."""

    status = 405
    code = "method_not_allowed"


class Conflict(ClientError):
    """The state of the thing forbids it."""

    status = 409
    code = "conflict"


class NotReady(ClientError):
    """Ask again later."""

    status = 409
    code = "not_ready"


class PayloadTooLarge(ClientError):
    """The body is over the limit."""

    status = 413
    code = "payload_too_large"


class Unprocessable(ClientError):
    """Well-formed, and still impossible."""

    status = 422
    code = "unprocessable"


class KeyLimitExceeded(ClientError):
    """The key's own limit; `reset_at` is in `extra`."""

    status = 429
    code = "key_limit_exceeded"


class RateLimited(ClientError):
    """Too much at once."""

    status = 429
    code = "rate_limited"


class ServerError(GatewayError):
    """Ours."""


class Internal(ServerError):
    """A defect of the gateway; the generation id leads to the log."""


class NotImplementedYet(ServerError):
    """A route that exists in the contract only."""

    status = 501
    code = "not_implemented"


class NoEndpointLeft(ServerError):
    """Every endpoint of the model was dropped by routing."""

    status = 503
    code = "no_endpoint_left"


class Unavailable(ServerError):
    """The gateway's database does not answer in time; `retry_after` says when to ask again."""

    status = 503


class UpstreamError(GatewayError):
    """The provider's failure: its `upstream_status` and `upstream_code`; the body is never echoed."""

    status = 502
    code = "upstream_error"
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        upstream_status: int | None = None,
        upstream_code: str | None = None,
        reason: str | None = None,
        param: str | None = None,
        retry_after: str | None = None,
        extra: Mapping[str, Any] | None = None,
        provider: str | None = None,
    ) -> None:
        super().__init__(
            message, reason=reason, param=param, retry_after=retry_after, extra=extra, provider=provider
        )
        self.upstream_status = upstream_status
        self.upstream_code = upstream_code

    @property
    @override
    def attribution(self) -> str:
        """Always the upstream's."""
        return "upstream"


class UpstreamRejected(UpstreamError):
    """The upstream refused the request itself: keeps its status, tries no other endpoint."""

    retryable = False
    CODES: ClassVar[Mapping[int, str]] = {
        400: "validation_error",
        404: "not_found",
        409: "conflict",
        413: "payload_too_large",
        422: "unprocessable",
    }

    def __init__(self, message: str, *, upstream_status: int, **fields: Any) -> None:
        super().__init__(message, upstream_status=upstream_status, **fields)
        self.status = upstream_status
        self.code = self.CODES[upstream_status]  # type: ignore[misc]  # the one class whose code follows its status


class UpstreamRateLimited(UpstreamError):
    """The upstream's 429: another endpoint may have room."""

    status = 429
    code = "rate_limited"


class UpstreamUnauthorized(UpstreamError):
    """The upstream's 401 or 403: our credential's fault."""


class UpstreamTimeout(UpstreamError):
    """A deadline of ours passed, or the upstream said that one of its own did."""

    status = 504
    code = "upstream_timeout"


class UpstreamCut(UpstreamError):
    """The upstream ended before the end of its answer."""
