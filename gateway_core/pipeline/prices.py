"""What usages cost in the running configuration, for the plugins that show prices."""

from collections.abc import Callable, Sequence

from gateway_core.host.snapshot import Snapshot
from gateway_core.pipeline.pricing import quoted, shown
from gateway_core.pipeline.stages import not_offered, routed
from plugin_sdk.context import Endpoint, Principal, RequestContext
from plugin_sdk.errors import GatewayError, InvalidRequest, Unavailable
from plugin_sdk.modality import Operation
from plugin_sdk.money import Usage
from plugin_sdk.price_rules import Terms
from plugin_sdk.protocol import RequestView
from plugin_sdk.services import Quote


class Prices:
    """As plugin_sdk.services.Prices says, of one snapshot."""

    def __init__(self, snapshot: Snapshot, new_id: Callable[[], str]) -> None:
        self._snapshot = snapshot
        self._new_id = new_id
        self._offers = [one for one in snapshot.offered.offers if not one.lacks]

    def endpoints(self, model: str | None = None) -> Sequence[Endpoint]:
        """All that can be asked, or those of a model, by its id or an alias; in the order of the file."""
        return [one.endpoint for one in self._offers if model in (None, one.entry.id, *one.entry.aliases)]

    def operation(self, word: str) -> Operation | None:
        """By its own name, or by the path or the name of a client route."""
        if (found := self._snapshot.operations.get(word)) is not None:
            return found
        for route in self._snapshot.routes.values():
            if word.strip("/") in (route.path.strip("/"), route.name):
                return self._snapshot.operations[route.operation]
        return None

    def find(self, model: str, operation: str) -> Sequence[Endpoint]:
        """The endpoints of a model, by its id or an alias; raises what its own route would."""
        if found := self._snapshot.offered.named.get((model, operation)):
            return found
        raise not_offered(self._snapshot, model, operation)

    async def served(self, principal: Principal, endpoint: Endpoint, terms: Terms) -> Endpoint:
        """As a request would try it first: routing may give it a key of the team's own."""
        try:
            return (await routed(self._snapshot, self._context(principal, endpoint, terms), (endpoint,)))[0]
        except Unavailable:  # the team's keys cannot be looked up: any price could be the wrong one
            raise
        except GatewayError:  # a request would be refused; what it would cost can be said all the same
            return endpoint

    async def quote(self, principal: Principal, endpoint: Endpoint, usage: Usage, terms: Terms) -> Quote:
        """By the endpoint's card, then by the `price` policies, as a request of this caller would be."""
        ctx = self._context(principal, endpoint, terms)
        try:
            made = await quoted(self._snapshot.hooks.price, ctx, endpoint, usage, terms)
        except ValueError as error:
            raise InvalidRequest(f"This usage has no price: {error}.", param="usage") from error
        return Quote(charge=made, pricing=shown(made))

    def _context(self, principal: Principal, endpoint: Endpoint, terms: Terms) -> RequestContext:
        """That of a request for this endpoint's model."""
        protocol = self._snapshot.protocols[endpoint.protocol]
        return RequestContext(
            generation_id=self._new_id(),
            operation=endpoint.operation,
            protocol=protocol.id,
            principal=principal,
            headers={},
            view=RequestView(body=b"", model=endpoint.model, plan=terms.plan, parameters=terms.values),
            candidates=(endpoint,),
        )
