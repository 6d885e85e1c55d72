"""Whatever deltas come, whatever an upstream sends, wherever it is cut: what the client gets is legal."""

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin_sdk.errors import InvalidRequest, ModelRequired
from plugin_sdk.protocol import Target, Translation
from plugin_sdk.text import (
    Artefact,
    AudioDelta,
    Citation,
    CitationsDelta,
    Delta,
    Finished,
    LogprobsDelta,
    MediaDelta,
    MediaPart,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageDelta,
)
from tests.plugins.openai_responses.sdk import accept, legal
from tests.plugins.openai_responses.wire import (
    RESPONSES,
    answer,
    cut,
    events,
    filled,
    message,
    sse,
    stream,
    through,
    whole,
)

METERS = {"input_text_tokens": 8, "output_text_tokens": 5, "output_reasoning_tokens": 2}
REASONS = ["stop", "length", "tool_calls", "content_filter", "other"]
CALL = {"id": "fc_1", "type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'}
SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search"}}
THOUGHT = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}


def _call(kind: Any) -> Any:
    return st.builds(
        lambda text, part: ToolCallDelta(
            arguments=text, part=part + 30, id=f"{kind}_{part}", name=f"tool_{part}", kind=kind
        ),
        st.text(max_size=5),
        st.integers(0, 3) if kind == "function" else st.integers(4, 5),
    )


_PIECES = st.one_of(
    st.builds(lambda text, part: TextDelta(text=text, part=part), st.text(max_size=5), st.integers(0, 3)),
    st.builds(
        lambda text, part, summary: ReasoningDelta(text=text, part=part + 10, summary=summary),
        st.text(min_size=1, max_size=5),
        st.integers(0, 2),
        st.booleans(),
    ),
    st.builds(
        lambda text, part: RefusalDelta(text=text, part=part + 20), st.text(max_size=5), st.integers(0, 1)
    ),
    _call("function"),
    _call("custom"),
)
_BESIDE = st.sampled_from(
    [
        CitationsDelta(citations=(Citation(kind="x", url="u"),)),
        CitationsDelta(citations=()),
        LogprobsDelta(content=({"token": "a"},)),
        MediaDelta(media=MediaPart(kind="image", data="QUJD"), part=40),
        MediaDelta(media=MediaPart(kind="image", url="https://a.example/b"), part=41),
        AudioDelta(transcript="said", part=42),
        AudioDelta(data="AAAA", part=42),
        ToolCallDelta(name="search", id="s", kind="server", part=43),
        ReasoningDelta(part=10, artefacts=(Artefact(origin="x", kind="y", value="z"),)),
        ToolCallDelta(id="z", name="z", part=44, artefacts=(Artefact(origin="x", kind="y", value="z"),)),
        OpaqueDelta(fields={"item": {"type": "message"}, "begun": {}, "event": {}}, scope="message"),
        TextDelta(text="other", choice=1),
        Started(origin="x.y", native_id="n"),
        UsageDelta(usage=METERS),
    ]
)


def encoded(deltas: list[Any], *, streamed: bool) -> bytes:
    encoder = RESPONSES.encoder(answer(stream=streamed))
    return filled([piece for delta in deltas for piece in encoder.feed(delta)] + encoder.close())


@settings(deadline=None)
@given(st.lists(_PIECES, max_size=25), st.sampled_from(REASONS))
def test_any_interleaving_is_a_legal_stream_that_says_the_same(deltas: list[Delta], reason: Any) -> None:
    all_of = [Started(origin="x.y"), *deltas, UsageDelta(usage=METERS), Finished(reason=reason)]
    raw = encoded(all_of, streamed=True)
    legal(events(raw))
    for size in (1, 7, len(raw)):
        way = Translation(RESPONSES.decoder(stream=True), RESPONSES.encoder(answer(stream=False)))
        found = json.loads(filled(through(way, cut(raw, size))))
        assert way.facts.complete
        assert _told(found) == _meant(deltas)


