"""Markups and discounts: what a team pays is what the model costs, times a factor."""

from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final

from msgspec.structs import replace
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from plugin_sdk.catalogue import Meter
from plugin_sdk.context import Attempt, Endpoint, RequestContext
from plugin_sdk.hooks import hookimpl
from plugin_sdk.money import Charge, PriceCard, Usage
from plugin_sdk.plugin import Plugin, PluginConfig


def _percent(value: Any) -> Decimal:
    """A number in quotes or a whole one; a YAML float would already have lost it."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError(f'write the percentage in quotes, as "7.5": {value!r} is not exact')  # noqa: TRY004  # pydantic
    try:
        found = Decimal(value)
    except ArithmeticError as error:
        raise ValueError(f"not a percentage: {value!r}") from error
    if not found.is_finite() or found < -100:
        raise ValueError("a percentage is at least -100: nobody is paid for asking")
    if found > MOST or found != round(found, DECIMALS):
        raise ValueError(f"a percentage is at most {MOST}, with {DECIMALS} decimals at most")
    return found


MOST: Final = 10_000
DECIMALS: Final = 6  # so that a price times a percentage is exact
Percent = Annotated[Decimal, BeforeValidator(_percent)]


class MarkupRule(BaseModel):
    """Whom it is for, each a pattern such as `openai/*`, and by how much: 7 adds 7 %, -10 takes 10 % off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    team: str = Field(default="*", description="team ids")
    model: str = Field(default="*", description="model ids")
    provider: str = Field(default="*", description="providers, by their names in the configuration")
    percent: Percent = Field(default=Decimal(0), description="for every meter")
    meters: dict[Meter, Percent] = Field(default_factory=dict, description="for single meters, instead")

    def factor(self, meter: str) -> Decimal:
        """By what a price of this meter is multiplied."""
        return (100 + self.meters.get(meter, self.percent)) / 100


class MarkupConfig(PluginConfig):
    """The first rule that fits a request is the one that counts; without any, the price is the card's."""

    rules: tuple[MarkupRule, ...] = Field(default=(), description="in order; the first that fits counts")


class Markup(Plugin[MarkupConfig]):
    """Changes the price of each line's unit, and rounds once, as the card does. Pure."""

    Config = MarkupConfig

    def __init__(self, name: str, config: MarkupConfig) -> None:
        super().__init__(name, config)
        self._bounds: dict[tuple[str, int], PriceCard] = {}  # by card and rule: a few of each

    @hookimpl
    async def bound(self, ctx: RequestContext, endpoint: Endpoint, card: PriceCard) -> PriceCard | None:
        """The card at the prices of the rule that fits, so that as much credit is held."""
        rule = self._rule(ctx, endpoint)
        if rule is None:
            return None
        found = self._bounds.get((card.id, id(rule)))
        if found is None:
            own = f"{card.id}:{self.name}:{self.config.rules.index(rule)}"
            found = self._bounds[card.id, id(rule)] = card.times(rule.factor, own)
        return found

    @hookimpl
    async def price(
        self, ctx: RequestContext, attempt: Attempt, usage: Usage, charge: Charge
    ) -> Charge | None:
        """The charge at the prices of the rule that fits; None where none does."""
        rule = self._rule(ctx, attempt.endpoint)
        if rule is None:
            return None
        return replace(charge, lines=tuple(line.times(rule.factor(line.meter)) for line in charge.lines))

    def _rule(self, ctx: RequestContext, endpoint: Endpoint) -> MarkupRule | None:
        for rule in self.config.rules:
            if (
                fnmatchcase(ctx.principal.team_id, rule.team)
                and fnmatchcase(endpoint.model, rule.model)
                and fnmatchcase(endpoint.provider, rule.provider)
            ):
                return rule
        return None
