"""Failover: try endpoint after endpoint until the first event of an answer; from there on, no more."""

import time
from typing import Any, Final

from gateway_core.host.dispatch import chain
from gateway_core.pipeline.exchange import ATTEMPTING, Exchange
from gateway_core.pipeline.pricing import payable_output
from gateway_core.pipeline.stages import output_limit
from plugin_sdk.context import Attempt, Endpoint
from plugin_sdk.errors import (
    CannotCarry,
    GatewayError,
    NoEndpointLeft,
    UpstreamCut,
    UpstreamError,
    UpstreamUnauthorized,
)
from plugin_sdk.fidelity import Report, request_report
from plugin_sdk.protocol import Piece, Protocol, Target, Translation, UpstreamProtocol, UpstreamRequest
from plugin_sdk.provider import Provider

MAX_ATTEMPTS: Final = 5
ERROR_BODY_LIMIT: Final = 1 << 20
ANSWER_LIMIT: Final = 64 << 20
HELD_LIMIT: Final = 1 << 20  # bytes of comments before the first event


async def first_pieces(exchange: Exchange) -> list[Piece]:
    """The first pieces of the first answer that begins; where no endpoint gives one, raise the last error."""
    last: GatewayError | None = None
    for endpoint in exchange.endpoints[:MAX_ATTEMPTS]:
        exchange.to(ATTEMPTING)
        exchange.attempt = Attempt(number=len(exchange.attempts) + 1, endpoint=endpoint)
        exchange.dispatched = exchange.first_event = time.perf_counter()
        try:
            return await _attempt(exchange, exchange.attempt)
        except CannotCarry as error:  # nothing was sent: no attempt, and another endpoint may do
            last = last or error
            exchange.attempt = None
        except UpstreamError as error:
            last = error
            exchange.attempted(error, exchange.counted_cost())
            if not error.retryable or exchange.client.left:
                raise
            exchange.drop_attempt()
    raise last or NoEndpointLeft("No endpoint is left for this request.")


async def _attempt(exchange: Exchange, attempt: Attempt) -> list[Piece]:
    provider = exchange.snapshot.providers[attempt.endpoint.provider]
    if attempt.endpoint.key is not None:
        provider = provider.keyed(attempt.endpoint.key)
    request = await _upstream_request(exchange, attempt, provider)
    exchange.dispatched = exchange.first_event = time.perf_counter()
    response = exchange.response = await exchange.runtime.upstream.send(
        request,
        provider.config.deadlines,
        verify=provider.config.verify_tls,
        transport=exchange.snapshot.transports.get(attempt.endpoint.provider),
    )
    if exchange.client.left:
        exchange.client_left()
    if not 200 <= response.status < 300:
        body = await response.read(ERROR_BODY_LIMIT)
        error = provider.classify(response.status, response.headers, body)
        if exchange.byok and isinstance(error, UpstreamUnauthorized):
            error.message = "The provider refused the key that the team brought."
        raise error
    _begin_stream(exchange, attempt)
    if exchange.answer is not None and exchange.answer.stream:
        return await _until_started(exchange)
    return await _whole(exchange)


async def _upstream_request(exchange: Exchange, attempt: Attempt, provider: Provider[Any]) -> UpstreamRequest:
    """The signed request: the client's own bytes patched, or a new one built.

    It is built where the protocols differ or a policy changed the request.
    """
    endpoint, view, snapshot = attempt.endpoint, exchange.view, exchange.snapshot
    if view is None or exchange.ctx is None:
        raise RuntimeError("an attempt needs an admitted request")
    report = exchange.report = Report()
    upstream = snapshot.protocols[endpoint.protocol]
    target = Target(
        base_url=snapshot.base_urls[endpoint.provider],
        model=endpoint.upstream_model,
        output_limit=_clamp(exchange, endpoint),
        output_limit_field=provider.output_limit_field,
        continues=exchange.continues,
        params=endpoint.params,
        headers=_forwarded(exchange) if upstream is exchange.protocol and upstream.forwards else {},
        report=report,
    )
    own = upstream is exchange.protocol and not view.sealed
    if own and not snapshot.hooks.transform:
        request = exchange.protocol.patch(view, target)
    else:
        typed = exchange.protocol.parse(view)
        changed = await chain(snapshot.hooks.transform, 2, exchange.ctx, attempt, typed)
        if own and changed is typed:
            request = exchange.protocol.patch(view, target)
        else:
            _check_carried(changed, upstream, exchange.protocol, report)
            request = upstream.build(changed, target)
    request = provider.adapt(request, report)
    if report and exchange.strict:
        raise _refusal(report)
    if type(provider).refresh is not Provider.refresh:
        await provider.refresh()
    return provider.sign(request)


