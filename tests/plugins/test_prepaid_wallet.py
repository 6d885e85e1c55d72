"""The `prepaid_wallet` policy: who pays, how much is held, and when the answer is 402."""

import pytest
from pydantic import ValidationError

from plugin_sdk.context import Endpoint, RequestContext
from plugin_sdk.errors import InsufficientFunds
from plugin_sdk.money import NANOS_PER_USD, Hold
from plugin_sdk.testing import MemoryServices
from plugins.policies.prepaid_wallet import PrepaidWallet, PrepaidWalletConfig
from tests.plugins.requests import FREE, asked, endpoint

REAL = endpoint("real")
SIMULATED = endpoint("sim", simulated=True)


async def _policy(services: MemoryServices, **config: object) -> PrepaidWallet:
    plugin = PrepaidWallet("prepaid_wallet", PrepaidWalletConfig.model_validate(config))
    await plugin.startup(services.lent())
    return plugin


async def _held(services: MemoryServices, ctx: RequestContext, **config: object) -> Hold | None:
    return await (await _policy(services, **config)).check_credit(ctx)


async def test_the_worst_case_is_held_where_the_wallet_has_it() -> None:
    services = MemoryServices()
    services.wallets.put("T-1", "live", 5 * NANOS_PER_USD)
    hold = await _held(services, asked(REAL, worst_case=7_000))
    assert hold is not None
    assert (hold.wallet_id, hold.amount) == ("T-1", 7_000)


async def test_what_there_is_is_held_where_the_worst_case_is_more() -> None:
    services = MemoryServices()
    services.wallets.put("T-1", "live", 2 * NANOS_PER_USD, available=300)
    hold = await _held(services, asked(REAL, worst_case=7_000))
    assert hold is not None
    assert hold.amount == 300


async def test_exactly_one_dollar_is_enough() -> None:
    services = MemoryServices()
    services.wallets.put("T-1", "live", NANOS_PER_USD)
    assert await _held(services, asked(REAL)) is not None


@pytest.mark.parametrize(
    ("balance", "available", "reason"),
    [
        (NANOS_PER_USD - 1, NANOS_PER_USD - 1, "insufficient_funds"),
        (2 * NANOS_PER_USD, 0, "insufficient_funds"),
        (None, None, "wallet_missing"),
    ],
)
async def test_a_402_says_why_and_what_the_minimum_is(
    balance: int | None, available: int | None, reason: str
) -> None:
    services = MemoryServices()
    if balance is not None:
        services.wallets.put("T-1", "live", balance, available)
    with pytest.raises(InsufficientFunds) as refused:
        await _held(services, asked(REAL))
    assert (refused.value.status, refused.value.reason) == (402, reason)
    assert refused.value.extra == {"min_usd": 1}


async def test_the_minimum_is_the_operators() -> None:
    services = MemoryServices()
    services.wallets.put("T-1", "live", NANOS_PER_USD)
    with pytest.raises(InsufficientFunds) as refused:
        await _held(services, asked(REAL), minimum_balance="1.50")
    assert refused.value.extra == {"min_usd": 1.5}


@pytest.mark.parametrize("bad", [1.5, "1.0000000001", "-1", "much", True])
def test_a_minimum_that_is_not_an_amount_of_money_is_refused_with_the_configuration(bad: object) -> None:
    with pytest.raises(ValidationError):
        PrepaidWalletConfig.model_validate({"minimum_balance": bad})


async def test_free_models_need_no_credit_and_no_wallet() -> None:
    assert await _held(MemoryServices(), asked(endpoint("a", card=FREE), worst_case=0)) is None


async def test_a_model_that_is_free_at_one_provider_only_needs_credit() -> None:
    with pytest.raises(InsufficientFunds):
        await _held(MemoryServices(), asked(endpoint("a", card=FREE), REAL))


@pytest.mark.parametrize(
    ("mode", "wallets", "candidates", "payer"),
    [
        ("live", ["live", "test"], [SIMULATED], "T-1"),
        ("live", ["test"], [SIMULATED], "T-1:test"),
        ("live", ["test"], [REAL], None),
        ("live", ["test"], [SIMULATED, REAL], None),
        ("test", ["live", "test"], [SIMULATED], "T-1:test"),
        ("test", ["live"], [SIMULATED], None),
    ],
)
async def test_simulated_credit_pays_for_simulated_models_only(
    mode: str, wallets: list[str], candidates: list[Endpoint], payer: str | None
) -> None:
    services = MemoryServices()
    for kind in wallets:
        services.wallets.put("T-1", kind, 10 * NANOS_PER_USD)
    services.wallets.put("T-2", "live", 10 * NANOS_PER_USD)
    ctx = asked(*candidates, mode=mode)  # type: ignore[arg-type]
    if payer is None:
        with pytest.raises(InsufficientFunds) as refused:
            await _held(services, ctx)
        assert refused.value.reason == "wallet_missing"
    else:
        hold = await _held(services, ctx)
        assert hold is not None
        assert hold.wallet_id == payer
