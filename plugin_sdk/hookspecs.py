"""Every hook of the gateway, in the order it is called.

Two families. REGISTRATION hooks are plain functions, called once at start-up by pluggy itself. LIFESPAN and
PIPELINE hooks are `async def`; the core awaits them one at a time, in the order of the YAML file. The
docstring's first word says how the answers combine: FIRST, ALL or CHAIN.
"""

from collections.abc import Callable, Sequence
from typing import Any

from plugin_sdk.catalogue import ModelEntry
from plugin_sdk.context import Attempt, Credentials, Endpoint, Principal, RequestContext
from plugin_sdk.hooks import hookspec
from plugin_sdk.modality import Modality
from plugin_sdk.money import Cap, Charge, Hold, PriceCard, Usage
from plugin_sdk.protocol import UpstreamProtocol
from plugin_sdk.provider import Provider
from plugin_sdk.routes import PlatformRoute
from plugin_sdk.services import Services

# Registration


@hookspec
def register_modalities() -> Sequence[Modality]:
    """Return the modalities this plugin adds: operations, client routes, meters."""


@hookspec
def register_protocols() -> Sequence[UpstreamProtocol]:
    """Return the protocols this plugin adds: a Protocol, or an UpstreamProtocol that no client speaks."""


@hookspec
def register_providers() -> Sequence[Provider[Any]]:
    """Return the providers this plugin adds; a Provider subclass registers itself without this hook."""


@hookspec
def register_models(
    provider: Provider[Any], models: Sequence[ModelEntry], note: Callable[[str], None]
) -> Sequence[ModelEntry] | None:
    """CHAIN models. Return what a provider offers, with prices or models of yours; None leaves it as it is.

    Of an operator's own entries every word that they say goes before. `note` tells the operator something.
    """


@hookspec
def register_routes() -> Sequence[PlatformRoute]:
    """Return the platform routes this plugin serves: method, path, handler, the kind of key it needs."""


@hookspec
def register_commands(cli: Any) -> None:
    """Add subcommands to the `gateway` command line (a click group)."""


# Lifespan


@hookspec
async def startup(services: Services) -> None:
    """ALL. The event loop runs and the database is open; acquire what you need."""


@hookspec
async def shutdown() -> None:
    """ALL. Release it. Called in reverse order, even if a startup failed."""


# Pipeline


@hookspec(firstresult=True)
async def authenticate(credentials: Credentials) -> Principal | None:
    """FIRST. Return the caller, None if these are not your credentials, raise Unauthenticated if bad."""


@hookspec
async def bound(ctx: RequestContext, endpoint: Endpoint, card: PriceCard) -> PriceCard | None:
    """CHAIN card. Return a card that no charge at this endpoint goes above; None: `card` is one.

    Where `price` adds to a charge: credit is held, and output limited, by this card instead of the
    endpoint's. Called for each candidate; `ctx.worst_case` is not known yet. Called again for one that a
    `route` policy gave a key of the team's (`endpoint.key`).
    """


@hookspec
async def check_credit(ctx: RequestContext) -> Hold | Cap | None:
    """ALL. Raise InsufficientFunds to refuse; a returned Hold is settled exactly once by the core.

    A returned Cap bounds what the request is charged: the least of all holds, and later policies see a worst
    case of no more.
    """


@hookspec
async def route(ctx: RequestContext, candidates: Sequence[Endpoint]) -> Sequence[Endpoint] | None:
    """CHAIN candidates. Reorder, drop or pin endpoints; None leaves them as they are.

    Changes nothing else: dry runs and quotes are routed too, and nobody is called.
    """


@hookspec
async def transform(ctx: RequestContext, attempt: Attempt, request: Any) -> Any | None:
    """CHAIN request. Return a changed typed request, or None. Any change turns request pass-through off."""


@hookspec
async def price(ctx: RequestContext, attempt: Attempt, usage: Usage, charge: Charge) -> Charge | None:
    """CHAIN charge.

    Change what the price card says (markup, discount); pure, may run more than once a request.
    """


@hookspec
async def record(ctx: RequestContext, attempt: Attempt | None, usage: Usage, charge: Charge | None) -> None:
    """ALL, isolated. Observe the settled request. An exception is logged, never seen by the client."""
