"""Money and state where things go wrong: no credit stays held, and nobody is told another price than paid."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway_core.db.margin import margins
from plugin_sdk.context import Attempt, RequestContext
from plugin_sdk.errors import Forbidden
from plugin_sdk.money import Charge, ChargeLine, Hold, Nanos, Usage
from plugin_sdk.text import Conversation
from tests.gateway.upstream import Script, Upstream
from tests.pipeline.driver import PRICE, Driver, driver
from tests.pipeline.test_endings import (
    ANSWER,
    COST,
    USAGE,
    chunk,
    plugins,
    request,
    stream,
    usage_event,
    whole,
)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as found:
        yield found


def held(gateway: Driver) -> int:
    """Nanos in open holds of this process."""
    ledger = gateway.app.config["LANE"]._runtime.ledger
    return sum(amount for _, amount in ledger._pool.holds._open.values())


def called(script: Script) -> Callable[[], Awaitable[None]]:
    async def when() -> None:
        while not script.served:
            await asyncio.sleep(0.005)

    return when


async def quota(ctx: RequestContext) -> Hold | None:
    raise Forbidden("The team's quota is used up.")


async def test_a_policy_that_refuses_after_another_held_credit_gives_it_back(
    upstream: Upstream, tmp_path: Path
) -> None:
    async with driver(tmp_path, plugins(upstream), check_credit=quota) as gateway:
        assert (await gateway.ask(request("never"))).status == 403
        assert held(gateway) == 0


def policy(*lines: ChargeLine) -> Any:
    async def price(ctx: RequestContext, attempt: Attempt, usage: Usage, charge: Charge) -> Charge:
        return msgspec.structs.replace(charge, lines=lines)

    return price


@pytest.mark.parametrize(
    "line",
    [
        ChargeLine(meter="discount", quantity=1, nanos=Nanos(-5)),
        ChargeLine(meter="markup", quantity=1, nanos=1.5),  # type: ignore[arg-type]
        ChargeLine(meter="fee", quantity=1, nanos=Nanos(1 << 70)),
        ChargeLine(meter="fee", quantity=1, nanos=Nanos(5), per=0),
        ChargeLine(meter="fee", quantity=1, nanos=Nanos(5), usd="free"),  # type: ignore[arg-type]
    ],
    ids=["negative", "float", "beyond a BIGINT", "no unit", "no price"],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_price_policy_that_makes_no_sense_takes_no_answer_away_and_no_money(
    upstream: Upstream, tmp_path: Path, line: ChargeLine, streamed: bool
) -> None:
    upstream.play("whole-n", whole(ANSWER))
    upstream.play("stream-n", stream(chunk("x", finish="stop"), usage_event()))
    async with driver(tmp_path, plugins(upstream), price=policy(line)) as gateway:
        answer = await gateway.ask(request("stream-n" if streamed else "whole-n", stream=streamed))
        assert held(gateway) == 0
    (row,) = gateway.settled()
    assert (row["outcome"], row["charge"], row["suppressed"]) == ("released", 0, "pricing_failed")
    assert (answer.status, answer.whole) == (200, True)
    assert row["lost"] == COST
    assert json.loads(row["usage"])["output_text_tokens"] == 4


async def test_a_count_beyond_all_measure_still_ends_in_one_settlement(
    upstream: Upstream, tmp_path: Path
) -> None:
    absurd = {**ANSWER, "usage": {**USAGE, "num_search_queries": (1 << 40) - 1}}
    upstream.play("absurd", whole(absurd))
    found = plugins(upstream)
    found["one"]["models"][0]["price"] = {**PRICE, "native_web_search_requests": "0.01"}
    async with driver(tmp_path, found) as gateway:
        answer = await gateway.ask(request("absurd"))
        assert answer.status == 200
    (row,) = gateway.settled()
    assert (row["outcome"], row["charge"], row["suppressed"]) == ("released", 0, "pricing_failed")


@pytest.mark.parametrize(
    ("meter", "usd", "more"), [("requests", "0.01", 10_000_000), ("total_tokens", "1.00", 14 * 1_000)]
)
async def test_a_card_may_price_what_nobody_counts(
    upstream: Upstream, tmp_path: Path, meter: str, usd: str, more: int
) -> None:
    upstream.play("derived", whole(ANSWER))
    found = plugins(upstream)
    found["one"]["models"][0]["price"] = {**PRICE, meter: usd}
    async with driver(tmp_path, found) as gateway:
        answer = await gateway.ask(request("derived"))
    (row,) = gateway.settled()
    assert row["charge"] == COST + more == answer.json["usage"]["pricing"]["total_nanos"]
    (cost,) = gateway.rows("SELECT cost_nanos FROM attempts")
    assert cost["cost_nanos"] == COST + more


@pytest.mark.parametrize("usage", [{}, {"prompt_tokens": -10, "total_tokens": None}])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_usage_that_says_nothing_is_an_estimate_and_shows_no_price(
    upstream: Upstream, tmp_path: Path, usage: dict[str, Any], streamed: bool
) -> None:
    upstream.play("empty-w", whole({**ANSWER, "usage": usage}))
    upstream.play("empty-s", stream(chunk("Hello", finish="stop", usage=usage)))
    async with driver(tmp_path, plugins(upstream)) as gateway:
        answer = await gateway.ask(request("empty-s" if streamed else "empty-w", stream=streamed))
        assert b'"pricing"' not in answer.body
    (row,) = gateway.settled()
    assert (row["outcome"], row["estimated"]) == ("charged", 1)
    assert row["charge"] > 0


async def test_a_zero_that_is_said_is_a_zero_not_an_estimate(upstream: Upstream, tmp_path: Path) -> None:
    upstream.play("zero", whole({**ANSWER, "usage": {"prompt_tokens": 0, "completion_tokens": 0}}))
    async with driver(tmp_path, plugins(upstream)) as gateway:
        await gateway.ask(request("zero"))
    (row,) = gateway.settled()
    assert (row["charge"], row["estimated"]) == (0, 0)


async def test_a_client_that_leaves_pays_for_output_that_only_the_input_was_counted_of(
    upstream: Upstream, tmp_path: Path
) -> None:
    first = chunk("x", usage={"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 10})
    script = stream(first, *[chunk("many words " * 20) for _ in range(5)], done=False, then="stall")
    upstream.play("input-only", script)
    async with driver(tmp_path, plugins(upstream, drain_seconds=0.3)) as gateway:
        await gateway.ask(request("input-only", stream=True), leave_after=3)
    script.release()
    (row,) = gateway.settled()
    assert row["estimated"] == 1
    assert row["charge"] > 10 * 2_500


async def test_a_connection_that_breaks_behind_the_finish_has_lost_nothing(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.play("late-cut", stream(chunk("Hi", finish="stop"), usage_event(), done=False, then="cut"))
    async with driver(tmp_path, plugins(upstream)) as gateway:
        answer = await gateway.ask(request("late-cut", stream=True))
        assert answer.body.endswith(b"data: [DONE]\n\n")
    (row,) = gateway.settled()
    assert (row["outcome"], row["charge"], row["success"]) == ("charged", COST, 1)


async def test_without_a_wallet_the_price_shown_is_what_is_paid(upstream: Upstream, tmp_path: Path) -> None:
    upstream.play("walletless", whole(ANSWER))
    async with driver(tmp_path, {**plugins(upstream), "prepaid_wallet": False}) as gateway:
        answer = await gateway.ask(request("walletless"))
    (row,) = gateway.settled()
    shown = answer.json["usage"]["pricing"]
    assert shown["total_nanos"] == row["charge"] == row["cost_nanos"]
    assert shown["lines"] == json.loads(row["pricing_lines"])


async def test_a_partial_charge_is_the_last_word_of_its_stream(upstream: Upstream, tmp_path: Path) -> None:
    upstream.play("partial", stream(chunk("He", usage=USAGE), done=False, then="cut"))
    async with driver(tmp_path, plugins(upstream, charge_partial=True)) as gateway:
        answer = await gateway.ask(request("partial", stream=True))
    (row,) = gateway.settled()
    assert row["charge"] == COST
    last = json.loads(answer.body.split(b"\n\n")[-2].split(b"data: ")[-1])
    assert last["pricing"]["total_nanos"] == COST


async def test_the_last_word_on_a_cut_stream_gives_the_reason_of_its_record(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.play("cut-s", stream(chunk("He", usage=USAGE), done=False, then="cut"))
    async with driver(tmp_path, plugins(upstream)) as gateway:
        answer = await gateway.ask(request("cut-s", stream=True))
    (row,) = gateway.settled()
    last = json.loads(answer.body.split(b"\n\n")[-2].split(b"data: ")[-1])
    assert (last["pricing"]["total_nanos"], last["pricing"]["billing_suppression_reason"]) == (
        0,
        row["suppressed"],
    )


async def test_an_observer_is_told_what_was_paid_not_what_was_shown(
    upstream: Upstream, tmp_path: Path
) -> None:
    seen: list[int | None] = []

    async def record(ctx: Any, attempt: Any, usage: Any, charge: Charge | None) -> None:
        seen.append(charge.total if charge else None)

    upstream.play("observed", stream(chunk("He", usage=USAGE), done=False, then="cut"))
    async with driver(tmp_path, plugins(upstream), record=record) as gateway:
        await gateway.ask(request("observed", stream=True))
    assert seen == [None]


async def failing(ctx: RequestContext, attempt: Attempt, typed: Conversation) -> Conversation:
    raise Forbidden("This prompt is not allowed here.")


async def test_a_request_that_a_transform_refuses_has_times_that_can_be(
    upstream: Upstream, tmp_path: Path
) -> None:
    async with driver(tmp_path, plugins(upstream), transform=failing) as gateway:
        assert (await gateway.ask(request("never"))).status == 403
    (row,) = gateway.settled()
    (attempt,) = gateway.rows("SELECT * FROM attempts")
    assert row["generation_ms"] < 60_000
    assert attempt["latency_ms"] < 60_000
    assert 0 <= attempt["started_at"] - row["created_at"] < 60_000


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_client_that_leaves_before_the_first_event_is_named_as_the_cause(
    upstream: Upstream, tmp_path: Path, streamed: bool
) -> None:
    script = stream(then="stall", done=False) if streamed else whole(ANSWER)
    script.hold_at, script.then = 0, "stall"
    upstream.play("early", script)
    async with driver(tmp_path, plugins(upstream, drain_seconds=0.2)) as gateway:
        await gateway.ask(request("early", stream=streamed), leave_when=called(script))
    script.release()
    (row,) = gateway.settled()
    assert (row["status_code"], row["error_code"], row["finish_reason"]) == (
        499,
        "user:client_disconnected",
        "cancel",
    )
    assert row["charge"] == 0


async def at_once() -> None:
    return


async def test_a_client_that_leaves_before_its_request_is_whole_is_named_as_the_cause(
    upstream: Upstream, tmp_path: Path
) -> None:
    async with driver(tmp_path, plugins(upstream)) as gateway:
        await gateway.ask(request("never"), leave_when=at_once)  # while its key is looked up
    (row,) = gateway.settled()
    assert (row["status_code"], row["error_code"], row["finish_reason"]) == (
        499,
        "user:client_disconnected",
        "cancel",
    )


@pytest.mark.parametrize("charge_partial", [False, True])
async def test_a_stream_that_the_gateway_itself_stops_is_neither_charged_nor_the_clients_doing(
    upstream: Upstream, tmp_path: Path, charge_partial: bool
) -> None:
    script = stream(chunk("He"), chunk("llo"), done=False, then="stall")
    upstream.play("halted", script)
    async with driver(tmp_path, plugins(upstream, charge_partial=charge_partial)) as gateway:
        asking = asyncio.ensure_future(gateway.ask(request("halted", stream=True)))
        await called(script)()
        while not gateway.answers[-1].body.endswith(b"}\n\n"):
            await asyncio.sleep(0.005)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    script.release()
    (row,) = gateway.settled()
    assert (row["outcome"], row["charge"]) == ("released", 0)
    assert row["error_code"].endswith(":gateway_error")


async def test_what_no_price_takes_is_not_charged_but_listed_logged_and_counted(
    upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.play("unpriced", whole({**ANSWER, "usage": {**USAGE, "num_search_queries": 3}}))
    found = plugins(upstream)
    found["one"]["models"] += [{"id": "none", "unpriced": "allow"}, {"id": "refused"}]
    async with driver(tmp_path, found) as gateway:
        surprise = await gateway.ask(request("unpriced"))
        unpriced = await gateway.ask({**request("unpriced"), "model": "none"})
        refused = await gateway.ask({**request("unpriced"), "model": "refused"})
        lines = await margins(f"sqlite://{gateway.database}", "model")
    assert (surprise.status, unpriced.status, refused.status) == (200, 200, 402)
    first, second, _ = gateway.settled()
    search = "native_web_search_requests"
    assert (first["charge"], json.loads(first["unpriced"])) == (COST, [search])
    assert second["charge"] == 0 == len(json.loads(second["pricing_lines"]))
    assert json.loads(second["unpriced"]) == ["input_text_tokens", "output_text_tokens", search]
    assert {line.name: line.unpriced for line in lines} == {"m": 1, "none": 1}
    assert capsys.readouterr().err.count(" warning price missing ") == 2
