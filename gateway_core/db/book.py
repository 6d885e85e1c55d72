"""The ledger's pages in one transaction: wallets and leases, read under lock and written back once."""

from collections.abc import Iterable, Sequence
from typing import Final

from gateway_core.db.chain import Entry, link
from gateway_core.db.session import Row, Session
from gateway_core.db.tables import ENTRIES, TRANSACTIONS


class UnbalancedError(ValueError):
    """Entries that do not sum to zero; nothing of theirs is written."""


class WalletPage:
    """A wallet as it stands in this transaction."""

    __slots__ = ("balance", "head", "held", "id", "leased", "sequence")

    def __init__(self, row: Row) -> None:
        self.id: str = row[0]
        self.balance: int = row[1]
        self.leased: int = row[2]
        self.held: int = row[3]
        self.sequence: int = row[4]
        self.head: str = row[5]

    @property
    def available(self) -> int:
        """The balance less open holds and leases."""
        return self.balance - self.leased - self.held


class LeasePage:
    """A lease as it stands in this transaction."""

    __slots__ = ("amount", "id", "wallet_id")

    def __init__(self, row: Row) -> None:
        self.id: str = row[0]
        self.wallet_id: str = row[1]
        self.amount: int = row[2]


_WALLETS: Final = (
    "SELECT id, balance, leased, held, sequence, head FROM wallets WHERE id {members} ORDER BY id"
)
_LEASES: Final = "SELECT id, wallet_id, amount FROM leases WHERE id {members}"


class Book:
    """Open the pages, post, save. Wallets are locked in the order of their ids: writers never cross."""

    __slots__ = ("_entries", "_session", "_transactions", "leases", "wallets")

    def __init__(self, session: Session) -> None:
        self._session = session
        self.wallets: dict[str, WalletPage] = {}
        self.leases: dict[str, LeasePage] = {}
        self._transactions: list[Row] = []
        self._entries: list[Row] = []

    async def open(self, wallet_ids: Iterable[str], lease_ids: Iterable[str] = ()) -> None:
        """Read and lock these wallets, then read the leases, which only change under their wallet's lock."""
        if wanted := sorted(wallet_ids):
            rows = await self._session.fetch(_WALLETS + self._session.locking, wanted)
            self.wallets = {row[0]: WalletPage(row) for row in rows}
        if leases := list(lease_ids):
            rows = await self._session.fetch(_LEASES, leases)
            self.leases = {row[0]: LeasePage(row) for row in rows}

    def post(
        self,
        transaction_id: str,
        kind: str,
        wallet: WalletPage | None,
        created_at: int,
        entries: Sequence[Entry],
        *,
        generation_id: str | None = None,
        corrects: str | None = None,
    ) -> None:
        """Note a transaction, chained to its wallet's last; its entries must sum to zero."""
        if not entries or sum([amount for _, amount in entries]) != 0:
            raise UnbalancedError(f"{transaction_id}: the entries do not sum to zero: {entries}")
        sequence = head = None
        if wallet is not None:
            wallet.sequence += 1
            sequence = wallet.sequence
            wallet.head = head = link(
                wallet.head,
                wallet.id,
                sequence,
                transaction_id,
                kind,
                generation_id,
                corrects,
                created_at,
                entries,
            )
        self._transactions.append(
            (
                transaction_id,
                kind,
                wallet.id if wallet else None,
                sequence,
                head,
                generation_id,
                corrects,
                created_at,
            )
        )
        self._entries += [(transaction_id, account, amount) for account, amount in entries]

    async def save(self) -> None:
        """Write the transactions, and each wallet and lease once, however many transactions touched it."""
        session = self._session
        if self._transactions:
            await session.insert(TRANSACTIONS, self._transactions)
            await session.insert(ENTRIES, self._entries)
        if self.wallets:
            await session.update(
                "wallets",
                "id balance# leased# held# sequence# head",
                [(w.id, w.balance, w.leased, w.held, w.sequence, w.head) for w in self.wallets.values()],
            )
        if self.leases:
            await session.update(
                "leases", "id amount#", [(lease.id, lease.amount) for lease in self.leases.values()]
            )
