"""Webhooks: forged, replayed, reordered, doubled, late, lying. Credited is what Stripe says when asked."""

import asyncio
import json
import random
import time

import pytest

from plugin_sdk.errors import (
    ClientError,
    GatewayError,
    InvalidJson,
    InvalidRequest,
    NotFound,
    PayloadTooLarge,
)
from plugins.policies.stripe_topup import StripeTopUp
from tests.plugins.stripe_topup.conftest import World, asking, told
from tests.plugins.stripe_topup.stripe_like import StripeLike, signed

# The package hands httpx its body as it did for older releases.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
CREDITED = "SELECT COUNT(*) FROM ledger_transactions WHERE kind = 'top_up'"


async def test_who_pays_on_the_page_is_credited_once(world: World) -> None:
    plugin = await world.worker(fee_percent="5")
    made = (await plugin.checkout(asking(b'{"usd": "100.00", "save_card": true}'))).body["checkout"]
    assert (made["paid_nanos"], made["fee_nanos"], made["credit_nanos"]) == (
        100_000_000_000,
        5_000_000_000,
        95_000_000_000,
    )
    asked = world.stripe.sessions[made["id"]]["asked"]
    assert made["url"] == f"https://checkout.example/{made['id']}"
    assert asked["payment_intent_data"]["setup_future_usage"] == "off_session"
    assert (asked["client_reference_id"], asked["success_url"]) == ("T", "https://shop.example/paid")
    payment = world.stripe.pay(made["id"])
    for kind in ("checkout.session.completed", "payment_intent.succeeded", "charge.succeeded"):
        await told(plugin, world.stripe.event(payment, kind))
    assert await world.balances() == {"T": 9_500}
    sums = dict(await world.rows("SELECT account, SUM(amount) FROM ledger_entries GROUP BY account"))
    assert sums == {
        "wallet:T": 95_000_000_000,
        "fees": 5_000_000_000,
        "top_up:stripe_topup": -100_000_000_000,
    }
    await world.prove()


async def test_what_was_not_signed_by_stripe_is_refused_unread(world: World) -> None:
    plugin = await world.worker()
    body = world.stripe.event(world.stripe.paid(world.metadata()))
    good = signed(body)["stripe-signature"]
    forged = [
        "", "t=1", "v1=", good[:-1] + "0" if good[-1] != "0" else good[:-1] + "1", good.replace("v1", "v0"),
        "t=x,v1=y", f"{good.partition(',')[0]},v1=" + "é" * 64, "t=" + "9" * 5_000 + ",v1=a", ",,,", "t",
        signed(body, "whsec_another56789abcdefghi")["stripe-signature"],
        signed(body, "")["stripe-signature"],
        signed(body, at=int(time.time()) - 301)["stripe-signature"],
    ]  # fmt: skip
    for signature in forged:
        with pytest.raises(InvalidRequest) as refused:
            await told(plugin, body, {"stripe-signature": signature})
        assert refused.value.reason == "invalid_signature"
    for changed in (body + b" ", body.replace(b"succeeded", b"succeedeD"), b"", b"\xff" + body):
        with pytest.raises(InvalidRequest):
            await told(plugin, changed, signed(body))
    with pytest.raises(InvalidRequest):
        await told(plugin, body, {})
    assert (world.stripe.asked, await world.balances()) == ([], {})
    await told(plugin, body)
    assert await world.balances() == {"T": 5_000}


async def test_a_replayed_webhook_and_a_late_one_of_the_same_payment_change_nothing(world: World) -> None:
    plugin, other = await world.worker(), await world.worker()
    payment = world.stripe.paid(world.metadata())
    body = world.stripe.event(payment)
    headers = signed(body, at=int(time.time()) - 200)
    answers = [await told(worker, body, headers) for _ in range(3) for worker in (plugin, other)]
    restarted = await world.worker()
    answers.append(await told(restarted, body, headers))
    assert [answer.body["duplicate"] for answer in answers] == [False, *[True] * 6]
    assert world.stripe.count("GET", f"/v1/payment_intents/{payment}") == 1
    assert (await told(plugin, world.stripe.event(payment))).body["duplicate"] is False
    assert (await world.balances(), await world.rows(CREDITED)) == ({"T": 5_000}, [(1,)])
    await world.prove()


