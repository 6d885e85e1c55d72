"""The router: which endpoint is tried first, and which ones after it."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from math import inf, log
from typing import Any

from plugin_sdk.context import Endpoint, RequestContext
from plugin_sdk.errors import Forbidden, InvalidRequest, UnsupportedModelOrEndpoint
from plugin_sdk.hooks import hookimpl
from plugin_sdk.plugin import Plugin, PluginConfig


class Router(Plugin[PluginConfig]):
    """Weighted choice, the same for the same generation id; the client's `provider` preferences go before it.

    An endpoint of weight 0 is a last resort. A pool that a preference empties is an error, never refilled.
    """

    @hookimpl
    async def route(self, ctx: RequestContext, candidates: Sequence[Endpoint]) -> Sequence[Endpoint] | None:
        """The endpoints in the order in which they are tried."""
        pool = candidates
        if ctx.principal.mode == "test":
            pool = [endpoint for endpoint in pool if endpoint.simulated]
            if not pool:
                raise Forbidden(
                    "A test key reaches simulated models only.", reason="test_key_needs_simulated_model"
                )
        if ctx.view.preferences:
            return _preferred(ctx, pool)
        return _weighted(pool, ctx.generation_id) if len(pool) > 1 else pool


def _preferred(ctx: RequestContext, pool: Sequence[Endpoint]) -> Sequence[Endpoint]:
    wanted = ctx.view.preferences or {}
    only, ignore, order = (_names(wanted, field) for field in ("only", "ignore", "order"))
    if only:
        pool = _kept(pool, "only", {endpoint.provider for endpoint in pool} & set(only))
    if ignore:
        pool = _kept(pool, "ignore", {endpoint.provider for endpoint in pool} - set(ignore))
    rank = {name: place for place, name in reversed(list(enumerate(order)))}
    ranked = sorted(
        _weighted(pool, ctx.generation_id), key=lambda endpoint: rank.get(endpoint.provider, len(order))
    )
    return ranked if _fallbacks(wanted) else ranked[:1]


def _kept(pool: Sequence[Endpoint], field: str, providers: set[str]) -> Sequence[Endpoint]:
    left = [endpoint for endpoint in pool if endpoint.provider in providers]
    if not left:
        offered = ", ".join(sorted({endpoint.provider for endpoint in pool}))
        raise UnsupportedModelOrEndpoint(
            f"`provider.{field}` leaves no endpoint of this model; it is offered by: {offered}.",
            reason="provider_preferences",
            param=f"provider.{field}",
        )
    return left


def _names(wanted: Mapping[str, Any], field: str) -> Sequence[str]:
    value = wanted.get(field)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise InvalidRequest(
            f"`provider.{field}` must be a list of provider names.", param=f"provider.{field}"
        )
    return value


def _fallbacks(wanted: Mapping[str, Any]) -> bool:
    for field in ("allow_fallbacks", "allowFallbacks"):
        value = wanted.get(field)
        if isinstance(value, bool):
            return value
        if value is not None:
            raise InvalidRequest(f"`provider.{field}` must be true or false.", param=f"provider.{field}")
    return True


def _weighted(pool: Sequence[Endpoint], seed: str) -> list[Endpoint]:
    """Drawn without replacement, in proportion to the weights; the die is a hash: a draw can be repeated."""

    def place(endpoint: Endpoint) -> float:
        if not endpoint.weight:
            return inf
        name = f"{seed}\n{endpoint.provider}\n{endpoint.upstream_model}\n{endpoint.protocol}"
        drawn = int.from_bytes(blake2b(name.encode(), digest_size=7).digest()) + 1  # 1 to 2**56
        return -log(drawn / 2**56) / endpoint.weight

    return sorted(pool, key=place)
