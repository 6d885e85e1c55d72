"""A markup is part of the price from the start: held, limited by, shown by a dry run, and paid whole."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.upstream import Upstream
from tests.pipeline.driver import driver
from tests.pipeline.test_cost import events
from tests.pipeline.test_endings import ANSWER, COST, chunk, plugins, request, stream, usage_event, whole


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as found:
        yield found


def marked(upstream: Upstream, *rules: dict[str, Any]) -> dict[str, Any]:
    return {**plugins(upstream), "markup": {"rules": rules or [{"percent": "100"}]}}


async def test_a_markup_is_held_and_a_discount_is_not(upstream: Upstream, tmp_path: Path) -> None:
    upstream.play("held", whole(ANSWER))
    held = {}
    for percent in ("0", "100", "-50"):
        folder = tmp_path / percent
        folder.mkdir()
        async with driver(folder, marked(upstream, {"percent": percent})) as gateway:
            answer = await gateway.ask(request("held", max_tokens=100))
            (row,) = gateway.settled()
        held[percent] = row["hold"]
        assert row["charge"] == answer.json["usage"]["pricing"]["total_nanos"]
        assert row["charge"] == COST * (100 + int(percent)) // 100
    assert held["100"] == 2 * held["0"] == 4 * held["-50"]


async def test_an_answer_of_the_length_that_the_credit_paid_for_is_paid_whole(
    upstream: Upstream, tmp_path: Path
) -> None:
    """The provider takes all the output that it was allowed: nothing of the markup is booked to loss."""
    probe = request("whole-m", max_tokens=1_000_000)
    upstream.play("whole-m", whole(ANSWER))
    async with driver(tmp_path, marked(upstream), usd=2) as gateway:
        await gateway.ask(probe)
        limit = upstream.calls("whole-m")[0].json["max_tokens"]
        usage = {"prompt_tokens": 10, "completion_tokens": limit, "total_tokens": limit + 10}
        upstream.play("whole-m", whole({**ANSWER, "usage": usage}))
        answer = await gateway.ask({**probe, "max_tokens": limit})
        rows = gateway.settled()
    assert limit < 100_000  # 2 USD at 20 USD a million
    assert rows[-1]["charge"] == answer.json["usage"]["pricing"]["total_nanos"] == 10 * 5_000 + limit * 20_000
    assert "over_hold" not in rows[-1]["pricing_lines"]
    losses = gateway.rows("SELECT SUM(amount) AS total FROM ledger_entries WHERE account = 'loss'")
    assert losses[0]["total"] is None


async def test_a_bound_of_the_client_counts_the_markup(upstream: Upstream, tmp_path: Path) -> None:
    upstream.play("bound-m", whole(ANSWER))
    async with driver(tmp_path, marked(upstream)) as gateway:
        answer = await gateway.ask(request("bound-m", max_tokens=10_000), x_gateway_max_cost="0.0005")
    assert answer.headers["x-gateway-fidelity"] == "lossy; clamped=max_tokens"
    (call,) = upstream.calls("bound-m")
    assert 0 < call.json["max_tokens"] * 20_000 < 500_000
    assert (answer.status, answer.json["usage"]["pricing"]["total_nanos"]) == (200, 2 * COST)


async def test_a_stream_ends_where_its_marked_up_price_reaches_its_bound(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.play("long-m", stream(*(chunk("word " * 40) for _ in range(200)), usage_event()))
    async with driver(tmp_path, marked(upstream)) as gateway:
        answer = await gateway.ask(request("long-m", stream=True), x_gateway_max_cost="0.003")
        (row,) = gateway.settled()
    assert [one["choices"][0]["finish_reason"] for one in events(answer.body) if one["choices"]][
        -1
    ] == "length"
    assert 2_000_000 < row["charge"] <= 3_000_000
    assert len(events(answer.body)) < 10  # fifty tokens a piece, a nano-dollar in twenty thousand each
    losses = gateway.rows("SELECT SUM(amount) AS total FROM ledger_entries WHERE account = 'loss'")
    assert (losses[0]["total"] or 0) >= -1_000_000  # a last piece at most


async def test_a_dry_run_shows_the_marked_up_price(upstream: Upstream, tmp_path: Path) -> None:
    async with driver(tmp_path, marked(upstream)) as gateway:
        answer = await gateway.ask(request("never", max_tokens=100), x_gateway_dry_run="cost")
    (endpoint,) = answer.json["endpoints"]
    assert endpoint["maximum"]["lines"][1]["line_nanos"] == 100 * 20_000
    assert upstream.calls("never") == []
