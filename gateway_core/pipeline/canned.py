"""Every offer priced once: what its operation always has, and what its model says that it takes and gives."""

from collections.abc import Iterator, Sequence

import msgspec

from gateway_core.host.endpoints import Offer
from gateway_core.host.snapshot import Snapshot
from gateway_core.pipeline.pricing import by_card
from plugin_sdk.modality import Operation
from plugin_sdk.money import TOKENS, Nanos, Usage
from plugin_sdk.price_rules import STANDARD, Terms

MANY = 1_000  # of a token meter; one of any other


class Priced(msgspec.Struct, frozen=True, kw_only=True):
    """What the usage costs at one offer, by plan; `notes` are no mistakes, `problems` are."""

    provider: str
    model: str
    operation: str
    place: str
    card_id: str
    free: bool
    usage: Usage
    nanos: dict[str, Nanos]
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def canned(snapshot: Snapshot, at: int) -> Iterator[Priced]:
    """Each endpoint times operation of a configuration, in the order of the file."""
    for offer in snapshot.offered.offers:
        operation = snapshot.operations[offer.endpoint.operation]
        if operation.meters:
            yield _priced(snapshot, offer, operation, at)


def _priced(snapshot: Snapshot, offer: Offer, operation: Operation, at: int) -> Priced:
    endpoint, card = offer.endpoint, offer.endpoint.card
    allowed = endpoint.unpriced
    usage = {meter: _many(meter) for meter in sorted(operation.needs)}
    problems = [f"{operation.name} needs a price for {meter}" for meter in offer.lacks]
    notes = []
    if not (card.free or allowed or offer.lacks):
        for said, meters in _declared(offer, operation):
            if found := [meter for meter in meters if card.takes(meter)]:
                usage.setdefault(found[0], _many(found[0]))
            else:
                problems.append(f"{said}, and there is no price for {' or '.join(meters)}")
        if not snapshot.in_force(endpoint, at):
            problems.append("its prices do not hold now: they begin later, or are over")
    nanos: dict[str, Nanos] = {}
    for plan in dict.fromkeys((STANDARD, *(price.plan for price in card.prices))):
        try:
            made = by_card(usage, card, Terms(plan=plan, at=at))
        except ValueError as error:
            problems.append(f"plan {plan}: {error}")
            continue
        nanos[plan] = made.total
        if made.holes:
            notes.append(f"plan {plan}: no conditions hold for {', '.join(made.holes)}; the dearest counts")
    if allowed and not card.free:
        notes.append("`unpriced: allow`: what has no price is not charged")
    return Priced(
        provider=endpoint.provider,
        model=endpoint.model,
        operation=operation.name,
        place=offer.place,
        card_id=card.id,
        free=card.free,
        usage=usage,
        nanos=nanos,
        notes=tuple(notes),
        problems=tuple(problems),
    )


def _declared(offer: Offer, operation: Operation) -> Iterator[tuple[str, Sequence[str]]]:
    """(what the entry says that it takes or gives, the meters that count it)."""
    for side, types in (("input", offer.entry.input_types), ("output", offer.entry.output_types)):
        for kind in types:
            counted = f"{side}_{kind}"
            if meters := sorted(meter for meter in operation.meters if _counts(meter, counted)):
                yield f"{side}_types has {kind}", meters


def _counts(meter: str, counted: str) -> bool:
    return meter == counted or meter.startswith(counted + "_")


def _many(meter: str) -> int:
    return MANY if meter.endswith(TOKENS) else 1
