"""`Idempotency-Key`: the same request under the same key is answered once, and charged once."""

from hashlib import sha256
from typing import Final

from gateway_core.db.idempotency import Earlier
from gateway_core.ledger.records import UNWRITTEN, LedgerOverloaded
from gateway_core.pipeline.exchange import Exchange, Phase
from plugin_sdk.errors import Conflict, InvalidRequest, Unprocessable
from plugin_sdk.protocol import RequestView

HEADER: Final = "idempotency-key"
LARGEST: Final = 4 << 20  # bytes of an answer that is kept
_LONGEST: Final = 255


class Replayed(Exception):
    """The answer was given before: it is told again, nobody is called and nothing is charged."""

    def __init__(self, earlier: Earlier) -> None:
        super().__init__("an answer told again")
        self.earlier = earlier


async def claim(exchange: Exchange, view: RequestView) -> None:
    """Take the request's key, if it carries one; raise what an earlier request under it has come to.

    Unavailable where the database does not answer.
    """
    key = exchange.headers.get(HEADER)
    if key is None or exchange.principal is None:
        return
    if not 0 < len(key) <= _LONGEST:
        raise InvalidRequest(f"`{HEADER}` must have 1 to {_LONGEST} characters.", param=HEADER)
    said = "\n".join((exchange.route.path, exchange.headers.get("x-gateway-passthrough", ""))).encode()
    digest = sha256(said + b"\n" + view.body).hexdigest()
    team = exchange.principal.team_id
    earlier = await exchange.runtime.idempotent.claim(
        team,
        key,
        digest,
        exchange.generation_id,
        exchange.received_at,
        exchange.runtime.ledger.instance_id,
    )
    if earlier is None:
        exchange.client.record(LARGEST)
        return
    shown = earlier.generation_id
    if earlier.kind == "kept":
        raise Replayed(earlier)
    if earlier.kind == "other":
        raise Unprocessable(
            f"This `{HEADER}` came with another request before ({shown}); use a fresh one.", param=HEADER
        )
    if earlier.kind == "running":
        error = Conflict(f"A request with this `{HEADER}` is being answered ({shown}).", param=HEADER)
        error.retry_after = "1"
        raise error
    raise Conflict(
        f"A request with this `{HEADER}` was answered and charged ({shown}), but its answer was not kept.",
        param=HEADER,
    )


async def keep(exchange: Exchange, content_type: bytes, rest: bytes) -> None:
    """Keep what was told of the answer and its `rest`, before it is settled and its end leaves.

    Conflict where the key went to another request meanwhile: this process stood still until it was held for
    dead. That one answers then, and this one costs nothing. Unavailable where it cannot be kept.
    """
    client, principal = exchange.client, exchange.principal
    if principal is None:
        return
    _, told = client.told()
    body = None if told is None or len(told) + len(rest) > LARGEST else told + rest
    place = principal.team_id, exchange.headers[HEADER], exchange.generation_id
    if not await exchange.runtime.idempotent.keep(*place, content_type.decode(), body):
        raise Conflict(f"Another request with this `{HEADER}` took the place of this one.", param=HEADER)


async def conclude(exchange: Exchange) -> None:
    """Free the key of a request that cost nothing; one that was charged for a part of its answer keeps it."""
    client, principal = exchange.client, exchange.principal
    if not client.records or principal is None:
        return
    place = principal.team_id, exchange.headers[HEADER], exchange.generation_id
    if exchange.error is None and exchange.phase is Phase.SETTLED:
        return
    if exchange.charge is not None and exchange.charge.total > 0:
        await exchange.runtime.idempotent.keep(*place, "", None)
    elif exchange.unbilled != UNWRITTEN or _untried(
        exchange
    ):  # else the ledger alone knows, when it is asked
        await exchange.runtime.idempotent.drop(*place)


def _untried(exchange: Exchange) -> bool:
    """Whether the settlement was refused before anything was tried: it will never be charged."""
    return exchange.error is not None and isinstance(exchange.error.__cause__, LedgerOverloaded)
