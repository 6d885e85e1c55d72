"""The books as management routes and commands use them: corrections, credit, activity, a wallet's ledger."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from typing_extensions import override

from gateway_core.db.corrections import PAYMENT, RERATE, Asked, Correction, adjust, refund
from gateway_core.db.export import usd
from gateway_core.db.retries import RetryingStore
from gateway_core.db.session import Session, Store
from gateway_core.db.top_up import wallet_id
from gateway_core.ids import Ids, wall_clock
from plugin_sdk.errors import InvalidRequest
from plugin_sdk.routes import iso
from plugin_sdk.services import BookStore

DAY: Final = 86_400_000
CENT: Final = 10_000_000
_TIME_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_USED: Final = (
    "SELECT -COALESCE(SUM(e.amount), 0), COUNT(*) FROM ledger_transactions t"
    " JOIN ledger_entries e ON e.transaction_id = t.id AND e.account = 'wallet:' || t.wallet_id"
    " WHERE t.wallet_id = ? AND t.created_at >= ? AND t.kind = 'charge'"
)
_ACTIVITY: Final = (
    "SELECT id, provider, model_id, endpoint, usage, cost_nanos, latency_ms, created_at FROM generations"
    " WHERE team_id = ? AND id >= ? AND state = 'finished' ORDER BY id DESC LIMIT ? OFFSET ?"
)
_COUNTED: Final = (
    "SELECT COUNT(*), COALESCE(SUM(cost_nanos), 0) FROM generations"
    " WHERE team_id = ? AND id >= ? AND state = 'finished'"
)
_PAGE: Final = (
    "SELECT t.sequence, t.id, t.kind, t.created_at, t.generation_id, g.model_id, t.corrects, c.reference,"
    " c.reason, t.hash, (SELECT COALESCE(SUM(e.amount), 0) FROM ledger_entries e"
    "  WHERE e.transaction_id = t.id AND e.account = 'wallet:' || t.wallet_id)"
    " FROM ledger_transactions t LEFT JOIN generations g ON g.id = t.generation_id"
    " LEFT JOIN corrections c ON c.id = t.id"
    " WHERE t.wallet_id = ? AND t.sequence > ? AND t.sequence <= ? ORDER BY t.sequence"
)


class Books(BookStore):
    """Over a raw store, which is opened at the first use."""

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = RetryingStore(store)
        self._ids = Ids()

    @override
    async def refund(
        self,
        team_id: str | None,
        generation_id: str,
        *,
        nanos: int | None = None,
        reason: str,
        reference: str | None = None,
    ) -> Mapping[str, Any]:
        asked = Asked(
            kind="refund",
            reference=_own(reference) or f"refund:{generation_id}",
            reason=reason,
            nanos=nanos,
            generation_id=generation_id,
        )
        return shown(await self._store.write(partial(refund, generation_id, asked, team_id, wall_clock())))

    @override
    async def adjust(
        self,
        team_id: str,
        *,
        nanos: int,
        reason: str,
        reference: str | None = None,
        kind: str = "live",
    ) -> Mapping[str, Any]:
        asked = Asked(
            kind="adjustment",
            reference=_own(reference) or f"adjust:{self._ids.new()}",
            reason=reason,
            nanos=nanos,
            account="adjustment",
        )
        work = partial(adjust, wallet_id(team_id, kind), asked, wall_clock())
        return shown(await self._store.write(work))

    @override
    async def credits(self, team_id: str, kind: str = "live") -> Mapping[str, Any]:
        async def work(session: Session) -> Mapping[str, Any]:
            wallet = wallet_id(team_id, kind)
            wallets = await session.fetch("SELECT balance, leased, held FROM wallets WHERE id = ?", wallet)
            balance, leased, held = wallets[0] if wallets else (0, 0, 0)
            used = await session.fetch(_USED, wallet, wall_clock() - 30 * DAY)
            return {
                "remaining": balance,
                "thirty_day_usage": int(used[0][0]),
                "thirty_day_requests": used[0][1],
                "balance_nanos": balance,
                "reserved_nanos": leased + held,
                "available_nanos": balance - leased - held,
            }

        return await self._store.read(work)

    @override
    async def activity(self, team_id: str, *, days: int, limit: int, offset: int) -> Mapping[str, Any]:
        async def work(session: Session) -> Mapping[str, Any]:
            first = first_id(wall_clock() - days * DAY)
            counted = await session.fetch(_COUNTED, team_id, first)
            rows = await session.fetch(_ACTIVITY, team_id, first, limit, offset)
            return {
                "period_days": days,
                "limit": limit,
                "offset": offset,
                "total": counted[0][0],
                "total_cost_cents": int(counted[0][1]) // CENT,
                "total_cost_nanos": int(counted[0][1]),
                "activity": [
                    {
                        "request_id": row[0],
                        "provider": row[1],
                        "model": row[2],
                        "endpoint": row[3],
                        "usage": json.loads(row[4]),
                        "cost_cents": row[5] // CENT,
                        "cost_nanos": row[5],
                        "latency_ms": row[6],
                        "timestamp": iso(row[7]),
                    }
                    for row in rows
                ],
            }

        return await self._store.read(work)

    @override
    async def ledger(self, team_id: str, *, after: int, limit: int, kind: str = "live") -> Mapping[str, Any]:
        wallet = wallet_id(team_id, kind)

        async def work(session: Session) -> Mapping[str, Any]:
            wallets = await session.fetch("SELECT sequence, balance FROM wallets WHERE id = ?", wallet)
            total, balance = wallets[0] if wallets else (0, 0)
            rows = await session.fetch(_PAGE, wallet, after, after + limit)
            return {
                "wallet": wallet,
                "limit": limit,
                "after": after,
                "total": total,
                "balance_nanos": balance,
                "next_after": after + limit if after + limit < total else None,
                "transactions": [
                    {
                        "sequence": row[0],
                        "transaction": row[1],
                        "kind": row[2],
                        "created_at": iso(row[3]),
                        "amount_nanos": int(row[10]),
                        "amount_usd": usd(int(row[10])),
                        "generation": row[4],
                        "model": row[5],
                        "corrects": row[6],
                        "reference": row[7],
                        "reason": row[8],
                        "hash": row[9],
                    }
                    for row in rows
                ],
            }

        return await self._store.read(work)


def shown(found: Correction) -> dict[str, Any]:
    """A correction for a client; `booked` is false where its reference had been used for it before."""
    return {
        "transaction": found.transaction_id,
        "kind": found.kind,
        "wallet": found.wallet_id,
        "reference": found.reference,
        "generation": found.generation_id,
        "amount_nanos": found.amount,
        "amount_usd": usd(found.amount),
        "reason": found.reason,
        "created_at": iso(found.created_at),
        "balance_nanos": found.balance,
        "booked": found.made,
    }


def _own(reference: str | None) -> str | None:
    """A caller's reference; those of re-ratings and payments are made for these only."""
    for reserved in (RERATE, PAYMENT):
        if reference is not None and reference.startswith(reserved):
            raise InvalidRequest(f"A reference cannot begin with `{reserved}`.", param="reference")
    return reference


def first_id(moment: int) -> str:
    """The least id that a generation of this moment can have: ids are in the order of time."""
    digits = ""
    moment = max(0, moment)
    for _ in range(10):
        moment, digit = divmod(moment, 32)
        digits = _TIME_DIGITS[digit] + digits
    return f"G-{digits}"
