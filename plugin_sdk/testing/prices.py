"""A price list in memory."""

from collections.abc import Sequence

import msgspec

from plugin_sdk.context import Endpoint, Principal
from plugin_sdk.errors import ModelNotFound
from plugin_sdk.modality import Operation
from plugin_sdk.money import Usage, charge
from plugin_sdk.price_rules import Terms
from plugin_sdk.services import Quote


class MemoryPrices:
    """Prices: put endpoints and operations into `offered` and `operations`; a quote is the card's charge."""

    def __init__(self) -> None:
        self.offered: list[Endpoint] = []
        self.operations: dict[str, Operation] = {}
        self.quoted: list[tuple[Principal, Endpoint, Usage, Terms]] = []

    def endpoints(self, model: str | None = None) -> Sequence[Endpoint]:
        """`offered`, or what of it is a model's; there are no aliases."""
        return [one for one in self.offered if model in (None, one.model)]

    def find(self, model: str, operation: str) -> Sequence[Endpoint]:
        """Those of a model; ModelNotFound where there is none."""
        found = [one for one in self.offered if (one.model, one.operation) == (model, operation)]
        if not found:
            raise ModelNotFound(f"The model `{model}` does not exist here.", param="model")
        return found

    def operation(self, word: str) -> Operation | None:
        """By the name in `operations`."""
        return self.operations.get(word)

    async def served(self, principal: Principal, endpoint: Endpoint, terms: Terms) -> Endpoint:
        """The endpoint: nobody routes here."""
        return endpoint

    async def quote(self, principal: Principal, endpoint: Endpoint, usage: Usage, terms: Terms) -> Quote:
        """By the card alone; of the JSON there is the total."""
        self.quoted.append((principal, endpoint, usage, terms))
        made = charge(usage, endpoint.card, terms)
        return Quote(charge=made, pricing=msgspec.Raw(b'{"total_nanos":%d}' % made.total))
