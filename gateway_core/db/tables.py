"""The tables that are written raw: their columns in the order of the rows, with PostgreSQL's types.

Behind them the forms of what a settlement writes: the ordinary case brings only what differs.
"""

from functools import cache
from typing import Final

import msgspec

from gateway_core.db.forms import Form, columns, inserted, updated


class Table(msgspec.Struct, frozen=True):
    """A table's name, and (column, type) of what a row holds."""

    name: str
    columns: tuple[tuple[str, str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(name for name, _ in self.columns)


def _table(name: str, columns: str) -> Table:
    """`column` is text, `column#` a bigint, `column?` a boolean."""
    kinds = {"#": "bigint", "?": "boolean"}
    return Table(name, tuple((word.rstrip("#?"), kinds.get(word[-1], "text")) for word in columns.split()))


TRANSACTIONS: Final = _table(
    "ledger_transactions", "id kind wallet_id sequence# hash generation_id corrects created_at#"
)
ENTRIES: Final = _table("ledger_entries", "transaction_id account amount#")
SETTLEMENTS: Final = _table(
    "settlements",
    "generation_id outcome wallet_id instance_id hold# charge# price# lost# transaction_id"
    " upstream_finished_at# settled_at#",
)
GENERATIONS: Final = _table(
    "generations",
    "id state instance_id created_at# team_id key_id app_title app_referer endpoint operation protocol"
    " model_id provider upstream_model native_response_id stream? byok? status_code# success? error_code"
    " error_message finish_reason latency_ms# generation_ms# usage cost_nanos# currency pricing_lines card_id"
    " estimated? unpriced fidelity suppressed hold_nanos# terms",
)
ATTEMPTS: Final = _table(
    "attempts",
    "id generation_id number# provider upstream_model status# error_code started_at# latency_ms# native_id"
    " cost_nanos# usage",
)
PRICE_CARDS: Final = _table("price_cards", "id card created_at#")
INSTANCES: Final = _table(
    "instances", "id epoch# host pid# process_started# started_at# heartbeat_at# ended_at#"
)
LEASES: Final = _table("leases", "id wallet_id instance_id epoch# amount# recalled_at# created_at#")
HOLDS: Final = _table("holds", "id wallet_id instance_id job_id generation_id amount# created_at#")
RECOVERIES: Final = _table(
    "recoveries", "id kind instance_id epoch# since# until# amount# abandoned# details created_at#"
)
CORRECTIONS: Final = _table(
    "corrections", "id kind wallet_id reference generation_id amount# reason created_at#"
)
LIMIT_COUNTERS: Final = _table(
    "limit_counters",
    "subject day# day_requests# day_cost# week# week_requests# week_cost# month# month_requests# month_cost#"
    " recount_at#",
)
LIMIT_RESERVATIONS: Final = _table(
    "limit_reservations", "id generation_id subject instance_id at# cost# released?"
)
LIMIT_ALERTS: Final = _table("limit_alerts", "id told_at# alert due_at# tries#")
WALLETS: Final = _table(
    "wallets", "id team_id kind currency balance# leased# held# sequence# head created_at#"
)

# A charge's transaction; without a wallet, only what an attempt cost us is booked.
CHARGE: Final = inserted(
    "ledger_transactions",
    "id wallet_id sequence# hash created_at#",
    fixed={"kind": "'charge'", "generation_id": "id", "corrects": "NULL"},
)
COST: Final = inserted(
    "ledger_transactions",
    "id created_at#",
    fixed={
        "kind": "'charge'", "generation_id": "id", "corrects": "NULL", "wallet_id": "NULL",
        "sequence": "NULL", "hash": "NULL",
    },
)  # fmt: skip


@cache
def entries_of(count: int) -> Form:
    """The entries of transactions that have so many: the transaction, then account and amount of each."""
    words = " ".join([f"account{number} amount{number}#" for number in range(count)])
    rows = [("transaction_id", f"account{number}", f"amount{number}") for number in range(count)]
    return Form("ledger_entries", columns(f"transaction_id {words}"), (), ENTRIES.names, rows)


# An abandoned one was given up by recovery while its process still lived: its true end replaces that.
_ONCE: Final = (
    "ON CONFLICT (generation_id) DO UPDATE SET "
    + ",".join(f"{name}=excluded.{name}" for name in SETTLEMENTS.names[1:])
    + " WHERE settlements.outcome = 'abandoned'"
)
# Charged what it cost, all of it paid.
PAID: Final = inserted(
    "settlements",
    "generation_id wallet_id hold# charge# upstream_finished_at#- settled_at#",
    shared="instance_id",
    fixed={"outcome": "'charged'", "price": "charge", "lost": "0", "transaction_id": "generation_id"},
    conflict=_ONCE,
)
SETTLED: Final = inserted(
    "settlements",
    "generation_id outcome wallet_id- hold# charge# price# lost# transaction_id- upstream_finished_at#-"
    " settled_at#",
    shared="instance_id",
    conflict=_ONCE,
)
_OVER_BEGUN: Final = (
    "ON CONFLICT (id) DO UPDATE SET "
    + ",".join(f"{name}=excluded.{name}" for name in GENERATIONS.names[1:])
    + " WHERE generations.state <> 'finished'"
)
IF_NEW: Final = "ON CONFLICT (id) DO NOTHING"
BEGUN: Final = inserted(
    "generations",
    "id created_at# team_id key_id operation model_id hold_nanos#",
    shared="instance_id",
    fixed={
        "state": "'begun'", "endpoint": "''", "protocol": "''", "stream": "FALSE", "byok": "FALSE",
        "usage": "'{}'", "cost_nanos": "0", "currency": "'USD'", "pricing_lines": "'[]'",
        "estimated": "FALSE", "unpriced": "'[]'",
    },
    conflict=IF_NEW,
)  # fmt: skip
# Nothing out of the ordinary: an answer with its usage, by a provider's card.
ANSWERED: Final = inserted(
    "generations",
    "id created_at# team_id key_id app_title- app_referer- endpoint operation protocol model_id provider-"
    " upstream_model- native_response_id- stream? finish_reason- latency_ms#- generation_ms#- usage"
    " cost_nanos# pricing_lines card_id- fidelity- hold_nanos#",
    shared="instance_id",
    fixed={
        "state": "'finished'", "byok": "FALSE", "status_code": "200", "success": "TRUE",
        "error_code": "NULL", "error_message": "NULL", "currency": "'USD'", "estimated": "FALSE",
        "unpriced": "'[]'", "suppressed": "NULL", "terms": "NULL",
    },
    conflict=_OVER_BEGUN,
)  # fmt: skip
FINISHED: Final = inserted(
    "generations",
    "id created_at# team_id key_id app_title- app_referer- endpoint operation protocol model_id provider-"
    " upstream_model- native_response_id- stream? finish_reason- latency_ms#- generation_ms#- usage"
    " cost_nanos# pricing_lines card_id- fidelity- hold_nanos# byok? status_code# success? error_code-"
    " error_message- currency estimated? unpriced suppressed- terms-",
    shared="instance_id",
    fixed={"state": "'finished'"},
    conflict=_OVER_BEGUN,
)
TRIED: Final = inserted(
    "attempts",
    "generation_id number# provider upstream_model status#- error_code- started_at# latency_ms#- native_id-"
    " cost_nanos# usage-",
    fixed={"id": "generation_id || '.' || number"},
    conflict=IF_NEW,
)
CARDS: Final = inserted("price_cards", "id card created_at#", conflict=IF_NEW)
DELIVERED: Final = updated("settlements", "generation_id delivered_at#")
WALLET_PAGES: Final = updated("wallets", "id balance# leased# held# sequence# head")
LEASE_PAGES: Final = updated("leases", "id amount#")
