"""What a settlement leaves in the tables beside the ledger: its own row, the record, the attempts, a card."""

from collections.abc import Container, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from gateway_core.db.forms import Write
from gateway_core.db.tables import ANSWERED, BEGUN, CARDS, DELIVERED, FINISHED, PAID, SETTLED, TRIED
from gateway_core.ledger.records import AttemptRecord, Begun, GenerationRecord, Settlement
from plugin_sdk.money import NANOS_PER_USD

OVER_HOLD: Final = "over_hold"
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_encode_card: Final = msgspec.json.Encoder().encode  # prices are Decimal strings (money.md 1)
_decode: Final = msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal).decode  # digit by digit
_EMPTY: Final = "[]"


class Rows:
    """The rows of a batch, gathered. One list for the ordinary rows of a table, one for the others."""

    __slots__ = ("_answered", "_cards", "_finished", "_known", "_paid", "_settled", "_shared", "_tried")

    def __init__(self, instance_id: str, known_cards: Container[str]) -> None:
        self._shared = (instance_id,)
        self._known = known_cards
        self._paid: list[Any] = []
        self._settled: list[Any] = []
        self._answered: list[Any] = []
        self._finished: list[Any] = []
        self._tried: list[Any] = []
        self._cards: dict[str, tuple[str, str, int]] = {}

    def add(self, settlement: Settlement, charge: int, posted: str | None) -> None:
        """The rows of one settlement, which took `charge` from the wallet in the transaction `posted`."""
        record = settlement.generation
        usage = _encode(record.usage).decode()
        self._settle(settlement, charge, posted)
        self._record(settlement, charge, usage)
        for attempt in record.attempts:
            self._tried += _tried(record, attempt, usage)
        card = settlement.card
        if card is not None and card.id not in self._known:
            self._cards[card.id] = (card.id, _encode_card(card).decode(), settlement.settled_at)

    def writes(self) -> list[Write]:
        """The statements for all of them."""
        cards = [value for card in self._cards.values() for value in card]
        found = (
            Write(PAID, self._paid, self._shared),
            Write(SETTLED, self._settled, self._shared),
            Write(ANSWERED, self._answered, self._shared),
            Write(FINISHED, self._finished, self._shared),
            Write(TRIED, self._tried),
            Write(CARDS, cards),
        )
        return [write for write in found if write.values]

    def _settle(self, settlement: Settlement, charge: int, posted: str | None) -> None:
        hold, record = settlement.hold, settlement.generation
        price = max(settlement.price, record.charge)
        if (
            hold is not None
            and charge == price
            and settlement.outcome == "charged"
            and not settlement.lost
            and posted is not None
        ):
            self._paid += (
                record.id, hold.wallet_id, hold.amount, charge, settlement.upstream_finished_at,
                settlement.settled_at,
            )  # fmt: skip
            return
        self._settled += (
            record.id, settlement.outcome, hold.wallet_id if hold else None, hold.amount if hold else 0,
            charge, price, settlement.lost, posted, settlement.upstream_finished_at, settlement.settled_at,
        )  # fmt: skip

    def _record(self, settlement: Settlement, charge: int, usage: str) -> None:
        r = settlement.generation
        lines = r.lines if charge == r.charge else over_hold(r.lines, r.charge - charge)
        row = (
            r.id, r.created_at, r.team_id, f"kid_{r.kid}", r.app_title, r.app_referer, r.endpoint,
            r.operation, r.protocol, r.model, r.provider, r.upstream_model, r.native_id, r.stream,
            r.finish_reason, r.latency_ms, r.generation_ms, usage, charge,
            _encode(lines).decode() if lines else _EMPTY, r.card_id, r.fidelity,
            settlement.hold.amount if settlement.hold else 0,
        )  # fmt: skip
        if _ordinary(r):
            self._answered += row
            return
        self._finished += row
        self._finished += (
            r.byok, r.status_code, r.success, r.error_code, r.error_message, r.currency, r.estimated,
            _encode(r.unpriced).decode() if r.unpriced else _EMPTY, r.suppressed, r.terms,
        )  # fmt: skip


def begun_rows(instance_id: str, begun: Sequence[Begun]) -> list[Write]:
    """The rows of requests that went upstream."""
    values: list[Any] = []
    for b in begun:
        values += (b.generation_id, b.created_at, b.team_id, f"kid_{b.kid}", b.operation, b.model, b.hold)
    return [Write(BEGUN, values, (instance_id,))] if values else []


def delivered_rows(delivered: Sequence[tuple[str, int]]) -> list[Write]:
    """The times at which each answer's last byte left."""
    return [Write(DELIVERED, [value for row in delivered for value in row])] if delivered else []


def _ordinary(r: GenerationRecord) -> bool:
    """Whether nothing is to be said of it beyond what every answer has."""
    return (
        r.status_code == 200  # as the form has it
        and r.success
        and r.error_code is None
        and r.error_message is None
        and r.suppressed is None
        and r.terms is None
        and not (r.byok or r.estimated or r.unpriced)
        and r.currency == "USD"
    )


def _tried(record: GenerationRecord, a: AttemptRecord, usage: str) -> tuple[Any, ...]:
    """An attempt's row; the last one's usage is most often the record's own, which is encoded already."""
    return (
        record.id, a.number, a.provider, a.upstream_model, a.status, a.error_code, a.started_at,
        a.latency_ms, a.native_id, a.cost,
        None if a.usage is None else usage if a.usage == record.usage else _encode(a.usage).decode(),
    )  # fmt: skip


def over_hold(lines: Sequence[Mapping[str, Any] | msgspec.Raw], nanos: int) -> Sequence[Mapping[str, Any]]:
    """The lines with a last one that takes off what the wallet did not pay (money.md 6)."""
    kept = _decode(_encode(lines))
    if kept and kept[-1].get("dimension") == OVER_HOLD:
        nanos -= kept.pop()["line_nanos"]
    usd = f"-{nanos // NANOS_PER_USD}.{nanos % NANOS_PER_USD:09d}"
    kept.append(
        {
            "dimension": OVER_HOLD,
            "quantity": 1,
            "billable_units": 1,
            "unit_size": 1,
            "unit_price_usd": usd,
            "line_cost_usd": usd,
            "line_nanos": -nanos,
        }
    )
    return kept
