"""Automatic top-ups: one charge whichever worker sees the balance fall, and none that would come twice."""

import asyncio
import threading
import time
from typing import Any

import pytest

from plugin_sdk.errors import Conflict
from plugin_sdk.money import Nanos
from plugins.policies.stripe_topup import StripeTopUp
from plugins.policies.stripe_topup.account import Declined
from plugins.policies.stripe_topup.automatic import DECLINED_SECONDS, AutomaticTopUps
from plugins.policies.stripe_topup.config import Automatic
from tests.plugins.stripe_topup.conftest import World, told

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
CHARGED = ("POST", "/v1/payment_intents")


def rule(**values: Any) -> Automatic:
    found = {
        "team_id": "T", "below": "10", "amount": "25.00", "customer": "cus_1", "payment_method": "pm_1",
        **values,
    }  # fmt: skip
    return Automatic.model_validate(found)


async def looking(world: World) -> AutomaticTopUps:
    """The automatic top-ups of one worker, which looks when it is told to."""
    plugin: StripeTopUp = await world.worker()
    bookings = plugin._bookings
    account = bookings._account
    world.services.now = int(time.time() * 1000)
    return AutomaticTopUps("stripe_topup", account, bookings, bookings._payments, lambda: world.services.now)


async def test_a_low_balance_is_topped_up_and_a_good_one_left(world: World) -> None:
    one = await looking(world)
    made = await one.check(rule())
    assert made is not None
    assert await world.balances() == {"T": 2_500}
    assert world.stripe.intents[made.id]["customer"] == "cus_1"
    assert await one.check(rule()) is None
    assert world.stripe.count(*CHARGED) == 1
    await told(await world.worker(), world.stripe.event(made.id))  # its webhook comes too
    assert await world.balances() == {"T": 2_500}
    await world.prove()


async def test_two_workers_that_see_it_at_once_charge_once(world: World) -> None:
    workers = [await looking(world) for _ in range(3)]
    both = threading.Barrier(3, timeout=20)

    def together(method: str, path: str) -> None:
        if method == "GET" and path == "/v1/payment_intents":
            both.wait()  # each has seen that there is no payment yet before any makes one

    world.stripe.holds = together
    await asyncio.gather(*[worker.check(rule()) for worker in workers])
    assert world.stripe.count(*CHARGED) == 3
    assert len(world.stripe.intents) == 1
    assert await world.balances() == {"T": 2_500}
    await world.prove()


async def test_two_workers_whose_rules_differ_for_a_moment_charge_once(world: World) -> None:
    workers = [await looking(world) for _ in range(2)]
    both = threading.Barrier(2, timeout=20)

    def together(method: str, path: str) -> None:
        if method == "GET" and path == "/v1/payment_intents":
            both.wait()

    world.stripe.holds = together
    rules = (rule(), rule(amount="30"))
    found = await asyncio.gather(
        *[worker.check(one) for worker, one in zip(workers, rules, strict=True)], return_exceptions=True
    )
    assert sum(isinstance(one, Conflict) for one in found) == 1
    assert len(world.stripe.intents) == 1
    assert await world.balances() in ({"T": 2_500}, {"T": 3_000})
    await world.prove()


async def test_each_fall_of_the_balance_is_a_charge_of_its_own(world: World) -> None:
    one, other = await looking(world), await looking(world)
    for worker in (one, other, one):  # still below: each is the next
        await worker.check(rule(below="70"))
    assert await world.balances() == {"T": 7_500}
    assert await other.check(rule(below="70")) is None
    assert len(world.stripe.intents) == 3
    await world.prove()


async def test_a_charge_that_nobody_heard_of_is_credited_before_another_is_made(world: World) -> None:
    one = await looking(world)
    payment = world.stripe.paid(world.metadata(gateway_rule="x"), 2_500, customer="cus_1")
    assert await one.check(rule()) is None
    assert await world.balances() == {"T": 2_500}
    assert (world.stripe.count(*CHARGED), list(world.stripe.intents)) == (0, [payment])


async def test_a_charge_that_is_under_way_is_waited_for(world: World) -> None:
    one = await looking(world)
    made = await one.check(rule(payment_method="pm_slow"))
    assert made is not None
    for _ in range(3):
        assert await one.check(rule(payment_method="pm_slow")) is None
    assert (world.stripe.count(*CHARGED), await world.balances()) == (1, {})
    world.stripe.intents[made.id].update(status="succeeded", amount_received=2_500)
    assert await one.check(rule()) is None
    assert await world.balances() == {"T": 2_500}


async def test_a_declined_card_is_not_charged_again_for_a_day_but_another_is(world: World) -> None:
    one, other = await looking(world), await looking(world)
    declined = rule(payment_method="pm_declined")
    with pytest.raises(Declined, match="card_declined"):
        await one.check(declined)
    for worker in (one, other):
        assert await worker.check(declined) is None
    assert world.stripe.count(*CHARGED) == 1
    world.services.now += (DECLINED_SECONDS + 5) * 1000
    with pytest.raises(Declined):
        await other.check(declined)
    assert world.stripe.count(*CHARGED) == 2
    assert await one.check(rule()) is not None
    assert await world.balances() == {"T": 2_500}


async def test_payments_of_other_teams_and_plugins_are_not_its_own(world: World) -> None:
    one = await looking(world)
    for metadata in (world.metadata("U"), world.metadata(gateway_plugin="x"), {}):
        world.stripe.paid(metadata, status="processing", customer="cus_1")
    assert await one.check(rule()) is not None
    assert await world.balances() == {"T": 2_500}


async def test_a_worker_looks_by_itself_and_goes_on_after_a_failure(world: World) -> None:
    world.stripe.down = True
    one = await looking(world)
    balance = one._payments.balance
    seen = asyncio.Event()
    looks = 0

    async def counted(team_id: str, kind: str = "live") -> Nanos:
        nonlocal looks
        looks += 1
        if looks == 3:
            seen.set()
        return await balance(team_id, kind)

    one._payments.balance = counted  # type: ignore[method-assign]
    rules = [rule(), rule(team_id="U", customer="cus_2")]
    run = asyncio.create_task(one.run(rules, 0))
    while len(one._not_before) < 2:
        await asyncio.sleep(0)
    world.stripe.down = False
    world.services.now += 601_000
    await asyncio.wait_for(seen.wait(), 20)
    while len(await world.balances()) < 2:
        await asyncio.sleep(0.01)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert await world.balances() == {"T": 2_500, "U": 2_500}