async def test_one_payment_told_to_two_workers_twenty_times_at_once_is_credited_once(world: World) -> None:
    workers = [await world.worker(), await world.worker()]
    payment = world.stripe.paid(world.metadata())
    same = world.stripe.event(payment)
    bodies = [same] * 10 + [world.stripe.event(payment, "checkout.session.completed") for _ in range(10)]
    await asyncio.gather(*[told(workers[number % 2], body) for number, body in enumerate(bodies)])
    assert (await world.balances(), await world.rows(CREDITED)) == ({"T": 5_000}, [(1,)])
    await world.prove()


async def test_what_a_webhook_claims_is_not_believed(world: World) -> None:
    plugin = await world.worker()
    payment = world.stripe.paid(world.metadata("T"), 1_000)
    claims = {
        "amount": 99_999_900, "amount_received": 99_999_900, "amount_total": 99_999_900, "currency": "usd",
        "metadata": world.metadata("U"), "client_reference_id": "U", "status": "succeeded",
        "payment_status": "paid",
    }  # fmt: skip
    for kind in ("payment_intent.succeeded", "checkout.session.completed"):
        await told(plugin, world.stripe.event(payment, kind, **claims))
    assert await world.balances() == {"T": 1_000}
    unpaid = world.stripe.paid(world.metadata(), status="processing", amount_received=0)
    await told(plugin, world.stripe.event(unpaid, "checkout.session.completed", **claims))
    for status in ("requires_payment_method", "requires_action", "canceled", "requires_capture"):
        failed = world.stripe.paid(world.metadata(), status=status)
        await told(plugin, world.stripe.event(failed, **claims))
    with pytest.raises(NotFound):  # with a key of the other mode, say: the webhook comes again
        await told(plugin, world.stripe.event("pi_999999", **claims))
    for currency in ("eur", "jpy"):
        await told(plugin, world.stripe.event(world.stripe.paid(world.metadata(), currency=currency)))
    assert await world.balances() == {"T": 1_000}
    world.stripe.intents[unpaid].update(status="succeeded", amount_received=300)
    await told(plugin, world.stripe.event(unpaid, "checkout.session.async_payment_succeeded"))
    assert await world.balances() == {"T": 1_300}
    await world.prove()


async def test_a_payment_whose_team_is_changed_at_stripe_stays_with_its_first(world: World) -> None:
    plugin = await world.worker()
    payment = world.stripe.paid(world.metadata("T"))
    await told(plugin, world.stripe.event(payment))
    world.stripe.intents[payment]["metadata"] = world.metadata("U")
    await told(plugin, world.stripe.event(payment))
    assert await world.balances() == {"T": 5_000}
    await world.prove()


async def test_payments_of_others_on_the_account_are_left_alone(world: World) -> None:
    plugin = await world.worker()
    for metadata in ({}, {"gateway_team": "T"}, world.metadata(gateway_plugin="another")):
        await told(plugin, world.stripe.event(world.stripe.paid(metadata)))
    await told(plugin, world.stripe.event(world.stripe.paid(world.metadata("nobody"))))
    assert (await world.balances(), await world.rows(CREDITED)) == ({}, [(0,)])


async def test_an_event_of_a_payment_that_is_not_in_the_books_is_looked_at_again(world: World) -> None:
    plugin = await world.worker()
    late = world.stripe.paid(world.metadata(), status="processing", amount_received=0)
    lost = world.stripe.paid(world.metadata("NEW"))
    bodies = [world.stripe.event(late), world.stripe.event(lost)]
    for body in bodies * 2:
        assert (await told(plugin, body)).body["duplicate"] is False
    assert await world.balances() == {}
    world.stripe.intents[late].update(status="succeeded", amount_received=300)
    await world.team("NEW")
    for duplicate in (False, True):
        for body in bodies:
            assert (await told(plugin, body)).body["duplicate"] is duplicate
    assert await world.balances() == {"T": 300, "NEW": 5_000}
    await world.prove()


async def test_two_accounts_with_events_of_one_id_know_them_apart(world: World) -> None:
    plugin, second = await world.worker(), await world.worker(name="second")
    first, other = (
        world.stripe.paid(world.metadata()),
        world.stripe.paid(world.metadata("U", gateway_plugin="second")),
    )
    body = world.stripe.event(first)
    await told(plugin, body)
    assert (await told(second, body.replace(first.encode(), other.encode()))).body["duplicate"] is False
    assert await world.balances() == {"T": 5_000, "U": 5_000}


