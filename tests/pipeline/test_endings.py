"""Every way in which a request can end: one settlement each, money conserved, the record true."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway_core.pipeline.exchange import ENDS, NEXT, Phase
from plugin_sdk.protocol import Answer, Piece, ResponseStream
from plugins.protocols.openai_chat import OpenAIChat
from tests.gateway.upstream import Script, Upstream, sse
from tests.pipeline.driver import PRICE, driver

USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
COST = 10 * 2_500 + 4 * 10_000


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as found:
        yield found


def chunk(text: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    return {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": more.pop("finish", None)}], **more,
    }  # fmt: skip


def usage_event() -> dict[str, Any]:
    return {**chunk(), "choices": [], "usage": USAGE}


def stream(*events: Any, done: bool = True, **more: Any) -> Script:
    pieces = tuple(sse(one, done=False) for one in events) + ((b"data: [DONE]\n\n",) if done else ())
    return Script(content_type="text/event-stream", pieces=pieces, pace=0.01, **more)


def plugins(upstream: Upstream, **more: Any) -> dict[str, Any]:
    block = {
        "plugin": "openai_compatible", "base_url": upstream.base_url("one"), "api_key": "none",
        "models": [{"id": "m", "price": PRICE}], **more,
    }  # fmt: skip
    return {"one": block}


def request(script: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}], "x_script": script, **more}


ANSWER = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": USAGE,
}  # fmt: skip


def whole(body: Any, status: int = 200) -> Script:
    return Script(status=status, pieces=(json.dumps(body).encode(),), framing="length")


async def test_a_whole_answer_is_charged_once_and_marked_delivered(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.play("whole", whole(ANSWER))
    async with driver(tmp_path, plugins(upstream)) as gateway:
        answer = await gateway.ask(request("whole"))
        assert answer.status == 200
        assert answer.json["usage"]["pricing"]["total_nanos"] == COST
    (row,) = gateway.settled()
    assert (row["outcome"], row["charge"], row["success"], row["finish_reason"]) == (
        "charged",
        COST,
        1,
        "stop",
    )
    assert row["delivered_at"] is not None
    assert row["id"] == answer.generation_id == answer.json["id"]


async def test_a_stream_is_charged_by_its_usage(upstream: Upstream, tmp_path: Path) -> None:
    upstream.play("stream", stream(chunk("He"), chunk("y", finish="stop"), usage_event()))
    async with driver(tmp_path, plugins(upstream)) as gateway:
        answer = await gateway.ask(request("stream", stream=True))
        assert answer.whole
        assert answer.body.endswith(b"data: [DONE]\n\n")
        assert b'"usage"' not in answer.body  # nobody asked for it
    (row,) = gateway.settled()
    assert (row["outcome"], row["charge"], row["estimated"]) == ("charged", COST, 0)


async def test_a_client_that_leaves_is_charged_what_its_answer_came_to(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.play("leave", stream(*[chunk("x") for _ in range(20)], chunk(finish="stop"), usage_event()))
    async with driver(tmp_path, plugins(upstream)) as gateway:
        answer = await gateway.ask(request("leave", stream=True), leave_after=2)
        assert not answer.whole
    (row,) = gateway.settled()
    assert (row["outcome"], row["charge"], row["estimated"], row["success"]) == ("charged", COST, 0, 1)
    assert row["delivered_at"] is None


async def test_a_client_that_leaves_a_slow_upstream_is_charged_an_estimate(
    upstream: Upstream, tmp_path: Path
) -> None:
    script = stream(*[chunk("some words ") for _ in range(3)], done=False, then="stall")
    upstream.play("slow", script)
    async with driver(tmp_path, plugins(upstream, drain_seconds=0.3)) as gateway:
        await gateway.ask(request("slow", stream=True), leave_after=2)
    script.release()
    (row,) = gateway.settled()
    assert (row["outcome"], row["estimated"], row["finish_reason"]) == ("charged", 1, "cancel")
    assert row["charge"] > 0
    assert row["status_code"] == 499


async def test_a_client_that_leaves_before_its_upstream_is_called_pays_nothing(
    upstream: Upstream, tmp_path: Path
) -> None:
    async with driver(tmp_path, plugins(upstream)) as gateway:
        await gateway.ask(request("never"), leave_after=0)
    rows = gateway.settled()
    assert all(row["charge"] == 0 for row in rows)


async def test_a_cut_stream_ends_in_an_error_event_and_is_not_charged(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.play("cut", stream(chunk("He"), done=False, then="cut"))
    async with driver(tmp_path, plugins(upstream)) as gateway:
        answer = await gateway.ask(request("cut", stream=True))
        assert b'"error"' in answer.body.split(b"\n\n")[-2]
        assert b"[DONE]" not in answer.body
    (row,) = gateway.settled()
    assert (row["outcome"], row["charge"], row["success"], row["status_code"]) == ("released", 0, 0, 200)
    assert row["error_code"] == "upstream:upstream_error"


async def test_a_failure_said_inside_a_stream_is_forwarded_recorded_and_not_charged(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.play("said", stream(chunk("He"), {"error": {"message": "overloaded", "code": 529}}))
    async with driver(tmp_path, plugins(upstream)) as gateway:
        answer = await gateway.ask(request("said", stream=True))
        assert b"overloaded" in answer.body
    (row,) = gateway.settled()
    assert (row["outcome"], row["charge"], row["success"]) == ("released", 0, 0)


@pytest.mark.parametrize("status", [400, 401, 402, 404, 408, 422, 429, 500, 503])
async def test_an_upstream_error_is_recorded_and_free(
    upstream: Upstream, tmp_path: Path, status: int
) -> None:
    upstream.play("error", whole({"error": {"message": "no"}}, status))
    async with driver(tmp_path, plugins(upstream)) as gateway:
        answer = await gateway.ask(request("error"))
    kept = {400, 404, 422, 429}
    assert answer.status == (status if status in kept else 504 if status == 408 else 502)
    (row,) = gateway.settled()
    assert (row["outcome"], row["charge"], row["success"], row["status_code"]) == (
        "released",
        0,
        0,
        answer.status,
    )
    (attempt,) = gateway.rows("SELECT * FROM attempts")
    assert attempt["status"] == status


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_at_which_a_protocol_breaks_is_a_500_and_its_cost_is_ours(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    sound = OpenAIChat().splice

    def splice(_: OpenAIChat, answer: Answer) -> ResponseStream:
        found = sound(answer)
        step = "feed" if streamed else "close"
        sound_step = getattr(found, step)

        def broken(*data: bytes) -> list[Piece]:
            sound_step(*data)
            raise ArithmeticError("a defect of a protocol")

        monkeypatch.setattr(found, step, broken)
        return found

    monkeypatch.setattr(OpenAIChat, "splice", splice)
    first = {**chunk("Hi"), "usage": USAGE}
    upstream.play("breaks", stream(first) if streamed else whole(ANSWER))
    async with driver(tmp_path, plugins(upstream)) as gateway:
        answer = await gateway.ask(request("breaks", stream=streamed))
    assert answer.status == 500
    (row,) = gateway.settled()
    assert (row["outcome"], row["charge"], row["lost"]) == ("released", 0, COST)
    (attempt,) = gateway.rows("SELECT * FROM attempts")
    assert (attempt["cost_nanos"], attempt["error_code"]) == (COST, "gateway_error")


async def test_an_answer_of_nothing_is_not_charged_and_says_so(upstream: Upstream, tmp_path: Path) -> None:
    empty = json.loads(json.dumps(ANSWER))
    empty["choices"][0]["message"]["content"] = ""
    empty["usage"] = {"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 10}
    upstream.play("empty", whole(empty))
    async with driver(tmp_path, plugins(upstream)) as gateway:
        answer = await gateway.ask(request("empty"))
        pricing = answer.json["usage"]["pricing"]
    assert (pricing["total_nanos"], pricing["billing_suppressed"]) == (0, True)
    (row,) = gateway.settled()
    assert (row["outcome"], row["charge"], row["suppressed"]) == ("released", 0, "zero_output_tokens")
    assert row["lost"] == 10 * 2_500


async def test_a_stopped_server_settles_what_it_cancels(upstream: Upstream, tmp_path: Path) -> None:
    script = stream(chunk("He"), chunk("llo"), done=False, then="stall")
    upstream.play("stopped", script)
    async with driver(tmp_path, plugins(upstream)) as gateway:
        asking = asyncio.ensure_future(gateway.ask(request("stopped", stream=True)))
        while not upstream.calls("stopped") or script.served == 0:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    script.release()
    (row,) = gateway.settled()
    assert row["outcome"] in ("charged", "released")
    assert row["state"] == "finished"


async def test_a_refused_request_is_recorded_for_a_known_team_and_calls_nobody(
    upstream: Upstream, tmp_path: Path
) -> None:
    async with driver(tmp_path, plugins(upstream)) as gateway:
        before = len(upstream.received)
        assert (await gateway.ask(request("x", model="nobody/knows"))).status == 404
        assert (await gateway.ask(b"{")).status == 400
        assert (await gateway.ask(request("x"), key="aistats_v1_sk_nobody_nobody")).status == 401
        assert len(upstream.received) == before
    assert [row["status_code"] for row in gateway.settled()] == [404, 400]


async def test_a_hold_that_pays_for_less_lowers_the_limit_and_what_goes_above_is_lost(
    upstream: Upstream, tmp_path: Path
) -> None:
    greedy = json.loads(json.dumps(ANSWER))
    greedy["usage"] = {"prompt_tokens": 10, "completion_tokens": 1_000_000, "total_tokens": 1_000_010}
    upstream.play("greedy", whole(greedy))
    async with driver(tmp_path, plugins(upstream), usd=1) as gateway:
        answer = await gateway.ask(request("greedy", max_tokens=500_000))
        pricing = answer.json["usage"]["pricing"]
    assert answer.headers["x-gateway-fidelity"] == "lossy; clamped=max_tokens"
    sent = upstream.calls("greedy")[-1].json["max_tokens"]
    assert 90_000 < sent < 100_000
    assert pricing["lines"][-1]["dimension"] == "over_hold"
    assert pricing["total_nanos"] == sum(line["line_nanos"] for line in pricing["lines"]) == 1_000_000_000
    (row,) = gateway.settled()
    assert row["charge"] == 1_000_000_000
    (loss,) = gateway.rows("SELECT SUM(amount) AS total FROM ledger_entries WHERE account = 'loss'")
    assert loss["total"] == -(10 * 2_500 + 1_000_000 * 10_000 - 1_000_000_000)


def test_every_phase_leads_to_settled_and_only_ends_do_so() -> None:
    for phase in Phase:
        reached = {phase}
        while more := set().union(*(NEXT[one] for one in reached)) - reached:
            reached |= more
        assert Phase.SETTLED in reached
    assert {phase for phase, after in NEXT.items() if Phase.SETTLED in after} == ENDS
    assert not NEXT[Phase.SETTLED]
