"""Prove what the database says of money: every finding names the first row that cannot be true."""

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import groupby
from typing import Any, Final

import msgspec
from typing_extensions import override

from gateway_core.db.chain import link
from gateway_core.db.session import Row, Session
from gateway_core.db.url import open_store

PAGE: Final = 2_000
_decode: Final = msgspec.json.Decoder(list[dict[str, Any]], float_hook=str).decode


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that cannot be true. `check` is the invariant of money.md, `row` the first row at fault."""

    check: str
    table: str
    row: str
    message: str

    @override
    def __str__(self) -> str:
        return f"{self.check}: {self.message}"


async def verify(url: str) -> list[Finding]:
    """Check the ledger of this database; an empty list is a proof. It only reads, also beside a gateway."""
    store = open_store(url, "full", patience=None)
    try:
        return await store.read(_verify)
    finally:
        await store.close()


async def _verify(session: Session) -> list[Finding]:
    """All of it on one snapshot, so that a gateway at work does not look like an error."""
    await session.execute(session.snapshot)
    try:
        found: list[Finding] = []
        for check in (*_QUERIES, _chain, _lines):
            finding = await check(session)
            if finding is not None:
                found.append(finding)
        return found
    finally:
        await session.execute("ROLLBACK")


Check = Callable[[Session], Awaitable[Finding | None]]


async def _first(check: str, table: str, message: str, sql: str, session: Session) -> Finding | None:
    """The first row that a query finds, with its columns filled into the message."""
    rows = await session.fetch(sql + " LIMIT 1")
    if not rows:
        return None
    values = [value if isinstance(value, str) else _shown(value) for value in rows[0]]
    return Finding(check=check, table=table, row=str(values[0]), message=message.format(*values))


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)


def _query(check: str, table: str, message: str, sql: str) -> Check:
    return partial(_first, check, table, message, sql)


_QUERIES: Final = (
    _query(
        "2 double entry", "ledger_transactions", "the entries of transaction {0} sum to {1}, not to 0",
        "SELECT transaction_id, SUM(amount) FROM ledger_entries GROUP BY transaction_id"
        " HAVING SUM(amount) <> 0 ORDER BY transaction_id",
    ),
    _query(
        "2 double entry", "ledger_transactions", "transaction {0} has no entries",
        "SELECT t.id FROM ledger_transactions t LEFT JOIN"
        " (SELECT DISTINCT transaction_id FROM ledger_entries) e ON e.transaction_id = t.id"
        " WHERE e.transaction_id IS NULL ORDER BY t.id",
    ),
    _query(
        "2 double entry", "ledger_entries", "entry {0} belongs to transaction {1}, which does not exist",
        "SELECT e.id, e.transaction_id FROM ledger_entries e LEFT JOIN ledger_transactions t"
        " ON t.id = e.transaction_id WHERE t.id IS NULL ORDER BY e.id",
    ),
    _query(
        "2 balance", "wallets", "wallet {0} says {1} nanos, its entries sum to {2}",
        "SELECT w.id, w.balance, COALESCE(s.total, 0) FROM wallets w LEFT JOIN"
        " (SELECT account, SUM(amount) AS total FROM ledger_entries GROUP BY account) s"
        " ON s.account = 'wallet:' || w.id WHERE w.balance <> COALESCE(s.total, 0) ORDER BY w.id",
    ),
    _query(
        "2 balance", "ledger_entries", "entry {0} is of account {1}, whose wallet does not exist",
        "SELECT e.id, e.account FROM ledger_entries e LEFT JOIN wallets w ON e.account = 'wallet:' || w.id"
        " WHERE e.account LIKE 'wallet:%' AND w.id IS NULL ORDER BY e.id",
    ),
    _query(
        "6 leases", "wallets", "wallet {0} has {1} nanos leased, its leases sum to {2}",
        "SELECT w.id, w.leased, COALESCE(s.total, 0) FROM wallets w LEFT JOIN"
        " (SELECT wallet_id, SUM(amount) AS total FROM leases GROUP BY wallet_id) s ON s.wallet_id = w.id"
        " WHERE w.leased <> COALESCE(s.total, 0) ORDER BY w.id",
    ),
    _query(
        "6 holds", "wallets", "wallet {0} has {1} nanos held, its holds sum to {2}",
        "SELECT w.id, w.held, COALESCE(s.total, 0) FROM wallets w LEFT JOIN"
        " (SELECT wallet_id, SUM(amount) AS total FROM holds GROUP BY wallet_id) s ON s.wallet_id = w.id"
        " WHERE w.held <> COALESCE(s.total, 0) ORDER BY w.id",
    ),
    _query(
        "6 covered", "wallets", "wallet {0} has {1} nanos, of which {2} leased and {3} held",
        "SELECT id, balance, leased, held FROM wallets"
        " WHERE leased < 0 OR held < 0 OR balance < leased + held ORDER BY id",
    ),
    _query(
        "4 settled once", "generations", "generation {0} is {1} and has no settlement",
        "SELECT g.id, g.state FROM generations g LEFT JOIN settlements s ON s.generation_id = g.id"
        " WHERE g.state <> 'begun' AND s.generation_id IS NULL ORDER BY g.id",
    ),
    _query(
        "4 settled once", "settlements", "settlement {0} has no generation that ended",
        "SELECT s.generation_id FROM settlements s LEFT JOIN generations g ON g.id = s.generation_id"
        " WHERE g.id IS NULL OR g.state = 'begun' ORDER BY s.generation_id",
    ),
    _query(
        "4 settled once", "settlements", "settlement {0} took {1} nanos of wallet {2}, its transaction {3}",
        "SELECT s.generation_id, s.charge, s.wallet_id, -COALESCE(e.total, 0) FROM settlements s LEFT JOIN"
        " (SELECT transaction_id, account, SUM(amount) AS total FROM ledger_entries"
        "  WHERE account LIKE 'wallet:%' GROUP BY transaction_id, account) e"
        " ON e.transaction_id = s.transaction_id AND e.account = 'wallet:' || s.wallet_id"
        " WHERE s.charge <> -COALESCE(e.total, 0) ORDER BY s.generation_id",
    ),
    _query(
        "4 settled once", "ledger_transactions", "the settlement of {1} does not name its charge {0}",
        "SELECT t.id, t.generation_id FROM ledger_transactions t LEFT JOIN settlements s"
        " ON s.generation_id = t.generation_id AND s.transaction_id = t.id"
        " WHERE t.kind = 'charge' AND s.generation_id IS NULL ORDER BY t.id",
    ),
    _query(
        "4 settled once", "settlements", "settlement {0} is {1} and yet took {2} nanos",
        "SELECT generation_id, outcome, charge FROM settlements"
        " WHERE charge < 0 OR (outcome <> 'charged' AND charge <> 0) ORDER BY generation_id",
    ),
    _query(
        "4 settled once", "generations", "generation {0} says it cost {1} nanos, its settlement {2}",
        "SELECT g.id, g.cost_nanos, s.charge FROM generations g JOIN settlements s ON s.generation_id = g.id"
        " WHERE g.cost_nanos <> s.charge ORDER BY g.id",
    ),
)  # fmt: skip


async def _chain(session: Session) -> Finding | None:
    """Walk every wallet's transactions in their order, and make each hash again."""
    for wallet_id, sequence, head in await session.fetch(
        "SELECT id, sequence, head FROM wallets ORDER BY id"
    ):
        finding = await _walk(session, wallet_id, sequence, head)
        if finding is not None:
            return finding
    return await _first(
        "3 chain", "ledger_transactions", "transaction {0} moves money of {1} outside of its chain",
        "SELECT t.id, e.account FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id"
        " WHERE e.account LIKE 'wallet:%' AND (t.wallet_id IS NULL OR e.account <> 'wallet:' || t.wallet_id)"
        " ORDER BY t.id",
        session,
    )  # fmt: skip