@settings(deadline=None)
@given(st.lists(st.one_of(_PIECES, _BESIDE), max_size=25), st.sampled_from(REASONS))
def test_whatever_else_comes_the_stream_is_legal_and_ends_in_the_whole(
    deltas: list[Delta], reason: Any
) -> None:
    all_of = [Started(origin="x.y"), *deltas, Finished(reason=reason)]
    found = events(encoded(all_of, streamed=True))
    legal(found)
    at_once = json.loads(encoded(all_of, streamed=False))
    accept(at_once)
    assert found[-1]["response"] == at_once


def _told(found: dict[str, Any]) -> tuple[str, str, list[str]]:
    items = found["output"]
    talk = "".join(
        part.get("text", part.get("refusal", ""))
        for item in items
        if item["type"] == "message"
        for part in item["content"]
    )
    thought = "".join(
        part["text"]
        for item in items
        if item["type"] == "reasoning"
        for part in (*item["summary"], *item.get("content", ()))
    )
    calls = [
        item.get("arguments", item.get("input", ""))
        for item in items
        if item["type"].endswith("tool_call") or item["type"] == "function_call"
    ]
    return talk, "".join(sorted(thought)), calls


def _meant(deltas: list[Delta]) -> tuple[str, str, list[str]]:
    talk = "".join(one.text for one in deltas if isinstance(one, TextDelta | RefusalDelta))
    thought = "".join(one.text for one in deltas if isinstance(one, ReasoningDelta))
    calls: dict[int, str] = {}
    for one in deltas:
        if isinstance(one, ToolCallDelta):
            empty = "{}" if one.kind == "function" else ""
            calls[one.part] = (calls.get(one.part, "") + one.arguments).removeprefix(empty) or empty
    return talk, "".join(sorted(thought)), list(calls.values())


def test_wherever_a_stream_is_cut_in_two_its_deltas_are_the_same() -> None:
    body = rich()
    decoder = RESPONSES.decoder(stream=True)
    expected = decoder.feed(body) + decoder.close()
    for at in range(len(body)):
        decoder = RESPONSES.decoder(stream=True)
        assert decoder.feed(body[:at]) + decoder.feed(body[at:]) + decoder.close() == expected
    for size in (1, 2, 3, 7):
        decoder = RESPONSES.decoder(stream=True)
        found = [delta for part in cut(body, size) for delta in decoder.feed(part)]
        assert found + decoder.close() == expected


def test_wherever_a_stream_ends_early_nothing_is_finished() -> None:
    body = rich()
    for at in range(len(body) - 2):
        decoder = RESPONSES.decoder(stream=True)
        deltas = decoder.feed(body[:at]) + decoder.close()
        assert not any(isinstance(delta, Finished) for delta in deltas)
        assert (decoder.facts.complete, decoder.facts.finish) == (False, None)


@cache
def rich() -> bytes:
    """A stream with one of each."""
    place = {"output_index": 0, "summary_index": 0, "item_id": "rs_1"}
    return sse(
        {"type": "response.created", "response": whole(status="in_progress", output=[], usage=None)},
        {"type": "response.output_item.added", "output_index": 0, "item": {**THOUGHT, "summary": []}},
        {"type": "response.reasoning_summary_text.delta", **place, "delta": "hm"},
        {"type": "response.output_item.done", "output_index": 0, "item": THOUGHT},
        {"type": "response.output_item.added", "output_index": 1, "item": {**CALL, "arguments": ""}},
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": '{"a": 1}'},
        {"type": "response.output_item.done", "output_index": 1, "item": CALL},
        {"type": "response.output_item.added", "output_index": 2, "item": SEARCH},
        {"type": "response.web_search_call.searching", "output_index": 2, "item_id": "ws_1"},
        {"type": "response.output_item.done", "output_index": 2, "item": SEARCH},
        {"type": "response.output_text.delta", "output_index": 3, "content_index": 0, "delta": "\u00fc"},
        {"type": "response.completed", "response": whole(THOUGHT, CALL, SEARCH, message("\u00fc"))},
    )


