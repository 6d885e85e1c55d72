"""`GET /v1/pricing/models` and `POST /v1/pricing/calculate`: what things cost the team that asks."""

from collections.abc import Sequence
from typing import Any

from plugin_sdk.context import Endpoint, Principal
from plugin_sdk.errors import InvalidRequest, NotFound
from plugin_sdk.hooks import hookimpl
from plugin_sdk.plugin import Plugin, PluginConfig
from plugin_sdk.price_rules import Terms
from plugin_sdk.routes import PlatformRequest, PlatformResponse, PlatformRoute, private
from plugin_sdk.services import Services
from plugins.policies.pricing.asked import check_meters, page, read, word
from plugins.policies.pricing.rules import as_paid, written


class Pricing(Plugin[PluginConfig]):
    """Reads only. Markups and discounts of the caller's team are in every price."""

    @hookimpl
    async def startup(self, services: Services) -> None:
        """Take the price list and the clock."""
        self._prices = services.prices
        self._clock = services.clock

    @hookimpl
    def register_routes(self) -> Sequence[PlatformRoute]:
        """Two routes, for any key."""
        return [
            PlatformRoute(method="GET", path="/pricing/models", handler=self.models, key="any"),
            PlatformRoute(method="POST", path="/pricing/calculate", handler=self.calculate, key="any"),
        ]

    async def models(self, request: PlatformRequest) -> PlatformResponse:
        """The price rules of each model at each provider; `model`, `provider` and `endpoint` narrow it.

        A model goes by whatever name a request may call it: its id or an alias.
        """
        principal = request.caller
        limit, offset = page(request.query)
        provider, said = word(request.query, "provider"), word(request.query, "endpoint")
        operation = None if said is None else self._operation(said)
        found = [
            one
            for one in self._prices.endpoints(word(request.query, "model"))
            if provider in (None, one.provider) and operation in (None, one.operation)
        ]
        shown = [await self._listed(principal, one) for one in found[offset : offset + limit]]
        body = {"ok": True, "limit": limit, "offset": offset, "total": len(found), "models": shown}
        return private(body)

    async def calculate(self, request: PlatformRequest) -> PlatformResponse:
        """What a usage costs: the charge that a request with this usage would have."""
        principal = request.caller
        asked = read(request.body)
        operation = self._prices.operation(asked.endpoint)
        if operation is None:
            raise _unknown(asked.endpoint)
        endpoint = _at(self._prices.find(asked.model, operation.name), asked.provider)
        check_meters(asked.usage, operation)
        terms = Terms(
            plan=asked.plan, values=asked.parameters, at=self._clock() if asked.at is None else asked.at
        )
        served = await self._prices.served(principal, endpoint, terms)
        quote = await self._prices.quote(principal, served, asked.usage, terms)
        body = {
            "ok": True,
            "provider": endpoint.provider,
            "model": endpoint.model,
            "endpoint": endpoint.operation,
            "plan": terms.plan,
            "price_card_id": quote.charge.card_id,
            "pricing": quote.pricing,
            "unpriced": list(quote.charge.unpriced),
        }
        return private(body)

    def _operation(self, said: str) -> str:
        found = self._prices.operation(said)
        if found is None:
            raise _unknown(said)
        return found.name

    async def _listed(self, principal: Principal, endpoint: Endpoint) -> dict[str, Any]:
        paid = [await as_paid(self._prices, principal, endpoint, rule) for rule in endpoint.card.prices]
        return {
            "model_id": endpoint.model,
            "api_provider_id": endpoint.provider,
            "endpoint": endpoint.operation,
            "price_card_id": endpoint.card.id,
            "free": endpoint.card.free,
            "currency": "USD",
            "rules": [written(rule) for rule in paid],
        }


def _at(found: Sequence[Endpoint], provider: str | None) -> Endpoint:
    """The endpoint at a provider; the first of the file where none is named."""
    for one in found:
        if provider in (None, one.provider):
            return one
    has = ", ".join(dict.fromkeys(one.provider for one in found))
    raise NotFound(f"The provider `{provider}` does not offer this model here; it is at {has}.")


def _unknown(said: str) -> InvalidRequest:
    return InvalidRequest(
        f"`{said}` is no endpoint here: write a route, as `chat/completions`, or an operation.",
        param="endpoint",
    )
