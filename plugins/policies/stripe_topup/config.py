"""The `stripe_topup:` block, and what is refused of it before anything starts."""

from decimal import Decimal
from importlib.util import find_spec
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, SecretStr, field_validator
from pydantic import model_validator as checks

from plugin_sdk.catalogue import Usd
from plugin_sdk.plugin import PluginConfig

NONE: Final = "none"
SHORTEST: Final = 16  # characters behind the prefix of a secret
MISSING: Final = "top-ups by Stripe need its package: pip install 'ai-stats-gateway[stripe]'"


def _cents(value: Decimal) -> Decimal:
    if value * 100 % 1:
        raise ValueError("an amount has at most 2 decimal places")
    return value


UsdCents = Annotated[Usd, AfterValidator(_cents)]


class Automatic(BaseModel):
    """Tops one team up when its balance falls."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    team_id: str = Field(min_length=1, max_length=40, description="the team, by its id")
    below: Usd = Field(gt=0, description="USD; a balance below it is topped up")
    amount: UsdCents = Field(ge=Decimal("0.50"), description="USD that are charged")
    customer: str = Field(pattern=r"^cus_\w{1,200}$", description="the team's customer at Stripe")
    payment_method: str = Field(pattern=r"^(pm|card|src)_\w{1,200}$", description="what is charged")


class StripeTopUpConfig(PluginConfig):
    """With `none` for both secrets nothing is served; one without the other is an error."""

    api_key: SecretStr = Field(description="the secret key (sk_) or a restricted one (rk_); or none")
    webhook_secret: SecretStr = Field(description="what webhooks are signed with (whsec_); or none")
    success_url: HttpUrl = Field(description="where a payer goes who has paid")
    cancel_url: HttpUrl = Field(description="where one goes who has not")
    minimum: UsdCents = Field(default=Decimal(10), ge=Decimal("0.50"), description="USD at least")
    maximum: UsdCents = Field(default=Decimal(1000), le=Decimal(999_999), description="USD at most")
    fee_percent: Decimal = Field(
        default=Decimal(0), ge=0, lt=100, max_digits=7, decimal_places=4,
        description="how much of a payment is kept as a fee",
    )  # fmt: skip
    product: str = Field(default="Credit", min_length=1, max_length=200, description="what a payer reads")
    tolerance_seconds: int = Field(default=300, ge=1, le=3600, description="how old a webhook may be")
    automatic: tuple[Automatic, ...] = Field(default=(), description="teams to top up unasked")
    check_seconds: int = Field(default=30, ge=1, le=3600, description="how often to look at their balances")
    base_url: HttpUrl = Field(default=HttpUrl("https://api.stripe.com"), description="where Stripe is")
    timeout_seconds: int = Field(default=20, ge=1, le=80, description="for how long it is waited for")

    @field_validator("fee_percent", mode="before")
    @classmethod
    def _exact(cls, value: Any) -> Any:
        if isinstance(value, float):
            raise ValueError("write a percentage in quotes")  # noqa: TRY004  # pydantic's way to refuse
        return value

    @field_validator("api_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr) -> SecretStr:
        return _secret(value, ("sk_", "rk_"), "a secret key of Stripe's begins with sk_ or rk_")

    @field_validator("webhook_secret")
    @classmethod
    def _is_a_secret(cls, value: SecretStr) -> SecretStr:
        return _secret(value, ("whsec_",), "a webhook's secret begins with whsec_; `none` for no top-ups")

    @checks(mode="after")
    def _fits(self) -> "StripeTopUpConfig":
        if (self.api_key.get_secret_value() == NONE) != (self.webhook_secret.get_secret_value() == NONE):
            raise ValueError("give both api_key and webhook_secret, or `none` for both")
        if self.minimum > self.maximum:
            raise ValueError("minimum is more than maximum")
        teams = [one.team_id for one in self.automatic]
        if len(set(teams)) < len(teams):
            raise ValueError("automatic: a team has one rule")
        if self.on and find_spec("stripe") is None:
            raise ValueError(MISSING)
        return self

    @property
    def on(self) -> bool:
        """Whether there are credentials at all."""
        return self.api_key.get_secret_value() != NONE


def _secret(value: SecretStr, begins: tuple[str, ...], what: str) -> SecretStr:
    """The secret; an empty one would let anybody sign (CVE-2026-41432)."""
    text = value.get_secret_value()
    if text == NONE:
        return value
    prefix = next((one for one in begins if text.startswith(one)), None)
    if prefix is None or len(text) - len(prefix) < SHORTEST or not text.isascii() or not text.isprintable():
        raise ValueError(f"{what}, and has {SHORTEST} characters behind it; this one is empty or cut")
    return value
