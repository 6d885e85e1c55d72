"""One key, one charge, over real workers: at the same moment, at once after the end, and over a death."""

import asyncio
from typing import Any

import pytest

from tests.gateway.conftest import Start, provider
from tests.gateway.process import Gateway
from tests.gateway.samples import ASK, answer, chunk, usage_event
from tests.gateway.upstream import Script, Upstream, sse
from tests.gateway.waiting import until
from tests.gateway.wire import Answer

COST = 12 * 2_500 + 5 * 15_000  # of the usage of `answer`
WHOLE = (sse(answer(), done=False)[6:-2],)
EVENTS = (sse(chunk(), done=False), sse(chunk("lo."), chunk(None, "stop"), usage_event()))
DATABASES = pytest.mark.parametrize("database", ["sqlite", "postgres"])


def _plugins(upstream: Upstream) -> dict[str, Any]:
    return {"scripted": provider(upstream.base_url("scripted"), {"id": "test/chat", "upstream": "chat-1"})}


def _body(script: str, **more: Any) -> dict[str, Any]:
    return {"model": "test/chat", "messages": ASK, "x_script": script, **more}


async def _ask(gateway: Gateway, body: dict[str, Any], key: str, who: str | None = None) -> Answer:
    async with gateway.client(who) as client:
        return await client.chat(body, idempotency_key=key)


@DATABASES
async def test_of_requests_at_the_same_moment_one_is_served_whichever_worker_gets_them(
    start: Start, upstream: Upstream, database: str
) -> None:
    gateway = start(_plugins(upstream), database=database, workers=2)
    script = Script(pieces=WHOLE, hold_at=0)
    body = _body(upstream.play(f"together-{database}", script))
    before = await gateway.balance()
    asked = [asyncio.ensure_future(_ask(gateway, body, "k")) for _ in range(8)]
    await until(lambda: _done(asked, 7), "all but one are answered")
    script.release()
    found = await asyncio.gather(*asked)
    assert sorted(one.status for one in found) == [200, *[409] * 7]
    (first,) = [one for one in found if one.status == 200]
    again = [await _ask(gateway, body, "k") for _ in range(4)]
    assert {(one.status, one.body) for one in again} == {(200, first.body)}
    assert {one.generation_id for one in again} == {first.generation_id}
    assert len(upstream.calls(f"together-{database}")) == 1
    assert before - await gateway.balance() == COST
    assert (await _ask(gateway, _body(f"together-{database}", top_p=1), "k")).status == 422
    assert (await _ask(gateway, body, "k", gateway.poor_key)).status == 402  # another team's key of that name
    gateway.cli("ledger", "verify")


async def _done(asked: list[asyncio.Future[Any]], count: int) -> bool:
    return sum(one.done() for one in asked) >= count


@pytest.mark.parametrize("streamed", [False, True])
async def test_who_asks_again_at_once_gets_the_answer_told_again(
    start: Start, upstream: Upstream, streamed: bool
) -> None:
    """It is kept before its end leaves: nobody can have seen the end and find it gone."""
    gateway = start(_plugins(upstream), workers=2)
    script = Script(pieces=EVENTS, content_type="text/event-stream") if streamed else Script(pieces=WHOLE)
    name = upstream.play(f"at-once-{streamed}", script)
    body = _body(name, stream=streamed)
    for number in range(20):
        first = await _ask(gateway, body, f"k{number}")
        again = await _ask(gateway, body, f"k{number}")
        assert (first.status, again.status, again.body) == (200, 200, first.body)
    assert len(upstream.calls(name)) == 20


@DATABASES
async def test_after_a_kill_the_same_request_is_served_and_charged_once(
    start: Start, upstream: Upstream, database: str
) -> None:
    gateway = start(_plugins(upstream), database=database)
    name = f"killed-{database}"
    script = Script(pieces=EVENTS, content_type="text/event-stream", hold_at=1)
    upstream.play(name, script)
    before = await gateway.balance()
    body = _body(name, stream=True)
    async with gateway.client() as client, client.stream(body, idempotency_key="k") as reading:
        await reading.until(1)
        gateway.kill()
    script.release()
    upstream.play(name, Script(pieces=EVENTS, content_type="text/event-stream"))
    gateway.restart()

    async def served() -> bool:
        found = await _ask(gateway, body, "k")
        assert found.status in (200, 409), found.body
        return found.status == 200

    await until(served, "the key is free again")
    assert (await _ask(gateway, body, "k")).status == 200
    assert before - await gateway.balance() == COST
    assert len(upstream.calls(name)) == 2
    gateway.cli("ledger", "verify")
