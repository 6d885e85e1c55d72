"""The pipeline's own ASGI entry: a generation route from its scope to its settlement."""

import asyncio
import contextlib

import msgspec

from gateway_core.ledger.records import LedgerError
from gateway_core.pipeline.attempts import first_pieces
from gateway_core.pipeline.client import Client, ClientLeft, Message, Receive, Send
from gateway_core.pipeline.cost import Estimated
from gateway_core.pipeline.exchange import (
    ATTEMPTING,
    CANCELLED,
    CUT,
    ENDS,
    FAILED,
    REFUSED,
    RELAYING,
    SETTLED,
    Exchange,
)
from gateway_core.pipeline.idempotency import Replayed, conclude
from gateway_core.pipeline.relay import JSON, header_lines, send_stream, send_whole
from gateway_core.pipeline.runtime import Runtime
from gateway_core.pipeline.settle import CLIENT_CLOSED, settle
from gateway_core.pipeline.stages import admit
from gateway_core.upstream.headers import Headers
from plugin_sdk.errors import GatewayError, Internal, InvalidRequest, UpstreamTimeout
from plugin_sdk.modality import Route

encode = msgspec.json.Encoder().encode


class Lane:
    """Serves the modality routes of the running snapshot."""

    __slots__ = ("_runtime",)

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def route(self, scope: Message) -> Route | None:
        """The generation route of this scope, or None: then it is a platform route's or nobody's."""
        return self._runtime.snapshot.routes.get((scope["method"], scope["path"]))

    async def __call__(self, route: Route, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request: it always ends in exactly one settlement (or had nobody to settle with)."""
        client = Client(scope, receive, send)
        exchange = Exchange(self._runtime, route, client, Headers(dict(scope["headers"])))
        client.on_left(exchange.client_left)
        try:
            await _answer(exchange)
        except asyncio.CancelledError:
            self._runtime.adopt(_cancelled(exchange))
            raise
        except Exception as error:  # settled; but saying so failed
            self._runtime.log.exception("answer failed", error, generation_id=exchange.generation_id)
            client.abort()
        finally:
            client.unwatch()
            if exchange.response is not None:
                exchange.response.release()
        await _over(exchange)


async def _answer(exchange: Exchange) -> None:
    """Serve, or settle and say why not."""
    try:
        await admit(exchange)
        exchange.client.watch()
        pieces = await first_pieces(exchange)
        if exchange.answer is not None and exchange.answer.stream:
            await send_stream(exchange, pieces)
        else:
            await send_whole(exchange, pieces)
    except GatewayError as error:
        await _refuse(exchange, error)
    except ClientLeft:
        await _abandon(exchange)
    except Estimated as found:
        await _say(exchange, encode(found.body))
    except Replayed as found:
        exchange.generation_id = found.earlier.generation_id
        await _say(exchange, found.earlier.body, found.earlier.content_type)
    except Exception as error:  # the last resort of a request: 500, settled, with a trace in the log
        exchange.runtime.log.exception("request failed", error, generation_id=exchange.generation_id)
        await _refuse(exchange, Internal("The gateway failed; the generation id leads to the log."))


async def _over(exchange: Exchange) -> None:
    """See to the request's key, then tell the observers, whatever becomes of the first."""
    try:
        if exchange.client.records:
            await conclude(exchange)
    except asyncio.CancelledError:
        exchange.runtime.adopt(_observed(exchange))
        raise
    except Exception as error:  # the answer is given and settled: only its key is not
        exchange.runtime.log.exception("idempotency failed", error, generation_id=exchange.generation_id)
    await _observed(exchange)


async def _observed(exchange: Exchange) -> None:
    """Tell the observers, then let go of the snapshot: a plugin is not stopped under its own request."""
    try:
        if exchange.snapshot.hooks.record:
            await exchange.observe()
    finally:
        exchange.runtime.leave(exchange.snapshot)


async def _refuse(exchange: Exchange, error: GatewayError) -> None:
    """Nothing of an answer has left yet (or only its headers): settle, then say why."""
    exchange.error = error
    if exchange.phase is not SETTLED:
        _end(exchange)
        with contextlib.suppress(GatewayError):  # logged where it happened; nobody was to pay for this
            await settle(exchange)
    client = exchange.client
    if client.started:
        client.abort()
        return
    lines = header_lines(exchange, JSON) + b"\r\nx-gateway-error-attribution: " + error.attribution.encode()
    if error.retry_after is not None and error.retry_after.isascii() and error.retry_after.isprintable():
        lines += b"\r\nretry-after: " + error.retry_after.encode()
    await client.answer(error.status, lines, exchange.protocol.render_error(error, exchange.generation_id))


async def _say(exchange: Exchange, body: bytes, content_type: str = "application/json") -> None:
    """A dry run's answer, or one told again: there is nothing to settle and nothing to record."""
    exchange.to(REFUSED)
    exchange.to(SETTLED)
    exchange.ctx = None  # and nothing to observe
    await exchange.client.answer(200, header_lines(exchange, content_type.encode("latin-1")), body)


async def _abandon(exchange: Exchange) -> None:
    """The client left before an upstream was called."""
    exchange.error = InvalidRequest("The client closed its connection before its request was answered.")
    exchange.error.status = CLIENT_CLOSED
    _end(exchange)
    await settle(exchange)


async def _cancelled(exchange: Exchange) -> None:
    """The gateway is stopping in the middle of this request: that is our doing, and nobody pays for it."""
    try:
        if exchange.phase is not SETTLED:
            exchange.error = Internal("The gateway was stopped while this request ran.")
            _end(exchange)
            await settle(exchange)
        elif (commit := exchange.runtime.ledger.committing(exchange.generation_id)) is not None:
            await commit  # the observers are told of what is on record
    except (GatewayError, LedgerError):
        pass  # logged where it happened
    finally:
        await _over(exchange)


def _end(exchange: Exchange) -> None:
    """Move to the end that fits the phase in which an error came."""
    if exchange.phase in ENDS:
        return
    if exchange.phase is RELAYING:
        exchange.to(CUT)
    elif exchange.phase is ATTEMPTING:
        waited = exchange.client.left and isinstance(exchange.error, UpstreamTimeout)
        exchange.to(CANCELLED if waited else FAILED)
    else:
        exchange.to(REFUSED)
