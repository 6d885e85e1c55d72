"""Money from outside: a payment is credited once, by its reference, and taken back where it was returned."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import Any, Final

import msgspec
from typing_extensions import override

from gateway_core.db.book import Book, WalletPage
from gateway_core.db.books import shown
from gateway_core.db.chain import Entry
from gateway_core.db.corrections import (
    MOST,
    PAYMENT,
    SELECT,
    Asked,
    Correction,
    booked,
    checked,
    correction,
    opened,
    used,
)
from gateway_core.db.retries import RetryingStore
from gateway_core.db.session import Row, Session, Store
from gateway_core.db.tables import WALLETS
from gateway_core.db.top_up import wallet_id
from gateway_core.ids import wall_clock
from plugin_sdk.errors import InvalidRequest, NotFound, Unprocessable
from plugin_sdk.money import Nanos
from plugin_sdk.services import PaymentStore

_KINDS: Final = "kind IN ('top_up', 'reversal', 'reinstatement')"  # as the unique index has it
_RETURNS: Final = 12  # looks at a wallet whose credit is leased, before what is not there is a loss
_PAUSE: Final = 0.25
_KEPT_FOR: Final = 40 * 24 * 3_600_000  # ms; services tell an event again for days, and by hand for a month


class Reversal(msgspec.Struct, frozen=True, kw_only=True):
    """What of a payment is to be taken back: `nanos` of what was paid, the fee's part with it."""

    payment: str  # the reference of the payment
    account: str  # where it came from
    asked: Asked
    nanos: int


async def credit(
    team_id: str, kind: str, account: str, asked: Asked, fee: int, now: int, session: Session
) -> Correction:
    """Credit what was paid less the fee; the wallet is made if it is the first."""
    checked(asked)
    paid = asked.nanos or 0
    if not 0 <= fee < paid <= MOST:
        raise InvalidRequest("The amount is out of range: more than the fee, and above 0.", param="nanos")
    if not await session.fetch("SELECT id FROM teams WHERE id = ?", team_id):
        raise NotFound("There is no such team.", param="team_id", reason="team_missing")
    wallet = wallet_id(team_id, kind)
    row = (wallet, team_id, kind, "USD", 0, 0, 0, 0, "", now)
    await session.insert(WALLETS, [row], "ON CONFLICT (id) DO NOTHING")
    book, page = await opened(session, wallet)
    entries = _moved((f"wallet:{wallet}", paid - fee), ("fees", fee), (account, -paid))
    if (earlier := await _found(session, asked.reference)) is not None:
        return _same(earlier, page, asked, paid - fee)
    return await booked(book, page, asked, entries, None, now, session)


async def reverse(wanted: Reversal, now: int, session: Session) -> Correction:
    """Take a payment back, or a part. What the wallet has no more is a loss: no balance goes below zero."""
    book, page, payment = await _credited(wanted, session)
    if (earlier := await _found(session, wanted.asked.reference)) is not None:
        return _same(earlier, page, wanted.asked, None)
    share = await _share(wanted, payment, page, session)
    taken = min(share, max(0, page.available))
    entries = _moved(
        (f"wallet:{page.id}", -taken),
        ("loss", taken - share),
        ("fees", share - wanted.nanos),
        (wanted.account, wanted.nanos),
    )
    return await booked(book, page, wanted.asked, entries, payment, now, session)


async def recalled(wanted: Reversal, now: int, session: Session) -> bool:
    """Whether leases keep credit that the reversal needs; every process is asked for what it does not use."""
    _, page, payment = await _credited(wanted, session)
    if await _found(session, wanted.asked.reference) is not None or not page.leased:
        return False
    if page.available >= await _share(wanted, payment, page, session):
        return False
    await session.execute(
        "UPDATE leases SET recalled_at = ? WHERE wallet_id = ? AND amount > 0 AND recalled_at IS NULL",
        now,
        page.id,
    )
    return True


async def reinstate(reversal: str, asked: Asked, now: int, session: Session) -> Correction:
    """Undo a reversal, entry by entry: the money came after all."""
    checked(asked)
    row = await _found(session, reversal)
    if row is None or row[1] != "reversal":
        raise NotFound("No reversal was booked under this reference.", param="reversal")
    book, page = await opened(session, row[2])
    if (earlier := await _found(session, asked.reference)) is not None:
        return _same(earlier, page, asked, -row[5])
    entries = [
        (account, -amount)
        for account, amount in await session.fetch(
            "SELECT account, amount FROM ledger_entries WHERE transaction_id = ? ORDER BY id", row[0]
        )
    ]
    ((payment,),) = await session.fetch("SELECT corrects FROM ledger_transactions WHERE id = ?", row[0])
    return await booked(book, page, asked, entries, payment, now, session)


async def _found(session: Session, reference: str) -> Row | None:
    rows = await session.fetch(f"{SELECT} WHERE reference = ? AND {_KINDS}", reference)
    return rows[0] if rows else None


def _same(row: Row, page: WalletPage, asked: Asked, amount: int | None) -> Correction:
    """What the reference did before; Conflict where that was something else."""
    found = correction(row, page.balance, made=False)
    same = (found.kind, found.wallet_id, found.reason) == (asked.kind, page.id, asked.reason)
    if not same or amount not in (None, found.amount):
        raise used(asked.reference)
    return found


