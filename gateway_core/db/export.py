"""The ledger as rows for an accountant, entry by entry, all of one moment, a page in memory at a time."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from gateway_core.db.session import Row, Session
from gateway_core.db.url import open_store
from plugin_sdk.money import NANOS_PER_USD
from plugin_sdk.routes import iso

PAGE: Final = 2_000
COLUMNS: Final = (
    "entry",
    "transaction",
    "kind",
    "created_at",
    "team",
    "wallet",
    "sequence",
    "account",
    "amount_nanos",
    "amount_usd",
    "generation",
    "model",
    "provider",
    "corrects",
    "reference",
    "reason",
)
_SELECT: Final = (
    "SELECT e.id, t.id, t.kind, t.created_at, m.name, t.wallet_id, t.sequence, e.account, e.amount,"
    " t.generation_id, g.model_id, g.provider, t.corrects, c.reference, c.reason"
    " FROM ledger_entries e JOIN ledger_transactions t ON t.id = e.transaction_id"
    " LEFT JOIN generations g ON g.id = t.generation_id LEFT JOIN wallets w ON w.id = t.wallet_id"
    " LEFT JOIN teams m ON m.id = COALESCE(w.team_id, g.team_id) LEFT JOIN corrections c ON c.id = t.id"
    " WHERE e.id > ?"
)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries: of one team, from a time on, before a time (ms since 1970)."""

    team_id: str | None = None
    since: int | None = None
    until: int | None = None


Write = Callable[[Sequence[dict[str, Any]]], None]


async def export(url: str, wanted: Wanted, write: Write) -> int:
    """Hand the rows to `write`, page by page, in the order they were written; how many there were.

    It only reads. On SQLite `write` is called in the store's own thread.
    """
    store = open_store(url, "full", patience=None)
    try:
        return await store.read(partial(_export, wanted, write))
    finally:
        await store.close()


async def _export(wanted: Wanted, write: Write, session: Session) -> int:
    sql, values = _query(wanted)
    last = written = 0
    await session.execute(session.snapshot)
    try:
        while rows := await session.fetch(sql, last, *values, PAGE):
            write([_shown(row) for row in rows])
            last = rows[-1][0]
            written += len(rows)
    finally:
        await session.execute("ROLLBACK")
    return written


def _query(wanted: Wanted) -> tuple[str, list[object]]:
    conditions: dict[str, object] = {
        " AND COALESCE(w.team_id, g.team_id) = ?": wanted.team_id,
        " AND t.created_at >= ?": wanted.since,
        " AND t.created_at < ?": wanted.until,
    }
    given = {sql: value for sql, value in conditions.items() if value is not None}
    return f"{_SELECT}{''.join(given)} ORDER BY e.id LIMIT ?", list(given.values())


def _shown(row: Row) -> dict[str, Any]:
    amount: int = row[8]
    values = (*row[:3], iso(row[3]), *row[4:8], amount, usd(amount), *row[9:])
    return dict(zip(COLUMNS, values, strict=True))


def usd(nanos: int) -> str:
    """Dollars with all nine decimals."""
    whole, part = divmod(abs(nanos), NANOS_PER_USD)
    return f"{'-' if nanos < 0 else ''}{whole}.{part:09d}"