def _forwarded(exchange: Exchange) -> dict[str, str]:
    """The client's headers that its protocol means for the upstream; one that no header may hold is not."""
    found = {name: exchange.headers.get(name, "") for name in exchange.protocol.forwards}
    return {name: value for name, value in found.items() if value.isascii() and value.isprintable() and value}


def _check_carried(request: Any, upstream: UpstreamProtocol, client: Protocol, report: Report) -> None:
    """Book what the upstream's protocol cannot carry; refuse what would mean something else without it."""
    if upstream.carries is None or client.carries is None:
        return
    essential = request_report(request, upstream.id, upstream.carries, client.carries, report)
    if essential is not None:
        raise CannotCarry(
            f"`{essential}` cannot be carried to a provider of this model ({upstream.id}); leave it out, "
            "or use a model whose provider knows it.",
            param=essential,
        )


def _refusal(report: Report) -> CannotCarry:
    """Strict fidelity: a 400 that lists what would be lost."""
    lost = {
        "dropped": report.dropped,
        "approximated": report.approximated,
        "clamped": report.clamped,
    }
    names = [(how, name, note) for how, found in lost.items() for name, note in found.items()]
    details = [
        {
            "message": f"`{name}` would be {how}{': ' if note else ''}{note}.",
            "path": [name],
            "keyword": "fidelity",
            "params": {"fidelity": how},
        }
        for how, name, note in names
    ]
    return CannotCarry(f"Strict fidelity: {report}.", param=names[0][1], details=details, reason="fidelity")


def _clamp(exchange: Exchange, endpoint: Endpoint) -> int | None:
    """The output limit that the hold pays for, where that is less than what was asked for (money.md 6)."""
    amount, view = exchange.payable, exchange.view
    if amount is None or view is None or amount >= exchange.worst_case:
        return None
    payable = payable_output(endpoint, view, amount, exchange.received_at)
    if payable is None or payable >= output_limit(endpoint, view):
        return None
    if exchange.report is not None:
        exchange.report.clamped["max_tokens"] = "as far as it is paid for"
    return payable


def _begin_stream(exchange: Exchange, attempt: Attempt) -> None:
    """What the answer's bytes go through: the client's own protocol spliced, another's translated."""
    client, answer = exchange.protocol, exchange.answer
    upstream = exchange.snapshot.protocols[attempt.endpoint.protocol]
    if answer is None:
        raise RuntimeError("an attempt needs an admitted request")
    if upstream is client and (not exchange.watched or not answer.stream or answer.exact):
        exchange.stream = client.splice(answer)
        return
    decoder = upstream.decoder(stream=answer.stream)
    exchange.stream = exchange.translation = Translation(decoder, client.encoder(answer), client)


async def _until_started(exchange: Exchange) -> list[Piece]:
    """Read up to the first event that is data and not an error; comments before it do not count."""
    response, stream = exchange.response, exchange.stream
    if response is None or stream is None:
        raise RuntimeError("nothing to read")
    held: list[Piece] = []
    size = 0
    facts = stream.facts
    while not facts.started:
        data = await response.next()
        pieces = stream.close() if data is None else stream.feed(data)
        if facts.error is not None and not facts.started:
            raise _named(facts.error, exchange)
        held += pieces
        if data is None:
            if facts.complete:
                break
            raise UpstreamCut(
                "The provider ended its stream before the first event.", provider=_provider(exchange)
            )
        size += len(data)
        if size > HELD_LIMIT and not facts.started:
            raise UpstreamError("The provider sent no event, only filler.", provider=_provider(exchange))
    response.started()
    exchange.first_event = time.perf_counter()
    return held


async def _whole(exchange: Exchange) -> list[Piece]:
    """Read a whole answer; a failure inside it is a failure."""
    response, stream = exchange.response, exchange.stream
    if response is None or stream is None:
        raise RuntimeError("nothing to read")
    body = await response.read(ANSWER_LIMIT)
    exchange.first_event = time.perf_counter()
    pieces = stream.feed(body) + stream.close()
    if stream.facts.error is not None:
        raise _named(stream.facts.error, exchange)
    if not stream.facts.complete:
        raise UpstreamError("The provider's answer could not be understood.", provider=_provider(exchange))
    return pieces


def _provider(exchange: Exchange) -> str | None:
    return None if exchange.attempt is None else exchange.attempt.endpoint.provider


def _named(error: UpstreamError, exchange: Exchange) -> UpstreamError:
    if error.provider is None:
        error.provider = _provider(exchange)
    return error
