"""From the first byte to a list of endpoints: authenticate, read, resolve, check credit, route."""

from collections.abc import Sequence
from typing import Final

import msgspec

from gateway_core.host.snapshot import Snapshot
from gateway_core.ledger.records import Begun
from gateway_core.pipeline.continuing import pinned
from gateway_core.pipeline.cost import DRY_RUN, MAX_COST, Estimated, estimate, is_dry_run, max_cost
from gateway_core.pipeline.exchange import ADMITTED, AUTHENTICATED, PARSED, ROUTED, Exchange
from gateway_core.pipeline.idempotency import HEADER, claim
from gateway_core.pipeline.pricing import bounded, payable_output, worst_case
from plugin_sdk.context import Credentials, Endpoint, Principal, RequestContext
from plugin_sdk.errors import (
    GatewayError,
    InsufficientFunds,
    InvalidRequest,
    ModelNotFound,
    NoEndpointLeft,
    PricingNotConfigured,
    Unauthenticated,
    UnsupportedModelOrEndpoint,
)
from plugin_sdk.money import Cap, Hold, Nanos
from plugin_sdk.protocol import Answer, RequestView

# Most requests carry none of these: they are looked for as they came.
_MAX_COST: Final = MAX_COST.encode()
_DRY_RUN: Final = DRY_RUN.encode()
_IDEMPOTENCY: Final = HEADER.encode()
_SHOWN: Final = 200  # characters of a model's name in an error
DEFAULT_OUTPUT_LIMIT: Final = (
    16_384  # tokens, where neither the request nor the endpoint has one (money.md 6)
)


async def admit(exchange: Exchange) -> None:
    """Everything before an upstream is called; raises the GatewayError that refuses the request."""
    principal = await _authenticate(exchange)
    exchange.principal = principal
    exchange.to(AUTHENTICATED)
    view = exchange.view = await _read(exchange)
    exchange.answer = _answer(exchange, view)
    exchange.to(PARSED)
    candidates = _candidates(exchange, view)
    if view.continues is not None:
        candidates = await pinned(exchange, candidates)
    sent = exchange.headers.raw
    cap = exchange.cap = max_cost(exchange.headers) if _MAX_COST in sent else None
    exchange.watched = cap is not None
    ctx = _context(exchange, principal, view, candidates)
    if hooks := exchange.snapshot.hooks.bound:
        candidates = tuple([await bounded(hooks, ctx, endpoint) for endpoint in candidates])
    worst = exchange.worst_case = _worst(candidates, view, exchange.received_at)
    ctx = exchange.ctx = msgspec.structs.replace(  # with the notes that policies made so far
        ctx, candidates=candidates, worst_case=worst if cap is None else min(worst, cap)
    )
    if _DRY_RUN in sent and is_dry_run(exchange.headers):
        tried = await routed(exchange.snapshot, ctx, candidates)
        raise Estimated(await estimate(exchange, [(one, output_limit(one, view)) for one in tried]))
    if _IDEMPOTENCY in sent:
        await claim(exchange, view)
    await _check_credit(exchange, ctx)
    exchange.to(ADMITTED)
    exchange.endpoints = _affordable(exchange, await routed(exchange.snapshot, ctx, candidates))
    exchange.to(ROUTED)
    exchange.runtime.ledger.begin(
        Begun(
            generation_id=exchange.generation_id,
            team_id=principal.team_id,
            kid=principal.kid,
            wallet_id=exchange.hold.wallet_id if exchange.hold else None,
            hold=exchange.hold.amount if exchange.hold else Nanos(0),
            model=view.model,
            operation=exchange.route.operation,
            created_at=exchange.received_at,
        )
    )


async def routed(
    snapshot: Snapshot, ctx: RequestContext, candidates: tuple[Endpoint, ...]
) -> tuple[Endpoint, ...]:
    """The endpoints in the order in which they are tried; one with a key of the team's has its own bound."""
    found: Sequence[Endpoint] = candidates
    for call in snapshot.hooks.route:
        if (answer := await call(ctx, found)) is not None:
            found = answer
    if not found:
        raise NoEndpointLeft("Routing left no endpoint for this request.")
    return tuple([one if one.key is None else await bounded(snapshot.hooks.bound, ctx, one) for one in found])


async def _authenticate(exchange: Exchange) -> Principal:
    """Who is calling; a management key does no inference."""
    credentials = Credentials(
        headers=exchange.headers, method=exchange.route.method, path=exchange.route.path
    )
    principal: Principal | None = None
    for call in exchange.snapshot.hooks.authenticate:
        if (principal := await call(credentials)) is not None:
            break
    if principal is None:
        raise Unauthenticated(
            "Send an API key: `Authorization: Bearer ...`.", reason="missing_or_invalid_authorization_header"
        )
    if principal.mode == "management":
        raise Unauthenticated(
            "A management key cannot run models; create an ordinary key.",
            reason="management_key_not_valid_for_gateway",
        )
    return principal


async def _check_credit(exchange: Exchange, ctx: RequestContext) -> None:
    """Ask every policy; a hold is the exchange's at once, so that whatever fails after it gives it back."""
    for call in exchange.snapshot.hooks.check_credit:
        found: Hold | Cap | None = await call(ctx)
        if found is None:
            continue
        if isinstance(found, Cap):
            ctx = _capped(exchange, ctx, found)
            continue
        if exchange.hold is not None:
            exchange.runtime.ledger.release(found)
            raise RuntimeError("two policies hold credit for one request; enable one of them")
        exchange.hold = found


