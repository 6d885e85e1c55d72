"""What the ledger is told: a request begun, its attempts, its record, its settlement. Only values."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from plugin_sdk.money import Hold, Nanos, PriceCard

Outcome = Literal["charged", "released", "abandoned"]
UNWRITTEN: Final = "settlement_failed"  # why an answer whose settlement could not be written is not charged


class LedgerError(Exception):
    """The ledger could not do what it promises; the message says what happened and what to do."""


class LedgerUnavailable(LedgerError):
    """The database did not take the commit within its bound. Whether it did in the end is not known."""


class LedgerOverloaded(LedgerError):
    """Too much waits for the database already; nothing was tried."""


class LedgerCorrupt(LedgerError):
    """A row that must not be written: its entries do not sum to zero, or its numbers make no sense."""


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A request about to go upstream. Written soon, and marked abandoned if this process dies first."""

    generation_id: str
    team_id: str
    kid: str
    wallet_id: str | None = None
    hold: Nanos = Nanos(0)
    model: str
    operation: str
    created_at: int  # ms since 1970, as every time here


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream call of a generation, numbered from 1; `cost` is what it cost us, 0 if nothing."""

    number: int
    provider: str
    upstream_model: str
    status: int | None = None
    error_code: str | None = None
    started_at: int
    latency_ms: int | None = None
    native_id: str | None = None
    cost: Nanos = Nanos(0)
    usage: Mapping[str, str | int | Decimal] | None = None


class GenerationRecord(msgspec.Struct, frozen=True):
    """The record of a served request (contract 4.4). `charge` is what the wallet lost: the sum of `lines`.

    A line is a mapping, or its JSON. The pipeline gives the values in this order: to find one by its name
    takes longer the more there are.
    """

    id: str
    created_at: int
    team_id: str
    kid: str
    endpoint: str  # the route's name, e.g. "chat.completions"
    operation: str
    protocol: str
    model: str
    status_code: int
    success: bool
    stream: bool = False
    provider: str | None = None
    upstream_model: str | None = None
    native_id: str | None = None
    error_code: str | None = None  # "attribution:code"
    error_message: str | None = None
    finish_reason: str | None = None
    latency_ms: int | None = None
    generation_ms: int | None = None
    usage: Mapping[str, int | Decimal] = {}
    lines: Sequence[Mapping[str, Any] | msgspec.Raw] = ()  # contract 4.2
    charge: Nanos = Nanos(0)
    card_id: str | None = None
    estimated: bool = False
    unpriced: Sequence[str] = ()
    fidelity: str | None = None
    suppressed: str | None = None  # billing_suppression_reason
    attempts: Sequence[AttemptRecord] = ()
    app_title: str | None = None
    app_referer: str | None = None
    byok: bool = False
    currency: str = "USD"
    terms: str | None = None  # JSON: what else the price depended on (plan, parameters); None: on nothing


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """How a generation ended, and every amount that moves for it. Written once, whole or not at all.

    price  what the answer costs before the over_hold line; price - generation.charge is booked to loss
    costs  (provider, nanos) of each attempt that cost us something
    lost   the part of `costs` that nobody pays for: booked to loss instead of cost_of_sales
    """

    generation: GenerationRecord
    outcome: Outcome
    hold: Hold | None = None
    price: Nanos = Nanos(0)
    costs: Sequence[tuple[str, Nanos]] = ()
    lost: Nanos = Nanos(0)
    upstream_finished_at: int | None = None
    card: PriceCard | None = None  # stored once per id, so that an old charge can be re-rated
    settled_at: int


def uncharged(settlement: Settlement) -> Settlement:
    """The same end where its commit has failed: what it cost is lost, and nobody pays for it."""
    record = settlement.generation
    if record.success:  # its client was told otherwise
        record = msgspec.structs.replace(
            record,
            status_code=200 if record.stream else 500,  # as of every stream that had begun
            success=False,
            error_code="system:gateway_error",
            error_message="The gateway could not record this request; it is not charged.",
            finish_reason="error",
            suppressed=UNWRITTEN,
        )
    elif record.charge:
        record = msgspec.structs.replace(record, suppressed=UNWRITTEN)
    return msgspec.structs.replace(
        settlement,
        generation=msgspec.structs.replace(record, lines=(), charge=Nanos(0)),
        outcome="released",
        price=Nanos(0),
        lost=Nanos(sum([cost for _, cost in settlement.costs])),
    )
