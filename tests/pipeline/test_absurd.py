"""Figures of a provider that no ledger can hold, or that are none: one settlement, and nobody's debt."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway_core.pipeline.pricing import by_card
from plugin_sdk.money import Price, PriceCard
from tests.gateway.upstream import Upstream
from tests.pipeline.driver import PRICE, driver
from tests.pipeline.test_endings import USAGE, chunk, plugins, request, stream, usage_event, whole
from tests.pipeline.test_money import held


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as found:
        yield found


async def test_counts_beyond_all_measure_of_several_attempts_still_end_in_one_settlement(
    upstream: Upstream, tmp_path: Path
) -> None:
    """Each cost alone would fit a column, their sum would not."""
    absurd = {"error": {"message": "No."}, "usage": {**USAGE, "num_search_queries": (1 << 40) - 1}}
    upstream.play("absurd twice", whole(absurd))
    card = {**PRICE, "native_web_search_requests": "0.005"}
    found = {
        name: {**plugins(upstream)["one"], "models": [{"id": "m", "price": card}]} for name in ("one", "two")
    }
    async with driver(tmp_path, found) as gateway:
        assert (await gateway.ask(request("absurd twice"))).status == 502
        assert held(gateway) == 0
    assert len(gateway.rows("SELECT * FROM attempts")) == 2
    (row,) = gateway.settled()
    assert (row["outcome"], row["charge"], row["state"]) == ("released", 0, "finished")


async def test_a_count_beyond_all_measure_ends_a_stream_at_its_clients_bound(
    upstream: Upstream, tmp_path: Path
) -> None:
    absurd = {**usage_event(), "usage": {**USAGE, "num_search_queries": (1 << 40) - 1}}
    upstream.play("absurd stream", stream(chunk("Hi"), absurd, *[chunk("more")] * 50, chunk(finish="stop")))
    found = plugins(upstream)
    found["one"]["models"][0]["price"] = {**PRICE, "native_web_search_requests": "0.01"}
    async with driver(tmp_path, found) as gateway:
        body = request("absurd stream", stream=True, max_tokens=1_000)
        answer = await gateway.ask(body, x_gateway_max_cost="0.02")
    assert answer.whole
    assert answer.body.endswith(b"data: [DONE]\n\n")
    (row,) = gateway.settled()
    assert (row["outcome"], row["suppressed"], row["finish_reason"]) == (
        "released",
        "pricing_failed",
        "length",
    )


@pytest.mark.parametrize("count", ["4", None, Decimal("NaN"), Decimal("Infinity"), Decimal(-1), [1], 1 << 60])
def test_what_is_no_quantity_has_no_price(count: Any) -> None:
    card = PriceCard(id="pc", prices=(Price(meter="output_text_tokens", usd=Decimal(1)),))
    with pytest.raises(ValueError, match=r"quantit|no ledger"):
        by_card({"output_text_tokens": count}, card)
