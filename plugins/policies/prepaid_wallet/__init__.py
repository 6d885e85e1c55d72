"""Prepaid wallets: credit first. A team pays from its wallet, or the request is a 402."""

from decimal import Decimal
from typing import Final

from pydantic import Field, field_validator

from plugin_sdk.catalogue import Usd
from plugin_sdk.context import RequestContext
from plugin_sdk.errors import InsufficientFunds
from plugin_sdk.hooks import hookimpl
from plugin_sdk.money import NANOS_PER_USD, Hold, Nanos
from plugin_sdk.plugin import Plugin, PluginConfig
from plugin_sdk.services import Services

_REASONS: Final = {
    "wallet_missing": "The team has no wallet to pay from: top it up first.",
    "insufficient_funds": "The wallet holds less than the minimum balance: top it up first.",
}


class PrepaidWalletConfig(PluginConfig):
    """The `prepaid_wallet:` block."""

    minimum_balance: Usd = Field(
        default=Decimal("1.00"), description="USD that a wallet must hold before a request may use any of it"
    )

    @field_validator("minimum_balance")
    @classmethod
    def _whole_nanos(cls, value: Decimal) -> Decimal:
        if value * NANOS_PER_USD % 1:
            raise ValueError("a balance has at most 9 decimal places")
        return value


class PrepaidWallet(Plugin[PrepaidWalletConfig]):
    """Holds the worst case, or what there is of it; the core settles the hold."""

    Config = PrepaidWalletConfig

    def __init__(self, name: str, config: PrepaidWalletConfig) -> None:
        super().__init__(name, config)
        self._minimum = Nanos(int(config.minimum_balance * NANOS_PER_USD))

    @hookimpl
    async def startup(self, services: Services) -> None:
        """Take the wallet store."""
        self._wallets = services.wallets

    @hookimpl
    async def check_credit(self, ctx: RequestContext) -> Hold | None:
        """A hold of min(worst case, available); None where every candidate is free: those need no credit."""
        if all(endpoint.card.free for endpoint in ctx.candidates):
            return None
        # A test key pays with simulated credit, another from the live wallet. A team that has no live wallet
        # yet may try the simulated models with its simulated credit.
        team, live = ctx.principal.team_id, ctx.principal.mode != "test"
        wallet = await self._wallets.wallet_for(team, "live" if live else "test")
        if wallet is None and live and all(endpoint.simulated for endpoint in ctx.candidates):
            wallet = await self._wallets.wallet_for(team, "test")
        if wallet is None:
            raise self._refusal("wallet_missing")
        try:
            return await self._wallets.hold(wallet.id, ctx.worst_case, minimum_balance=self._minimum)
        except InsufficientFunds as error:
            raise self._refusal(error.reason or "insufficient_funds") from error

    def _refusal(self, reason: str) -> InsufficientFunds:
        minimum = self.config.minimum_balance
        shown = (
            int(minimum) if minimum == minimum.to_integral_value() else float(minimum)
        )  # shown, never counted with
        message = _REASONS.get(reason, _REASONS["insufficient_funds"])
        return InsufficientFunds(message, reason=reason, extra={"min_usd": shown})
