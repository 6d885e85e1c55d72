"""What was earned on what was sold: the ledger's entries, summed by model, provider or team."""

from functools import partial
from typing import Final, Literal

import msgspec

from gateway_core.db.session import Row, Session
from gateway_core.db.url import open_store

By = Literal["model", "provider", "team"]
_KEYS: Final = {"model": "g.model_id", "provider": "g.provider", "team": "m.name"}
_FIGURES: Final = ("generations", "paid", "revenue", "cost_of_sales", "loss", "upstream_cost")
# Simulated credit pays nobody, and a top-up or an adjustment sells nothing.
_FROM: Final = (
    " FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id"
    " JOIN generations g ON g.id = t.generation_id LEFT JOIN teams m ON m.id = g.team_id"
    " LEFT JOIN wallets w ON w.id = t.wallet_id"
    " WHERE COALESCE(w.kind, 'live') <> 'test' AND t.created_at >= ? AND t.created_at < ?"
)
_SUMS: Final = (
    "COUNT(DISTINCT CASE WHEN t.kind = 'charge' THEN t.id END),"
    " -COALESCE(SUM(CASE WHEN e.account LIKE 'wallet:%' THEN e.amount END), 0),"
    " COALESCE(SUM(CASE WHEN e.account = 'revenue' THEN e.amount END), 0),"
    " -COALESCE(SUM(CASE WHEN e.account = 'cost_of_sales' THEN e.amount END), 0),"
    " -COALESCE(SUM(CASE WHEN e.account = 'loss' THEN e.amount END), 0),"
    " COALESCE(SUM(CASE WHEN e.account LIKE 'provider:%' THEN e.amount END), 0)"
)
_ATTEMPTS: Final = (
    "COUNT(*), COALESCE(SUM(a.cost_nanos), 0),"
    " COALESCE(SUM(CASE WHEN a.error_code IS NOT NULL THEN a.cost_nanos END), 0)"
    " FROM attempts a JOIN generations g ON g.id = a.generation_id LEFT JOIN teams m ON m.id = g.team_id"
    " JOIN settlements s ON s.generation_id = g.id LEFT JOIN wallets w ON w.id = s.wallet_id"
    " WHERE COALESCE(w.kind, 'live') <> 'test' AND s.settled_at >= ? AND s.settled_at < ?"
)
_UNPRICED: Final = (
    "COUNT(*) FROM generations g LEFT JOIN teams m ON m.id = g.team_id"
    " WHERE g.unpriced <> '[]' AND g.created_at >= ? AND g.created_at < ?"
)
END_OF_TIME: Final = (1 << 63) - 1


class Margin(msgspec.Struct, kw_only=True):
    """One line, in nanos. `margin` is what is left: revenue less cost of sales less losses.

    paid           left the wallets, less what was refunded
    revenue        the prices of what was answered, less corrections
    cost_of_sales  what upstreams cost for answers that were paid for, loss what nobody pays for
    upstream_cost  the two kinds of upstream cost together; attempts_cost the same from the attempts' rows,
                   failed_cost that of the attempts that failed
    unpriced       generations with a usage that no price takes: not charged
    """

    name: str
    generations: int = 0
    paid: int = 0
    revenue: int = 0
    cost_of_sales: int = 0
    loss: int = 0
    upstream_cost: int = 0
    attempts: int = 0
    attempts_cost: int = 0
    failed_cost: int = 0
    unpriced: int = 0

    @property
    def margin(self) -> int:
        """What is left."""
        return self.revenue - self.cost_of_sales - self.loss


async def margins(url: str, by: By, since: int = 0, until: int = END_OF_TIME) -> list[Margin]:
    """A line for each model, provider or team; the dearest first. It only reads.

    By provider, an answer's price and what was booked for it count for the provider that gave it; the cost
    of attempts counts for each attempt's own.
    """
    store = open_store(url, "full", patience=None)
    try:
        return await store.read(partial(_margins, by, since, until))
    finally:
        await store.close()


async def _margins(by: By, since: int, until: int, session: Session) -> list[Margin]:
    found: dict[str, Margin] = {}
    key = _KEYS[by]
    await session.execute(session.snapshot)
    try:
        for row in await session.fetch(f"SELECT {key}, {_SUMS}{_FROM} GROUP BY {key}", since, until):
            line = _line(found, row)
            for name, value in zip(_FIGURES, row[1:], strict=True):
                setattr(line, name, int(value))
        for row in await session.fetch(f"SELECT {key}, {_UNPRICED} GROUP BY {key}", since, until):
            _line(found, row).unpriced = int(row[1])
        key = "a.provider" if by == "provider" else key
        for row in await session.fetch(f"SELECT {key}, {_ATTEMPTS} GROUP BY {key}", since, until):
            line = _line(found, row)
            line.attempts, line.attempts_cost, line.failed_cost = int(row[1]), int(row[2]), int(row[3])
    finally:
        await session.execute("ROLLBACK")
    return sorted(found.values(), key=lambda line: (-line.revenue, line.name))


def _line(found: dict[str, Margin], row: Row) -> Margin:
    name = row[0] or "-"
    return found.setdefault(name, Margin(name=name))
