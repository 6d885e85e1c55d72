"""Limits of keys and teams: exact whoever asks at once, recovered after a kill, set by those who may."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.gateway.conftest import Start, provider
from tests.gateway.process import Gateway
from tests.gateway.samples import ASK, answer, chunk, usage_event
from tests.gateway.upstream import Script, Upstream, sse
from tests.gateway.waiting import until

PRICE = {"input_text_tokens": "10", "output_text_tokens": "10000"}  # a cent for each token of output
COST = 10_000 + 3 * 10_000_000
BOTH = pytest.mark.parametrize(("database", "workers"), [("sqlite", 4), ("postgres", 4)])
BLACK_BOX = pytest.mark.slow


def _start(
    start: Start, upstream: Upstream, more: Mapping[str, Any] | None = None, **options: Any
) -> Gateway:
    dear = provider(upstream.base_url("dear"), {"id": "test/dear", "price": PRICE})
    return start({"dear": dear, **(more or {})}, **options)


def _saying(tokens: int, status: int = 200) -> Script:
    usage = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1}
    return Script(status=status, pieces=(sse(answer(usage=usage), done=False)[6:-2],), framing="length")


def _body(name: str, tokens: int = 3, **more: Any) -> dict[str, Any]:
    return {"model": "test/dear", "messages": ASK, "max_tokens": tokens, "x_script": name, **more}


def _key(gateway: Gateway, team: str = "rich", *options: str) -> Any:
    return gateway.cli("keys", "create", "--team", team, *options)


async def _rows(gateway: Gateway, query: str) -> list[dict[str, Any]]:
    (found,) = await gateway.database.rows(query)
    return found


@BLACK_BOX
@BOTH
async def test_a_request_limit_is_exact_for_200_requests_at_once(
    start: Start, upstream: Upstream, database: str, workers: int
) -> None:
    gateway = _start(start, upstream, database=database, workers=workers)
    name = upstream.play(f"requests-{database}", _saying(3))
    made = _key(gateway)
    gateway.cli("keys", "limit", made["kid"], "--daily-requests", "50", "--weekly-requests", "120")
    async with gateway.client(made["key"]) as client:
        answers = await asyncio.gather(*(client.chat(_body(name)) for _ in range(200)))
        assert Counter(one.status for one in answers) == {200: 50, 429: 150}
        last = await client.chat(_body(name))
    assert last.json["error"]["code"] == "key_limit_exceeded"
    assert "daily_request_limit_reached" in last.body.decode()
    midnight = (datetime.now(UTC) + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert midnight.isoformat(timespec="milliseconds").replace("+00:00", "Z") in last.body.decode()
    assert 0 < int(last.headers["retry-after"]) <= 86_400
    assert len(upstream.calls(name)) == 50
    assert len(await _rows(gateway, "SELECT DISTINCT instance_id FROM settlements")) > 1  # not one alone
    gateway.stop()
    assert await _rows(gateway, "SELECT * FROM limit_reservations") == []


@BLACK_BOX
@BOTH
async def test_a_cost_limit_of_a_team_is_never_passed_by_200_requests_at_once(
    start: Start, upstream: Upstream, database: str, workers: int
) -> None:
    gateway = _start(start, upstream, database=database, workers=workers)
    name = upstream.play(f"cost-{database}", _saying(3))
    keys = [_key(gateway)["key"] for _ in range(2)]
    gateway.cli("teams", "limit", "rich", "--monthly-usd", "1")
    statuses: Counter[int] = Counter()
    async with gateway.client(keys[0]) as one, gateway.client(keys[1]) as two:
        for _ in range(3):  # those that were in each other's way ask again
            answers = await asyncio.gather(
                *(each.chat(_body(name)) for _ in range(100) for each in (one, two))
            )
            statuses += Counter(found.status for found in answers)
    assert set(statuses) == {200, 429}
    spent = await _rows(gateway, "SELECT SUM(cost_nanos) AS nanos FROM generations")
    assert int(spent[0]["nanos"]) <= 1_000_000_000
    # What is left pays for less than one answer more.
    assert int(spent[0]["nanos"]) > 1_000_000_000 - 2 * COST
    assert len(upstream.calls(name)) == statuses[200]
    assert len(await _rows(gateway, "SELECT DISTINCT instance_id FROM settlements")) > 1  # not one alone
    gateway.stop()
    assert await _rows(gateway, "SELECT * FROM limit_reservations") == []
    (counter,) = await _rows(gateway, "SELECT * FROM limit_counters")
    assert (counter["month_cost"], counter["month_requests"]) == (int(spent[0]["nanos"]), statuses[200])


async def test_the_last_of_a_cost_limit_pays_for_a_shorter_answer_and_then_for_none(
    start: Start, upstream: Upstream
) -> None:
    gateway = _start(start, upstream)
    name = upstream.play("shorter", _saying(50))
    made = _key(gateway)
    gateway.cli("keys", "limit", made["kid"], "--daily-usd", "0.055")
    async with gateway.client(made["key"]) as client:
        first = await client.chat(_body(name, tokens=1_000))
        second = await client.chat(_body(name, tokens=1_000))
    assert first.status == 200
    assert upstream.calls(name)[0].json["max_tokens"] == 5
    assert first.json["usage"]["pricing"]["total_nanos"] == 55_000_000
    assert (second.status, "daily_cost_limit_reached" in second.body.decode()) == (429, True)


async def test_failures_do_not_count_and_other_keys_are_not_limited(start: Start, upstream: Upstream) -> None:
    gateway = _start(start, upstream)
    failing = upstream.play("limit-fails", Script(status=500, pieces=(b"{}",), framing="length"))
    name = upstream.play("limit-works", lambda _: _saying(1))
    made = _key(gateway)
    gateway.cli("keys", "limit", made["kid"], "--daily-requests", "2")
    async with gateway.client(made["key"]) as client:
        failed = [(await client.chat(_body(failing))).status for _ in range(4)]
        found = [(await client.chat(_body(name))).status for _ in range(4)]
    assert 200 not in failed
    assert found == [200, 200, 429, 429]
    async with gateway.client() as client:
        assert (await client.chat(_body(name))).status == 200


@BLACK_BOX
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_what_a_killed_worker_had_reserved_comes_back(
    start: Start, upstream: Upstream, database: str
) -> None:
    gateway = _start(start, upstream, database=database, workers=2)
    pieces = (sse(chunk(), done=False), sse(chunk(None, "stop"), usage_event()))
    held = upstream.play(
        f"killed-{database}", Script(pieces=pieces, hold_at=1, content_type="text/event-stream")
    )
    name = upstream.play(f"after-{database}", lambda _: _saying(1))
    made = _key(gateway)
    gateway.cli("keys", "limit", made["kid"], "--daily-requests", "3")
    async with AsyncExitStack() as stack:
        for _ in range(3):
            reading = await stack.enter_async_context(
                gateway.client(made["key"]).stream(_body(held, stream=True))
            )
            await reading.until(1)
        async with gateway.client(made["key"]) as client:
            full = await client.chat(_body(name))
            assert (full.status, full.headers["retry-after"]) == (429, "1")
        for pid in gateway.workers():
            os.kill(pid, signal.SIGKILL)

        async def again() -> bool:
            try:
                async with gateway.client(made["key"]) as client:
                    return (await client.chat(_body(name))).status == 200
            except (OSError, EOFError):
                return False

        await until(again, "the reservations are given back")
    async with gateway.client(made["key"]) as client:
        found = [(await client.chat(_body(name))).status for _ in range(3)]
    assert found == [200, 200, 429]


async def test_an_alert_is_logged_and_posted_once(start: Start, upstream: Upstream) -> None:
    webhook = f"http://127.0.0.1:{upstream.port}/hook"
    upstream.play("alerted", lambda _: _saying(1))
    gateway = _start(start, upstream, {"limits": {"alerts": [50], "webhook": webhook}}, workers=2)
    made = _key(gateway)
    gateway.cli("keys", "limit", made["kid"], "--daily-requests", "4")
    async with gateway.client(made["key"]) as client:
        for _ in range(4):
            assert (await client.chat(_body("alerted"))).status == 200

    async def posted() -> bool:
        return bool([one for one in upstream.received if one.prefix == "hook"])

    await until(posted, "the alert is posted")
    gateway.stop()
    (call,) = [one for one in upstream.received if one.prefix == "hook"]
    assert (call.json["event"], call.json["percent"], call.json["used"]) == ("limit_alert", 50, 2)
    assert gateway.log_text().count("warning limit alert") == 1
    assert (call.json["scope"], call.json["id"], call.json["limit"]) == ("key", made["kid"], 4)


async def test_a_management_key_makes_limits_blocks_and_deletes_keys_that_work(
    start: Start, upstream: Upstream
) -> None:
    gateway = _start(start, upstream)
    name = upstream.play("managed", lambda _: _saying(1))
    manager = _key(gateway, "rich", "--management")["key"]
    async with gateway.client(manager) as boss:
        made = await boss.send("POST", "/v1/management/keys", {"name": "app", "daily_limit_requests": 1})
        assert made.status == 201
        key = made.json["key"]
        one = f"/v1/keys/{key['id']}"
        async with gateway.client(key["key"]) as app:
            assert [(await app.chat(_body(name))).status for _ in range(2)] == [200, 429]
            own = (await app.send("GET", "/v1/key")).json["data"]
            assert (own["usage"][0]["used"], own["usage"][0]["limit"]) == (1, 1)

            async def known() -> bool:
                last = (await boss.send("GET", one)).json["key"]["last_used_at"]
                return last is not None and last >= own["created_at"]

            await until(known, "the key's last use is known")
            assert key["key"] not in (await boss.send("GET", one)).body.decode()
            assert (await app.send("GET", "/v1/keys")).status == 401
            assert (await boss.send("PATCH", one, {"daily_limit_requests": 0})).status == 200
            assert (await app.chat(_body(name))).status == 200
            assert (await boss.send("PATCH", one, {"soft_blocked": True})).status == 200
            blocked = await app.chat(_body(name))
            assert (blocked.status, "key_limit_soft_blocked" in blocked.body.decode()) == (429, True)
            assert (await boss.send("DELETE", one)).json["message"] == 'Key "app" deleted successfully'
            assert (await app.chat(_body(name))).status == 401
        assert (await boss.send("GET", one)).status == 404