# What no upstream and no client should send

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.text(max_size=3)
    | st.sampled_from(["message", "reasoning", "function_call", "output_text", "summary_text", "refusal"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["type", "text", "id", "content", "role", "summary", "x"]), inner),
    max_leaves=5,
)  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in _places(one, (*path, key)))]


def _with(value: Any, path: tuple[Any, ...], instead: Any) -> Any:
    if not path:
        return instead
    copy = value.copy()
    copy[path[0]] = _with(value[path[0]], path[1:], instead)
    return copy


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_an_upstream_may_send_anything_anywhere(data: st.DataObject) -> None:
    sent = events(rich()) + events(stream())
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(_places(sent)[1:]))
        sent = _with(sent, path, data.draw(_JSON))
    raw = b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in sent)
    through(RESPONSES.splice(answer(stream=True)), [raw])
    for streamed in (True, False):
        way = Translation(RESPONSES.decoder(stream=True), RESPONSES.encoder(answer(stream=streamed)))
        got = filled(through(way, [raw]))
        if streamed and way.facts.complete:
            legal(events(got), typed=False)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_whole_answer_may_be_anything(data: st.DataObject) -> None:
    sent: Any = whole(THOUGHT, CALL, SEARCH, message())
    for _ in range(data.draw(st.integers(1, 3))):
        sent = _with(sent, data.draw(st.sampled_from(_places(sent))), data.draw(_JSON))
    raw = json.dumps(sent).encode()
    passing = RESPONSES.splice(answer(stream=False))
    through(passing, [raw])
    assert passing.facts.complete is (passing.facts.error is None)
    for streamed in (True, False):
        way = Translation(RESPONSES.decoder(stream=False), RESPONSES.encoder(answer(stream=streamed)))
        through(way, [raw])
        assert way.facts.complete is passing.facts.complete
        assert way.facts.usage == passing.facts.usage


REQUEST: dict[str, Any] = {
    "model": "m",
    "instructions": "i",
    "input": [
        {"role": "user", "content": [
            {"type": "input_text", "text": "x"},
            {"type": "input_image", "image_url": "u", "detail": "low"},
            {"type": "input_file", "file_data": "QQ==", "filename": "f"},
            {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}},
        ]},
        {**THOUGHT, "encrypted_content": "x"},
        message(),
        CALL,
        {"type": "function_call_output", "call_id": "c1", "output": "ok"},
    ],
    "tools": [{"type": "function", "name": "f", "parameters": {}}, {"type": "web_search"}],
    "tool_choice": {"type": "function", "name": "f"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto", "max_tokens": 5},
    "include": ["reasoning.encrypted_content"],
    "metadata": {"a": "b"},
}  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_any_request_is_the_same_after_the_types_or_refused(data: st.DataObject) -> None:
    sent: Any = REQUEST
    for _ in range(data.draw(st.integers(1, 2))):
        sent = _with(sent, data.draw(st.sampled_from(_places(sent)[1:])), data.draw(_JSON))
    target = Target(base_url="u", model="m")
    try:
        view = RESPONSES.index(json.dumps(sent).encode())
        request = RESPONSES.parse(view)
    except (InvalidRequest, ModelRequired):
        return
    expected = {**sent, "model": "m"}
    assert json.loads(RESPONSES.build(request, target).body) == expected
    assert json.loads(RESPONSES.patch(view, target).body) == expected


@pytest.mark.parametrize("form", [{"type": []}, {"type": {}}, {"type": None}])
def test_a_type_that_is_none_breaks_nothing(form: dict[str, Any]) -> None:
    for body in (whole(form), whole(message(content=[form])), {**whole(), "error": {"code": [], **form}}):
        decoder = RESPONSES.decoder(stream=False)
        decoder.feed(json.dumps(body).encode())
        decoder.close()
