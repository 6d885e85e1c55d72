"""Top-ups through a real gateway with two workers: page, payment, webhooks from everywhere, proved books."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.gateway.conftest import Start
from tests.gateway.process import Gateway
from tests.gateway.waiting import until
from tests.plugins.stripe_topup.stripe_like import API_KEY, SECRET, StripeLike, serving, signed

BOTH = pytest.mark.parametrize("database", ["sqlite", "postgres"])
WEBHOOK = "/v1/stripe_topup/webhook"


@pytest.fixture
def stripe() -> Iterator[StripeLike]:
    with serving() as account:
        yield account


def _block(stripe: StripeLike, **options: Any) -> dict[str, Any]:
    return {
        "stripe_topup": {
            "api_key": API_KEY, "webhook_secret": SECRET, "success_url": "https://shop.example/paid",
            "cancel_url": "https://shop.example/not", "base_url": stripe.url, **options,
        }
    }  # fmt: skip


async def _tell(gateway: Gateway, body: bytes, **headers: str) -> int:
    async with gateway.stranger() as client:
        return (await client.send("POST", WEBHOOK, body, **{**signed(body), **headers})).status


@BOTH
async def test_a_payment_told_sixty_times_at_once_is_credited_once(
    start: Start, stripe: StripeLike, database: str
) -> None:
    gateway = start(_block(stripe, fee_percent="5"), database=database, workers=2)
    boss = gateway.cli("keys", "create", "--team", "poor", "--management")
    async with gateway.client(boss["key"]) as client:
        made = (await client.send("POST", "/v1/stripe_topup/checkout", {"usd": "40.00"})).json["checkout"]
    assert made["credit_nanos"] == 38_000_000_000
    unknown = stripe.event("pi_000099", "checkout.session.completed")
    assert await _tell(gateway, unknown) == 404
    payment = stripe.pay(made["id"])
    same = stripe.event(payment)
    bodies = [same] * 30 + [stripe.event(payment, "checkout.session.completed") for _ in range(30)]
    assert Counter(await asyncio.gather(*[_tell(gateway, body) for body in bodies])) == {200: 60}
    assert await gateway.balance("poor") == 38_000_000_000
    refund = stripe.refund(payment, 1_000)
    told = [_tell(gateway, stripe.event(payment, "charge.refunded")) for _ in range(20)]
    assert Counter(await asyncio.gather(*told)) == {200: 20}
    assert await gateway.balance("poor") == 28_500_000_000
    async with gateway.client(boss["key"]) as client:
        rows = (await client.get("/v1/ledger")).json["transactions"]
    assert [(row["kind"], row["reference"], row["amount_nanos"]) for row in rows] == [
        ("top_up", f"payment:stripe_topup:{payment}", 38_000_000_000),
        ("reversal", f"payment:stripe_topup:{refund}", -9_500_000_000),
    ]
    assert gateway.cli("ledger", "verify")["ok"] is True


@BOTH
async def test_an_event_told_again_after_restarts_by_any_worker_is_a_duplicate_and_stripe_is_not_asked(
    start: Start, stripe: StripeLike, database: str
) -> None:
    gateway = start(_block(stripe), database=database, workers=2)
    team = gateway.cli("keys", "create", "--team", "poor")["team_id"]
    payment = stripe.paid({"gateway_plugin": "stripe_topup", "gateway_team": team}, 4_000)
    refund = stripe.refund(payment, 1_000)
    # the refund is told before the payment, and everything again in every order
    events = [stripe.event(payment, kind) for kind in ("charge.refunded", "payment_intent.succeeded")]

    async def told(body: bytes) -> tuple[int, bool]:
        async with gateway.stranger() as client:
            answer = await client.send("POST", WEBHOOK, body, **signed(body))
            return answer.status, answer.json["duplicate"]

    assert [await told(body) for body in events] == [(200, False)] * 2
    asked = len(stripe.asked)
    for end in (gateway.stop, gateway.kill):
        assert Counter(await asyncio.gather(*[told(body) for body in events * 10])) == {(200, True): 20}
        end()
        gateway.restart()
    assert [await told(body) for body in reversed(events)] == [(200, True)] * 2
    assert (len(stripe.asked), await gateway.balance("poor")) == (asked, 30_000_000_000)
    stripe.returned[refund]["status"] = "failed"  # a new event of a payment that is known is looked at
    assert await told(stripe.event(payment, "refund.failed")) == (200, False)
    assert await gateway.balance("poor") == 40_000_000_000
    assert gateway.cli("ledger", "verify")["ok"] is True


@BOTH
async def test_an_event_whose_process_is_killed_before_it_is_booked_is_done_by_the_next(
    start: Start, stripe: StripeLike, database: str
) -> None:
    gateway = start(_block(stripe), database=database, workers=2)
    team = gateway.cli("keys", "create", "--team", "poor")["team_id"]
    body = stripe.event(stripe.paid({"gateway_plugin": "stripe_topup", "gateway_team": team}))
    stripe.holds = lambda method, path: gateway.kill()  # when it has asked, and not heard yet
    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        await _tell(gateway, body)
    stripe.holds = lambda method, path: None
    gateway.restart()
    assert await gateway.balance("poor") == 0
    assert [await _tell(gateway, body) for _ in range(3)] == [200] * 3
    assert await gateway.balance("poor") == 50_000_000_000
    assert gateway.cli("ledger", "verify")["ok"] is True


async def test_who_cannot_sign_is_refused_and_who_has_no_management_key_gets_no_page(
    start: Start, stripe: StripeLike
) -> None:
    gateway = start(_block(stripe))
    team = gateway.cli("keys", "create", "--team", "poor")["team_id"]
    metadata = {"gateway_plugin": "stripe_topup", "gateway_team": team}
    body = stripe.event(stripe.paid(metadata))
    for signature in ("", signed(body, "whsec_x")["stripe-signature"]):
        async with gateway.stranger() as client:
            refused = await client.send("POST", WEBHOOK, body, **{"stripe-signature": signature})
            assert (refused.status, refused.json["reason"]) == (400, "invalid_signature")
            assert (await client.send("POST", WEBHOOK, body + b" ", **signed(body))).status == 400
            assert (await client.send("POST", "/v1/stripe_topup/checkout", {"usd": "40"})).status == 401
    async with gateway.client(gateway.poor_key) as client:
        assert (await client.send("POST", "/v1/stripe_topup/checkout", {"usd": "40"})).status == 401
    assert (stripe.asked, await gateway.balance("poor")) == ([], 0)
    stripe.down = True
    assert await _tell(gateway, body) == 502
    stripe.down = False
    assert await _tell(gateway, body) == 200
    assert await gateway.balance("poor") == 50_000_000_000
    assert SECRET not in gateway.log_text()
    assert API_KEY not in gateway.log_text()


async def test_two_workers_that_look_every_second_top_a_team_up_once(
    start: Start, stripe: StripeLike
) -> None:
    gateway = start({}, workers=2)
    team = gateway.cli("keys", "create", "--team", "poor")["team_id"]
    gateway.stop()
    rule = {"team_id": team, "below": "10", "amount": "25", "customer": "cus_1", "payment_method": "pm_1"}
    content = yaml.safe_load(gateway.config.read_text())
    content["plugins"] |= _block(stripe, automatic=[rule], check_seconds=1)
    gateway.config.write_text(yaml.safe_dump(content, sort_keys=False))
    gateway.restart()

    async def topped_up() -> bool:
        return bool(await gateway.balance("poor"))

    await until(topped_up, "the team is topped up")
    gateway.stop()
    assert (len(stripe.intents), await gateway.balance("poor")) == (1, 25_000_000_000)
    assert gateway.cli("ledger", "verify")["ok"] is True
