"""Which models can be asked for what, where, and at which price."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway_core.config.problems import Problems
from gateway_core.config.words import nearest
from gateway_core.db.cards import card_id
from gateway_core.host.catalogue import entries, price_card
from gateway_core.host.manager import Loaded
from gateway_core.host.registry import Registry
from plugin_sdk.catalogue import ModelEntry
from plugin_sdk.context import Endpoint
from plugin_sdk.modality import Operation
from plugin_sdk.money import PriceCard
from plugin_sdk.provider import Provider

NOTHING: Final = PriceCard(id=card_id((), free=True), prices=(), free=True)


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One model at one provider, with the operations it can be asked for there."""

    provider: str
    entry: ModelEntry
    operations: tuple[str, ...]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint as its own provider speaks it; `lacks` are the meters for which it is not offered."""

    endpoint: Endpoint
    entry: ModelEntry
    place: str  # where the entry stands
    lacks: tuple[str, ...] = ()


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """The catalogue, ready to be asked. A name is a model's id or one of its aliases."""

    endpoints: Mapping[tuple[str, str], tuple[Endpoint, ...]]  # (name, protocol of the client)
    named: Mapping[tuple[str, str], tuple[Endpoint, ...]]  # (name, operation)
    offers: tuple[Offer, ...]  # priced or not, in the order of the file
    unpriced: frozenset[tuple[str, str]]
    dated: frozenset[str]  # names with prices that begin or end
    names: frozenset[str]
    listings: tuple[Listing, ...]
    spoken: Mapping[str, tuple[str, ...]] = {}  # provider -> the protocols that it speaks
    warnings: tuple[str, ...] = ()


class _Shelf:
    """Takes offers one by one, and files them under everything they are looked up by."""

    def __init__(self) -> None:
        self.endpoints: dict[tuple[str, str], list[Endpoint]] = {}
        self.named: dict[tuple[str, str], list[Endpoint]] = {}
        self.offers: list[Offer] = []
        self.unpriced: dict[tuple[str, str], None] = {}

    def put(self, offer: Offer, clients: Iterable[tuple[str, Endpoint]]) -> None:
        """Under each of its model's names; one that lacks a price is set aside."""
        self.offers.append(offer)
        operation = offer.endpoint.operation
        names = (offer.entry.id, *offer.entry.aliases)
        if offer.lacks:
            self.unpriced.update(dict.fromkeys((name, operation) for name in names))
            return
        for name in names:
            self.named.setdefault((name, operation), []).append(offer.endpoint)
        for client, best in clients:
            for name in names:
                self.endpoints.setdefault((name, client), []).append(best)


def offer(registry: Registry, loaded: Loaded, problems: Problems, at: int) -> Offered:
    """Every endpoint of every provider, in YAML order. One that lacks a price it needs is set aside.

    `at` is the time: prices that ended before are left out.
    """
    shelf = _Shelf()
    names: set[str] = set()
    listings: list[Listing] = []
    warnings: list[str] = []
    spoken: dict[str, tuple[str, ...]] = {}
    for provider in registry.providers.values():
        speaks = _speaks(provider, registry, loaded, problems)
        spoken[provider.name] = tuple(chain.from_iterable(speaks.values()))
        models = entries(provider, loaded, problems, warnings.append)
        if models and not any(operation in registry.operations for operation in speaks):
            warnings.append(
                f"plugins.{provider.name}: nothing it speaks is enabled; its models are not offered"
            )
        _check_own(provider, speaks, registry, loaded, problems)
        for entry, place in models:
            names.update((entry.id, *entry.aliases))
            offers = [
                Offer(
                    endpoint=endpoint,
                    entry=entry,
                    place=place,
                    lacks=_lacks(endpoint, registry.operations[endpoint.operation]),
                )
                for endpoint in _endpoints(provider, entry, speaks, registry, at)
            ]
            for one in offers:
                shelf.put(one, _for_clients(one.endpoint, speaks[one.endpoint.operation], registry))
            priced = tuple(one.endpoint.operation for one in offers if not one.lacks)
            lacks = any(one.lacks for one in offers)
            if lacks and not any(registry.operations[operation].meters for operation in priced):
                warnings.append(
                    f"plugins.{provider.name}: model {entry.id} has no price; calling it is a 402"
                )
            elif priced:
                listings.append(Listing(provider=provider.name, entry=entry, operations=priced))
    return Offered(
        endpoints={key: tuple(found) for key, found in shelf.endpoints.items()},
        named={key: tuple(found) for key, found in shelf.named.items()},
        offers=tuple(shelf.offers),
        unpriced=frozenset(shelf.unpriced),
        dated=frozenset(name for (name, _), found in shelf.named.items() for one in found if one.card.dated),
        names=frozenset(names),
        listings=tuple(listings),
        spoken=spoken,
        warnings=tuple(warnings),
    )


