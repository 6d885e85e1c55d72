"""Bring your own key: requests with a team's own provider keys, for a fee after so many a month."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from pydantic import Field

from plugin_sdk.context import Attempt, Endpoint, RequestContext
from plugin_sdk.hooks import hookimpl
from plugin_sdk.money import NANOS_PER_USD, Charge, ChargeLine, PriceCard, Usage, round_half_up
from plugin_sdk.plugin import Plugin, PluginConfig
from plugin_sdk.routes import PlatformRoute
from plugin_sdk.services import OwnKey, Services
from plugins.policies.byok.api import ProviderKeysApi

FEE: Final = "byok_service_fee"
MOST_TEAMS: Final = 10_000  # whose keys are remembered, sealed


class ByokConfig(PluginConfig):
    """The `byok:` block."""

    percent: Decimal = Field(
        default=Decimal("3.5"), ge=0, le=100, max_digits=9, description="the fee, of what the model costs"
    )
    free_requests: int = Field(
        default=100_000, ge=0, description="requests of a team in a month (UTC) that cost no fee"
    )


class Byok(Plugin[ByokConfig]):
    """Tries a team's own key first, then the gateway's, unless the team said `always use`.

    It stands behind the policies that route, and behind those that change prices: the fee is of what they
    leave of the charge. Teams manage their keys at `/v1/provider-keys`.
    """

    Config = ByokConfig

    def __init__(self, name: str, config: ByokConfig) -> None:
        super().__init__(name, config)
        self._known: dict[str, Sequence[OwnKey]] = {}  # by team, sealed
        self._unheard: Callable[[], None] = self._forget  # until there is something to hear
        self._bounds: dict[str, PriceCard] = {}  # by card
        self._api = ProviderKeysApi()

    @hookimpl
    async def startup(self, services: Services) -> None:
        """Take the store; from here on a changed key is asked for again."""
        self._keys, self._clock = services.own_keys, services.clock
        self._unheard = services.own_keys.on_change(self._forget)
        self._api.take(services.own_keys, services.prices)

    @hookimpl
    async def shutdown(self) -> None:
        """Listen no more: after a reload the next snapshot's plugin does."""
        self._unheard()

    @hookimpl
    def register_routes(self) -> Sequence[PlatformRoute]:
        """The management of the keys."""
        return self._api.routes()

    @hookimpl
    async def bound(self, ctx: RequestContext, endpoint: Endpoint, card: PriceCard) -> PriceCard | None:
        """The fee where no key but the team's can be used; elsewhere the gateway's may have to take over."""
        if endpoint.key is None:
            own = None if endpoint.simulated else (await self._notes(ctx)).keys.get(endpoint.provider)
            if own is None or not own.always_use:
                return None
        found = self._bounds.get(card.id)
        if found is None:
            share = self.config.percent / 100
            found = self._bounds[card.id] = card.times(lambda _: share, f"{card.id}:{self.name}")
        return found

    @hookimpl
    async def check_credit(self, ctx: RequestContext) -> None:
        """Count the request if a key of the team's may serve it."""
        notes = await self._notes(ctx)
        if any(one.provider in notes.keys and not one.simulated for one in ctx.candidates):
            notes.use = await self._use(ctx.principal.team_id, 1)

    @hookimpl
    async def route(self, ctx: RequestContext, candidates: Sequence[Endpoint]) -> Sequence[Endpoint] | None:
        """The endpoints with a key of the team's first, then those with the gateway's if it may be used."""
        keys = (await self._notes(ctx)).keys
        own = [one for one in candidates if one.provider in keys and not one.simulated]
        if not own:
            return None
        never = {provider for provider, key in keys.items() if key.always_use}
        others = [one for one in candidates if one.simulated or one.provider not in never]
        return [*(replace(one, key=self._keys.opened(keys[one.provider])) for one in own), *others]

    @hookimpl
    async def price(
        self, ctx: RequestContext, attempt: Attempt, usage: Usage, charge: Charge
    ) -> Charge | None:
        """The fee in the place of the charge, where the team pays the provider itself."""
        if attempt.endpoint.key is None:
            return None
        notes = await self._notes(ctx)
        if notes.use is None:  # nobody is called: a dry run, or a price that is asked for
            notes.use = await self._use(ctx.principal.team_id, 0)
        percent = Decimal(0) if notes.use.free else self.config.percent
        top, bottom = percent.as_integer_ratio()
        fee = round_half_up(charge.total, top, bottom * 100)
        line = ChargeLine(meter=FEE, quantity=1, nanos=fee, usd=Decimal(fee) / NANOS_PER_USD)
        more = {"byok_reference_total_nanos": charge.total, "byok_service_fee_rate": percent / 100}
        return replace(charge, lines=(line,), unpriced=(), holes=(), more={**charge.more, **more})

    @hookimpl
    async def record(
        self, ctx: RequestContext, attempt: Attempt | None, usage: Usage, charge: Charge | None
    ) -> None:
        """Take back the count of a request that no key of the team's served."""
        notes: _Notes | None = ctx.state.get(self.name)
        use = None if notes is None else notes.use
        if use is not None and use.counted and (attempt is None or attempt.endpoint.key is None):
            await self._keys.count(ctx.principal.team_id, use.month, -1)

    async def _use(self, team_id: str, by: int) -> "_Use":
        """How a request stands in its month, which is counted (1) or only looked at (0).

        Whom nobody can count pays the fee.
        """
        month = datetime.fromtimestamp(self._clock() / 1000, UTC).strftime("%Y-%m")
        try:
            number = await self._keys.count(team_id, month, by) + 1 - by
        except Exception:  # noqa: BLE001  # the database's; the request goes on, and pays
            return _Use(month, free=False, counted=False)
        return _Use(month, free=number <= self.config.free_requests, counted=bool(by))

    async def _notes(self, ctx: RequestContext) -> "_Notes":
        """What is decided of a request once, by the keys that the team has as it comes."""
        found: _Notes | None = ctx.state.get(self.name)
        if found is None:
            keys = () if ctx.principal.mode == "test" else await self._of(ctx.principal.team_id)
            found = ctx.state[self.name] = _Notes({key.provider: key for key in keys})
        return found

    async def _of(self, team_id: str) -> Sequence[OwnKey]:
        known = self._known  # replaced when a key changes: then what was asked before is not remembered
        found = known.get(team_id)
        if found is None:
            found = await self._keys.of(team_id)
            if len(known) >= MOST_TEAMS:
                known.clear()
            known[team_id] = found
        return found

    def _forget(self) -> None:
        self._known = {}


class _Use(Struct, frozen=True):
    """How a request stands in its month: whether it costs no fee, and is counted."""

    month: str
    free: bool
    counted: bool


class _Notes(Struct):
    """What is known of a request: the team's keys by provider, and its use of them once it is admitted."""

    keys: Mapping[str, OwnKey]
    use: _Use | None = None
