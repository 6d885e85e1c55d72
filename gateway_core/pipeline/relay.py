"""Move an answer to the client: pieces as they come, its end only after the settlement is committed."""

from typing import Final

import msgspec

from gateway_core.pipeline.exchange import CANCELLED, COMPLETED, CUT, RELAYING, Exchange
from gateway_core.pipeline.idempotency import keep
from gateway_core.pipeline.pricing import pricing_object
from gateway_core.pipeline.settle import settle
from gateway_core.upstream import UpstreamResponse
from plugin_sdk.errors import GatewayError, UpstreamCut, UpstreamError, UpstreamTimeout
from plugin_sdk.money import Charge, is_usage
from plugin_sdk.protocol import End, Facts, Piece, Price

AFTER_END: Final = 0.25  # seconds that an upstream gets to end its body after the answer's own end

_encode = msgspec.json.Encoder().encode
_NOTHING: Final = Charge(card_id="")
JSON: Final = b"application/json"
EVENTS: Final = b"text/event-stream; charset=utf-8"
_LINES: Final = (
    b"\r\ncontent-type: %b\r\nx-generation-id: %b\r\nx-request-id: %b\r\nx-gateway-fidelity: %b"
    b"\r\nserver-timing: upstream;dur=%.1f\r\ncache-control: no-store\r\naccess-control-allow-origin: *"
    b"\r\naccess-control-expose-headers: x-generation-id, x-request-id, x-gateway-fidelity, retry-after"
    b"\r\ntiming-allow-origin: *"
)


def header_lines(exchange: Exchange, kind: bytes) -> bytes:
    """The headers of every answer: what it is, its ids, and how faithful its request was.

    None of these values can hold a line break: a report cleans the names that it shows.
    """
    generation_id = exchange.generation_id.encode()
    timing = (exchange.first_event - exchange.dispatched) * 1000
    return _LINES % (kind, generation_id, generation_id, exchange.fidelity.encode(), timing)


async def send_whole(exchange: Exchange, pieces: list[Piece]) -> None:
    """A whole JSON answer: settle, then send."""
    exchange.to(RELAYING)
    before, after, _ = await _filled(exchange, pieces)
    body = before + after
    exchange.finished_at = exchange.runtime.clock()
    if exchange.client.records:
        await keep(exchange, JSON, body)
    exchange.to(COMPLETED)
    await settle(exchange)
    if exchange.response is not None:
        exchange.response.release()
    await exchange.client.answer(200, header_lines(exchange, JSON), body)
    _delivered(exchange)


async def send_stream(exchange: Exchange, pieces: list[Piece]) -> None:
    """A streamed answer, event by event. From here on a failure is an event, never another status."""
    exchange.to(RELAYING)
    client, response, stream = exchange.client, exchange.response, exchange.stream
    if response is None or stream is None:
        raise RuntimeError("nothing to relay")
    await client.start(200, header_lines(exchange, EVENTS))
    facts = stream.facts
    exact = exchange.answer is not None and exchange.answer.exact
    try:
        while True:
            out, tail, ended = await _filled(exchange, pieces)
            if out:
                await client.write(out)
            if ended or (facts.error is not None and not exact):
                break
            data = await _next(response, facts)
            if data is None:
                out, tail, ended = await _filled(exchange, stream.close())
                await client.write(out)
                if not ended and facts.error is None and not facts.complete:
                    raise UpstreamCut("The provider's stream ended before its end.")
                break
            pieces = stream.feed(data)
            if exchange.watched and not facts.complete and exchange.at_cap:
                pieces += _stop(exchange)
    except UpstreamError as error:
        await _broken(exchange, error)
        return
    if facts.error is not None:
        await _failed(exchange, facts.error, tail)
        return
    await _complete(exchange, facts, tail, ended=ended)


def _stop(exchange: Exchange) -> list[Piece]:
    """The end of an answer that costs as much as its client will pay; in exact mode it goes on."""
    if exchange.translation is None or exchange.translation.facts.error is not None:
        return []
    exchange.stopped = True
    return exchange.translation.stop(1 if exchange.view is None else exchange.view.choices)


async def _next(response: UpstreamResponse, facts: Facts) -> bytes | None:
    """The next bytes, None at the end; a connection that breaks behind the finish has lost nothing."""
    try:
        return await response.next()
    except UpstreamCut:
        if facts.finish is None:
            raise
        return None