def _speaks(
    provider: Provider[Any], registry: Registry, loaded: Loaded, problems: Problems
) -> dict[str, tuple[str, ...]]:
    """Operation -> protocols: what the provider declares, and what its block says instead."""
    speaks = {
        operation: (said,) if isinstance(said, str) else said
        for operation, said in type(provider).speaks.items()
    }
    own: dict[str, tuple[str, ...]] = {}
    for at, protocol in enumerate(provider.config.speaks):
        known = registry.protocols.get(protocol)
        if known is not None:
            own[known.operation] = (*own.get(known.operation, ()), protocol)
            continue
        what = f"no enabled plugin brings the protocol `{protocol}`{nearest(protocol, registry.protocols)}"
        what += f"; there is {', '.join(sorted(registry.protocols)) or 'none'}"
        loaded.complain(problems, provider.name, ("speaks", at), what)
    enabled = {
        operation: tuple(protocol for protocol in protocols if protocol in registry.protocols)
        for operation, protocols in {**speaks, **own}.items()
    }
    return {operation: protocols for operation, protocols in enabled.items() if protocols}


def _for_clients(
    endpoint: Endpoint, protocols: tuple[str, ...], registry: Registry
) -> Iterator[tuple[str, Endpoint]]:
    """(a client's protocol, the endpoint as it is asked for it): in the client's own, where it can be."""
    for client in registry.protocols.values():
        if client.operation == endpoint.operation:
            best = client.id if client.id in protocols else endpoint.protocol
            yield client.id, endpoint if best == endpoint.protocol else replace(endpoint, protocol=best)


def _endpoints(
    provider: Provider[Any],
    entry: ModelEntry,
    speaks: Mapping[str, tuple[str, ...]],
    registry: Registry,
    at: int,
) -> Iterator[Endpoint]:
    priced = price_card(entry, at)
    for operation, protocols in speaks.items():
        if operation not in registry.operations:
            continue
        # what nothing is metered of costs nothing, whatever the model does
        card = priced if registry.operations[operation].meters else NOTHING
        if entry.operations is not None and operation not in entry.operations:
            continue
        yield Endpoint(
            provider=provider.name,
            model=entry.id,
            upstream_model=entry.upstream or entry.id,
            operation=operation,
            protocol=protocols[0],
            card=card,
            max_output=entry.max_output,
            context=entry.context,
            simulated=provider.simulated,
            weight=entry.weight,
            unpriced=(entry.unpriced or provider.config.unpriced) == "allow",
            params=entry.params,
        )


def _lacks(endpoint: Endpoint, operation: Operation) -> tuple[str, ...]:
    """The meters without a price, after roll-up, without which the operation is refused."""
    card = endpoint.card
    if card.free or endpoint.unpriced:
        return ()
    wanted = operation.needs or (operation.meters if not card.prices else frozenset())
    return tuple(sorted(meter for meter in wanted if not card.takes(meter)))


def _check_own(
    provider: Provider[Any],
    speaks: Mapping[str, tuple[str, ...]],
    registry: Registry,
    loaded: Loaded,
    problems: Problems,
) -> None:
    """The operator's own entries name operations and meters that exist here."""
    meters = frozenset[str]().union(*(operation.meters for operation in registry.operations.values()))
    for at, entry in enumerate(provider.config.models):
        for operation in entry.operations or ():
            if operation not in speaks:
                what = f"{provider.name} does not speak {operation}; it speaks {', '.join(sorted(speaks))}"
                loaded.complain(problems, provider.name, ("models", at, "operations"), what)
        for price in entry.prices:
            if meters and price.meter not in meters:
                what = f"no enabled operation has the meter `{price.meter}`{nearest(price.meter, meters)}"
                loaded.complain(problems, provider.name, ("models", at, "price", price.meter), what)
