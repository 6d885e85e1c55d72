"""The ledger's pages in one transaction: wallets and leases, read under lock and written back once."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from gateway_core.db.chain import Entry, link
from gateway_core.db.forms import Write
from gateway_core.db.session import Row, Session
from gateway_core.db.tables import CHARGE, COST, LEASE_PAGES, TRANSACTIONS, WALLET_PAGES, entries_of
from plugin_sdk.errors import Unprocessable

LARGEST: Final = 1_000_000_000 * 1_000_000_000  # nanos of a wallet: sums of several fit a column


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

    __slots__ = ("_charges", "_costs", "_entries", "_session", "_transactions", "leases", "wallets")

    def __init__(self, session: Session) -> None:
        self._session = session
        self.wallets: dict[str, WalletPage] = {}
        self.leases: dict[str, LeasePage] = {}
        self._transactions: list[Row] = []
        self._charges: list[Any] = []
        self._costs: list[Any] = []
        self._entries: dict[int, list[Any]] = {}  # by how many the transaction has

    async def open(self, wallet_ids: Iterable[str], lease_ids: Iterable[str] = ()) -> None:
        """Read and lock these wallets, then read the leases, which only change under their wallet's lock."""
        if wanted := sorted(wallet_ids):
            rows = await self._session.fetch(_WALLETS + self._session.locking, wanted)
            self.wallets = {row[0]: WalletPage(row) for row in rows}
        if leases := list(lease_ids):
            rows = await self._session.fetch(_LEASES, leases)
            self.leases = {row[0]: LeasePage(row) for row in rows}

    def charge(
        self, generation_id: str, wallet: WalletPage | None, created_at: int, entries: Sequence[Entry]
    ) -> None:
        """Note a generation's transaction, which has its id, as `post` does."""
        self._note(generation_id, entries)
        if wallet is None:
            self._costs += (generation_id, created_at)
            return
        wallet.sequence += 1
        wallet.head = link(
            wallet.head,
            wallet.id,
            wallet.sequence,
            generation_id,
            "charge",
            generation_id,
            None,
            created_at,
            entries,
        )
        self._charges += (generation_id, wallet.id, wallet.sequence, wallet.head, created_at)

    def post(
        self,
        transaction_id: str,
        kind: str,
        wallet: WalletPage,
        created_at: int,
        entries: Sequence[Entry],
        *,
        generation_id: str | None = None,
        corrects: str | None = None,
    ) -> None:
        """Note a transaction, chained to its wallet's last; its entries must sum to zero."""
        if wallet.balance > LARGEST:
            raise Unprocessable("A wallet holds at most $1,000,000,000.", reason="wallet_full")
        self._note(transaction_id, entries)
        wallet.sequence += 1
        wallet.head = link(
            wallet.head,
            wallet.id,
            wallet.sequence,
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
                wallet.id,
                wallet.sequence,
                wallet.head,
                generation_id,
                corrects,
                created_at,
            )
        )

    def writes(self) -> list[Write]:
        """The charges, and each wallet and lease once, however many of them touched it."""
        found = [Write(entries_of(count), values) for count, values in self._entries.items()]
        if self._charges:
            found.append(Write(CHARGE, self._charges))
        if self._costs:
            found.append(Write(COST, self._costs))
        if self.wallets:
            values: list[Any] = []
            for w in self.wallets.values():
                values += (w.id, w.balance, w.leased, w.held, w.sequence, w.head)
            found.append(Write(WALLET_PAGES, values))
        if self.leases:
            values = []
            for lease in self.leases.values():
                values += (lease.id, lease.amount)
            found.append(Write(LEASE_PAGES, values))
        return found

    async def save(self) -> None:
        """Write what was posted, and every page."""
        if self._transactions:
            await self._session.insert(TRANSACTIONS, self._transactions)
        await self._session.apply(self.writes())

    def _note(self, transaction_id: str, entries: Sequence[Entry]) -> None:
        if not entries or sum([amount for _, amount in entries]) != 0:
            raise UnbalancedError(f"{transaction_id}: the entries do not sum to zero: {entries}")
        noted = self._entries.setdefault(len(entries), [])
        noted.append(transaction_id)
        for entry in entries:
            noted += entry
