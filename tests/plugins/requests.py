"""What a policy is asked about, made with as little as a test has to say."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from plugin_sdk.context import Endpoint, KeyMode, Principal, RequestContext
from plugin_sdk.money import Nanos, Price, PriceCard
from plugin_sdk.protocol import RequestView

PAID = PriceCard(
    id="pc_paid",
    prices=(
        Price(meter="input_text_tokens", usd=Decimal("0.10"), per=1_000_000),
        Price(meter="output_text_tokens", usd=Decimal("0.40"), per=1_000_000),
    ),
)
FREE = PriceCard(id="pc_free", prices=(), free=True)


def endpoint(provider: str, *, card: PriceCard = PAID, simulated: bool = False, weight: int = 1) -> Endpoint:
    """An endpoint of the model `m` at a provider."""
    return Endpoint(
        provider=provider,
        model="m",
        upstream_model="m-1",
        operation="text.generate",
        protocol="openai.chat",
        card=card,
        simulated=simulated,
        weight=weight,
    )


def asked(
    *candidates: Endpoint,
    mode: KeyMode = "live",
    worst_case: int = 1_000,
    preferences: Mapping[str, Any] | None = None,
    generation_id: str = "G-1",
) -> RequestContext:
    """A request of team T-1 for the model `m`."""
    return RequestContext(
        generation_id=generation_id,
        operation="text.generate",
        protocol="openai.chat",
        principal=Principal(team_id="T-1", kid="k", mode=mode),
        headers={},
        view=RequestView(body=b"{}", model="m", preferences=preferences),
        candidates=candidates,
        worst_case=Nanos(worst_case),
    )
