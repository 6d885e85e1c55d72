"""Prove what the database says of money: every finding names the first row that cannot be true."""

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import msgspec
from typing_extensions import override

from gateway_core.db import corrections
from gateway_core.db.cards import card_id
from gateway_core.db.chain import Entry, link
from gateway_core.db.export import usd
from gateway_core.db.invariants import BOOKS, RECORDS, Query
from gateway_core.db.session import Session
from gateway_core.db.url import open_store
from plugin_sdk.money import PriceCard

PAGE: Final = 2_000


class _Line(msgspec.Struct):
    line_nanos: int
    line_cost_usd: str


_decode: Final = msgspec.json.Decoder(list[_Line]).decode
_card: Final = msgspec.json.Decoder(PriceCard).decode
_HASHED: Final = re.compile(r"pc_[0-9a-f]{32}")


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
    books = [partial(_first, query) for query in BOOKS]
    records = [partial(_first, query) for query in RECORDS]
    checks: tuple[Check, ...] = (*books, _chain, *records, _cards, _lines, _words)
    await session.execute(session.snapshot)
    try:
        found: list[Finding] = []
        for check in checks:
            finding = await check(session)
            if finding is not None:
                found.append(finding)
        return found
    finally:
        await session.execute("ROLLBACK")


Check = Callable[[Session], Awaitable[Finding | None]]


async def _cards(session: Session) -> Finding | None:
    """Make the id of each price card again; one that a policy named in its own way is not known here."""
    for stored, text in await session.fetch("SELECT id, card FROM price_cards ORDER BY id"):
        if not _HASHED.fullmatch(stored):
            continue
        try:
            card = _card(text)
            same = card.id == stored == card_id(card.prices, free=card.free)
        except msgspec.MsgspecError:
            same = False
        if not same:
            message = f"price card {stored} does not say what its id was made of"
            return Finding(check="9 priced", table="price_cards", row=stored, message=message)
    return None


async def _first(query: Query, session: Session) -> Finding | None:
    """The first row that a query finds, with its columns filled into the message."""
    rows = await session.fetch(query.sql + " LIMIT 1")
    if not rows:
        return None
    values = [value if isinstance(value, str) else _shown(value) for value in rows[0]]
    message = query.message.format(*values)
    return Finding(check=query.check, table=query.table, row=str(values[0]), message=message)


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)


_ACROSS: Final = Query(
    "3 chain",
    "ledger_transactions",
    "transaction {0} moves money of {1} outside of its chain",
    "SELECT t.id, e.account FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id"
    " WHERE e.account LIKE 'wallet:%' AND (t.wallet_id IS NULL OR e.account <> 'wallet:' || t.wallet_id)"
    " ORDER BY t.id",
)


async def _chain(session: Session) -> Finding | None:
    """Walk every wallet's transactions in their order, and make each hash again."""
    for wallet_id, sequence, head in await session.fetch(
        "SELECT id, sequence, head FROM wallets ORDER BY id"
    ):
        finding = await _walk(session, wallet_id, sequence, head)
        if finding is not None:
            return finding
    return await _first(_ACROSS, session)


async def _walk(session: Session, wallet_id: str, sequence: int, head: str) -> Finding | None:
    last, previous = 0, ""
    while rows := await session.fetch(
        "SELECT sequence, id, kind, generation_id, corrects, created_at, hash FROM ledger_transactions"
        " WHERE wallet_id = ? AND sequence > ? AND sequence <= ? ORDER BY sequence",
        wallet_id,
        last,
        last + PAGE,
    ):
        entries: dict[str, list[Entry]] = {}
        for owner, account, amount in await session.fetch(
            "SELECT e.transaction_id, e.account, e.amount FROM ledger_transactions t"
            " JOIN ledger_entries e ON e.transaction_id = t.id"
            " WHERE t.wallet_id = ? AND t.sequence > ? AND t.sequence <= ? ORDER BY t.sequence, e.id",
            wallet_id,
            last,
            last + PAGE,
        ):
            entries.setdefault(owner, []).append((account, amount))
        for number, transaction_id, kind, generation_id, corrects, created_at, found in rows:
            if number != last + 1:
                return _broken(
                    transaction_id,
                    f"wallet {wallet_id}: transaction {last + 1} is missing before {transaction_id}",
                )
            previous = link(
                previous,
                wallet_id,
                number,
                transaction_id,
                kind,
                generation_id,
                corrects,
                created_at,
                entries.get(transaction_id, ()),
            )
            if previous != found:
                return _broken(
                    transaction_id,
                    f"wallet {wallet_id}: transaction {transaction_id} was changed after it was written",
                )
            last = number
    if (last, previous) != (sequence, head):
        message = (
            f"wallet {wallet_id}: its chain ends at {last}, it says {sequence}: transactions were removed"
        )
        return Finding(check="3 chain", table="wallets", row=wallet_id, message=message)
    return None


def _broken(transaction_id: str, message: str) -> Finding:
    return Finding(check="3 chain", table="ledger_transactions", row=transaction_id, message=message)


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
            if (wrong := _wrong(generation_id, cost, lines)) is not None:
                return Finding(check="1 lines", table="generations", row=generation_id, message=wrong)
        last = rows[-1][0]
    return None


def _wrong(generation_id: str, cost: int, lines: str) -> str | None:
    """What is wrong with the lines of a record."""
    try:
        shown = _decode(lines)
        total = sum([line.line_nanos for line in shown])
        if total != cost:
            return f"the lines of generation {generation_id} sum to {total}, it cost {cost}"
        if [line for line in shown if line.line_cost_usd != usd(line.line_nanos)]:
            return f"a line of generation {generation_id} says dollars that are not its nanos"
    except ValueError:
        return f"the lines of generation {generation_id} cannot be read"
    return None


async def _words(session: Session) -> Finding | None:
    """A correction's id is made of what it says: by it the chain proves its reason and its reference."""
    last = ""
    while rows := await session.fetch(
        "SELECT id, kind, wallet_id, reference, generation_id, amount, reason FROM corrections"
        " WHERE id > ? ORDER BY id LIMIT ?",
        last,
        PAGE,
    ):
        for found, *said in rows:
            if found != corrections.transaction_id(*said):
                message = f"correction {found} was changed after it was written"
                return Finding(check="2 corrections", table="corrections", row=found, message=message)
        last = rows[-1][0]
    return None
