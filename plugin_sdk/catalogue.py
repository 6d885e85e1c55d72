"""The models of a provider: a `models.yaml` beside its plugin, and the `models:` key of its config."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from plugin_sdk.money import TOKENS
from plugin_sdk.price_rules import DAY, DAYS, STANDARD, Condition, Op, Price, Window


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
Plan = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]
Meter = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[a-z][a-z0-9_]*$")]


def _moment(value: Any) -> Any:
    """An ISO 8601 time; without an offset it is UTC, as in every catalogue."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError(f"not a time: {value!r}; write it as 2026-01-31T00:00:00Z") from error
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if isinstance(value, date):  # YAML reads an unquoted day as one
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise ValueError(f"not a time: {value!r}")


def _minute(value: Any) -> int:
    """`HH:MM` as minutes of the day."""
    found = re.fullmatch(r"([01]\d|2[0-4]):([0-5]\d)", value) if isinstance(value, str) else None
    if found is None or (minutes := int(found[1]) * 60 + int(found[2])) > DAY:
        raise ValueError(f'write the time of day in quotes, as "01:00": {value!r}')
    return minutes


Moment = Annotated[datetime, BeforeValidator(_moment)]
Minute = Annotated[int, BeforeValidator(_minute)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class PriceCondition(BaseModel):
    """When a rule holds: `path` in the request's parameters or the usage, compared with `value`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1, max_length=200)
    op: Op
    value: Any = None
    or_group: int | None = None

    @model_validator(mode="after")
    def _can_be_compared(self) -> "PriceCondition":
        if self.op in ("in", "not_in") and not isinstance(self.value, list):
            raise ValueError(f"`{self.op}` compares with a list")
        if self.op == "regex":
            try:
                re.compile(str(self.value))
            except re.error as error:
                raise ValueError(f"not a regular expression: {self.value!r}") from error
        return self


class PriceWindow(BaseModel):
    """Another price for a part of the day, UTC, on some days of the week or on every one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Minute
    end: Minute
    usd: Usd
    days: tuple[Day, ...] = ()

    @property
    def window(self) -> Window:
        """The window as charges are made by it."""
        days = tuple(sorted({DAYS.index(day) for day in self.days}))
        return Window(self.start, self.end, self.usd, days)


class PriceRule(BaseModel):
    """One rule in full: USD for `per` units of a meter, and when it holds (contract, section 5)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    meter: Meter
    usd: Usd
    per: int = Field(default=1, gt=0)
    plan: Plan = STANDARD
    priority: int = 100
    when: tuple[PriceCondition, ...] = ()
    effective_from: Moment | None = None
    effective_to: Moment | None = None
    windows: tuple[PriceWindow, ...] = ()
    included: int = Field(default=0, ge=0)

    @property
    def price(self) -> Price:
        """The rule as charges are made by it."""
        return Price(
            meter=self.meter,
            usd=self.usd,
            per=self.per,
            plan=self.plan,
            priority=self.priority,
            conditions=tuple(Condition(one.path, one.op, one.value, one.or_group) for one in self.when),
            since=_milliseconds(self.effective_from),
            until=_milliseconds(self.effective_to),
            windows=tuple(one.window for one in self.windows),
            included=self.included,
        )


class ModelEntry(BaseModel):
    """One model at this provider.

    `price` is `free`, or {meter: "USD"} per 1M for token meters and per unit for others, or a list of rules;
    `plans` has what is charged otherwise in other plans, by plan and meter.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Name
    upstream: str | None = Field(default=None, min_length=1, max_length=500)  # default: the id
    name: str | None = None
    operations: tuple[str, ...] | None = None  # default: every operation the provider speaks
    price: Literal["free"] | dict[Meter, Usd] | tuple[PriceRule, ...] | None = None
    unpriced: Literal["refuse", "allow"] | None = None  # without the prices it needs; default: the provider's
    plans: dict[Plan, dict[Meter, Usd]] = {}
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
    def _some_price(cls, price: Any) -> Any:
        if price in ({}, ()):
            raise ValueError("no price in it: write `free` for a model that costs nothing")
        return price

    @field_validator("plans")
    @classmethod
    def _other_plans(cls, plans: Any) -> Any:
        if STANDARD in plans:
            raise ValueError(f"what is charged as {STANDARD} is the `price`")
        return plans

    @model_validator(mode="after")
    def _one_rule_a_meter(self) -> "ModelEntry":
        places = [_place(rule) for rule in self.rules]
        if twice := sorted({place[0] for place in places if places.count(place) > 1}):
            raise ValueError(f"more than one rule for: {', '.join(twice)}")
        return self

    @property
    def rules(self) -> tuple[PriceRule, ...]:
        """Its price in full; nothing for a free model and for one without a price."""
        if self.price is None or self.price == "free":
            return ()
        plain = {STANDARD: self.price} if isinstance(self.price, Mapping) else {}
        listed = self.price if isinstance(self.price, tuple) else ()
        by_plan = (
            PriceRule(meter=meter, usd=usd, per=_per(meter), plan=plan)
            for plan, prices in (plain | self.plans).items()
            for meter, usd in prices.items()
        )
        return (*listed, *by_plan)

    @property
    def prices(self) -> tuple[Price, ...]:
        """The rules of its price card."""
        return tuple(rule.price for rule in self.rules)

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


def _place(rule: PriceRule) -> tuple[Any, ...]:
    """What tells a rule from the others: two that are equal in all of it could not both be meant."""
    conditions = tuple(one.model_dump_json() for one in rule.when)
    return rule.meter, rule.plan, rule.priority, conditions, rule.effective_from, rule.effective_to


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)


def _per(meter: str) -> int:
    return 1_000_000 if meter.endswith(TOKENS) else 1
