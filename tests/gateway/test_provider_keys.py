"""Own provider keys over HTTP, on a real gateway: set, held by, quoted, charged, and out of use again."""

from tests.gateway.conftest import Start, provider
from tests.gateway.samples import ASK, answer
from tests.gateway.upstream import Script, Upstream, sse
from tests.gateway.waiting import until

OWN = "sk-own-key-over-http-0123"
OK = Script(pieces=(sse(answer(), done=False)[6:-2],))
USAGE = {"input_text_tokens": 12, "output_text_tokens": 5}
FEE = 3_675  # 3.5 % of 12 x 2,500 + 5 x 15,000


async def test_a_key_that_is_always_used_holds_its_fee_and_costs_what_was_quoted(
    start: Start, upstream: Upstream
) -> None:
    block = provider(upstream.base_url("scripted"), {"id": "test/chat", "upstream": "chat-1"})
    block["api_key"] = "sk-of-the-gateway-9876"
    gateway = start({"scripted": block, "byok": {"free_requests": 0}})
    boss = gateway.cli("keys", "create", "--team", "rich", "--management")["key"]
    other = gateway.cli("keys", "create", "--team", "poor", "--management")["key"]
    upstream.play("http", OK)
    body = {"model": "test/chat", "messages": ASK, "max_tokens": 1_000, "x_script": "http"}
    asked = {"model": "test/chat", "endpoint": "chat/completions", "usage": USAGE}
    path, said = "/v1/provider-keys/scripted", []

    async with gateway.client(boss) as client, gateway.client() as team, gateway.client(other) as stranger:
        await team.chat(body)
        new = {"provider": "scripted", "key": OWN}
        said += [await client.send("POST", "/v1/provider-keys", new)]
        said += [await team.send("POST", "/v1/provider-keys", new), await stranger.get(path)]
        fallback = await team.chat(body)
        said += [await client.send("PATCH", path, {"always_use": True}), await client.get(path)]
        estimate = (await team.chat(body, x_gateway_dry_run="cost")).json
        quote = await team.send("POST", "/v1/pricing/calculate", asked)
        sent = await team.chat(body)
        said += [await client.send("DELETE", path), await client.send("DELETE", path)]

        async def gone() -> bool:
            await team.chat(body)
            return OWN not in upstream.calls("http")[-1].headers["authorization"]

        await until(gone, "the key is not used any more")

    assert [one.status for one in said] == [201, 401, 404, 200, 200, 200, 404]
    assert fallback.json["usage"]["pricing"]["total_nanos"] == FEE
    charged = sent.json["usage"]["pricing"]
    assert quote.json["pricing"] == charged
    assert charged["total_nanos"] == FEE <= estimate["maximum_nanos"]
    query = "SELECT hold_nanos, cost_nanos FROM generations WHERE success ORDER BY created_at, id"
    (rows,) = await gateway.database.rows(query)
    full, either, own = [row["hold_nanos"] for row in rows[:3]]
    assert full == either > 25 * own > 0
    assert all(row["cost_nanos"] <= row["hold_nanos"] for row in rows)
    everything = [gateway.log_text(), *[one.body.decode() for one in said]]
    assert [one for one in everything if OWN in one] == []
    assert gateway.cli("ledger", "verify")["ok"] is True
