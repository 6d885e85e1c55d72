"""Refunds and adjustments: transactions of their own, which name what they correct; nothing is changed."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec

from gateway_core.db.book import Book, WalletPage
from gateway_core.db.chain import Entry
from gateway_core.db.session import Row, Session
from gateway_core.db.tables import CORRECTIONS
from plugin_sdk.errors import Conflict, InsufficientFunds, InvalidRequest, NotFound, Unprocessable

RERATE: Final = "rerate:"  # how the references of re-ratings begin; nobody else's may
PAYMENT: Final = "payment:"  # and those of payments from outside
MOST: Final = 1_000_000_000 * 1_000_000_000  # nanos at once
LONGEST: Final = 200  # characters of a reference
LONGEST_REASON: Final = 1_000
SELECT: Final = (
    "SELECT id, kind, wallet_id, reference, generation_id, amount, reason, created_at FROM corrections"
)


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """One that is in the ledger. `amount` is what the wallet got; `made`: it was booked by this very call."""

    transaction_id: str
    kind: str
    wallet_id: str
    reference: str
    generation_id: str | None
    amount: int
    reason: str
    created_at: int
    balance: int
    made: bool


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted. `nanos` None is the whole of what is left of a charge; `account` pays for it."""

    kind: str
    reference: str
    reason: str
    nanos: int | None = None
    generation_id: str | None = None
    account: str = "revenue"


class Rerated(msgspec.Struct, frozen=True, kw_only=True):
    """What the wallet should have paid for a generation, and why."""

    generation_id: str
    charge: int
    reason: str


def transaction_id(
    kind: str, wallet_id: str, reference: str, generation_id: str | None, amount: int, reason: str
) -> str:
    """The id of a correction, made of all that it says: so the chain proves its words too."""
    content = "\n".join((kind, wallet_id, reference, generation_id or "", str(amount), reason))
    return "C-" + sha256(content.encode()).hexdigest()[:32]


async def refund(
    generation_id: str, asked: Asked, team_id: str | None, now: int, session: Session
) -> Correction:
    """Give back a charge or a part of it, never more than is left of it; `team_id` None: whoever's it is."""
    checked(asked)
    wallet_id, charge = await _charged(session, generation_id, team_id)
    book, page = await opened(session, wallet_id)
    if (earlier := await _earlier(session, page, asked)) is not None:
        return earlier
    left = charge - await _corrected(session, generation_id)
    amount = left if asked.nanos is None else asked.nanos
    if left <= 0:
        raise Unprocessable(f"Nothing is left to refund of {generation_id}.", reason="nothing_left")
    if amount > left:
        raise Unprocessable(
            f"{amount} nanos are more than the {left} that are left of the charge of {generation_id}.",
            reason="more_than_charged",
            extra={"left_nanos": left},
        )
    return await _corrects(book, page, asked, amount, now, session)


async def adjust(
    wallet_id: str, asked: Asked, now: int, session: Session, *, most: int | None = None
) -> Correction:
    """Give credit or take it, never more than is available; of a charge, never give more than `most`."""
    checked(asked)
    amount = asked.nanos or 0
    book, page = await opened(session, wallet_id)
    if (earlier := await _earlier(session, page, asked)) is not None:
        return earlier
    if page.available + amount < 0:
        raise InsufficientFunds(
            f"The wallet has {page.available} nanos available; {-amount} cannot be taken.",
            reason="insufficient_funds",
            extra={"available_nanos": page.available},
        )
    if asked.generation_id is not None and most is not None:
        left = most - await _corrected(session, asked.generation_id)
        if amount > left:
            raise Unprocessable(
                f"{amount} nanos are more than the {left} that are left of {asked.generation_id}.",
                reason="more_than_charged",
            )
    return await _corrects(book, page, asked, amount, now, session)


async def rerate(target: Rerated, now: int, session: Session) -> Correction | None:
    """Bring what a generation was charged to its target; None where nothing is left to do.

    What earlier re-ratings did counts, under the wallet's lock: two that run at once do it once. What was
    refunded stays refunded: no more is given back than is left, and a charge that was given back whole stays
    so.
    """
    wallet_id, charge = await _charged(session, target.generation_id, None)
    book, page = await opened(session, wallet_id)
    rows = await session.fetch(
        "SELECT reference, amount FROM corrections WHERE generation_id = ?", target.generation_id
    )
    before = [amount for reference, amount in rows if reference.startswith(RERATE)]
    amount = due(charge, sum(before), sum(amount for _, amount in rows) - sum(before), target.charge)
    if not amount:
        return None
    if page.available + amount < 0:
        raise InsufficientFunds(
            f"The wallet has {page.available} nanos available; {-amount} cannot be taken.",
            reason="insufficient_funds",
        )
    asked = Asked(
        kind="adjustment",
        reference=f"{RERATE}{target.generation_id}:{len(before) + 1}",
        reason=target.reason,
        generation_id=target.generation_id,
    )
    return await _corrects(book, page, asked, amount, now, session)


