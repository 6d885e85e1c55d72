"""Bring your own key: requests with a team's own provider keys, for a fee after so many a month."""

from collections.abc import Callable, Sequence
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
from plugin_sdk.services import OwnKey, Services

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
    leave of the charge.
    """

    Config = ByokConfig

    def __init__(self, name: str, config: ByokConfig) -> None:
        super().__init__(name, config)
        self._known: dict[str, Sequence[OwnKey]] = {}  # by team, sealed
        self._unheard: Callable[[], None] = self._forget  # until there is something to hear

    @hookimpl
    async def startup(self, services: Services) -> None:
        """Take the store; from here on a changed key is asked for again."""
        self._keys, self._clock = services.own_keys, services.clock
        self._unheard = services.own_keys.on_change(self._forget)

    @hookimpl
    async def shutdown(self) -> None:
        """Listen no more: after a reload the next snapshot's plugin does."""
        self._unheard()

    @hookimpl
    async def bound(self, ctx: RequestContext, endpoint: Endpoint, card: PriceCard) -> PriceCard | None:
        """None: a fee is a part of the charge, and the gateway's own key may have to take over."""
        return None

    @hookimpl
    async def route(self, ctx: RequestContext, candidates: Sequence[Endpoint]) -> Sequence[Endpoint] | None:
        """The endpoints with a key of the team's first, then those with the gateway's if it may be used."""
        if ctx.principal.mode == "test":
            return None
        keys = {key.provider: key for key in await self._of(ctx.principal.team_id)}
        own = [one for one in candidates if one.provider in keys and not one.simulated]
        if not own:
            return None
        ctx.state[self.name] = await self._counted(ctx.principal.team_id)
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
        use: _Use | None = ctx.state.get(self.name)
        percent = Decimal(0) if use is not None and use.free else self.config.percent
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
        use: _Use | None = ctx.state.get(self.name)
        if use is not None and use.counted and (attempt is None or attempt.endpoint.key is None):
            await self._keys.count(ctx.principal.team_id, use.month, -1)

    async def _counted(self, team_id: str) -> "_Use":
        """The request counted, and whether it is one of those without a fee; uncounted it is none."""
        month = datetime.fromtimestamp(self._clock() / 1000, UTC).strftime("%Y-%m")
        try:
            number = await self._keys.count(team_id, month, 1)
        except Exception:  # noqa: BLE001  # the database's; the request goes on, and pays
            return _Use(month, free=False, counted=False)
        return _Use(month, free=number <= self.config.free_requests, counted=True)

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
    """What is known of a request when it is routed: its month, whether it costs a fee."""

    month: str
    free: bool
    counted: bool
