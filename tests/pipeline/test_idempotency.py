"""One key, one request, one answer, one charge."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway_core.ledger import writer
from tests.gateway.upstream import Script, Upstream, sse
from tests.pipeline.driver import driver
from tests.pipeline.test_endings import ANSWER, COST, chunk, plugins, request, stream, usage_event, whole


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as found:
        yield found


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_same_request_gets_the_same_answer_and_is_charged_once(
    streamed: bool, upstream: Upstream, tmp_path: Path
) -> None:
    script = stream(chunk("Hi"), chunk(finish="stop"), usage_event()) if streamed else whole(ANSWER)
    name = upstream.play(f"once-{streamed}", script)
    async with driver(tmp_path, plugins(upstream)) as gateway:
        body = request(name, stream=streamed)
        first = await gateway.ask(body, idempotency_key="k1")
        again = await gateway.ask(body, idempotency_key="k1")
        other = await gateway.ask(body, idempotency_key="k2")
    assert (again.status, again.body, again.whole) == (200, first.body, True)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.generation_id == first.generation_id != other.generation_id
    assert len(upstream.calls(name)) == 2
    assert [row["charge"] for row in gateway.settled()] == [COST, COST]


async def test_another_request_under_the_same_key_is_a_422(upstream: Upstream, tmp_path: Path) -> None:
    name = upstream.play("other", whole(ANSWER))
    async with driver(tmp_path, plugins(upstream)) as gateway:
        await gateway.ask(request(name), idempotency_key="k")
        answer = await gateway.ask(request(name, temperature=1), idempotency_key="k")
    assert (answer.status, answer.json["error"]["code"]) == (422, "unprocessable")
    assert len(upstream.calls(name)) == 1


async def test_a_duplicate_of_a_request_that_runs_is_a_409(upstream: Upstream, tmp_path: Path) -> None:
    script = Script(pieces=(b"{}",), framing="length", hold_at=0)
    name = upstream.play("running", script)
    async with driver(tmp_path, plugins(upstream)) as gateway:
        first = asyncio.ensure_future(gateway.ask(request(name), idempotency_key="k"))
        while not upstream.calls(name):
            await asyncio.sleep(0.005)
        answer = await gateway.ask(request(name), idempotency_key="k")
        script.release()
        await first
    assert (answer.status, answer.headers["retry-after"]) == (409, "1")
    assert len(upstream.calls(name)) == 1


async def test_a_request_that_failed_may_be_tried_again(upstream: Upstream, tmp_path: Path) -> None:
    answers = iter([whole({"error": {"message": "No."}}, status=500), whole(ANSWER)])
    name = upstream.play("retry", lambda _: next(answers))
    async with driver(tmp_path, plugins(upstream)) as gateway:
        first = await gateway.ask(request(name), idempotency_key="k")
        again = await gateway.ask(request(name), idempotency_key="k")
    assert (first.status, again.status) == (502, 200)
    assert sum(row["charge"] for row in gateway.settled()) == COST


async def test_a_client_that_left_finds_the_whole_answer_under_its_key(
    upstream: Upstream, tmp_path: Path
) -> None:
    name = upstream.play(
        "left", stream(*(chunk("x") for _ in range(20)), chunk(finish="stop"), usage_event())
    )
    async with driver(tmp_path, plugins(upstream)) as gateway:
        left = await gateway.ask(request(name, stream=True), idempotency_key="k", leave_after=2)
        again = await gateway.ask(request(name, stream=True), idempotency_key="k")
    assert not left.whole
    assert again.body.endswith(b"data: [DONE]\n\n")
    assert again.body.startswith(left.body)
    assert len(upstream.calls(name)) == 1
    assert [row["charge"] for row in gateway.settled()] == [COST]


async def test_an_endless_key_is_a_400(upstream: Upstream, tmp_path: Path) -> None:
    async with driver(tmp_path, plugins(upstream)) as gateway:
        assert (await gateway.ask(request("never"), idempotency_key="k" * 256)).status == 400
    assert upstream.calls("never") == []


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_request_whose_key_went_to_another_is_not_charged(
    streamed: bool, upstream: Upstream, tmp_path: Path
) -> None:
    """As of a process that stood still for so long that it was held for dead."""
    events = [sse(one, done=False) for one in (chunk("Hi"), chunk(finish="stop"), usage_event())]
    script = Script(
        pieces=tuple(events) if streamed else (json.dumps(ANSWER).encode(),),
        content_type="text/event-stream" if streamed else "application/json",
        hold_at=2 if streamed else 0,
    )
    name = upstream.play(f"taken-{streamed}", script)
    async with driver(tmp_path, plugins(upstream)) as gateway:
        asked = asyncio.ensure_future(gateway.ask(request(name, stream=streamed), idempotency_key="k"))
        while not script.served:
            await asyncio.sleep(0.005)
        with contextlib.closing(sqlite3.connect(gateway.database)) as connection, connection:
            connection.execute("UPDATE idempotent_answers SET generation_id = 'G-another'")
        script.release()
        answer = await asked
        (row,) = gateway.settled()
        assert gateway.rows("SELECT generation_id FROM idempotent_answers")[0]["generation_id"] == "G-another"
    assert (row["outcome"], row["charge"], row["lost"]) == ("released", 0, COST)
    assert b"took the place of this one" in answer.body
    assert answer.status == (200 if streamed else 409)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ("UPDATE settlements SET outcome = 'abandoned', charge = 0", 200),
        ("UPDATE settlements SET outcome = 'released', charge = 0; UPDATE generations SET success = 0", 200),
        ("UPDATE idempotent_answers SET state = 'too_large', body = NULL", 409),
        ("DELETE FROM settlements", 409),
        ("DELETE FROM settlements; UPDATE instances SET ended_at = 1", 200),
        ("UPDATE idempotent_answers SET created_at = 0", 200),
    ],
    ids=["died", "could not be recorded", "too large", "runs", "runs nowhere", "a day old"],
)
async def test_what_a_key_is_worth_is_what_became_of_its_request(
    upstream: Upstream, tmp_path: Path, change: str, status: int
) -> None:
    name = upstream.play("worth", whole(ANSWER))
    asked_before = len(upstream.calls(name))
    async with driver(tmp_path, plugins(upstream)) as gateway:
        await gateway.ask(request(name), idempotency_key="k")
        with contextlib.closing(sqlite3.connect(gateway.database)) as connection, connection:
            connection.executescript(change)
        again = await gateway.ask(request(name), idempotency_key="k")
    assert again.status == status
    assert len(upstream.calls(name)) - asked_before == (2 if status == 200 else 1)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_request_that_the_ledger_had_no_room_for_may_be_tried_again(
    streamed: bool, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = stream(chunk("Hello"), chunk(finish="stop"), usage_event()) if streamed else whole(ANSWER)
    name = upstream.play(f"full-{streamed}", script)
    async with driver(tmp_path, plugins(upstream)) as gateway:
        body = request(name, stream=streamed)
        with monkeypatch.context() as full:
            full.setattr(writer, "QUEUE", 0)
            failed = await gateway.ask(body, idempotency_key="k")
        again = await gateway.ask(body, idempotency_key="k")
    assert b"could not record" in failed.body
    assert (again.status, b"Hello" in again.body) == (200, True)
    assert [row["charge"] for row in gateway.settled() if row["charge"]] == [COST]


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_that_cannot_be_kept_ends_in_an_error_and_one_settlement_without_a_charge(
    streamed: bool, upstream: Upstream, tmp_path: Path
) -> None:
    script = stream(chunk("Hi"), chunk(finish="stop"), usage_event()) if streamed else whole(ANSWER)
    name = upstream.play(f"unkept-{streamed}", script)

    async def table_gone(ctx: object, attempt: object, usage: object, charge: object) -> None:
        with contextlib.closing(sqlite3.connect(tmp_path / "gateway.db")) as connection:
            connection.execute("DROP TABLE IF EXISTS idempotent_answers")

    async with driver(tmp_path, plugins(upstream), price=table_gone) as gateway:
        shown = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {}
        answer = await gateway.ask(request(name, **shown), idempotency_key="k")
    assert answer.whole
    assert b"database does not answer" in answer.body
    assert b"[DONE]" not in answer.body
    assert answer.status == (200 if streamed else 503)
    assert [row["charge"] for row in gateway.settled()] == [0]
