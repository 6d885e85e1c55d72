"""Every recorded request and answer: passed through, and read into the text types and written again."""

import hashlib
import json
from collections import Counter
from typing import Any

import pytest
from pydantic import ValidationError

from plugin_sdk.artefacts import PREFIX
from plugin_sdk.errors import InvalidRequest
from plugin_sdk.fidelity import Report, request_report
from plugin_sdk.protocol import GATEWAY_FIELDS, Facts, Target, Translation
from plugins.protocols.openai_chat import OpenAIChat
from tests.plugins.openai_responses.recorded import (
    body,
    chats,
    chunks,
    exchanges,
    needs_recordings,
    request,
    request_bytes,
    streams,
)
from tests.plugins.openai_responses.sdk import Accumulator, accept, legal
from tests.plugins.openai_responses.wire import (
    GENERATION,
    PRICING,
    RESPONSES,
    answer,
    events,
    filled,
    through,
)

pytestmark = needs_recordings

CHAT = OpenAIChat()
BACKGROUND = 3  # requests that are refused: nobody would wait for their answers


def sort(exchange: dict[str, Any], facts: Facts) -> str:
    if facts.error is not None:
        return "an error in a 200" if body(exchange).strip() else "an empty answer"
    if facts.complete:
        return "fine"
    return "cut short by the recording" if body(exchange).strip() else "an empty answer"


def test_a_request_is_the_same_after_the_text_types_and_in_pass_through() -> None:
    seen: Counter[str] = Counter()
    for exchange in exchanges():
        sent = request(exchange)
        target = Target(base_url="https://up.example/v1", model=sent["model"])
        try:
            view = RESPONSES.index(request_bytes(exchange))
        except InvalidRequest as error:
            seen[f"refused: {error.param}"] += 1
            continue
        wanted = {name: value for name, value in sent.items() if name not in GATEWAY_FIELDS}
        assert json.loads(RESPONSES.patch(view, target).body) == wanted, exchange["id"]
        assert json.loads(RESPONSES.build(RESPONSES.parse(view), target).body) == wanted, exchange["id"]
        seen["equal"] += 1
    print(f"requests: {dict(seen)}, failed 0")
    assert seen.pop("equal") > 560
    assert seen == {"refused: background": BACKGROUND}


def test_the_clients_bytes_are_the_upstreams_in_exact_mode() -> None:
    seen: Counter[str] = Counter()
    for number, exchange in enumerate(exchanges(answered=True)):
        passing = RESPONSES.splice(answer(stream=streams(exchange), exact=True))
        got = filled(through(passing, chunks(exchange, seed=number)))
        found = sort(exchange, passing.facts)
        seen[found] += 1
        if found == "fine":
            assert hashlib.sha256(got).digest() == hashlib.sha256(body(exchange)).digest(), exchange["id"]
    print(f"exact: {dict(seen)}")
    assert seen.pop("fine") >= 540
    assert set(seen) <= {"cut short by the recording", "an error in a 200", "an empty answer"}
    assert sum(seen.values()) <= 6


def test_the_clients_json_is_the_upstreams_but_for_the_splices() -> None:
    fine = 0
    for number, exchange in enumerate(exchanges(answered=True)):
        stream = streams(exchange)
        passing = RESPONSES.splice(answer(stream=stream, meta=True))
        got = filled(through(passing, chunks(exchange, seed=number)), meta=True)
        if sort(exchange, passing.facts) != "fine":
            continue
        fine += 1
        theirs = events(body(exchange)) if stream else [json.loads(body(exchange))]
        ours = events(got) if stream else [json.loads(got)]
        assert [_without_splices(one, stream) for one in ours] == [_without_id(one, stream) for one in theirs]
    assert fine >= 540


def test_the_usage_is_the_providers_own_in_disjoint_meters() -> None:
    checked = 0
    for number, exchange in enumerate(exchanges(answered=True)):
        passing = RESPONSES.splice(answer(stream=streams(exchange)))
        through(passing, chunks(exchange, seed=number))
        usage = _usage(exchange) if sort(exchange, passing.facts) == "fine" else None
        if usage is None:
            assert not passing.facts.usage
            continue
        checked += 1
        metered = passing.facts.usage or {}
        tokens = {meter: n for meter, n in metered.items() if meter.endswith("_tokens")}
        assert all(n >= 0 for n in tokens.values())
        assert sum(tokens.values()) == usage["total_tokens"], exchange["id"]
        assert tokens.get("cached_read_text_tokens", 0) == usage["input_tokens_details"]["cached_tokens"]
    print(f"usage: run {checked}, adds up {checked}")
    assert checked >= 520


