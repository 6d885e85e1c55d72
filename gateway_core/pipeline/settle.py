"""The one place where a request ends: what it cost, who pays, and the record of it, in one settlement.

phase      the team pays                               what the answer cost us is booked to
COMPLETED  the price; 0 if it holds nothing            cost_of_sales; loss if 0 was charged
CANCELLED  the price of what was read, else estimated  cost_of_sales
CUT        0 (unless the provider: charge_partial)     loss
FAILED     0                                           loss, where a provider counted a usage
REFUSED    0                                           nothing
"""

from typing import Final

import msgspec

from gateway_core.ledger.records import UNWRITTEN, GenerationRecord, Settlement
from gateway_core.pipeline.exchange import (
    CANCELLED,
    COMPLETED,
    CUT,
    FAILED,
    REFUSED,
    SETTLED,
    Exchange,
    Phase,
)
from gateway_core.pipeline.pricing import OVER_HOLD, kept
from plugin_sdk.errors import Internal, UpstreamError
from plugin_sdk.money import Charge, Nanos, Usage
from plugin_sdk.protocol import Facts

CLIENT_CLOSED: Final = 499  # the status that a record of a client's own disconnect carries
_LONGEST: Final = 200  # characters of a client's own words in a record
_LEFT: Final = "user:client_disconnected"
_NOTHING: Final = Nanos(0)


class _Bill(msgspec.Struct, kw_only=True):
    """What a finished exchange comes to."""

    charge: Charge | None = None  # what the team pays, line by line; None: nothing
    price: Nanos = Nanos(0)  # before the over_hold line
    usage: Usage = {}
    estimated: bool = False
    suppressed: str | None = None
    cost: Nanos = Nanos(0)  # what the last attempt cost us


async def settle(exchange: Exchange) -> None:
    """End the exchange: returns once its settlement is committed. Raises Internal if it could not be."""
    ended = exchange.phase
    bill = await _bill(exchange, ended)
    if exchange.attempt is not None and len(exchange.attempts) < exchange.attempt.number:
        exchange.attempted(exchange.error if ended is not COMPLETED else None, bill.cost)
    exchange.to(SETTLED)
    exchange.usage, exchange.charge, exchange.unbilled = bill.usage, bill.charge, bill.suppressed
    if exchange.principal is None:
        return  # nobody to record it for
    ledger = exchange.runtime.ledger
    try:
        await ledger.settle(_settlement(exchange, ended, bill))
    except Exception as error:
        if exchange.hold is not None:
            ledger.release(exchange.hold)  # where the ledger never got so far as to end it
        exchange.charge, exchange.unbilled = None, UNWRITTEN
        exchange.runtime.log.error(
            "settlement failed", generation_id=exchange.generation_id, error=repr(error)
        )
        raise Internal("The gateway could not record this request; it is not charged.") from error


async def _bill(exchange: Exchange, ended: Phase) -> _Bill:
    """The table above. A price that fails is nobody's debt: logged and counted, never a 500 (money.md 9)."""
    stream = exchange.stream
    if stream is None or exchange.attempt is None or ended is REFUSED:
        return _Bill()
    if ended is FAILED:
        return _Bill(cost=exchange.counted_cost())
    facts = stream.facts
    unfinished = exchange.stopped or (ended is CANCELLED and not facts.complete)
    counted = exchange.counted
    usage = exchange.estimate() if counted is None else _usage(counted, facts, unfinished=unfinished)
    bill = _Bill(
        usage=usage,
        estimated=unfinished or counted is None,
        suppressed=exchange.suppressed() if ended is COMPLETED else _suppressed(exchange, ended),
    )
    try:
        bill.cost = exchange.by_card(usage).total
        if bill.suppressed is not None:
            return bill
        made = await exchange.price(usage)
    except Exception as error:  # noqa: BLE001  # whatever a policy or a provider's figures brought about
        exchange.runtime.log.error("pricing failed", generation_id=exchange.generation_id, error=repr(error))
        bill.suppressed = bill.suppressed or "pricing_failed"
        return bill
    price = made.total
    for line in made.lines:
        if line.nanos < 0 and line.meter == OVER_HOLD:
            price = Nanos(price - line.nanos)
    bill.charge, bill.price = made, price
    if made.unpriced or made.holes:
        exchange.runtime.log.warning(
            "price missing",
            generation_id=exchange.generation_id,
            provider=exchange.attempt.endpoint.provider,
            model=exchange.attempt.endpoint.model,
            unpriced=list(made.unpriced),
            holes=list(made.holes),
        )
    return bill


