"""What is done to leases in the database: grown, recalled, given back. Each is one small transaction."""

from collections.abc import Sequence
from typing import Final

import msgspec

from gateway_core.db.book import Book
from gateway_core.db.session import Session
from gateway_core.db.tables import LEASES

SLICE: Final = 8  # a lease takes at most one part in so many of what would be left, so that others find some


class InstanceEnded(Exception):
    """Another has declared this instance dead: its leases are gone, and it must register again."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """More credit for a lease: `needed` exactly if there is so much, and up to `spare` beyond it."""

    wallet_id: str
    lease_id: str
    instance_id: str
    epoch: int
    opened: bool
    needed: int
    spare: int
    now: int


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: what the lease grew by, and how the wallet stands.

    lost      the lease's row is gone: nothing was granted, and nothing in it can be used any more
    others    leases of other instances that hold something
    asked     how many of those have been recalled and have not answered
    """

    balance: int
    granted: int = 0
    lost: bool = False
    others: int = 0
    asked: int = 0


async def grow(wish: Wish, session: Session) -> Granted | None:
    """Grow a lease; None if there is no such wallet."""
    alive = "SELECT epoch FROM instances WHERE id = ? AND epoch = ? AND ended_at IS NULL"
    # Locked first, as recovery does it: an instance that is being declared dead gets no lease any more.
    if not await session.fetch(alive + session.locking, wish.instance_id, wish.epoch):
        raise InstanceEnded(wish.instance_id)
    book = Book(session)
    await book.open([wish.wallet_id], [wish.lease_id] if wish.opened else [])
    if (wallet := book.wallets.get(wish.wallet_id)) is None:
        return None
    lease = book.leases.get(wish.lease_id)
    rows = await session.fetch(
        "SELECT COUNT(*), COUNT(recalled_at) FROM leases"
        " WHERE wallet_id = ? AND instance_id <> ? AND amount > 0",
        wish.wallet_id,
        wish.instance_id,
    )
    others, asked = rows[0]
    if wish.opened and lease is None:
        return Granted(balance=wallet.balance, lost=True, others=others, asked=asked)
    available = max(0, wallet.available)
    amount = min(wish.needed, available)
    if amount == wish.needed and amount > 0:
        amount += min(wish.spare, (available - amount) // SLICE)
    if amount:
        wallet.leased += amount
        if lease is not None:
            lease.amount += amount
        else:
            row = (wish.lease_id, wish.wallet_id, wish.instance_id, wish.epoch, amount, None, wish.now)
            await session.insert(LEASES, [row])
        await book.save()
    return Granted(balance=wallet.balance, granted=amount, others=others, asked=asked)


async def recall(wallet_id: str, instance_id: str, now: int, session: Session) -> int:
    """Ask every other instance for what it does not use of this wallet; how many were asked."""
    await Book(session).open([wallet_id])
    return await session.execute(
        "UPDATE leases SET recalled_at = ? WHERE wallet_id = ? AND instance_id <> ? AND amount > 0"
        " AND recalled_at IS NULL",
        now,
        wallet_id,
        instance_id,
    )


async def give_back(wallet_id: str, lease_id: str, amount: int, session: Session) -> bool:
    """Return a part of a lease, and with it answer a recall; False if the lease is gone."""
    book = Book(session)
    await book.open([wallet_id], [lease_id])
    lease, wallet = book.leases.get(lease_id), book.wallets.get(wallet_id)
    if lease is None or wallet is None:
        return False
    amount = min(amount, lease.amount)
    lease.amount -= amount
    wallet.leased -= amount
    if amount:
        await book.save()
    await session.execute("UPDATE leases SET recalled_at = NULL WHERE id = ?", lease_id)
    return True


async def end(leases: Sequence[tuple[str, str]], session: Session) -> None:
    """Return all that is left of these (wallet, lease) and remove them."""
    book = Book(session)
    await book.open({wallet for wallet, _ in leases}, [lease for _, lease in leases])
    for lease in book.leases.values():
        book.wallets[lease.wallet_id].leased -= lease.amount
        lease.amount = 0
    await book.save()
    await session.execute("DELETE FROM leases WHERE id {members}", list(book.leases))


class Standing(msgspec.Struct, frozen=True):
    """A lease of ours as the database has it."""

    lease_id: str
    recalled: bool
    wallet_id: str
    balance: int


async def standing(instance_id: str, session: Session) -> list[Standing]:
    """Every lease of this instance, whether it was recalled, and its wallet's balance."""
    rows = await session.fetch(
        "SELECT l.id, l.recalled_at IS NOT NULL, l.wallet_id, w.balance FROM leases l"
        " JOIN wallets w ON w.id = l.wallet_id WHERE l.instance_id = ?",
        instance_id,
    )
    return [Standing(row[0], bool(row[1]), row[2], row[3]) for row in rows]
