"""A team's own key first, the gateway's after it; a fee after so many requests, or if nobody counts."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from plugin_sdk.context import Attempt, Endpoint, RequestContext
from plugin_sdk.money import Charge, Nanos, charge
from plugin_sdk.services import OwnKey
from plugin_sdk.testing import MemoryServices
from plugins.policies.byok import Byok, ByokConfig
from tests.plugins.requests import PAID, asked, endpoint

ONE, TWO, SIM = endpoint("one"), endpoint("two"), endpoint("one", simulated=True)
USAGE = {"input_text_tokens": 1_000_000, "output_text_tokens": 1_000_000}
MADE = charge(USAGE, PAID)  # half a dollar


def own(provider: str, *, always_use: bool = False) -> OwnKey:
    return OwnKey("T-1", provider, f"key-{provider}", "one", always_use, 0)


async def policy(*keys: OwnKey, **config: Any) -> tuple[Byok, MemoryServices]:
    services = MemoryServices()
    services.own_keys.keys += keys
    plugin = Byok("byok", ByokConfig.model_validate(config))
    await plugin.startup(services.lent())
    return plugin, services


async def routed(
    plugin: Byok, ctx: RequestContext, *candidates: Endpoint
) -> Sequence[tuple[str, str | None]]:
    found = await plugin.route(ctx, candidates)
    return [
        (one.provider, None if one.key is None else one.key.get_secret_value()) for one in found or candidates
    ]


async def paid(plugin: Byok, ctx: RequestContext, made: Charge = MADE) -> Charge:
    await plugin.check_credit(ctx)
    (first, *_) = await plugin.route(ctx, [ONE]) or ()
    found = await plugin.price(ctx, Attempt(number=1, endpoint=first), USAGE, made)
    assert found is not None
    return found


async def test_the_own_key_is_tried_first_and_the_gateways_after_all_of_them() -> None:
    plugin, _ = await policy(own("two"))
    assert await routed(plugin, asked(ONE, TWO), ONE, TWO) == [
        ("two", "key-two"),
        ("one", None),
        ("two", None),
    ]


async def test_who_always_uses_the_own_key_never_gets_the_gateways_of_that_provider() -> None:
    plugin, _ = await policy(own("two", always_use=True))
    assert await routed(plugin, asked(ONE, TWO), ONE, TWO) == [("two", "key-two"), ("one", None)]
    assert await routed(plugin, asked(TWO), TWO) == [("two", "key-two")]


async def test_other_teams_test_keys_and_simulated_models_have_no_part_in_it() -> None:
    plugin, services = await policy(own("one", always_use=True))
    assert await routed(plugin, asked(TWO), TWO) == [("two", None)]
    assert await routed(plugin, asked(ONE, mode="test"), ONE) == [("one", None)]
    assert await routed(plugin, asked(SIM), SIM) == [("one", None)]
    assert services.own_keys.counts == {}


async def test_the_first_requests_of_a_month_cost_nothing_and_the_next_a_fee() -> None:
    plugin, services = await policy(own("one"), free_requests=2)
    found = [await paid(plugin, asked(ONE, generation_id=f"G-{n}")) for n in range(3)]
    assert [one.total for one in found] == [0, 0, 17_500_000]  # 3.5 % of half a dollar
    assert services.own_keys.counts == {("T-1", "2026-01"): 3}
    services.now += 31 * 86_400_000
    assert (await paid(plugin, asked(ONE))).total == 0
    (line,) = found[2].lines
    assert (line.meter, line.quantity, line.usd) == ("byok_service_fee", 1, Decimal("0.0175"))
    assert found[2].more == {
        "byok_reference_total_nanos": 500_000_000,
        "byok_service_fee_rate": Decimal("0.035"),
    }
    assert found[0].more["byok_service_fee_rate"] == 0


async def test_where_nobody_can_count_the_fee_is_charged() -> None:
    plugin, services = await policy(own("one"))
    services.own_keys.failing = True
    assert (await paid(plugin, asked(ONE))).total == 17_500_000


async def test_a_request_that_the_gateways_key_served_is_not_counted_and_costs_its_price() -> None:
    plugin, services = await policy(own("one"))
    ctx = asked(ONE)
    await plugin.check_credit(ctx)
    served = Attempt(number=2, endpoint=ONE)
    assert await plugin.price(ctx, served, USAGE, MADE) is None
    await plugin.record(ctx, served, USAGE, MADE)
    assert services.own_keys.counts == {("T-1", "2026-01"): 0}


async def test_the_fee_is_the_bound_where_no_other_key_can_be_used() -> None:
    plugin, _ = await policy(own("one"), own("two", always_use=True))
    ctx = asked(ONE, TWO, SIM)
    assert await plugin.bound(ctx, ONE, PAID) is None  # the gateway's key may have to take over
    assert await plugin.bound(asked(TWO, mode="test"), TWO, PAID) is None
    assert await plugin.bound(ctx, endpoint("two", simulated=True), PAID) is None
    fee = await plugin.bound(ctx, TWO, PAID)
    assert fee is not None
    assert charge(USAGE, fee).total == 17_500_000
    (own_one, *_) = await plugin.route(ctx, [ONE]) or ()
    assert await plugin.bound(ctx, own_one, PAID) is fee


async def test_a_request_keeps_the_keys_that_it_came_with() -> None:
    plugin, services = await policy(own("one", always_use=True))
    ctx = asked(ONE)
    assert await plugin.bound(ctx, ONE, PAID) is not None  # only the fee is held
    await services.own_keys.change("T-1", "one", always_use=False)
    plugin._forget()
    assert await routed(plugin, ctx, ONE) == [("one", "key-one")]
    assert await plugin.bound(asked(ONE), ONE, PAID) is None


async def test_a_price_that_is_only_asked_for_is_looked_up_and_not_counted() -> None:
    plugin, services = await policy(own("one"), free_requests=1)

    async def asked_for() -> int:
        ctx = asked(ONE)
        (first, *_) = await plugin.route(ctx, [ONE]) or ()
        found = await plugin.price(ctx, Attempt(number=1, endpoint=first), USAGE, MADE)
        await plugin.record(ctx, None, USAGE, None)
        return -1 if found is None else found.total

    assert [await asked_for(), await asked_for()] == [0, 0]
    assert services.own_keys.counts == {("T-1", "2026-01"): 0}
    assert (await paid(plugin, asked(ONE))).total == 0
    assert await asked_for() == 17_500_000


@given(st.decimals(0, 100, places=4), st.integers(0, 10**15))
async def test_a_fee_is_rounded_half_up_once(percent: Decimal, nanos: int) -> None:
    plugin, _ = await policy(own("one"), percent=str(percent), free_requests=0)
    line = MADE.lines[0]
    found = await paid(
        plugin,
        asked(ONE),
        Charge(card_id="pc", lines=(type(line)(meter="m", quantity=1, nanos=Nanos(nanos)),)),
    )
    assert found.total == int((nanos * percent * 2 + 100) // 200) <= nanos


@pytest.mark.parametrize("percent", ["-1", "101", "NaN", "much"])
def test_a_fee_that_makes_no_sense_is_refused(percent: str) -> None:
    with pytest.raises(ValidationError):
        ByokConfig.model_validate({"percent": percent})