async def _walk(session: Session, wallet_id: str, sequence: int, head: str) -> Finding | None:
    last, previous = 0, ""
    while rows := await session.fetch(
        "SELECT t.sequence, t.id, t.kind, t.generation_id, t.corrects, t.created_at, t.hash, e.account,"
        " e.amount FROM ledger_transactions t LEFT JOIN ledger_entries e ON e.transaction_id = t.id"
        " WHERE t.wallet_id = ? AND t.sequence > ? AND t.sequence <= ? ORDER BY t.sequence, e.id",
        wallet_id,
        last,
        last + PAGE,
    ):
        for _, lines in groupby(rows, key=_sequence):
            group = list(lines)
            number, transaction_id, kind, generation_id, corrects, created_at, found = group[0][:7]
            if number != last + 1:
                message = f"wallet {wallet_id}: transaction {last + 1} is missing before {transaction_id}"
                return Finding(
                    check="3 chain", table="ledger_transactions", row=transaction_id, message=message
                )
            entries = [(line[7], line[8]) for line in group if line[7] is not None]
            previous = link(
                previous,
                wallet_id,
                number,
                transaction_id,
                kind,
                generation_id,
                corrects,
                created_at,
                entries,
            )
            if previous != found:
                message = f"wallet {wallet_id}: transaction {transaction_id} was changed after it was written"
                return Finding(
                    check="3 chain", table="ledger_transactions", row=transaction_id, message=message
                )
            last = number
    if (last, previous) != (sequence, head):
        message = (
            f"wallet {wallet_id}: its chain ends at {last}, it says {sequence}: transactions were removed"
        )
        return Finding(check="3 chain", table="wallets", row=wallet_id, message=message)
    return None


def _sequence(row: Row) -> int:
    number: int = row[0]
    return number


async def _lines(session: Session) -> Finding | None:
    """The lines of every record sum to what it cost."""
    last = ""
    while rows := await session.fetch(
        "SELECT id, cost_nanos, pricing_lines FROM generations"
        " WHERE id > ? AND (cost_nanos <> 0 OR pricing_lines <> '[]') ORDER BY id LIMIT ?",
        last,
        PAGE,
    ):
        for generation_id, cost, lines in rows:
            total = sum(line["line_nanos"] for line in _decode(lines))
            if total != cost:
                message = f"the lines of generation {generation_id} sum to {total}, it cost {cost}"
                return Finding(check="1 lines", table="generations", row=generation_id, message=message)
        last = rows[-1][0]
    return None