def _capped(exchange: Exchange, ctx: RequestContext, cap: Cap) -> RequestContext:
    """Take a policy's cap if it is the least so far; what the policies after it see of the worst case."""
    if exchange.cap is None or cap.amount < exchange.cap:
        exchange.cap, exchange.cap_refusal = cap.amount, cap.refusal
        exchange.watched = exchange.watched or cap.amount < exchange.worst_case
    return msgspec.structs.replace(ctx, worst_case=min(ctx.worst_case, cap.amount))


async def _read(exchange: Exchange) -> RequestView:
    """The body, read no further than its limit, and a view of it."""
    headers = exchange.headers
    if headers.raw.get(b"content-encoding", b"identity") != b"identity":
        raise InvalidRequest("Send the body as it is, without a content-encoding.")
    limit = exchange.snapshot.config.gateway.body_limit
    body = exchange.client.whole(limit)
    if body is None:
        declared = headers.get("content-length", "")
        body = await exchange.client.body(limit, int(declared) if declared.isdecimal() else None)
    view = exchange.protocol.index(body)
    if view.unknown and headers.get("x-aistats-strictness", "").lower() == "strict":
        raise InvalidRequest(
            f"Unknown parameter: {view.unknown[0]}",
            param=view.unknown[0],
            details=[
                {
                    "message": f"Unknown parameter: {name}",
                    "path": [name],
                    "keyword": "unknown_param",
                    "params": {},
                }
                for name in view.unknown
            ],
        )
    return view


def _answer(exchange: Exchange, view: RequestView) -> Answer:
    return Answer(
        generation_id=exchange.generation_id,
        stream=view.stream,
        exact=exchange.headers.raw.get(b"x-gateway-passthrough") == b"exact",
        meta=view.meta,
        usage_event=view.usage_event,
        model=view.model,
    )


def _context(
    exchange: Exchange,
    principal: Principal,
    view: RequestView,
    candidates: tuple[Endpoint, ...],
) -> RequestContext:
    route = exchange.route
    return RequestContext(
        generation_id=exchange.generation_id,
        operation=route.operation,
        protocol=route.protocol,
        principal=principal,
        headers=exchange.headers,
        view=view,
        candidates=candidates,
    )


def _candidates(exchange: Exchange, view: RequestView) -> tuple[Endpoint, ...]:
    """The endpoints of the model for this operation; the error says which of the two is unknown."""
    snapshot, at = exchange.snapshot, exchange.received_at
    found = snapshot.endpoints(view.model, exchange.route.protocol)
    if not found:
        raise not_offered(snapshot, view.model, exchange.route.operation)
    if view.model in snapshot.offered.dated:
        found = tuple(one for one in found if snapshot.in_force(one, at))
        if not found:
            raise _no_price(view.model)
    return found


def not_offered(snapshot: Snapshot, model: str, operation: str) -> GatewayError:
    """Why a model has no endpoint for an operation."""
    shown = model[:_SHOWN]
    if snapshot.unpriced(model, operation):
        return _no_price(model)
    if snapshot.knows(model):
        return UnsupportedModelOrEndpoint(
            f"The model `{shown}` cannot do {operation}; GET /v1/gateway/models says what can.",
            param="model",
        )
    return ModelNotFound(
        f"The model `{shown}` does not exist here; GET /v1/models lists what does.", param="model"
    )


def _no_price(model: str) -> GatewayError:
    return PricingNotConfigured(
        f"The model `{model[:_SHOWN]}` has no price here; the operator must set one.", param="model"
    )


def output_limit(endpoint: Endpoint, view: RequestView) -> int:
    """The most output tokens a choice can have: the request's limit, else the endpoint's, else a default."""
    return view.max_output or endpoint.max_output or DEFAULT_OUTPUT_LIMIT


def _worst(candidates: tuple[Endpoint, ...], view: RequestView, at: int) -> Nanos:
    return max([
        worst_case(endpoint, view.input_estimate, view.choices * output_limit(endpoint, view), view.plan, at)
        for endpoint in candidates
    ])  # fmt: skip


def _affordable(exchange: Exchange, tried: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """The routed endpoints at which the hold pays for some output."""
    payable, view = exchange.payable, exchange.view
    if payable is None or view is None or payable >= exchange.worst_case:
        return tried
    at, whole = exchange.received_at, exchange.strict
    left = tuple(endpoint for endpoint in tried if _pays(endpoint, view, payable, at, whole=whole))
    if not left and payable == exchange.cap:
        if exchange.cap_refusal is not None:
            raise exchange.cap_refusal
        raise InsufficientFunds(
            "`x-gateway-max-cost` does not pay for this request as it is, "
            "and strict fidelity forbids a lower limit."
            if exchange.strict
            else "`x-gateway-max-cost` pays for no output of this request.",
            reason="max_cost",
        )
    if not left:
        raise InsufficientFunds(
            "The credit that is left does not pay for this request as it is, "
            "and strict fidelity forbids a lower limit."
            if exchange.strict
            else "The credit that is left pays for no output of this request; top up, or send less.",
            reason="insufficient_funds",
        )
    return left


def _pays(endpoint: Endpoint, view: RequestView, amount: Nanos, at: int, *, whole: bool) -> bool:
    """Whether an amount pays for some output at this endpoint, or for all that may come."""
    payable = payable_output(endpoint, view, amount, at)
    return payable is None or payable >= (output_limit(endpoint, view) if whole else 1)