async def _complete(exchange: Exchange, facts: Facts, tail: bytes, *, ended: bool) -> None:
    """The upstream finished: settle, and only then let the end leave."""
    exchange.finished_at = exchange.runtime.clock()
    if not ended and exchange.answer is not None and not exchange.answer.exact:
        tail += exchange.protocol.end_stream()
    if exchange.client.records:
        try:
            await keep(exchange, EVENTS, tail)
        except GatewayError as error:
            await _broken(exchange, error)
            return
    exchange.to(COMPLETED)
    try:
        await settle(exchange)
    except GatewayError as error:
        exchange.error = error
        await _end_in_error(exchange, error)
        return
    await exchange.client.finish(tail)
    _delivered(exchange)
    response = exchange.response
    if response is not None and not response.finished:
        exchange.response = None  # the next request of this client need not wait for it
        exchange.runtime.adopt(_drain(response))


async def _broken(exchange: Exchange, error: GatewayError) -> None:
    """The upstream's stream broke off: ours to say, unless the client left and the time to wait is over."""
    exchange.error = error
    if exchange.client.left and isinstance(error, UpstreamTimeout):
        exchange.to(CANCELLED)
        await settle(exchange)
        return
    exchange.to(CUT)
    await settle(exchange)
    await _end_in_error(exchange, error)


async def _failed(exchange: Exchange, error: UpstreamError, tail: bytes) -> None:
    """The upstream said in its stream that it failed: record it, take no money, say it in the last event."""
    exchange.error = error
    exchange.finished_at = exchange.runtime.clock()
    exchange.to(CUT)
    await settle(exchange)
    if exchange.answer is not None and exchange.answer.exact:
        await exchange.client.finish(tail)  # the upstream's own words have passed
    else:
        await _end_in_error(exchange, error)


async def _end_in_error(exchange: Exchange, error: GatewayError) -> None:
    """An error event as the last of a stream; in exact mode no byte is added, the connection just breaks."""
    if exchange.answer is not None and exchange.answer.exact:
        exchange.client.abort()
        return
    last_word = None
    if exchange.shown:
        made = exchange.charge or _NOTHING
        last_word = pricing_object(made, exchange.lines(made), suppressed=exchange.unbilled)
    await exchange.client.finish(
        exchange.protocol.render_stream_error(error, exchange.generation_id, last_word)
    )


async def _drain(response: UpstreamResponse) -> None:
    """Give the upstream a moment to end its body, so that its connection can be used again."""
    response.extend(AFTER_END)
    try:
        while await response.next() is not None:
            pass
    except UpstreamError:
        pass  # the answer is whole and settled; only the connection is lost
    finally:
        response.release()


def _delivered(exchange: Exchange) -> None:
    if not exchange.client.left:
        exchange.runtime.ledger.delivered(exchange.generation_id, exchange.runtime.clock())


async def _filled(exchange: Exchange, pieces: list[Piece]) -> tuple[bytes, bytes, bool]:
    """(what may leave now, what must wait for the settlement, whether the end has come)."""
    if len(pieces) == 1 and isinstance(pieces[0], bytes):
        return pieces[0], b"", False
    before: list[bytes] = []
    after: list[bytes] = []
    into = before
    for piece in pieces:
        if isinstance(piece, bytes):
            into.append(piece)
        elif isinstance(piece, Price):
            into.append(await _pricing(exchange, piece))
        elif isinstance(piece, End):
            into = after
        else:
            into.append(_meta(exchange))
    return b"".join(before), b"".join(after), into is after


async def _pricing(exchange: Exchange, piece: Price) -> bytes:
    """The member that shows the price so far; nothing where it could not be told."""
    try:
        charge = await exchange.price(piece.usage if is_usage(piece.usage) else exchange.estimate())
    except Exception as error:  # noqa: BLE001  # a pricing failure is logged and counted, never a 500 (money.md 9)
        exchange.runtime.log.error("pricing failed", generation_id=exchange.generation_id, error=repr(error))
        return b""
    exchange.shown = True
    found = pricing_object(charge, exchange.lines(charge), suppressed=exchange.suppressed())
    return b'%b"%b":%b' % (b"" if piece.empty else b",", piece.key.encode(), found)


def _meta(exchange: Exchange) -> bytes:
    if exchange.answer is None or not exchange.answer.meta:
        return b""
    return b',"meta":' + _encode(exchange.meta())