def due(charge: int, rerated: int, refunded: int, target: int) -> int:
    """What a wallet still gets so that it has paid the target, below zero if it pays; refunds beside it."""
    left = charge - rerated - refunded
    return 0 if refunded > 0 and left <= 0 else min(charge - rerated - target, left)


def checked(asked: Asked) -> None:
    """Raise InvalidRequest for what can be seen to be wrong without the ledger."""
    if not 0 < len(asked.reference) <= LONGEST or not asked.reference.isprintable():
        raise InvalidRequest(f"A reference has 1 to {LONGEST} printable characters.", param="reference")
    if not 0 < len(asked.reason.strip()) <= LONGEST_REASON or not asked.reason.isprintable():
        raise InvalidRequest(
            f"Say why, in 1 to {LONGEST_REASON} printable characters of one line.", param="reason"
        )
    if asked.nanos is not None:
        least = 1 if asked.kind == "refund" else -MOST
        if not asked.nanos or not least <= asked.nanos <= MOST:
            raise InvalidRequest("The amount is out of range.", param="nanos")


async def _charged(session: Session, generation_id: str, team_id: str | None) -> tuple[str, int]:
    """(the wallet that paid for a generation, how much)."""
    rows = await session.fetch(
        "SELECT s.wallet_id, s.charge, g.team_id FROM settlements s"
        " JOIN generations g ON g.id = s.generation_id WHERE s.generation_id = ?",
        generation_id,
    )
    if not rows or (team_id is not None and rows[0][2] != team_id):
        raise NotFound("No settled generation of the team has this id.", param="generation")
    wallet_id, charge, _ = rows[0]
    if wallet_id is None or charge <= 0:
        raise Unprocessable(f"{generation_id} was not charged.", reason="not_charged")
    return wallet_id, charge


async def opened(session: Session, wallet_id: str) -> tuple[Book, WalletPage]:
    """The wallet under its lock: what is read after this stays true to the end."""
    book = Book(session)
    await book.open([wallet_id])
    page = book.wallets.get(wallet_id)
    if page is None:
        raise NotFound("The team has no such wallet; a top-up makes it.", reason="wallet_missing")
    return book, page


async def _earlier(session: Session, page: WalletPage, asked: Asked) -> Correction | None:
    """What this reference did before; Conflict where that was something else."""
    rows = await session.fetch(
        SELECT + " WHERE wallet_id = ? AND reference = ?",
        page.id,
        asked.reference,
    )
    if not rows:
        return None
    found = correction(rows[0], page.balance, made=False)
    same = (found.kind, found.generation_id, found.reason) == (asked.kind, asked.generation_id, asked.reason)
    if not same or asked.nanos not in (None, found.amount):
        raise used(asked.reference)
    return found


async def _corrected(session: Session, generation_id: str) -> int:
    """What the wallet got back of a charge so far."""
    rows = await session.fetch(
        "SELECT COALESCE(SUM(amount), 0) FROM corrections WHERE generation_id = ?", generation_id
    )
    return int(rows[0][0])


async def _corrects(
    book: Book, page: WalletPage, asked: Asked, amount: int, now: int, session: Session
) -> Correction:
    entries = [(f"wallet:{page.id}", amount), (asked.account, -amount)]
    charge = asked.generation_id  # the charge of a generation has its id
    return await booked(book, page, asked, entries, charge, now, session)


async def booked(  # what is asked, what it moves, what it corrects
    book: Book,
    page: WalletPage,
    asked: Asked,
    entries: Sequence[Entry],
    corrects: str | None,
    now: int,
    session: Session,
) -> Correction:
    """Book these entries under what is asked; the wallet gets what they say of it."""
    amount = sum([moved for account, moved in entries if account == f"wallet:{page.id}"])
    found = transaction_id(asked.kind, page.id, asked.reference, asked.generation_id, amount, asked.reason)
    page.balance += amount
    book.post(found, asked.kind, page, now, entries, generation_id=asked.generation_id, corrects=corrects)
    await book.save()
    row = (found, asked.kind, page.id, asked.reference, asked.generation_id, amount, asked.reason, now)
    if not await session.insert(CORRECTIONS, [row], "ON CONFLICT DO NOTHING"):
        raise used(asked.reference)  # by another wallet, at this moment
    return correction(row, page.balance, made=True)


def used(reference: str) -> Conflict:
    """The reference stands for something else already."""
    message = f"The reference `{reference}` was used for something else."
    return Conflict(message, reason="reference_used", param="reference")


def correction(row: Row, balance: int, *, made: bool) -> Correction:
    """A row of the table; `balance` is the wallet's after it, or now."""
    return Correction(
        transaction_id=row[0],
        kind=row[1],
        wallet_id=row[2],
        reference=row[3],
        generation_id=row[4],
        amount=row[5],
        reason=row[6],
        created_at=row[7],
        balance=balance,
        made=made,
    )
