"""A batch of settlements in one transaction: the ledger's entries, the settlements, the records."""

import asyncio
from collections.abc import Container, Sequence
from typing import Final

import msgspec

from gateway_core.db.book import Book, WalletPage
from gateway_core.db.chain import Entry
from gateway_core.db.forms import Write
from gateway_core.db.session import Session
from gateway_core.db.tables import PAID, SETTLED
from gateway_core.ledger.credit import Lease
from gateway_core.ledger.records import LedgerCorrupt, Settlement
from gateway_core.ledger.rows import Rows

_SETTLED: Final = (PAID, SETTLED)


class Replayed(Exception):
    """A generation of the batch is settled already: the batch has to be taken apart."""


class Posting:
    """A settlement in the queue, the lease that it draws on, and who waits for it.

    It may take `limit` nanos, from the lease first.
    """

    __slots__ = ("future", "lease", "limit", "settlement")

    def __init__(
        self, settlement: Settlement, lease: Lease | None, limit: int, future: "asyncio.Future[None]"
    ) -> None:
        self.settlement = settlement
        self.lease = lease
        self.limit = limit
        self.future = future


class Taken(msgspec.Struct, frozen=True):
    """What a settlement took: of its lease, and whether the lease's row was there."""

    lease: int = 0
    live: bool = True


async def settle(
    session: Session,
    instance_id: str,
    postings: Sequence[Posting],
    known_cards: Container[str] = (),
    others: Sequence[Write] = (),
) -> list[Taken]:
    """Write these settlements whole, and what else there is. Raises Replayed if one was settled before."""
    book = Book(session)
    await book.open(
        {hold.wallet_id for posting in postings if (hold := posting.settlement.hold) is not None},
        {posting.lease.id for posting in postings if posting.lease is not None},
    )
    rows = Rows(instance_id, known_cards)
    taken: list[Taken] = []
    wallets = book.wallets
    for posting in postings:
        settlement = posting.settlement
        hold = settlement.hold
        wallet = wallets.get(hold.wallet_id) if hold is not None else None
        charge, took = _take(book, posting, wallet)
        taken.append(took)
        rows.add(settlement, charge, _post(book, settlement, wallet, charge))
    written = rows.writes()
    counts = await session.apply([*written, *book.writes(), *others])
    settled = sum([count for write, count in zip(written, counts, strict=False) if write.form in _SETTLED])
    if settled != len(postings):
        raise Replayed
    return taken


async def settled(session: Session, generation_ids: Sequence[str]) -> set[str]:
    """Which of these generations have their settlement."""
    rows = await session.fetch(
        "SELECT generation_id FROM settlements WHERE outcome <> 'abandoned' AND generation_id {members}",
        list(generation_ids),
    )
    return {row[0] for row in rows}


def _take(book: Book, posting: Posting, wallet: WalletPage | None) -> tuple[int, Taken]:
    """Take the charge out of its lease, and what that cannot give (it is gone) from what is free."""
    charge = min(posting.settlement.generation.charge, posting.limit)
    lease = book.leases.get(posting.lease.id) if posting.lease is not None else None
    if charge < 0:
        raise LedgerCorrupt(f"{posting.settlement.generation.id}: a charge cannot be negative")
    if wallet is None:
        return 0, Taken(live=False)
    leased = 0
    if lease is not None:
        leased = min(charge, lease.amount)
        lease.amount -= leased
        wallet.leased -= leased
        wallet.balance -= leased
    if (rest := charge - leased) > 0:
        rest = max(0, min(rest, wallet.available))
        wallet.balance -= rest
    return leased + rest, Taken(leased, lease is not None)


def _post(book: Book, settlement: Settlement, wallet: WalletPage | None, charge: int) -> str | None:
    """Post the settlement's transaction; its id, or None where no money moved."""
    record = settlement.generation
    price = max(settlement.price, record.charge)
    cost = 0
    entries: list[Entry] = []
    if charge and wallet is not None:
        entries.append((f"wallet:{wallet.id}", -charge))
    if price:
        entries.append(("revenue", price))
    for provider, nanos in settlement.costs:
        cost += nanos
        entries.append((f"provider:{provider}", nanos))
    lost = settlement.lost
    if not 0 <= lost <= cost:
        raise LedgerCorrupt(f"{record.id}: {lost} nanos lost of a cost of {cost}")
    if cost - lost:
        entries.append(("cost_of_sales", lost - cost))
    if loss := price - charge + lost:
        entries.append(("loss", -loss))
    if not entries:
        return None
    book.charge(record.id, wallet, settlement.settled_at, entries)
    return record.id
