"""The `limits` policy: whom it asks for, what a refusal says, and that every end is told."""

import pytest
from pydantic import ValidationError

from plugin_sdk.errors import KeyLimitExceeded
from plugin_sdk.limits import Metric, Reserved, Standing
from plugin_sdk.money import Nanos
from plugin_sdk.services import KeyRecord
from plugin_sdk.testing import MemoryServices
from plugins.policies.limits import LimitsConfig, LimitsPolicy
from tests.plugins.requests import asked, endpoint

REAL = endpoint("real")
NOW = 1_767_225_600_000  # 2026-01-01


async def _policy(services: MemoryServices, **config: object) -> LimitsPolicy:
    plugin = LimitsPolicy("limits", LimitsConfig.model_validate(config))
    await plugin.startup(services.lent())
    return plugin


def _standing(metric: Metric = "requests", used: int = 5, reserved: int = 0) -> Standing:
    return Standing(
        kind="key", id="k", window="weekly", metric=metric, used=used, reserved=reserved, limit=5,
        reset_at=NOW + 90_500,
    )  # fmt: skip


async def test_what_has_no_limit_is_asked_about_once_and_settles_nothing() -> None:
    services = MemoryServices()
    services.limits.any = False
    policy = await _policy(services)
    for _ in range(3):
        ctx = asked(REAL)
        assert await policy.check_credit(ctx) is None
        await policy.record(ctx, None, {}, None)
    assert (services.limits.asked, services.limits.reserved, services.limits.settled) == (1, [], [])


async def test_a_change_of_any_key_is_noticed() -> None:
    services = MemoryServices()
    services.limits.any = False
    policy = await _policy(services)
    await policy.check_credit(asked(REAL))
    services.limits.any = True
    services.keys.put(KeyRecord(id="1", team_id="T", kid="abcdef", hash="", mode="live", name=""))
    await policy.check_credit(asked(REAL))
    assert len(services.limits.reserved) == 1


async def test_what_began_before_there_was_a_limit_is_counted_when_it_ends() -> None:
    services = MemoryServices()
    services.limits.any = False
    policy = await _policy(services)
    ctx = asked(REAL)
    await policy.check_credit(ctx)
    services.limits.any = True
    services.keys.put(KeyRecord(id="1", team_id="T", kid="abcdef", hash="", mode="live", name=""))
    await policy.record(ctx, None, {}, None)
    assert services.limits.recounted == [(ctx.principal.team_id, ctx.principal.kid)]
    assert services.limits.settled == []


async def test_a_refusal_says_which_limit_and_when_it_begins_anew() -> None:
    services = MemoryServices(now=NOW)
    services.limits.answers.append(Reserved(refused=_standing()))
    policy = await _policy(services)
    ctx = asked(REAL)
    with pytest.raises(KeyLimitExceeded) as refused:
        await policy.check_credit(ctx)
    error = refused.value
    assert (error.status, error.reason, error.retry_after) == (429, "weekly_request_limit_reached", "91")
    assert error.extra["reset_at"] == "2026-01-01T00:01:30.500Z"
    assert (error.extra["limit_value"], error.extra["current_value"]) == (5, 5)
    await policy.record(ctx, None, {}, None)
    assert services.limits.settled == [ctx.generation_id]


async def test_where_only_running_requests_are_in_the_way_a_client_may_ask_again_soon() -> None:
    services = MemoryServices(now=NOW)
    services.limits.answers.append(Reserved(refused=_standing(used=3, reserved=2)))
    with pytest.raises(KeyLimitExceeded) as refused:
        await (await _policy(services)).check_credit(asked(REAL))
    assert refused.value.retry_after == "1"


async def test_what_a_cost_limit_leaves_is_the_cap_and_pays_for_nothing_in_the_same_words() -> None:
    services = MemoryServices(now=NOW)
    services.limits.answers.append(Reserved(cap=Nanos(2), tightest=_standing("cost", used=3)))
    cap = await (await _policy(services)).check_credit(asked(REAL))
    assert cap is not None
    assert cap.amount == 2
    assert isinstance(cap.refusal, KeyLimitExceeded)
    assert cap.refusal.reason == "weekly_cost_limit_reached"


@pytest.mark.parametrize("alerts", [[0], [101], ["many"]])
def test_an_alert_is_a_percentage(alerts: list[object]) -> None:
    with pytest.raises(ValidationError):
        LimitsConfig.model_validate({"alerts": alerts})
