"""By which card a charge is priced again: the catalogue's of today, its own, or one that is named."""

from functools import partial

from gateway_core.db.session import Store
from gateway_core.host.snapshot import Snapshot
from gateway_core.rerating.survey import Choice, stored_cards
from plugin_sdk.money import PriceCard


async def chosen(which: str, snapshot: Snapshot, store: Store) -> Choice | None:
    """`current`, `stored`, or a card's id; None where there is no card of this id."""
    current = _current(snapshot)
    if which == "current":
        return lambda charged, _: current.get((charged.provider, charged.model, charged.operation))
    if which == "stored":
        return lambda _, card: card
    known = {card.id: card for card in current.values()}
    known.update(await store.read(partial(stored_cards, [which])))
    card = known.get(which)
    return None if card is None else lambda _charged, _card: card


def _current(snapshot: Snapshot) -> dict[tuple[str, str, str], PriceCard]:
    """The cards of today, by provider, model (or alias) and operation."""
    return {
        (endpoint.provider, name, endpoint.operation): endpoint.card
        for (name, _), endpoints in snapshot.offered.endpoints.items()
        for endpoint in endpoints
    }
