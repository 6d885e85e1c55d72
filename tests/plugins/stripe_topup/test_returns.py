"""Refunds and disputes: taken back once, no further than the wallet has, given again where undone."""

import asyncio
from typing import Any

import pytest

from plugin_sdk.testing import MemoryServices
from plugins.policies.stripe_topup import StripeTopUp
from tests.core.ledger.books import held, opened, settlement
from tests.plugins.stripe_topup.conftest import NANOS, World, configured, told
from tests.plugins.stripe_topup.stripe_like import StripeLike

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
LOSS = "SELECT COALESCE(SUM(amount), 0) FROM ledger_entries WHERE account = 'loss'"


async def paid(world: World, *workers: Any, cents: int = 5_000) -> str:
    payment = world.stripe.paid(world.metadata(), cents)
    for worker in workers:
        await told(worker, world.stripe.event(payment))
    return payment


async def spent(world: World, cents: int) -> None:
    ledger = await opened(world.url)
    await ledger.settle(settlement(await held(ledger, cents * NANOS, "T"), cents * NANOS, team_id="T"))
    await ledger.close()


async def test_a_refund_is_taken_back_once_whichever_events_tell_of_it(world: World) -> None:
    workers = [await world.worker(), await world.worker()]
    payment = await paid(world, workers[0])
    world.stripe.refund(payment, 2_000)
    kinds = ("charge.refunded", "refund.created", "refund.updated", "charge.refund.updated") * 3
    bodies = [world.stripe.event(payment, kind) for kind in kinds]
    await asyncio.gather(*[told(workers[number % 2], body) for number, body in enumerate(bodies)])
    assert await world.balances() == {"T": 3_000}
    world.stripe.refund(payment, 3_000)
    await told(workers[1], world.stripe.event(payment, "charge.refunded"))
    assert await world.balances() == {"T": 0}
    await world.prove()


async def test_a_refund_that_is_told_before_its_payment_leaves_the_same_books(world: World) -> None:
    plugin = await world.worker()
    payment = await paid(world)
    world.stripe.refund(payment, 2_000)
    await told(plugin, world.stripe.event(payment, "charge.refunded"))
    await told(plugin, world.stripe.event(payment, "checkout.session.completed"))
    assert await world.balances() == {"T": 3_000}
    await world.prove()


async def test_what_was_spent_before_a_dispute_is_a_loss_and_a_won_dispute_undoes_it(world: World) -> None:
    plugin = await world.worker()
    payment = await paid(world, plugin)
    await spent(world, 4_000)
    dispute = world.stripe.dispute(payment, 5_000)
    await told(plugin, world.stripe.event(payment, "charge.dispute.created"))
    await told(plugin, world.stripe.event(payment, "charge.dispute.funds_withdrawn"))
    assert (await world.balances(), await world.rows(LOSS)) == ({"T": 0}, [(-4_000 * NANOS,)])
    await world.prove()
    world.stripe.returned[dispute]["status"] = "won"
    for kind in ("charge.dispute.closed", "charge.dispute.funds_reinstated"):
        await told(plugin, world.stripe.event(payment, kind))
    assert (await world.balances(), await world.rows(LOSS)) == ({"T": 1_000}, [(0,)])
    await world.prove()


async def test_a_refund_that_failed_is_given_again_and_another_may_follow(world: World) -> None:
    plugin = await world.worker()
    payment = await paid(world, plugin)
    refund = world.stripe.refund(payment, 5_000, "pending")
    await told(plugin, world.stripe.event(payment, "charge.refunded"))
    assert await world.balances() == {"T": 0}
    world.stripe.returned[refund]["status"] = "failed"
    await told(plugin, world.stripe.event(payment, "refund.failed"))
    assert await world.balances() == {"T": 5_000}
    world.stripe.refund(payment, 5_000)
    await told(plugin, world.stripe.event(payment, "charge.refunded"))
    assert await world.balances() == {"T": 0}
    await world.prove()


async def test_an_inquiry_takes_nothing_and_what_failed_unseen_gives_nothing(world: World) -> None:
    plugin = await world.worker()
    payment = await paid(world, plugin)
    for status in ("warning_needs_response", "warning_closed", "prevented", "won", "something_new"):
        world.stripe.dispute(payment, 5_000, status)
    for status in ("failed", "canceled"):
        world.stripe.refund(payment, 5_000, status)
    await told(plugin, world.stripe.event(payment, "charge.dispute.created"))
    assert await world.balances() == {"T": 5_000}


async def test_no_more_goes_back_than_came(world: World) -> None:
    plugin = await world.worker(fee_percent="5")
    payment = world.stripe.paid(world.metadata(gateway_fee_percent="5"))
    await told(plugin, world.stripe.event(payment))
    assert await world.balances() == {"T": 4_750}
    world.stripe.refund(payment, 1_234)
    world.stripe.dispute(payment, 5_000)  # the bank takes the whole
    for _ in range(2):
        await told(plugin, world.stripe.event(payment, "charge.dispute.created"))
    sums = dict(await world.rows("SELECT account, SUM(amount) FROM ledger_entries GROUP BY account"))
    assert set(sums.values()) == {0}
    await world.prove()


async def test_a_dispute_that_is_won_while_another_worker_still_books_it_ends_undone(world: World) -> None:
    slow, quick = await world.worker(), await world.worker()
    payment = await paid(world, slow)
    dispute = world.stripe.dispute(payment, 5_000)

    loop, once = asyncio.get_running_loop(), iter([True])

    def meanwhile(method: str, path: str) -> None:
        """The bank decides when the slow worker has read of the dispute and not yet booked it."""
        if path == "/v1/disputes" and next(once, False):
            world.stripe.returned[dispute]["status"] = "won"
            won = told(quick, world.stripe.event(payment, "charge.dispute.closed"))
            asyncio.run_coroutine_threadsafe(won, loop).result(20)

    world.stripe.holds = meanwhile
    await told(slow, world.stripe.event(payment, "charge.dispute.created"))
    assert await world.balances() == {"T": 5_000}
    await world.prove()


async def test_a_refund_of_a_payment_that_is_not_ours_takes_nothing(world: World) -> None:
    plugin = await world.worker()
    await paid(world, plugin)
    other = world.stripe.paid({"gateway_team": "T"})
    world.stripe.refund(other, 5_000)
    await told(plugin, world.stripe.event(other, "charge.refunded"))
    assert await world.balances() == {"T": 5_000}


async def test_however_many_refunds_a_payment_has_each_counts(stripe: StripeLike) -> None:
    services = MemoryServices()
    services.payments.teams = {"T"}
    plugin = StripeTopUp("stripe_topup", configured(base_url=stripe.url))
    await plugin.startup(services.lent())
    payment = stripe.paid({"gateway_plugin": "stripe_topup", "gateway_team": "T"})
    for _ in range(230):
        stripe.refund(payment, 10)
    await told(plugin, stripe.event(payment, "charge.refunded"))
    await plugin.shutdown()
    assert services.payments.balances == {"T": (5_000 - 2_300) * NANOS}
    assert stripe.count("GET", "/v1/refunds") == 2 * 3  # three pages, and again after what was booked