def test_an_answer_is_the_same_after_the_text_types() -> None:
    equal = typed = 0
    for number, exchange in enumerate(exchanges(answered=True)):
        came = streams(exchange)
        for stream in (True, False):
            way = Translation(
                RESPONSES.decoder(stream=came), RESPONSES.encoder(answer(stream=stream)), RESPONSES
            )
            got = filled(through(way, chunks(exchange, seed=number)))
            if sort(exchange, way.facts) != "fine":
                continue
            theirs = events(body(exchange))[-1]["response"] if came else json.loads(body(exchange))
            found = events(got) if stream else [json.loads(got)]
            ours = found[-1]["response"] if stream else found[0]
            assert _without_splices(ours, False) == _without_id(theirs, False), exchange["id"]
            if stream:
                modern(ours)
                modern(theirs)
                legal(found, typed=_accepted(theirs))
                typed += _accepted(theirs)
            equal += 1
    print(f"answers, streamed and whole: equal {equal}, streams of the SDK's types {typed}, failed 0")
    assert equal >= 1_080
    assert typed >= 565


def test_a_stream_is_the_same_event_by_event_or_declared() -> None:
    seen: Counter[str] = Counter()
    for number, exchange in enumerate(exchanges(answered=True)):
        if not streams(exchange) or not body(exchange).strip():
            continue
        way = Translation(RESPONSES.decoder(stream=True), RESPONSES.encoder(answer(stream=True)), RESPONSES)
        got = events(filled(through(way, chunks(exchange, seed=number))))
        theirs = events(body(exchange))
        declared = _declared(theirs)
        seen[declared or "equal"] += 1
        if declared is None:
            ours = [_event(_without_splices(one, True)) for one in got]
            assert ours == [_event(_without_id(one, True)) for one in theirs], exchange["id"]
    print(f"streams event by event: {dict(seen)}, failed 0")
    assert seen.pop("equal") >= 93
    assert seen == {"reasoning_part": 1, "an item left open": 1}


def _declared(theirs: list[dict[str, Any]]) -> str | None:
    """Why our events may be others than theirs: what is not legal is made so."""
    if any(one["type"] == "response.reasoning_part.added" for one in theirs):
        return "reasoning_part"
    counts = Counter(one["type"] for one in theirs)
    if counts["response.output_item.added"] != counts["response.output_item.done"]:
        return "an item left open"
    return None


def _event(one: dict[str, Any]) -> dict[str, Any]:
    """An event without our splices, its number and padding, and what the SDK's types want of it beside."""
    left = ("sequence_number", "obfuscation", "logprobs" if not one.get("logprobs") else "")
    found = {name: value for name, value in one.items() if name not in left}
    if one["type"] == "response.function_call_arguments.done":
        found.pop("name", None)
    if one["type"] in ("response.content_part.added", "response.content_part.done"):
        found["part"] = {name: value for name, value in one["part"].items() if name != "logprobs"}
    return found


def modern(response: dict[str, Any]) -> None:
    """Most recordings are older than a field that the SDK's types want by now."""
    usage = response.get("usage")
    if usage is not None:
        usage["input_tokens_details"].setdefault("cache_write_tokens", 0)


def _accepted(response: dict[str, Any]) -> bool:
    """Whether the SDK takes the upstream's own response."""
    try:
        accept(response)
    except ValidationError:
        return False
    return True


@pytest.mark.timeout(900)
def test_the_sdk_takes_every_recorded_chat_answer_as_a_response() -> None:
    seen: Counter[str] = Counter()
    accumulator = Accumulator()
    for number, exchange in enumerate(chats(answered=True)):
        came = bool(exchange["request"]["json"].get("stream"))
        for stream in (True, False):
            encoder = RESPONSES.encoder(answer(stream=stream))
            way = Translation(CHAT.decoder(stream=came), encoder, RESPONSES)
            got = filled(through(way, chunks(exchange, seed=number)))
            if not way.facts.complete or way.facts.error is not None:
                seen["not whole"] += 1
                continue
            if stream:
                found = events(got)
                legal(found)
                last = found[-1]["response"]
                if last["status"] == "completed" and number % 8 == 0:  # of another it makes nothing
                    final, text = accumulator.response(got)
                    assert text == _text(last)
                    kinds = [[item["type"] for item in one["output"]] for one in (final, last)]
                    assert kinds[0] == kinds[1]
            else:
                last = json.loads(got)
            accept(last)
            _preserved(exchange, last, stream=came)
            seen["fine"] += 1
    print(f"chat answers for a client of responses: {dict(seen)}")
    assert seen["fine"] >= 3_400
    assert seen["not whole"] <= 24


