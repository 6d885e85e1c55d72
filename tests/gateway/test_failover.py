"""A provider that fails before its first event is invisible to the client; one that fails later is not."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.gateway.conftest import Start, provider
from tests.gateway.process import Gateway
from tests.gateway.samples import ASK, USAGE, answer, chunk, usage_event
from tests.gateway.upstream import Received, Script, Upstream, sse

ERROR = b'{"error": {"message": "It is broken.", "type": "server_error", "code": "broken"}}'
GOOD_STREAM = sse(chunk("I am"), chunk(" second."), chunk(None, "stop"), usage_event())
COMMENT = b": alive\n\n"
EVENTS: Any = {"content_type": "text/event-stream"}
BEGINNING = (sse(chunk("I am"), done=False), sse(chunk(" bro"), done=False))

# What the first provider does, for a request with and without `stream`.
FAILURES: dict[str, Callable[[], Script]] = {
    "429": lambda: Script(status=429, pieces=(ERROR,)),
    "500": lambda: Script(status=500, pieces=(ERROR,)),
    "503 without a body": lambda: Script(status=503),
    "401": lambda: Script(status=401, pieces=(ERROR,)),
    "silence": lambda: Script(silent=True, then="stall"),
    "headers and no event": lambda: Script(then="stall", **EVENTS),
    "comments and no event": lambda: Script(pieces=(COMMENT,) * 3, then="stall", **EVENTS),
    "closed before the headers": lambda: Script(silent=True, then="cut"),
    "reset before the headers": lambda: Script(silent=True, then="reset"),
    "cut in the first event": lambda: Script(pieces=(COMMENT, b'data: {"id'), then="cut", **EVENTS),
    "reset before the first event": lambda: Script(pieces=(COMMENT,), then="reset", **EVENTS),
    "an error in a 200": lambda: Script(pieces=(b"data: " + ERROR + b"\n\n",), **EVENTS),
    "an empty 200": lambda: Script(framing="length"),
}
WHOLE_FAILURES: dict[str, Callable[[], Script]] = {
    **FAILURES,
    "an error object in a 200": lambda: Script(pieces=(ERROR,)),
    "half of an answer": lambda: Script(pieces=(b'{"id": "x", "choices": [',), then="cut"),
    "no JSON": lambda: Script(pieces=(b"<html>busy</html>",), content_type="text/html"),
}


@pytest.fixture(scope="module")
def failing(starter: Callable[[ExitStack], Start], upstream: Upstream) -> Iterator[Gateway]:
    """`test/pair` is at `first` and, as the last resort, at `second`; `test/refused` at a closed port."""
    deadlines = {"connect": 1, "first_event": 0.6, "between_events": 0.6, "total": 20}
    first = {"id": "test/pair", "upstream": "one"}
    second = [{"id": name, "upstream": "two", "weight": 0} for name in ("test/pair", "test/refused")]
    with ExitStack() as stack, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # held and never listened on: connections are refused
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        plugins = {
            "first": provider(upstream.base_url("first"), first, {"id": "test/only"}, deadlines=deadlines),
            "second": provider(upstream.base_url("second"), *second, deadlines=deadlines),
            "refusing": provider(nowhere, {"id": "test/refused"}, {"id": "test/nowhere"}),
        }
        yield starter(stack)(plugins)


def _pair(failure: Callable[[], Script], good: Callable[[], Script]) -> Callable[[Received], Script]:
    return lambda request: failure() if request.prefix == "first" else good()


def _good_stream() -> Script:
    return Script(pieces=(GOOD_STREAM,), **EVENTS)


def _good_whole() -> Script:
    return Script(pieces=(sse(answer("I am second."), done=False)[6:-2],), framing="length")


def _body(model: str, script: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": ASK, "x_script": script, **more}


def _called(upstream: Upstream, name: str) -> list[str]:
    """The providers called, once for each request that reached them."""
    return [call.prefix for call in upstream.calls(name)]


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_stream_whose_first_provider_fails_before_an_event_comes_from_the_second(
    failing: Gateway, upstream: Upstream, failure: str
) -> None:
    name = upstream.play(f"stream-{failure}", _pair(FAILURES[failure], _good_stream))
    async with failing.client() as client:
        got = await client.chat(_body("test/pair", name, stream=True))
        record = await client.generation(got.generation_id)
    assert got.status == 200
    assert got.complete
    texts = [event["choices"][0]["delta"].get("content", "") for event in got.events if event != "[DONE]"]
    assert "".join(texts) == "I am second."
    assert got.events[-1] == "[DONE]"
    assert _called(upstream, name) == ["first", "second"]
    assert (record["success"], record["provider"]) == (True, "second")
    assert record["cost_nanos"] > 0


@pytest.mark.parametrize("failure", WHOLE_FAILURES)
async def test_a_whole_answer_whose_first_provider_fails_comes_from_the_second(
    failing: Gateway, upstream: Upstream, failure: str
) -> None:
    name = upstream.play(f"whole-{failure}", _pair(WHOLE_FAILURES[failure], _good_whole))
    async with failing.client() as client:
        got = await client.chat(_body("test/pair", name))
        record = await client.generation(got.generation_id)
    assert got.status == 200
    assert got.json["choices"][0]["message"]["content"] == "I am second."
    assert _called(upstream, name) == ["first", "second"]
    assert (record["success"], record["provider"]) == (True, "second")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refused_connection_is_invisible(failing: Gateway, upstream: Upstream, stream: bool) -> None:
    name = upstream.play(f"refused-{stream}", _good_stream() if stream else _good_whole())
    async with failing.client() as client:
        got = await client.chat(_body("test/refused", name, stream=stream))
    assert got.status == 200
    assert [call.prefix for call in upstream.calls(name)] == ["second"]


async def test_a_provider_that_is_nowhere_and_has_no_second_is_a_502_that_costs_nothing(
    failing: Gateway,
) -> None:
    async with failing.client() as client:
        got = await client.chat(_body("test/nowhere", "none"))
        record = await client.generation(got.generation_id)
    assert got.status == 502
    assert got.json["error"]["code"] == "upstream_error"
    assert got.headers["x-gateway-error-attribution"] == "upstream"
    assert (record["success"], record["cost_nanos"]) == (False, 0)


@pytest.mark.parametrize("gone", ["cut", "reset"])
async def test_a_provider_that_closes_a_kept_connection_on_a_request_is_not_asked_again(
    failing: Gateway, upstream: Upstream, gone: Any
) -> None:
    """It may have worked on it, and counted it: to ask once more would be another attempt."""
    good = upstream.play(f"kept-{gone}", _good_whole())
    lost = upstream.play(f"lost-{gone}", Script(silent=True, then=gone))
    async with failing.client() as client:
        assert (await client.chat(_body("test/only", good))).status == 200
        before = await failing.balance()
        got = await client.chat(_body("test/only", lost))
        record = await client.generation(got.generation_id)
    assert (got.status, got.json["error"]["code"]) == (502, "upstream_error")
    assert _called(upstream, lost) == ["first"]
    tried = [(one["provider"], one["error_code"], one["cost_nanos"]) for one in record["attempts"]]
    assert tried == [("first", "cut", 0)]
    assert (record["success"], record["cost_nanos"]) == (False, 0)
    assert await failing.balance() == before


async def test_a_refusal_of_the_request_itself_goes_to_no_second_provider(
    failing: Gateway, upstream: Upstream
) -> None:
    name = upstream.play("refusal", Script(status=400, pieces=(ERROR,)))
    async with failing.client() as client:
        got = await client.chat(_body("test/pair", name))
    assert got.status == 400
    assert got.json["error"]["message"] == "It is broken."
    assert len(upstream.calls(name)) == 1


async def test_where_all_fail_the_last_one_decides(failing: Gateway, upstream: Upstream) -> None:
    name = upstream.play(
        "both", _pair(lambda: Script(status=500), lambda: Script(status=429, headers={"retry-after": "3"}))
    )
    async with failing.client() as client:
        got = await client.chat(_body("test/pair", name, stream=True))
        record = await client.generation(got.generation_id)
    assert got.status == 429
    assert got.json["error"]["code"] == "rate_limited"
    assert got.headers["retry-after"] == "3"
    assert (record["success"], record["cost_nanos"]) == (False, 0)


async def test_a_deadline_that_passes_everywhere_is_a_504(failing: Gateway, upstream: Upstream) -> None:
    name = upstream.play("both-silent", lambda _: Script(silent=True, then="stall"))
    async with failing.client() as client:
        got = await client.chat(_body("test/pair", name))
    assert got.status == 504
    assert got.json["error"]["code"] == "upstream_timeout"


LATER: dict[str, Callable[[], Script]] = {
    "cut": lambda: Script(pieces=BEGINNING, then="cut", **EVENTS),
    "ended without an end": lambda: Script(pieces=BEGINNING, **EVENTS),
    "closed without an end": lambda: Script(pieces=BEGINNING, framing="close", **EVENTS),
    "reset": lambda: Script(pieces=BEGINNING, then="reset", **EVENTS),
    "stalled": lambda: Script(pieces=BEGINNING, then="stall", **EVENTS),
}


@pytest.mark.parametrize("failure", LATER)
async def test_a_stream_that_breaks_after_its_first_event_ends_in_an_error_event_and_is_not_charged(
    failing: Gateway, upstream: Upstream, failure: str
) -> None:
    name = upstream.play(f"later-{failure}", _pair(LATER[failure], _good_stream))
    async with failing.client() as client:
        before = await failing.balance()
        got = await client.chat(_body("test/pair", name, stream=True))
        record = await client.generation(got.generation_id)
    assert got.status == 200
    assert got.complete
    *seen, last = got.events
    assert [event["choices"][0]["delta"]["content"] for event in seen] == ["I am", " bro"]
    assert last["error"]["message"]
    assert last["object"] == "error"
    assert [call.prefix for call in upstream.calls(name)] == ["first"]
    assert record["success"] is False
    assert record["error_code"] == (
        "upstream:upstream_timeout" if failure == "stalled" else "upstream:upstream_error"
    )
    assert record["cost_nanos"] == 0
    assert await failing.balance() == before


async def test_in_exact_mode_a_broken_stream_is_broken_off_without_a_byte_of_ours(
    failing: Gateway, upstream: Upstream
) -> None:
    name = upstream.play("later-exact", LATER["cut"]())
    async with failing.client() as client:
        got = await client.chat(_body("test/pair", name, stream=True), x_gateway_passthrough="exact")
    assert got.status == 200
    assert not got.complete
    assert got.body == b"".join(BEGINNING)


async def test_a_client_that_was_shown_a_price_is_told_that_it_does_not_pay(
    failing: Gateway, upstream: Upstream
) -> None:
    pieces = (sse(chunk("I am", usage=USAGE), chunk(" bro", usage=USAGE), done=False),)
    name = upstream.play("later-priced", Script(pieces=pieces, then="cut", **EVENTS))
    async with failing.client() as client:
        got = await client.chat(_body("test/pair", name, stream=True))
    assert got.events[0]["usage"]["pricing"]["total_nanos"] > 0
    pricing = got.events[-1]["pricing"]
    assert (pricing["total_nanos"], pricing["billing_suppressed"]) == (0, True)
    assert pricing["billing_suppression_reason"] in ("upstream_failure", "incomplete_stream")
