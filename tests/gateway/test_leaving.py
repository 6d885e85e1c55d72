"""A client that goes away: the upstream is read on for its usage, up to a bound, and it is paid for."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.gateway import load
from tests.gateway.books import books
from tests.gateway.conftest import Start, provider
from tests.gateway.process import Gateway
from tests.gateway.samples import ASK, answer, chunk, usage_event
from tests.gateway.upstream import Script, Upstream, sse
from tests.gateway.waiting import until
from tests.gateway.wire import Connection, encoded

BEGUN = sse(chunk("I will say a lot"), done=False)
EVENTS: Any = {"content_type": "text/event-stream"}


@pytest.fixture(scope="module")
def left(starter: Callable[[ExitStack], Start], upstream: Upstream) -> Iterator[Gateway]:
    """`test/patient` drains for long, `test/hasty` for half a second, `test/abrupt` not at all."""
    base = upstream.base_url("left")
    plugins = {
        "patient": provider(base, {"id": "test/patient", "price": load.PRICE}),
        "hasty": provider(base, {"id": "test/hasty", "price": load.PRICE}, drain_seconds=0.5),
        "abrupt": provider(base, {"id": "test/abrupt", "price": load.PRICE}, on_disconnect="abort"),
    }
    with ExitStack() as stack:
        yield starter(stack)(plugins)


async def _settled(gateway: Gateway, generation_id: str) -> Any:
    async def done() -> bool:
        return generation_id in (await books(gateway.database)).settlements

    await until(done, "the request is settled")
    async with gateway.client() as client:
        return await client.generation(generation_id)


async def _leave_a_stream(gateway: Gateway, model: str, script: str) -> str:
    async with gateway.client() as client:
        body = {"model": model, "messages": ASK, "stream": True, "x_script": script}
        async with client.stream(body) as reading:
            await reading.until(1)
            return reading.headers["x-generation-id"]


async def test_the_upstream_is_read_on_for_its_own_usage(left: Gateway, upstream: Upstream) -> None:
    script = Script(pieces=(BEGUN, sse(chunk(None, "stop"), usage_event())), hold_at=1, **EVENTS)
    key = await _leave_a_stream(left, "test/patient", upstream.play("patient", script))
    assert key not in (await books(left.database)).settlements
    script.release()
    record = await _settled(left, key)
    assert (record["cost_nanos"], record["estimated"]) == (load.COST, False)


async def test_an_upstream_that_says_nothing_more_is_given_up_and_estimated(
    left: Gateway, upstream: Upstream
) -> None:
    name = upstream.play("hasty", Script(pieces=(BEGUN,), then="stall", **EVENTS))
    record = await _settled(left, await _leave_a_stream(left, "test/hasty", name))
    assert record["estimated"] is True
    assert record["cost_nanos"] > 0
    assert (record["status_code"], record["finish_reason"]) == (499, "cancel")


async def test_where_the_operator_says_abort_the_upstream_is_left_at_once(
    left: Gateway, upstream: Upstream
) -> None:
    name = upstream.play("abrupt", Script(pieces=(BEGUN,), then="stall", **EVENTS))
    record = await _settled(left, await _leave_a_stream(left, "test/abrupt", name))
    assert record["estimated"] is True
    assert record["error_code"] == "user:client_disconnected"


async def test_a_client_that_leaves_before_a_whole_answer_pays_for_it(
    left: Gateway, upstream: Upstream
) -> None:
    body = sse(answer(id="left-whole"), done=False)[6:-2]
    script = Script(pieces=(body[:50], body[50:]), hold_at=1, framing="length")
    name = upstream.play("whole-left", script)
    connection = Connection(left.port)
    async with left.client() as client:
        asked = encoded({"model": "test/patient", "messages": ASK, "x_script": name})
        waiting = asyncio.create_task(
            connection.request("POST", "/v1/chat/completions", headers=client.headers(), body=asked)
        )

        async def called() -> bool:
            return bool(upstream.calls(name))

        await until(called, "the upstream is called")
        waiting.cancel()
        connection.close()
    script.release()

    async def found() -> bool:
        rows = (await books(left.database)).generations.values()
        return any(row["native_response_id"] == "left-whole" for row in rows)

    await until(found, "the request is recorded")
    rows = await books(left.database)
    (key,) = [key for key, row in rows.generations.items() if row["native_response_id"] == "left-whole"]
    assert rows.settlements[key]["charge"] == load.COST
    assert list(rows.problems()) == []


async def test_a_client_that_leaves_before_its_request_is_whole_costs_nothing(
    left: Gateway, upstream: Upstream
) -> None:
    before, balance = len(upstream.received), await left.balance()
    reader, writer = await asyncio.open_connection("127.0.0.1", left.port)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n"
        b"authorization: Bearer %s\r\n\r\n{" % left.key.encode()
    )
    await writer.drain()
    writer.close()
    assert await reader.read() == b""
    async with left.client() as client:
        assert (await client.get("/v1/models")).status == 200
    assert (len(upstream.received), await left.balance()) == (before, balance)
