"""What a client says about cost: `x-gateway-max-cost` bounds it, `x-gateway-dry-run: cost` only asks."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from gateway_core.pipeline.exchange import Exchange
from gateway_core.pipeline.pricing import quoted, shown
from plugin_sdk.context import Endpoint
from plugin_sdk.errors import InvalidRequest
from plugin_sdk.money import NANOS_PER_USD, Charge, Nanos, Usage
from plugin_sdk.price_rules import Terms

MAX_COST: Final = "x-gateway-max-cost"
DRY_RUN: Final = "x-gateway-dry-run"
# Output tokens of an answer of ordinary length, where its limit allows as much.
EXPECTED_OUTPUT: Final = 512


class Estimated(Exception):
    """A dry run: the answer is an estimate, nobody is called and nothing is charged."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__("a dry run")
        self.body = body


def max_cost(headers: Mapping[str, str]) -> Nanos | None:
    """The bound that a client sets, in nanos; InvalidRequest for one that is no amount of dollars."""
    said = headers.get(MAX_COST)
    if said is None:
        return None
    try:
        amount = Decimal(said.strip())
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount <= 0 or amount > 10**9:
        raise InvalidRequest(f"`{MAX_COST}` must be dollars, as in 0.02.", param=MAX_COST)
    return Nanos(int(amount * NANOS_PER_USD))


def is_dry_run(headers: Mapping[str, str]) -> bool:
    """Whether only the cost is asked for; InvalidRequest for a dry run of anything else."""
    said = headers.get(DRY_RUN)
    if said is not None and said.strip().lower() != "cost":
        raise InvalidRequest(f"`{DRY_RUN}` can be `cost`.", param=DRY_RUN)
    return said is not None


async def estimate(exchange: Exchange, limits: Sequence[tuple[Endpoint, int]]) -> dict[str, Any]:
    """The least, the likely and the most that the request costs at each endpoint, line by line.

    `limits` are the output tokens that a choice can have there. The least is six bytes to a token and no
    output but a token, the likely four bytes and an answer of ordinary length, the most what may come.
    """
    view = exchange.view
    if view is None:
        raise RuntimeError("an estimate needs a request")
    found: list[dict[str, Any]] = []
    made: list[dict[str, Charge]] = []
    for endpoint, limit in limits:
        likely = min(limit, EXPECTED_OUTPUT)
        costs = {
            "minimum": await _price(exchange, endpoint, _usage(view.input_estimate // 2, view.choices)),
            "expected": await _price(
                exchange, endpoint, _usage(view.input_estimate * 3 // 4, view.choices * likely)
            ),
            "maximum": await _price(exchange, endpoint, _usage(view.input_estimate, view.choices * limit)),
        }
        made.append(costs)
        about = {"provider": endpoint.provider, "upstream_model": endpoint.upstream_model}
        found.append({**about, **{name: shown(cost) for name, cost in costs.items()}})
    return {
        "object": "cost_estimate",
        "model": view.model,
        "currency": "USD",
        **{
            f"{name}_nanos": pick(costs[name].total for costs in made)
            for name, pick in (("minimum", min), ("expected", min), ("maximum", max))
        },
        "endpoints": found,
    }


def _usage(input_tokens: int, output_tokens: int) -> Usage:
    return {"input_text_tokens": input_tokens, "output_text_tokens": output_tokens}


async def _price(exchange: Exchange, endpoint: Endpoint, usage: Usage) -> Charge:
    view, ctx = exchange.view, exchange.ctx
    if view is None or ctx is None:
        raise RuntimeError("an estimate needs a request")
    terms = Terms(plan=view.plan, values=view.parameters, at=exchange.received_at)
    return await quoted(exchange.snapshot.hooks.price, ctx, endpoint, usage, terms)
