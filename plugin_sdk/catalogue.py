"""The models of a provider: a `models.yaml` beside its plugin, and the `models:` key of its config."""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _decimal(value: Any) -> Decimal:
    """USD from a string or an int; a YAML float would already have lost the price."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f'write the price in quotes, as "0.15": {value!r} is not exact')
    try:
        price = Decimal(value)
    except InvalidOperation as error:
        raise ValueError(f"not a price: {value!r}") from error
    if not price.is_finite() or price < 0:
        raise ValueError(f"not a price: {value!r}")
    return price


Usd = Annotated[Decimal, BeforeValidator(_decimal)]


class PriceRule(BaseModel):
    """One rule in full: USD for `per` units of a meter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    meter: str
    usd: Usd
    per: int = Field(default=1, gt=0)


class ModelEntry(BaseModel):
    """One model at this provider.

    `price` is `free`, or {meter: "USD"} per 1M for token meters and per unit for others, or a list of rules.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, max_length=200)
    upstream: str | None = None  # default: the id
    name: str | None = None
    operations: tuple[str, ...] | None = None  # default: every operation the provider speaks
    price: Literal["free"] | dict[str, Usd] | tuple[PriceRule, ...] | None = None
    context: int | None = Field(default=None, gt=0)
    max_output: int | None = Field(default=None, gt=0)
    weight: int = Field(default=1, ge=0)
    aliases: tuple[str, ...] = ()
    input_types: tuple[str, ...] = ("text",)
    output_types: tuple[str, ...] = ("text",)
    params: tuple[str, ...] = ()
    release_date: str | None = None
    status: str = "Available"


class Catalogue(BaseModel):
    """A models.yaml file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[ModelEntry, ...]
