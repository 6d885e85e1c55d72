"""Limits of keys and teams: requests and cost a day, a week and a month; alerts before they are reached."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from pydantic import Field, HttpUrl, field_validator

from plugin_sdk.context import Attempt, RequestContext
from plugin_sdk.errors import KeyLimitExceeded
from plugin_sdk.hooks import hookimpl
from plugin_sdk.limits import Standing
from plugin_sdk.money import Cap, Charge, Usage
from plugin_sdk.plugin import Plugin, PluginConfig
from plugin_sdk.routes import iso
from plugin_sdk.services import Services
from plugins.policies.limits.alerts import Alerts

_REMEMBERED: Final = 10_000  # keys
_SOON: Final = 1  # seconds after which to ask again where only requests that still run are in the way


class LimitsConfig(PluginConfig):
    """The `limits:` block. `gateway keys limit` and `gateway teams limit` set the limits themselves."""

    alerts: tuple[int, ...] = Field(
        default=(50, 80, 100), description="percentages of a limit that are told when they are reached"
    )
    webhook: HttpUrl | None = Field(
        default=None, description="where each alert is POSTed as JSON, until it is taken"
    )
    webhook_seconds: float = Field(default=5.0, gt=0, le=60, description="how long that may take")

    @field_validator("alerts")
    @classmethod
    def _percentages(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(not 0 < one <= 100 for one in value):
            raise ValueError("an alert is a percentage from 1 to 100")
        return tuple(sorted(set(value)))


class LimitsPolicy(Plugin[LimitsConfig]):
    """Reserves in the database before a request may go on, and settles when it is recorded.

    Only keys and teams that have a limit cost anything; whether they have is remembered until a key changes.
    """

    Config = LimitsConfig

    def __init__(self, name: str, config: LimitsConfig) -> None:
        super().__init__(name, config)
        self._limited: OrderedDict[tuple[str, str], bool] = OrderedDict()
        self._unheard: Callable[[], None] = self._forget  # until there is something to hear

    @hookimpl
    async def startup(self, services: Services) -> None:
        """Take the counters, and listen for what is to be told."""
        self._limits = services.limits
        self._clock = services.clock
        webhook = str(self.config.webhook) if self.config.webhook else None
        alerts = Alerts(webhook, self.config.webhook_seconds)
        self._unheard = services.keys.on_change(self._forget)
        services.limits.watch(self.config.alerts, alerts.tell)

    @hookimpl
    async def shutdown(self) -> None:
        """Listen no more: after a reload the next snapshot's plugin does."""
        self._unheard()

    @hookimpl
    async def check_credit(self, ctx: RequestContext) -> Cap | None:
        """What is left of the cost limits, if there are any; KeyLimitExceeded where a limit is reached.

        Unavailable where the database does not answer: nobody is let in unchecked.
        """
        team_id, kid = ctx.principal.team_id, ctx.principal.kid
        if not (self._limited.get((team_id, kid), True) and await self._is_limited(team_id, kid)):
            return None
        ctx.state[self.name] = True  # whatever becomes of the asking, the end is told
        found = await self._limits.reserve(ctx.generation_id, team_id, kid, ctx.worst_case)
        now = self._clock()
        if found.refused is not None:
            raise refusal(found.refused, now)
        if found.cap is None or found.tightest is None:
            return None
        return Cap(amount=found.cap, refusal=refusal(found.tightest, now))

    @hookimpl
    async def record(
        self, ctx: RequestContext, attempt: Attempt | None, usage: Usage, charge: Charge | None
    ) -> None:
        """Settle what was reserved, by the generation's record; count what began before there was a limit."""
        team_id, kid = ctx.principal.team_id, ctx.principal.kid
        if self.name in ctx.state:
            await self._limits.settle(ctx.generation_id)
        elif await self._is_limited(team_id, kid):
            await self._limits.recount(team_id, kid)

    async def _is_limited(self, team_id: str, kid: str) -> bool:
        known, who = self._limited, (team_id, kid)
        if (found := known.get(who)) is not None:
            return found
        found = await self._limits.limited(team_id, kid)
        known[who] = found  # a change meanwhile has put another dictionary there
        if len(known) > _REMEMBERED:
            known.popitem(last=False)
        return found

    def _forget(self) -> None:
        self._limited = OrderedDict()


def refusal(standing: Standing, now: int) -> KeyLimitExceeded:
    """The contract's 429; how long to wait is in `retry-after`, when counting begins anew in `reset_at`."""
    over = standing.used >= standing.limit
    metric = "request" if standing.metric == "requests" else "cost"
    whose = "key" if standing.kind == "key" else "team"
    seconds = max(1, -(-(standing.reset_at - now) // 1000)) if over else _SOON
    extra: dict[str, Any] = {
        "reset_at": iso(standing.reset_at),
        "now": iso(now),
        "limit_scope": standing.kind,
        "limit_window": standing.window,
        "limit_metric": metric,
        "limit_value": standing.limit,
        "current_value": standing.used,
        "reserved_value": standing.reserved,
    }
    limit = f"the {standing.window} {metric} limit of this {whose}"
    message = (
        f"T{limit[1:]} is reached."
        if over
        else f"What is left of {limit} does not pay for this request, or is in use by requests that run."
    )
    return KeyLimitExceeded(
        message, reason=f"{standing.window}_{metric}_limit_reached", retry_after=str(seconds), extra=extra
    )
