"""What one more plugin's hooks may do to a request, and what they may not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugin_sdk.context import Attempt, RequestContext
from plugin_sdk.money import Charge, ChargeLine, Nanos, Usage
from plugin_sdk.text import Conversation
from tests.gateway.upstream import Upstream
from tests.pipeline.driver import driver
from tests.pipeline.test_endings import ANSWER, COST, chunk, plugins, request, stream, usage_event, whole


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as found:
        yield found


async def colder(ctx: RequestContext, attempt: Attempt, typed: Conversation) -> Conversation:
    return msgspec.structs.replace(typed, temperature=0.25)


async def test_a_transform_changes_what_the_upstream_is_asked(upstream: Upstream, tmp_path: Path) -> None:
    upstream.play("transform", whole(ANSWER))
    async with driver(tmp_path, plugins(upstream), transform=colder) as gateway:
        answer = await gateway.ask(request("transform", temperature=1.5, seed=7))
        assert answer.status == 200
    sent = upstream.calls("transform")[-1].json
    assert (sent["temperature"], sent["seed"], sent["x_script"]) == (0.25, 7, "transform")
    assert sent["messages"] == [{"role": "user", "content": "hi"}]


async def doubled(ctx: RequestContext, attempt: Attempt, usage: Usage, charge: Charge) -> Charge:
    lines = tuple(msgspec.structs.replace(line, nanos=Nanos(2 * line.nanos)) for line in charge.lines)
    return msgspec.structs.replace(
        charge, lines=(*lines, ChargeLine(meter="fee", quantity=1, nanos=Nanos(5)))
    )


async def test_a_price_policy_changes_what_the_team_pays_not_what_it_costs_us(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.play("price", stream(chunk("x", finish="stop"), usage_event()))
    async with driver(tmp_path, plugins(upstream), price=doubled) as gateway:
        answer = await gateway.ask(request("price", stream=True, stream_options={"include_usage": True}))
        assert b'"total_nanos":%d' % (2 * COST + 5) in answer.body
    (row,) = gateway.settled()
    assert row["charge"] == 2 * COST + 5
    accounts = {one["account"]: one["amount"] for one in gateway.rows("SELECT * FROM ledger_entries")}
    assert (accounts["revenue"], accounts["cost_of_sales"]) == (2 * COST + 5, -COST)


async def broken_price(ctx: RequestContext, attempt: Attempt, usage: Usage, charge: Charge) -> Charge:
    raise LookupError("no such table")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_price_policy_that_fails_takes_no_answer_away_and_no_money(
    upstream: Upstream, tmp_path: Path, streamed: bool
) -> None:
    upstream.play("whole-b", whole(ANSWER))
    upstream.play("stream-b", stream(chunk("x", finish="stop"), usage_event()))
    async with driver(tmp_path, plugins(upstream), price=broken_price) as gateway:
        answer = await gateway.ask(request("stream-b" if streamed else "whole-b", stream=streamed))
        assert answer.status == 200
        assert answer.whole
    (row,) = gateway.settled()
    assert (row["outcome"], row["charge"], row["suppressed"]) == ("released", 0, "pricing_failed")


async def test_an_observer_sees_the_settled_request_and_may_fail(upstream: Upstream, tmp_path: Path) -> None:
    seen: list[Any] = []

    async def watching(
        ctx: RequestContext, attempt: Attempt | None, usage: Usage, charge: Charge | None
    ) -> None:
        seen.append(
            (ctx.generation_id, attempt.number if attempt else None, charge.total if charge else None)
        )
        raise ValueError("an observer's own trouble")

    upstream.play("record", whole(ANSWER))
    async with driver(tmp_path, plugins(upstream), record=watching) as gateway:
        answer = await gateway.ask(request("record"))
    assert seen == [(answer.generation_id, 1, COST)]
    assert answer.status == 200
