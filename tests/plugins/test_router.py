"""The `router` policy: weights, preferences, test keys."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from plugin_sdk.context import Endpoint, RequestContext
from plugin_sdk.errors import Forbidden, GatewayError, InvalidRequest, UnsupportedModelOrEndpoint
from plugin_sdk.plugin import PluginConfig
from plugins.policies.router import Router
from tests.plugins.requests import asked, endpoint

A, B, C = endpoint("a"), endpoint("b"), endpoint("c")
SIMULATED = endpoint("sim", simulated=True)


async def _routed(ctx: RequestContext) -> Sequence[Endpoint]:
    routed = await Router("router", PluginConfig()).route(ctx, ctx.candidates)
    return ctx.candidates if routed is None else routed


async def _order(
    preferences: Mapping[str, Any] | None, *candidates: Endpoint, seed: str = "G-1"
) -> list[str]:
    routed = await _routed(asked(*candidates, preferences=preferences, generation_id=seed))
    return [one.provider for one in routed]


async def test_every_endpoint_stays_as_a_failover_for_the_first() -> None:
    assert sorted(await _order(None, A, B, C)) == ["a", "b", "c"]


async def test_the_same_generation_is_always_routed_the_same_way_whatever_order_the_candidates_come_in() -> (
    None
):
    for number in range(20):
        seed = f"G-{number}"
        assert await _order(None, A, B, C, seed=seed) == await _order(None, C, A, B, seed=seed)


async def test_the_first_choice_follows_the_weights() -> None:
    pool = (endpoint("a", weight=1), endpoint("b", weight=3))
    firsts = Counter([(await _order(None, *pool, seed=f"G-{number}"))[0] for number in range(4_000)])
    assert 2_800 < firsts["b"] < 3_200


async def test_an_endpoint_of_weight_zero_is_tried_last() -> None:
    pool = (endpoint("a", weight=0), B, C)
    assert {(await _order(None, *pool, seed=f"G-{number}"))[-1] for number in range(50)} == {"a"}


async def test_order_goes_first_and_the_rest_follows() -> None:
    assert (await _order({"order": ["c", "nobody", "b"]}, A, B, C)) == ["c", "b", "a"]


async def test_only_and_ignore_drop_endpoints() -> None:
    assert sorted(await _order({"only": ["a", "c"]}, A, B, C)) == ["a", "c"]
    assert sorted(await _order({"ignore": ["a"]}, A, B, C)) == ["b", "c"]
    assert await _order({"only": ["a", "b"], "ignore": ["a"]}, A, B, C) == ["b"]


@pytest.mark.parametrize("field", ["allow_fallbacks", "allowFallbacks"])
async def test_without_fallbacks_one_endpoint_is_left(field: str) -> None:
    assert await _order({"order": ["b"], field: False}, A, B, C) == ["b"]
    assert len(await _order({field: True}, A, B, C)) == 3


@pytest.mark.parametrize("preferences", [{"only": ["nobody"]}, {"ignore": ["a", "b"]}])
async def test_a_pool_that_a_preference_empties_is_an_error_that_says_who_there_was(
    preferences: dict[str, Any],
) -> None:
    with pytest.raises(UnsupportedModelOrEndpoint, match="a, b") as refused:
        await _order(preferences, A, B)
    assert refused.value.status == 400
    assert refused.value.param == f"provider.{next(iter(preferences))}"


@pytest.mark.parametrize(
    "preferences", [{"only": "a"}, {"order": [1]}, {"ignore": {"a": 1}}, {"allow_fallbacks": "no"}]
)
async def test_a_preference_of_the_wrong_type_is_the_clients_error(preferences: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await _order(preferences, A, B)
    assert refused.value.param == f"provider.{next(iter(preferences))}"


async def test_a_preference_that_routing_does_not_know_yet_is_passed_over() -> None:
    assert len(await _order({"sort": "price", "zdr": True, "only": None}, A, B)) == 2


async def test_a_test_key_reaches_simulated_endpoints_only() -> None:
    routed = await _routed(asked(A, SIMULATED, B, mode="test"))
    assert list(routed) == [SIMULATED]


async def test_a_test_key_on_a_real_model_is_forbidden_and_no_preference_lifts_that() -> None:
    for preferences in (None, {"only": ["a"]}):
        with pytest.raises(GatewayError) as refused:
            await _routed(asked(A, mode="test", preferences=preferences))
        assert isinstance(refused.value, Forbidden)


async def test_a_live_key_may_use_simulated_endpoints() -> None:
    assert list(await _routed(asked(SIMULATED))) == [SIMULATED]
