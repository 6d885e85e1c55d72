"""Credit over HTTP, on real processes: who may move it, and that nothing is booked twice."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.gateway.conftest import Start, provider
from tests.gateway.process import Gateway
from tests.gateway.samples import ASK, answer, usage_event
from tests.gateway.upstream import Script, Upstream, sse

BOTH = pytest.mark.parametrize("database", ["sqlite", "postgres"])
ONE = {"usd": "5", "reference": "invoice 7"}


def _key(gateway: Gateway, *options: str, team: str = "poor") -> Any:
    return gateway.cli("keys", "create", "--team", team, *options)


async def _post(gateway: Gateway, key: str, path: str, body: Any, **headers: str) -> Any:
    async with gateway.client(key) as client:
        return await client.send("POST", f"/v1/ledger/{path}", body, **headers)


@BOTH
async def test_an_operator_tops_a_team_up_once_through_whichever_worker(start: Start, database: str) -> None:
    gateway = start({}, database=database, workers=2)
    operator = _key(gateway, "--operator", team="rich")
    team = _key(gateway)["team_id"]
    body = {**ONE, "team_id": team}
    bare, header = {"team_id": team, "usd": "5"}, {"idempotency_key": "invoice 7"}
    answers = await asyncio.gather(
        *[_post(gateway, operator["key"], "top-ups", body) for _ in range(20)],
        *[_post(gateway, operator["key"], "top-ups", bare, **header) for _ in range(10)],
    )
    assert Counter(each.status for each in answers) == {201: 1, 200: 29}
    assert len({each.json["transaction"]["transaction"] for each in answers}) == 1
    again = gateway.cli("wallet", "top-up", "--team", "poor", "--usd", "5", "--reference", "invoice 7")
    assert (again["booked"], again["balance_nanos"]) == (False, 5_000_000_000)
    assert (await _post(gateway, operator["key"], "top-ups", {**body, "usd": "6"})).status == 409
    assert (await _post(gateway, operator["key"], "top-ups", {**body, "team_id": "nobody"})).status == 404
    async with gateway.client(gateway.poor_key) as client:
        credit = (await client.get("/v1/credits")).json["credits"]
    assert credit == {
        "remaining": 5_000_000_000, "thirty_day_usage": 0, "thirty_day_requests": 0,
        "balance_nanos": 5_000_000_000, "reserved_nanos": 0, "available_nanos": 5_000_000_000,
    }  # fmt: skip
    assert gateway.cli("ledger", "verify")["ok"] is True


async def test_no_team_can_credit_itself(start: Start) -> None:
    gateway = start({})
    boss = _key(gateway, "--management")
    body = {**ONE, "team_id": boss["team_id"], "reason": "please"}
    charge = {"generation": "G-1", "reason": "please"}
    for path, asked in (("top-ups", body), ("adjustments", body), ("refunds", charge)):
        refused = await _post(gateway, boss["key"], path, asked)
        assert (refused.status, refused.json["reason"]) == (403, "operator_key_required")
        assert (await _post(gateway, gateway.poor_key, path, asked)).status == 401
    async with gateway.client(boss["key"]) as client:
        made = (await client.send("POST", "/v1/keys", {"name": "x"})).json["key"]
        for scopes in (["ledger:write"], '["ledger:write"]', "ledger:write", ["*"], ["admin"]):
            for method, path in (
                ("POST", "keys"),
                ("POST", "management/keys"),
                ("PATCH", f"keys/{made['id']}"),
            ):
                refused = await client.send(method, f"/v1/{path}", {"name": "x", "scopes": scopes})
                assert (refused.status, refused.json["reason"]) == (403, "scope_not_grantable")
        for change, status in (
            ({"name": "x"}, 404),
            ({"scopes": ["ledger:write"]}, 403),
            ({"mode": "live"}, 400),
        ):
            assert (await client.send("PATCH", f"/v1/keys/{boss['kid']}", change)).status == status
        for field in ({"mode": "management"}, {"hash": "0"}, {"kid": boss["kid"]}, {"operator": True}):
            assert (await client.send("POST", "/v1/keys", {"name": "x", **field})).status == 400
        assert (await client.get(f"/v1/ledger?team_id={boss['team_id']}x")).status == 403
        listed = (await client.get("/v1/keys")).json["keys"]
    assert {one["scopes"] for one in listed} == {"[]"}
    for path, asked in (("top-ups", body), ("adjustments", body), ("refunds", charge)):
        assert (await _post(gateway, made["key"], path, asked)).status == 401
    assert gateway.cli("wallet", "show", "--team", "poor")["balance_nanos"] == 0


async def test_a_charge_is_given_back_and_seen_in_the_ledger(start: Start, upstream: Upstream) -> None:
    gateway = start({"scripted": provider(upstream.base_url("scripted"), {"id": "test/chat"})})
    said = sse(answer(usage=usage_event()["usage"]), done=False)[6:-2]
    name = upstream.play("credits-api", Script(pieces=(said,), framing="length"))
    operator, boss = _key(gateway, "--operator"), _key(gateway, "--management", team="rich")
    async with gateway.client() as client:
        asked = await client.chat({"model": "test/chat", "messages": ASK, "x_script": name})
        assert asked.status == 200
        activity = (await client.get("/v1/activity?days=1")).json
    ((one,), cost) = activity["activity"], asked.json["usage"]["pricing"]["total_nanos"]
    assert (one["request_id"], one["cost_nanos"], activity["total"]) == (asked.generation_id, cost, 1)
    body = {"generation": asked.generation_id, "nanos": 1, "reason": "a nano"}
    assert (await _post(gateway, operator["key"], "refunds", body, idempotency_key="a")).status == 201
    over = await _post(gateway, operator["key"], "refunds", {**body, "nanos": cost}, idempotency_key="b")
    assert (over.status, over.json["left_nanos"]) == (422, cost - 1)
    taken = {"team_id": boss["team_id"], "nanos": -2, "reason": "two", "reference": "c"}
    assert (await _post(gateway, operator["key"], "adjustments", taken)).status == 201
    async with gateway.client(boss["key"]) as client:
        page = (await client.get("/v1/ledger")).json
    assert [(row["kind"], row["amount_nanos"]) for row in page["transactions"]][1:] == [
        ("charge", -cost),
        ("refund", 1),
        ("adjustment", -2),
    ]
    assert gateway.cli("ledger", "verify")["ok"] is True


@BOTH
async def test_an_id_that_no_database_can_hold_finds_nothing(start: Start, database: str) -> None:
    gateway = start({}, database=database)
    boss = _key(gateway, "--management", team="rich")["key"]
    async with gateway.client(boss) as client, gateway.client() as team:
        answers = [await team.get("/v1/generations?id=a%00b")]
        for text in ("a%00b", "x" * 500, "%ff", "%F0%9F%8E%88"):
            answers += [
                await client.send(method, f"/v1/keys/{text}", {"name": "x"})
                for method in ("GET", "PATCH", "DELETE")
            ]
    assert [one.status for one in answers] == [404] * len(answers)
    assert "does not answer" not in gateway.log_text()