@pytest.mark.parametrize(
    "about",
    [
        {"object": "customer", "id": "cus_1"},
        {"object": "charge", "id": "ch_1", "payment_intent": None},
        {"object": "charge", "id": "ch_1", "payment_intent": {"id": "pi_1"}},
        {"object": "payment_intent", "id": "pi_1/../../v1/charges"},
        {"object": "payment_intent", "id": ""},
        {},
    ],
)
async def test_an_event_about_something_else_is_taken_and_nothing_asked(
    plugin: StripeTopUp, stripe: StripeLike, about: dict[str, str]
) -> None:
    body = json.dumps({"id": "evt_1", "data": {"object": about}}).encode()
    assert (await told(plugin, body)).status == 200
    assert stripe.asked == []


async def test_a_signed_body_that_is_no_event_is_a_400_and_a_huge_one_a_413(plugin: StripeTopUp) -> None:
    for body in (b"{", b"[]", b'{"id": 1}', b'{"id": "evt", "data": {"object": []}}', b"[" * 50_000):
        with pytest.raises(InvalidJson):
            await told(plugin, body)
    with pytest.raises(PayloadTooLarge):
        await told(plugin, b" " * ((1 << 20) + 1))


async def test_while_stripe_cannot_be_asked_nothing_is_credited_and_the_webhook_comes_again(
    world: World,
) -> None:
    plugin = await world.worker()
    payment = world.stripe.paid(world.metadata())
    body = world.stripe.event(payment)
    world.stripe.down = True
    with pytest.raises(GatewayError) as failed:
        await told(plugin, body)
    assert (failed.value.status, await world.balances()) == (502, {})
    world.stripe.down = False
    await told(plugin, body)
    assert await world.balances() == {"T": 5_000}


async def test_a_key_that_stripe_refuses_is_our_fault_and_not_repeated(world: World) -> None:
    plugin = await world.worker(api_key="sk_test_revoked_key_000000")
    with pytest.raises(GatewayError) as failed:
        await told(plugin, world.stripe.event(world.stripe.paid(world.metadata())))
    assert failed.value.status == 502
    assert "sk_test" not in failed.value.message


async def test_events_of_many_payments_in_any_order_credit_each_once(world: World) -> None:
    workers = [await world.worker(), await world.worker()]
    rng = random.Random(7)
    bodies = []
    for number in range(12):
        payment = world.stripe.paid(world.metadata("TU"[number % 2]), 1_000 + number)
        if number % 3 == 0:
            world.stripe.refund(payment, 500)
        kinds = ("charge.refunded", "payment_intent.succeeded", "checkout.session.completed")
        bodies += [world.stripe.event(payment, kind) for kind in kinds]
    rng.shuffle(bodies)
    await asyncio.gather(*[told(workers[number % 2], body) for number, body in enumerate(bodies)])
    assert await world.balances() == {
        "T": sum(1_000 + number for number in range(0, 12, 2)) - 2 * 500,
        "U": sum(1_000 + number for number in range(1, 12, 2)) - 2 * 500,
    }
    await world.prove()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"{}", b'{"usd": 10.5}', b'{"usd": "9.99"}', b'{"usd": "1000.01"}',
        b'{"usd": "-50"}', b'{"usd": "50.001"}', b'{"usd": "1e2"}', b'{"usd": "NaN"}', b'{"usd": null}',
        b'{"usd": "50", "team": "U"}', b'{"usd": "50", "save_card": 1}', b'{"usd": "\xd9\xa5\xd9\xa0"}',
        b'{"usd": 99999999999999999999}',
    ],
)  # fmt: skip
async def test_a_checkout_that_makes_no_sense_is_refused_before_stripe_is_asked(
    plugin: StripeTopUp, stripe: StripeLike, body: bytes
) -> None:
    with pytest.raises(ClientError) as refused:
        await plugin.checkout(asking(body))
    assert refused.value.status == 400
    assert stripe.asked == []


async def test_a_checkout_asked_again_under_its_key_is_the_same_page_and_another_teams_is_not(
    plugin: StripeTopUp,
) -> None:
    body, key = b'{"usd": 50}', {"idempotency-key": "one"}
    first = (await plugin.checkout(asking(body, **key))).body
    assert (await plugin.checkout(asking(body, **key))).body == first
    other = (await plugin.checkout(asking(body, "U", **key))).body
    assert other["checkout"]["id"] != first["checkout"]["id"]
    with pytest.raises(ClientError) as refused:
        await plugin.checkout(asking(b'{"usd": 60}', **key))
    assert refused.value.status == 409
