"""The models of a provider: a `models.yaml` beside its plugin, and the `models:` key of its config."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from plugin_sdk.money import TOKENS, Price


def _decimal(value: Any) -> Decimal:
    """USD from a string or an int; a YAML float would already have lost the price."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError(f'write the price in quotes, as "0.15": {value!r} is not exact')  # noqa: TRY004  # pydantic
    try:
        price = Decimal(value)
    except InvalidOperation as error:
        raise ValueError(f"not a price: {value!r}") from error
    if not price.is_finite() or price < 0:
        raise ValueError(f"not a price: {value!r}")
    return price


Usd = Annotated[Decimal, BeforeValidator(_decimal)]
Name = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^[!-~]+$")
]  # it stands in headers and logs
Meter = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[a-z][a-z0-9_]*$")]


class PriceRule(BaseModel):
    """One rule in full: USD for `per` units of a meter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    meter: Meter
    usd: Usd
    per: int = Field(default=1, gt=0)


class ModelEntry(BaseModel):
    """One model at this provider.

    `price` is `free`, or {meter: "USD"} per 1M for token meters and per unit for others, or a list of rules.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Name
    upstream: str | None = Field(default=None, min_length=1, max_length=500)  # default: the id
    name: str | None = None
    operations: tuple[str, ...] | None = None  # default: every operation the provider speaks
    price: Literal["free"] | dict[Meter, Usd] | tuple[PriceRule, ...] | None = None
    context: int | None = Field(default=None, gt=0)
    max_output: int | None = Field(default=None, gt=0)
    weight: int = Field(default=1, ge=0)
    aliases: tuple[Name, ...] = ()
    input_types: tuple[str, ...] = ("text",)
    output_types: tuple[str, ...] = ("text",)
    params: tuple[str, ...] = ()
    release_date: str | None = None
    status: str = "Available"

    @field_validator("price")
    @classmethod
    def _one_rule_a_meter(cls, price: Any) -> Any:
        meters = [rule.meter for rule in price] if isinstance(price, tuple) else []
        if price in ({}, ()):
            raise ValueError("no price in it: write `free` for a model that costs nothing")
        if twice := sorted({meter for meter in meters if meters.count(meter) > 1}):
            raise ValueError(f"more than one rule for: {', '.join(twice)}")
        return price

    @property
    def prices(self) -> tuple[Price, ...]:
        """The rules of its price card; none for a free model and for one without a price."""
        if isinstance(self.price, Mapping):
            return tuple(Price(meter=meter, usd=usd, per=_per(meter)) for meter, usd in self.price.items())
        if isinstance(self.price, tuple):
            return tuple(Price(meter=rule.meter, usd=rule.usd, per=rule.per) for rule in self.price)
        return ()

    @property
    def free(self) -> bool:
        """Whether it says `price: free`."""
        return self.price == "free"


class Catalogue(BaseModel):
    """A models.yaml file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[ModelEntry, ...]

    @model_validator(mode="after")
    def _each_name_once(self) -> "Catalogue":
        check_names(self.models)
        return self


def check_names(models: Sequence[ModelEntry]) -> None:
    """Refuse a name, id or alias, that two models of one provider share."""
    seen: dict[str, str] = {}
    for model in models:
        for name in (model.id, *model.aliases):
            if name in seen:
                raise ValueError(f"{name!r} names both {seen[name]} and {model.id}")
            seen[name] = model.id


def _per(meter: str) -> int:
    return 1_000_000 if meter.endswith(TOKENS) else 1
