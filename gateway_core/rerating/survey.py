"""What re-rating would change: every charge of a time, priced again, against what its wallet has paid."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from typing import Final

import msgspec

from gateway_core.db.books import first_id
from gateway_core.db.corrections import Rerated, due
from gateway_core.db.session import Row, Session, Store
from gateway_core.rerating.price import decode_lines, decode_usage, price, terms_of
from plugin_sdk.money import PriceCard

PAGE: Final = 500
END_OF_TIME: Final = (1 << 63) - 1
# Only what a wallet paid for: what was suppressed or released stays at nothing.
_CHARGES: Final = (
    "SELECT g.id, g.created_at, m.name, g.model_id, g.provider, g.operation, g.card_id, g.byok, g.terms,"
    " g.usage, g.pricing_lines, s.charge, s.price, s.hold,"
    " (SELECT COALESCE(SUM(c.amount), 0) FROM corrections c WHERE c.generation_id = g.id"
    "  AND c.reference LIKE 'rerate:%'),"
    " (SELECT COALESCE(SUM(c.amount), 0) FROM corrections c WHERE c.generation_id = g.id)"
    " FROM generations g JOIN settlements s ON s.generation_id = g.id LEFT JOIN teams m ON m.id = g.team_id"
    " WHERE g.id > ? AND g.created_at >= ? AND g.created_at < ? AND s.outcome = 'charged' AND s.charge > 0"
)
_decode_card: Final = msgspec.json.Decoder(PriceCard).decode


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which charges: from a time on, before a time (ms since 1970), of one model, of one team."""

    since: int
    until: int = END_OF_TIME
    model: str | None = None
    team_id: str | None = None


class Charged(msgspec.Struct, frozen=True, kw_only=True):
    """A charge on record. `paid` is what re-ratings have made of it so far."""

    generation: str
    created_at: int
    team: str | None
    model: str
    provider: str
    operation: str
    card: str
    paid: int


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A charge that would be another. `nanos` is what the wallet pays more, below zero what it gets back.

    `price` is what the new card makes of it, `target` what the wallet should have paid: no more than was held
    for it, and where the hold was too small then, no more than it paid then.
    """

    charged: Charged
    card: str
    price: int
    target: int
    nanos: int

    @property
    def rerated(self) -> Rerated:
        """The correction that books it."""
        reason = f"re-rated by {self.card} instead of {self.charged.card}"
        return Rerated(generation_id=self.charged.generation, charge=self.target, reason=reason)


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """A charge that cannot be priced again, and why."""

    charged: Charged
    why: str


Found = Difference | Passed | Charged  # a Charged: nothing changes
Choice = Callable[[Charged, PriceCard], PriceCard | None]  # the card by which a charge is priced again


async def survey(store: Store, wanted: Wanted, choice: Choice) -> AsyncIterator[Found]:
    """Every charge that is wanted, in the order of time, page by page; it only reads."""
    cards: dict[str, PriceCard] = {}
    last = first_id(wanted.since)
    while rows := await store.read(partial(_page, last, wanted, cards)):
        for row in rows:
            yield _compared(row, cards, choice)
        last = rows[-1][0]


async def stored_cards(ids: Iterable[str], session: Session) -> Mapping[str, PriceCard]:
    """Cards by which something was charged."""
    rows = await session.fetch("SELECT id, card FROM price_cards WHERE id {members}", list(ids))
    return {row[0]: _decode_card(row[1]) for row in rows}


async def _page(last: str, wanted: Wanted, cards: dict[str, PriceCard], session: Session) -> list[Row]:
    given = {" AND g.model_id = ?": wanted.model, " AND g.team_id = ?": wanted.team_id}
    given = {sql: value for sql, value in given.items() if value is not None}
    sql = f"{_CHARGES}{''.join(given)} ORDER BY g.id LIMIT ?"
    rows = list(await session.fetch(sql, last, wanted.since, wanted.until, *given.values(), PAGE))
    if unknown := {row[6] for row in rows if row[6] is not None} - cards.keys():
        cards.update(await stored_cards(sorted(unknown), session))
    return rows


def _compared(row: Row, cards: Mapping[str, PriceCard], choice: Choice) -> Found:
    generation, created_at, team, model, provider, operation, card_id, byok, terms, usage, lines, *money = row
    charge, old_price, hold, rerated, corrected = [int(amount) for amount in money]
    charged = Charged(
        generation=generation,
        created_at=created_at,
        team=team,
        model=model,
        provider=provider or "",
        operation=operation,
        card=card_id or "",
        paid=charge - rerated,
    )
    if byok:
        return Passed(charged=charged, why="the team's own provider key served it")
    if (old := cards.get(charged.card)) is None:
        return Passed(charged=charged, why="its card is not on record")
    if (new := choice(charged, old)) is None:
        return Passed(charged=charged, why="the catalogue has no card for it now")
    try:
        made = price(decode_usage(usage), old, new, terms_of(terms, created_at), decode_lines(lines))
    except ValueError as error:
        return Passed(charged=charged, why=f"its record cannot be priced: {error}")
    target = max(0, min(made, charge if old_price > charge else max(charge, hold)))
    nanos = -due(charge, rerated, corrected - rerated, target)
    if not nanos:
        return charged
    return Difference(charged=charged, card=new.id, price=made, target=target, nanos=nanos)