def test_every_recorded_request_builds_one_for_chat_completions_or_says_why_not() -> None:
    seen: Counter[str] = Counter()
    for exchange in exchanges():
        try:
            request = RESPONSES.parse(RESPONSES.index(request_bytes(exchange)))
        except InvalidRequest as error:
            seen[f"refused: {error.param}"] += 1
            continue
        assert CHAT.carries is not None
        report = Report()
        essential = request_report(request, CHAT.id, CHAT.carries, RESPONSES.carries, report)
        if essential is not None:
            seen[f"refused: {essential}"] += 1
            continue
        CHAT.build(request, Target(base_url="https://up.example/v1", model="m"))
        seen["lossy" if report.dropped else "built"] += 1
    print(f"requests for chat completions: {dict(seen)}")
    assert seen["built"] + seen["lossy"] >= 540


def test_every_recorded_chat_request_builds_one_for_responses() -> None:
    built = 0
    for exchange in chats():
        view = CHAT.index(json.dumps({**exchange["request"]["json"], "model": "m"}).encode())
        try:
            conversation = CHAT.parse(view)
        except InvalidRequest:
            continue
        made = RESPONSES.build(conversation, Target(base_url="https://up.example/v1", model="m"))
        again = RESPONSES.index(made.body)
        parsed = RESPONSES.parse(again)
        assert len(parsed.messages) >= 1 or not conversation.messages
        assert PREFIX not in made.body.decode()
        built += 1
    print(f"chat requests built for responses: {built}")
    assert built >= 1_900


def _preserved(exchange: dict[str, Any], response: dict[str, Any], *, stream: bool) -> None:
    """The text, the calls of tools with their arguments, and the total of the usage."""
    usage = response["usage"]
    if usage is not None:
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    if stream:
        return
    chat = json.loads(body(exchange))
    said: dict[str, Any] = next(
        (one["message"] for one in chat["choices"] if not one.get("index") and "message" in one), {}
    )
    calls = [
        (call["function"]["name"], call["function"].get("arguments") or "{}")
        for call in said.get("tool_calls") or ()
        if "function" in call and isinstance(call["function"].get("arguments"), str | None)
    ]
    ours = [(one["name"], one["arguments"]) for one in response["output"] if one["type"] == "function_call"]
    assert ours == calls or said.get("function_call") or len(ours) > len(calls)
    content = said.get("content")
    if isinstance(content, str) and "think>" not in content and not said.get("audio"):
        assert _text(response) == content, exchange["id"]


def _text(response: dict[str, Any]) -> str:
    return "".join(
        part["text"]
        for item in response["output"]
        if item["type"] == "message"
        for part in item["content"]
        if part["type"] == "output_text"
    )


def _usage(exchange: dict[str, Any]) -> dict[str, Any] | None:
    raw = body(exchange)
    if not streams(exchange):
        found = json.loads(raw)
    else:
        last = events(raw)[-1]
        found = last.get("response") or {}
    usage: dict[str, Any] | None = found.get("usage")
    return usage


def _without_id(one: dict[str, Any], stream: bool) -> dict[str, Any]:
    if stream:
        if isinstance(one.get("response"), dict):
            return {**one, "response": _without_id(one["response"], stream=False)}
        return one
    return {name: value for name, value in one.items() if name != "id"}


def _without_splices(one: dict[str, Any], stream: bool) -> dict[str, Any]:
    if stream:
        if isinstance(one.get("response"), dict):
            return {**one, "response": _without_splices(one["response"], stream=False)}
        return one
    rest = {name: value for name, value in one.items() if name not in ("nativeResponseId", "meta")}
    assert rest.pop("id") == GENERATION
    if isinstance(rest.get("usage"), dict):
        usage = dict(rest["usage"])
        assert usage.pop("pricing_breakdown") == PRICING
        rest["usage"] = usage
    return rest