def _usage(counted: Usage, facts: Facts, *, unfinished: bool) -> Usage:
    """The provider's own figures; where only those of the input came, with an estimate of the output.

    Of an answer that was not read to its end the provider had more to say.
    """
    if unfinished and facts.output_estimate:
        output = any(n for meter, n in counted.items() if meter.startswith("output_"))
        if not output:
            return {**counted, "output_text_tokens": facts.output_estimate}
    return counted


def _suppressed(exchange: Exchange, ended: Phase) -> str | None:
    """Why nothing is charged of an answer without an end, or None."""
    if ended is CANCELLED:
        return None if exchange.facts is not None and exchange.facts.started else "empty_response"
    provider = exchange.snapshot.providers[exchange.attempt.endpoint.provider] if exchange.attempt else None
    if provider is not None and provider.config.charge_partial and isinstance(exchange.error, UpstreamError):
        return None  # what the gateway itself has cut is never charged
    return (
        "incomplete_stream"
        if exchange.facts is not None and exchange.facts.error is None
        else "upstream_failure"
    )


def _settlement(exchange: Exchange, ended: Phase, bill: _Bill) -> Settlement:
    now = exchange.runtime.clock()
    charged = bill.charge.total if bill.charge is not None else _NOTHING
    costs = tuple([(attempt.provider, attempt.cost) for attempt in exchange.attempts if attempt.cost])
    return Settlement(
        generation=_record(exchange, ended, bill, charged, now),
        outcome="charged" if charged > 0 and exchange.hold is not None else "released",
        hold=exchange.hold,
        price=bill.price,
        costs=costs,
        lost=_NOTHING if bill.charge is not None else Nanos(sum([cost for _, cost in costs])),
        upstream_finished_at=exchange.finished_at,
        card=exchange.attempt.endpoint.card if exchange.attempt is not None else None,
        settled_at=now,
    )


def _record(exchange: Exchange, ended: Phase, bill: _Bill, charged: Nanos, now: int) -> GenerationRecord:
    """The record, its values in the order of its fields."""
    principal, view, route, attempt = exchange.principal, exchange.view, exchange.route, exchange.attempt
    if principal is None:
        raise RuntimeError("a record needs a team")
    status, error_code, error_message, finish = _outcome(exchange, ended)
    endpoint = latency = generation = None
    if attempt is not None:
        endpoint = attempt.endpoint
        latency = int((exchange.first_event - exchange.dispatched) * 1000)
        begun = exchange.received_at + int((exchange.dispatched - exchange.began) * 1000)
        generation = max(0, now - begun)
    made, stream, sent = bill.charge, exchange.stream, exchange.headers.raw
    return GenerationRecord(
        exchange.generation_id,
        exchange.received_at,
        principal.team_id,
        principal.kid,
        route.name,
        route.operation,
        route.protocol,
        view.model[:_LONGEST] if view is not None else "",
        status,
        ended is COMPLETED,
        view.stream if view is not None else False,
        endpoint.provider if endpoint is not None else None,
        endpoint.upstream_model if endpoint is not None else None,
        stream.facts.native_id if stream is not None else None,
        error_code,
        error_message,
        finish,
        latency,
        generation,
        bill.usage,
        () if made is None else exchange.lines(made),
        charged,
        endpoint.card.id if endpoint is not None else None,
        bill.estimated,
        () if made is None else made.unpriced,
        exchange.fidelity_of_all,
        bill.suppressed,
        tuple(exchange.attempts),
        _bounded(sent.get(b"x-title")),
        _bounded(sent.get(b"http-referer") or sent.get(b"referer")),
        exchange.byok,
        terms=None if made is None or endpoint is None else kept(exchange.terms(), endpoint.card),
    )


def _outcome(exchange: Exchange, ended: Phase) -> tuple[int, str | None, str | None, str | None]:
    """(what the client saw as the status, the error's code, its message, the finish reason)."""
    if ended is COMPLETED:
        return 200, None, None, exchange.stream.facts.finish if exchange.stream is not None else None
    error = exchange.error
    message = None if error is None else error.message
    if ended is CANCELLED:
        return CLIENT_CLOSED, _LEFT, message, "cancel"
    # 200 once an answer had begun (contract, 13.40)
    status = 200 if ended is CUT else 500 if error is None else error.status
    if error is not None and error.status == CLIENT_CLOSED:
        return status, _LEFT, message, "cancel"
    code = None if error is None else f"{error.attribution}:{error.code}"
    late = error is not None and error.code == "upstream_timeout"
    return status, code, message, "timeout" if late else "error"


def _bounded(text: bytes | None) -> str | None:
    """An untrusted header of a client's, cut to a bounded length."""
    return None if text is None else text[:_LONGEST].decode("latin-1")
