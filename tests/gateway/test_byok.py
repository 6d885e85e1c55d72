"""A team's own provider key over a real gateway: stored sealed, used first, never shown, never our cost."""

import subprocess
from typing import Any

import pytest

from tests.gateway.conftest import Start, provider
from tests.gateway.database import environment
from tests.gateway.process import PROGRAM, Gateway
from tests.gateway.samples import ASK, answer
from tests.gateway.upstream import Script, Upstream, sse
from tests.gateway.waiting import until

OWN = "sk-own-key-of-the-team-0123"
COST = 12 * 2_500 + 5 * 15_000  # of the usage of `answer`
FEE = 3_675  # 3.5 % of it
OK = Script(pieces=(sse(answer(), done=False)[6:-2],))


def _started(start: Start, upstream: Upstream, database: str = "sqlite") -> Gateway:
    block = provider(upstream.base_url("scripted"), {"id": "test/chat", "upstream": "chat-1"})
    block["api_key"] = "sk-of-the-gateway-9876"
    return start({"scripted": block, "byok": {"free_requests": 1}}, database=database)


def _keys(gateway: Gateway, *words: str, key: str = "") -> subprocess.CompletedProcess[str]:
    found = [*PROGRAM, "--config", str(gateway.config), "provider-keys", *words]
    return subprocess.run(found, env=environment(), input=key, capture_output=True, text=True, check=False)


async def _set(gateway: Gateway, upstream: Upstream, script: str, *words: str) -> None:
    """Set the key, and wait until the gateway that runs has heard of it."""
    done = _keys(gateway, "set", "--team", "rich", "--provider", "scripted", *words, key=OWN + "\n")
    assert (done.returncode, done.stderr) == (0, "")
    upstream.play("probe", OK)

    async def heard() -> bool:
        async with gateway.client() as client:
            await client.chat(_body("probe"))
        return upstream.calls("probe")[-1].headers["authorization"] == f"Bearer {OWN}"

    await until(heard, "the key is used")


def _body(script: str) -> dict[str, Any]:
    return {"model": "test/chat", "messages": ASK, "x_script": script}


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_an_own_key_is_used_and_costs_a_fee_and_nothing_else(
    start: Start, upstream: Upstream, database: str
) -> None:
    gateway = _started(start, upstream, database)
    await _set(gateway, upstream, "fee")
    upstream.play("fee", OK)
    before = await gateway.balance()
    async with gateway.client() as client:
        sent = await client.chat(_body("fee"))
        record = await client.generation(sent.generation_id)
    assert upstream.calls("fee")[-1].headers["authorization"] == f"Bearer {OWN}"
    pricing = sent.json["usage"]["pricing"]
    assert [(line["dimension"], line["line_nanos"]) for line in pricing["lines"]] == [
        ("byok_service_fee", FEE)
    ]
    assert (pricing["total_nanos"], pricing["byok_reference_total_nanos"]) == (FEE, COST)
    assert pricing["byok_service_fee_rate"] == 0.035
    assert before - await gateway.balance() == FEE
    assert (record["byok"], record["cost_nanos"]) == (True, FEE)
    costs = await gateway.database.rows("SELECT DISTINCT cost_nanos FROM attempts")
    assert [dict(row) for (row,) in [costs[0]]] == [{"cost_nanos": 0}]
    (margin,) = [one for one in gateway.cli("ledger", "margin")["lines"] if one["model"] == "test/chat"]
    assert margin["revenue"] >= FEE
    assert gateway.cli("ledger", "verify") == {"ok": True, "problems": []}


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 503])
async def test_where_the_own_key_fails_the_gateways_serves_at_the_full_price(
    start: Start, upstream: Upstream, status: int
) -> None:
    gateway = _started(start, upstream)
    await _set(gateway, upstream, "fails")
    no = Script(status=status, pieces=(b'{"error": {"message": "no"}}',))
    name = upstream.play(f"fails-{status}", lambda seen: no if OWN in seen.headers["authorization"] else OK)
    before = await gateway.balance()
    async with gateway.client() as client:
        sent = await client.chat(_body(name))
        record = await client.generation(sent.generation_id)
    assert (sent.status, sent.json["usage"]["pricing"]["total_nanos"]) == (200, COST)
    assert len(upstream.calls(name)) == 2
    assert (record["byok"], before - await gateway.balance()) == (False, COST)


async def test_who_always_uses_the_own_key_gets_its_failure_and_no_secret(
    start: Start, upstream: Upstream
) -> None:
    gateway = _started(start, upstream)
    await _set(gateway, upstream, "always", "--always-use")
    upstream.play(
        "always", Script(status=401, pieces=(b'{"error": {"message": "bad key %b"}}' % OWN.encode(),))
    )
    async with gateway.client() as client:
        sent = await client.chat(_body("always"))
    assert sent.status == 502
    assert sent.json["error"]["message"] == "The provider refused the key that the team brought."
    assert len(upstream.calls("always")) == 1
    said = _keys(gateway, "list", "--team", "rich").stdout
    assert said == "scripted: ...0123, always used\n"
    stored = await gateway.database.rows("SELECT * FROM provider_keys")
    everything = [str(stored), sent.body.decode(), gateway.log_text(), said]
    assert [one for one in everything if OWN in one] == []

    assert _keys(gateway, "delete", "--team", "rich", "--provider", "scripted").returncode == 0
    upstream.play("gone", OK)

    async def gone() -> bool:
        async with gateway.client() as client:
            await client.chat(_body("gone"))
        return OWN not in upstream.calls("gone")[-1].headers["authorization"]

    await until(gone, "the key is not used any more")
    assert _keys(gateway, "delete", "--team", "rich", "--provider", "scripted").returncode == 1


async def test_a_key_that_is_none_is_refused(start: Start, upstream: Upstream) -> None:
    gateway = _started(start, upstream)
    words = ("set", "--team", "rich", "--provider")
    assert "printable" in _keys(gateway, *words, "scripted", key="short\n").stderr
    assert "there is no provider 'nobody'" in _keys(gateway, *words, "nobody", key=OWN).stderr
    assert "no team called" in _keys(gateway, "list", "--team", "nobody").stderr
