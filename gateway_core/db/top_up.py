"""Put credit into a wallet: a ledger transaction like any other, chained and balanced."""

from gateway_core.db.book import Book
from gateway_core.db.session import Session
from gateway_core.db.tables import WALLETS


def wallet_id(team_id: str, kind: str) -> str:
    """The id of a team's wallet: the team's own for `live`, with `:test` behind it for simulated credit."""
    return team_id if kind == "live" else f"{team_id}:{kind}"


async def top_up(
    team_id: str, kind: str, nanos: int, source: str, transaction_id: str, now: int, session: Session
) -> None:
    """Add credit; the wallet is made if it is the first."""
    wallet = wallet_id(team_id, kind)
    row = (wallet, team_id, kind, "USD", 0, 0, 0, 0, "", now)
    await session.insert(WALLETS, [row], "ON CONFLICT (id) DO NOTHING")
    book = Book(session)
    await book.open([wallet])
    page = book.wallets[wallet]
    page.balance += nanos
    book.post(
        transaction_id, "top_up", page, now, [(f"wallet:{wallet}", nanos), (f"top_up:{source}", -nanos)]
    )
    await book.save()
