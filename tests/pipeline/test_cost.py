"""What a client says about cost: a bound that is kept to the nano, and a dry run that calls nobody."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.upstream import Upstream
from tests.pipeline.driver import driver
from tests.pipeline.test_endings import ANSWER, COST, chunk, plugins, request, stream, usage_event, whole


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as found:
        yield found


def events(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: {")]


async def test_a_dry_run_prices_the_request_and_calls_nobody(upstream: Upstream, tmp_path: Path) -> None:
    async with driver(tmp_path, plugins(upstream)) as gateway:
        answer = await gateway.ask(request("never", max_tokens=100), x_gateway_dry_run="cost")
        found = answer.json
    assert (answer.status, found["object"], found["model"]) == (200, "cost_estimate", "m")
    (endpoint,) = found["endpoints"]
    assert endpoint["maximum"]["lines"][1]["quantity"] == 100
    assert 0 < found["minimum_nanos"] < found["expected_nanos"] <= found["maximum_nanos"]
    for name in ("minimum", "expected", "maximum"):
        assert sum(line["line_nanos"] for line in endpoint[name]["lines"]) == endpoint[name]["total_nanos"]
    assert upstream.calls("never") == []
    assert gateway.settled() == []


async def test_a_dry_run_of_something_else_is_a_400(upstream: Upstream, tmp_path: Path) -> None:
    async with driver(tmp_path, plugins(upstream)) as gateway:
        assert (await gateway.ask(request("never"), x_gateway_dry_run="yes")).status == 400
        for said in ("much", "-1", "0", "nan", "1e30"):
            assert (await gateway.ask(request("never"), x_gateway_max_cost=said)).status == 400
    assert upstream.calls("never") == []


async def test_a_bound_lowers_the_output_limit_to_what_it_pays_for(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.play("bound", whole(ANSWER))
    async with driver(tmp_path, plugins(upstream)) as gateway:
        answer = await gateway.ask(request("bound", max_tokens=10_000), x_gateway_max_cost="0.0005")
    assert answer.status == 200
    assert answer.headers["x-gateway-fidelity"] == "lossy; clamped=max_tokens"
    (call,) = upstream.calls("bound")
    assert 0 < call.json["max_tokens"] * 10_000 < 500_000
    assert answer.json["usage"]["pricing"]["total_nanos"] == COST


async def test_a_bound_that_pays_for_no_output_is_a_402(upstream: Upstream, tmp_path: Path) -> None:
    async with driver(tmp_path, plugins(upstream)) as gateway:
        answer = await gateway.ask(request("never"), x_gateway_max_cost="0.000000001")
    assert (answer.status, answer.json["reason"]) == (402, "max_cost")
    assert upstream.calls("never") == []


async def test_an_answer_that_outgrows_its_bound_ends_there_properly_and_is_settled(
    upstream: Upstream, tmp_path: Path
) -> None:
    """The upstream takes no notice of the limit: the stream ends with a finish, within its bound."""
    script = stream(*(chunk("word " * 40) for _ in range(200)), chunk(finish="stop"), usage_event())
    upstream.play("long", script)
    async with driver(tmp_path, plugins(upstream)) as gateway:
        answer = await gateway.ask(
            request("long", stream=True, stream_options={"include_usage": True}), x_gateway_max_cost="0.003"
        )
    assert answer.whole
    found = events(answer.body)
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert [one["choices"][0]["finish_reason"] for one in found if one["choices"]][-1] == "length"
    (row,) = gateway.settled()
    assert (row["outcome"], row["success"], row["finish_reason"], row["estimated"]) == (
        "charged",
        1,
        "length",
        1,
    )
    assert 2_000_000 < row["charge"] <= 3_000_000
    assert len(found) < 100


@pytest.mark.parametrize(
    ("path", "body", "last"),
    [
        ("messages", {"max_tokens": 100_000}, "message_stop"),
        ("responses", {"input": "hi", "messages": None}, "response.incomplete"),
    ],
)
async def test_every_client_protocol_has_a_proper_end_at_the_bound(
    upstream: Upstream, tmp_path: Path, path: str, body: dict[str, Any], last: str
) -> None:
    upstream.play("one", stream(*(chunk("word " * 40) for _ in range(200)), usage_event()))
    asked = {key: value for key, value in request("", stream=True, **body).items() if value}
    async with driver(tmp_path, plugins(upstream)) as gateway:
        answer = await gateway.ask(asked, path=f"/v1/{path}", x_gateway_max_cost="0.003")
        (row,) = gateway.settled()
    assert answer.whole
    assert events(answer.body)[-1]["type"] == last
    assert (row["outcome"], row["success"], row["finish_reason"]) == ("charged", 1, "length")
    assert 2_000_000 < row["charge"] <= 3_000_000


async def test_an_answer_within_its_bound_is_whole(upstream: Upstream, tmp_path: Path) -> None:
    upstream.play("short", stream(chunk("Hi"), chunk(finish="stop"), usage_event()))
    async with driver(tmp_path, plugins(upstream)) as gateway:
        answer = await gateway.ask(request("short", stream=True), x_gateway_max_cost="1")
    assert [one["choices"][0]["finish_reason"] for one in events(answer.body)][-1] == "stop"
    (row,) = gateway.settled()
    assert (row["charge"], row["estimated"]) == (COST, 0)