async def _credited(wanted: Reversal, session: Session) -> tuple[Book, WalletPage, str]:
    """The wallet of a payment, under its lock, and the payment's transaction."""
    checked(wanted.asked)
    if not 0 < wanted.nanos <= MOST:
        raise InvalidRequest("The amount is out of range.", param="nanos")
    row = await _found(session, wanted.payment)
    if row is None or row[1] != "top_up":
        raise NotFound("No payment was booked under this reference.", param="payment")
    book, page = await opened(session, row[2])
    return book, page, row[0]


async def _share(wanted: Reversal, payment: str, page: WalletPage, session: Session) -> int:
    """The wallet's part of what is to be taken back: whatever the parts, they add up to the whole."""
    sums = (
        "SELECT COALESCE(SUM(CASE WHEN e.account LIKE 'top_up:%' THEN e.amount ELSE 0 END), 0),"
        " COALESCE(SUM(CASE WHEN e.account = 'loss' OR e.account = ? THEN e.amount ELSE 0 END), 0)"
        " FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id WHERE "
    )
    wallet = f"wallet:{page.id}"
    ((paid, given),) = await session.fetch(sums + "t.id = ?", wallet, payment)
    ((returned, taken),) = await session.fetch(sums + "t.corrects = ?", wallet, payment)
    paid, given, returned, taken = -int(paid), int(given), int(returned), -int(taken)
    left = paid - returned
    if wanted.nanos > left:
        raise Unprocessable(
            f"{wanted.nanos} nanos are more than the {left} that are left of the payment.",
            reason="nothing_left" if left <= 0 else "more_than_paid",
            extra={"left_nanos": left},
        )
    share: int = given * (returned + wanted.nanos) // paid - taken
    return min(max(0, share), wanted.nanos)


def _moved(*entries: Entry) -> Sequence[Entry]:
    return [entry for entry in entries if entry[1]]


class Payments(PaymentStore):
    """Over a raw store, which is opened at the first use."""

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = RetryingStore(store)

    @override
    async def credit(
        self,
        team_id: str,
        *,
        source: str,
        reference: str,
        nanos: int,
        fee: int = 0,
        reason: str,
        kind: str = "live",
    ) -> Mapping[str, Any]:
        asked = Asked(kind="top_up", reference=_named(source, reference), reason=reason, nanos=nanos)
        work = partial(credit, team_id, kind, f"top_up:{source}", asked, fee, wall_clock())
        return _told(await self._store.write(work), source)

    @override
    async def reverse(
        self, *, source: str, payment: str, reference: str, nanos: int, reason: str
    ) -> Mapping[str, Any]:
        wanted = Reversal(
            payment=_named(source, payment),
            account=f"top_up:{source}",
            asked=Asked(kind="reversal", reference=_named(source, reference), reason=reason),
            nanos=nanos,
        )
        for _ in range(_RETURNS):
            if not await self._store.write(partial(recalled, wanted, wall_clock())):
                break
            await asyncio.sleep(_PAUSE)
        return _told(await self._store.write(partial(reverse, wanted, wall_clock())), source)

    @override
    async def reinstate(
        self, *, source: str, reversal: str, reference: str, reason: str
    ) -> Mapping[str, Any]:
        asked = Asked(kind="reinstatement", reference=_named(source, reference), reason=reason)
        work = partial(reinstate, _named(source, reversal), asked, wall_clock())
        return _told(await self._store.write(work), source)

    @override
    async def told(self, *, source: str, event: str) -> bool:
        place = _event(source, event)

        async def work(session: Session) -> bool:
            return bool(await session.fetch("SELECT 1 FROM payment_events WHERE id = ?", place))

        return await self._store.read(work)

    @override
    async def done(self, *, source: str, event: str) -> None:
        place, now = _event(source, event), wall_clock()

        async def work(session: Session) -> None:
            await session.execute("DELETE FROM payment_events WHERE done_at < ?", now - _KEPT_FOR)
            await session.execute(
                "INSERT INTO payment_events (id, done_at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING",
                place,
                now,
            )

        await self._store.write(work)

    @override
    async def balance(self, team_id: str, kind: str = "live") -> Nanos:
        async def work(session: Session) -> int:
            rows = await session.fetch("SELECT balance FROM wallets WHERE id = ?", wallet_id(team_id, kind))
            return int(rows[0][0]) if rows else 0

        return Nanos(await self._store.read(work))


def _named(source: str, reference: str) -> str:
    """The reference in the books: no source can use another's."""
    if not source or ":" in source or not reference:
        raise InvalidRequest("A payment has a source without a colon, and a reference.", param="reference")
    return f"{PAYMENT}{source}:{reference}"


def _event(source: str, event: str) -> str:
    """Where an event stands that is done with."""
    return sha256(_named(source, event).encode("utf-8", "surrogatepass")).hexdigest()


def _told(found: Correction, source: str) -> Mapping[str, Any]:
    """The booking for a caller, under the reference that was given."""
    reference = found.reference.removeprefix(f"{PAYMENT}{source}:")
    return {**shown(found), "reference": reference, "source": source}
