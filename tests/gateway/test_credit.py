"""A small wallet: what it cannot pay is shortened or refused; and whose key pays from which."""

from typing import Any

from tests.gateway.books import books
from tests.gateway.conftest import Start, provider
from tests.gateway.database import TOP_UP_USD
from tests.gateway.process import Gateway
from tests.gateway.samples import ASK, answer
from tests.gateway.upstream import Received, Script, Upstream, sse
from tests.gateway.waiting import until

DEAR = {"input_text_tokens": "10", "output_text_tokens": "10000"}  # a cent for each token of output
USD = 1_000_000_000


def _start(start: Start, upstream: Upstream, **more: Any) -> Gateway:
    model = {"id": "test/dear", "price": DEAR}
    return start({"dear": provider(upstream.base_url("dear"), model)}, **more)


def _small_wallet(gateway: Gateway, usd: str) -> str:
    """The key of a new team that has so much."""
    gateway.cli("teams", "create", "small")
    gateway.cli("wallet", "top-up", "--team", "small", "--usd", usd)
    return str(gateway.cli("keys", "create", "--team", "small")["key"])


def _saying(tokens: int) -> Script:
    usage = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1}
    return Script(pieces=(sse(answer(usage=usage), done=False)[6:-2],), framing="length")


async def test_the_upstream_is_asked_for_no_more_than_the_wallet_pays_for(
    start: Start, upstream: Upstream
) -> None:
    gateway = _start(start, upstream)
    name = upstream.play("clamped", _saying(50))
    async with gateway.client(_small_wallet(gateway, "2")) as client:
        got = await client.chat(
            {"model": "test/dear", "messages": ASK, "max_tokens": 1_000, "x_script": name}
        )
    assert got.status == 200
    assert "clamped=max_tokens" in got.headers["x-gateway-fidelity"]
    assert 190 < upstream.calls(name)[0].json["max_tokens"] <= 200


async def test_strict_fidelity_refuses_what_would_be_clamped(start: Start, upstream: Upstream) -> None:
    gateway = _start(start, upstream)
    name = upstream.play("strictly", _saying(50))
    async with gateway.client(_small_wallet(gateway, "2")) as client:
        body = {"model": "test/dear", "messages": ASK, "max_tokens": 1_000, "x_script": name}
        got = await client.chat(body, x_gateway_fidelity="strict")
    assert got.status == 402
    assert upstream.calls(name) == []


async def test_an_upstream_that_says_more_than_it_was_paid_for_is_our_loss(
    start: Start, upstream: Upstream
) -> None:
    gateway = _start(start, upstream)
    name = upstream.play("talkative", _saying(500))
    async with gateway.client(_small_wallet(gateway, "2")) as client:
        got = await client.chat({"model": "test/dear", "messages": ASK, "x_script": name})
        record = await client.generation(got.generation_id)
        again = await client.chat({"model": "test/dear", "messages": ASK, "x_script": name})
    pricing = got.json["usage"]["pricing"]
    assert pricing["lines"][-1]["dimension"] == "over_hold"
    assert pricing["lines"][-1]["line_nanos"] < 0
    assert pricing["total_nanos"] == record["cost_nanos"] <= 2 * USD
    assert await gateway.balance("small") == 2 * USD - pricing["total_nanos"]
    found = await books(gateway.database)
    lost = sum(entry["amount"] for entry in found.entries if entry["account"] == "loss")
    assert lost == -(1 * 10_000 + 500 * 10_000_000 - pricing["total_nanos"])
    assert again.status == 402
    gateway.cli("ledger", "verify")


async def test_a_new_key_works_at_once_and_a_revoked_one_soon_does_not(
    start: Start, upstream: Upstream
) -> None:
    gateway = _start(start, upstream, workers=2)
    name = upstream.play("revoked", lambda _: _saying(1))
    made = gateway.cli("keys", "create", "--team", "rich")
    body = {"model": "test/dear", "messages": ASK, "max_tokens": 5, "x_script": name}
    async with gateway.client(made["key"]) as client:
        assert (await client.chat(body)).status == 200
    gateway.cli("keys", "revoke", made["kid"])

    async def refused() -> bool:
        async with gateway.client(made["key"]) as client:
            found = [(await client.chat(body)).status for _ in range(4)]
        async with gateway.client(made["key"]) as client:
            return {*found, (await client.chat(body)).status} == {401}

    await until(refused, "the revoked key is refused by every worker")


async def test_a_test_key_reaches_simulated_models_only(start: Start, upstream: Upstream) -> None:
    def never(request: Received) -> Script:
        raise AssertionError(f"called with {request.path}")

    gateway = _start(start, upstream)
    name = upstream.play("never", never)
    async with gateway.client(gateway.test_key) as client:
        real = await client.chat({"model": "test/dear", "messages": ASK, "x_script": name})
        gateway.cli("wallet", "top-up", "--team", "rich", "--usd", "5", "--test")
        simulated = await client.chat({"model": "sim/chat", "messages": ASK})
    assert real.status in (402, 403)
    assert upstream.calls(name) == []
    assert simulated.status == 200
    assert await gateway.balance() < (TOP_UP_USD + 5) * USD
