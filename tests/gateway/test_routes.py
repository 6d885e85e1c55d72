"""The routes beside the pipeline, CORS, headers, and `meta`."""

from typing import Any

import pytest

from tests.gateway.process import Gateway
from tests.gateway.samples import ASK


async def test_the_root_and_health_need_no_key(gateway: Gateway) -> None:
    async with gateway.stranger() as client:
        root = await client.get("/")
        health = await client.get("/v1/health")
    assert set(root.json) == {"message", "timestamp"}
    assert health.status == 200
    assert health.headers["cache-control"] == "no-store"


async def test_everything_else_needs_one(gateway: Gateway) -> None:
    async with gateway.stranger() as client:
        for path in ("/v1/models", "/v1/gateway/models", "/v1/generations?id=G-1"):
            found = await client.get(path)
            assert found.status == 401, path
            said = found.json["error"]
            assert (said["code"] if isinstance(said, dict) else said) == "unauthorised"


async def test_models_have_the_shape_that_sdks_parse(gateway: Gateway) -> None:
    async with gateway.client() as client:
        found = (await client.get("/v1/models")).json
    assert found["object"] == "list"
    assert {"test/chat", "sim/chat"} <= {one["id"] for one in found["data"]}
    assert all(one["object"] == "model" for one in found["data"])


async def test_gateway_models_are_paged_and_filtered(gateway: Gateway) -> None:
    async with gateway.client() as client:
        found = await client.get("/v1/gateway/models?endpoints=chat.completions&limit=2&offset=1")
        none = await client.get("/v1/gateway/models?endpoints=embeddings&output_types=smell")
        bad = await client.get("/v1/gateway/models?offset=6000")
    assert found.json["ok"] is True
    assert (found.json["limit"], found.json["offset"], len(found.json["models"])) == (2, 1, 2)
    wanted = {"model_id", "name", "endpoints", "input_types", "output_types", "providers", "aliases"}
    assert wanted <= set(found.json["models"][0])
    assert none.json["models"] == []
    assert bad.status == 400


async def test_a_browser_may_ask(gateway: Gateway) -> None:
    async with gateway.stranger() as client:
        found = await client.send(
            "OPTIONS", "/v1/chat/completions", origin="https://x", access_control_request_method="POST"
        )
    assert found.status == 204
    assert found.headers["access-control-allow-origin"] == "*"
    allowed = {name.strip().lower() for name in found.headers["access-control-allow-headers"].split(",")}
    assert {"authorization", "content-type", "x-title", "x-gateway-passthrough", "idempotency-key"} <= allowed


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_carries_its_headers_and_meta_where_asked(gateway: Gateway, stream: bool) -> None:
    async with gateway.client() as client:
        body: dict[str, Any] = {"model": "sim/chat", "messages": ASK, "stream": stream, "meta": True}
        got = await client.chat(body, x_title="Tests", http_referer="https://tests.example")
        record = await client.generation(got.generation_id)
    assert got.headers["x-request-id"] == got.generation_id
    assert got.headers["cache-control"] == "no-store"
    assert got.headers["access-control-allow-origin"] == "*"
    assert got.headers["x-gateway-fidelity"] == "exact"
    last = got.events[-2] if stream else got.json
    assert {"generation_ms", "latency_ms"} <= set(last["meta"])
    assert last["meta"]["routing"]["selected_provider"] == "simulator"
    assert last["usage"]["pricing"]["total_nanos"] == record["cost_nanos"]
    if stream:
        assert all("meta" not in event for event in got.events[:-2])


async def test_a_record_says_what_the_contract_says_and_only_to_its_own_team(gateway: Gateway) -> None:
    async with gateway.client() as client:
        got = await client.chat({"model": "sim/chat", "messages": ASK})
        record = await client.generation(got.generation_id)
    assert {
        "id", "created_at", "team_id", "request_id", "endpoint", "model_id", "provider", "native_response_id",
        "stream", "byok", "status_code", "success", "error_code", "error_message", "latency_ms",
        "generation_ms", "usage", "cost_nanos", "currency", "pricing_lines", "key_id", "finish_reason",
    } <= set(record)  # fmt: skip
    assert (record["success"], record["status_code"], record["finish_reason"]) == (True, 200, "stop")
    async with gateway.client(gateway.poor_key) as other:
        hidden = await other.get(f"/v1/generations?id={got.generation_id}")
    assert hidden.status == 404
