"""A stream passed through: the upstream's own bytes, and the splices."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_sdk.errors import UpstreamError, UpstreamRateLimited, UpstreamRejected
from plugin_sdk.protocol import END, End, Price
from tests.plugins.openai_chat.wire import (
    CHAT,
    DONE,
    GENERATION,
    NATIVE,
    PRICING,
    USAGE,
    answer,
    chunk,
    cut,
    event,
    events,
    filled,
    passed,
    plain_stream,
    through,
    whole,
)

METERS = {"input_text_tokens": 12, "output_text_tokens": 3}
TOOL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
STREAMS = {
    "plain": plain_stream(),
    "CRLF": plain_stream().replace(b"\n\n", b"\r\n\r\n"),
    "keep-alives": plain_stream().replace(b"data: ", b": OPENROUTER PROCESSING\n\ndata: ", 4),
    "spaced": b"".join(
        [
            event(chunk({"content": "a"}, usage=None), compact=False),
            event(chunk({"content": "b"}, usage=None), compact=False),
            event(chunk({}, "stop", usage=dict(USAGE)), compact=False),
            DONE,
        ]
    ),
    "id last": b"".join(
        event({"choices": [{"index": 0, "delta": {"content": word}}], "id": NATIVE})
        for word in ("a", "b", "c")
    )
    + event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "id": NATIVE})
    + DONE,
    "no id": event(chunk({"content": "a"}, id=...)) * 3 + event(chunk({}, "length", id=...)) + DONE,
    "empty id": event(chunk({"content": "a"}, id="")) * 2 + event(chunk({"content": "a"}, "stop")) + DONE,
    "changing id": b"".join(event(chunk({"content": "a"}, id=f"id-{at}")) for at in range(4))
    + event(chunk({}, "stop", id="id-9"))
    + DONE,
    "several lines of data": b'data: {"id":"x",\ndata: "choices":[{"index":0,"delta":{"content":"a"},\n'
    b'data: "finish_reason":"stop"}],\ndata: "usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n' + DONE,
    "tools": b"".join(
        [
            event(chunk({"role": "assistant", "content": None})),
            event(chunk({"tool_calls": [TOOL]})),
            event(chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]})),
            event(chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]})),
            event(chunk({}, "stop")),
            DONE,
        ]
    ),
    "usage in every chunk": b"".join(
        event(
            chunk(
                {"content": "a"}, usage={"prompt_tokens": 5, "completion_tokens": at, "total_tokens": 5 + at}
            )
        )
        for at in range(1, 4)
    )
    + event(chunk({}, "stop", usage={"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}))
    + DONE,
    "words that look like fields": plain_stream(
        ("usage", "finish_reason", "error", '"usage":null', "data: {")
    ),
    "malformed in between": plain_stream()[:400].rpartition(b"\n\n")[0]
    + b"\n\ndata: {broken\n\ndata: 5\n\n"
    + event(chunk({}, "stop"))
    + DONE,
    "half an emoji": event(chunk({"content": "a"})).replace(b'"a"', b'"\\ud83d"') * 2
    + event(chunk({}, "stop"))
    + DONE,
    "repeated names": b'data: {"id":"a","id":"b","choices":[{"index":0,"delta":{"content":"x"},'
    b'"finish_reason":"stop"}]}\n\n' + DONE,
    "no DONE": plain_stream().removesuffix(DONE),
    "no blank line at the end": plain_stream()[:-2],
    "another gateway's": b"".join(
        event(chunk(delta, finish, id="G-OTHER", nativeResponseId="x", usage=usage, meta={"a": 1}))
        for delta, finish, usage in (
            ({"content": "a"}, None, None),
            ({"content": "b"}, None, None),
            ({}, "stop", {**USAGE, "pricing": {"total_nanos": 1}}),
        )
    )
    + DONE,
}


@pytest.mark.parametrize("name", STREAMS)
def test_exact_mode_changes_no_byte_wherever_the_stream_is_cut(name: str) -> None:
    body = STREAMS[name]
    for size in (1, 2, 3, 7, 100, len(body)):
        assert passed(body, size=size, exact=True)[0] == body


@pytest.mark.parametrize("name", STREAMS)
def test_the_client_and_the_facts_do_not_depend_on_the_cuts(name: str) -> None:
    body = STREAMS[name]
    expected, facts = passed(body, meta=True)
    for size in (1, 2, 3, 7, 100):
        found, other = passed(body, size=size, meta=True)
        assert found == expected
        for field in facts.__slots__:
            assert getattr(other, field) == getattr(facts, field)


@pytest.mark.parametrize("name", sorted(set(STREAMS) - {"repeated names"}))  # those have no one JSON
def test_but_for_the_splices_the_json_is_the_upstreams(name: str) -> None:
    body = STREAMS[name].replace(b"\ndata: ", b"") if name == "several lines of data" else STREAMS[name]
    body = body.replace(b"\r\n", b"\n")
    spliced, facts = passed(body, meta=True)
    assert facts.complete
    assert facts.error is None
    before = [one for one in events(body) if one != "[DONE]"]
    after = [one for one in events(spliced) if one != "[DONE]"]
    assert len(before) == len(after)
    for theirs, ours in zip(before, after, strict=True):
        if not isinstance(theirs, dict):
            assert ours == theirs
            continue
        assert ours.pop("id") == GENERATION
        for one in (theirs, ours):
            one.pop("nativeResponseId", None)
            one.pop("meta", None)
        if isinstance(theirs.get("usage"), dict):
            theirs["usage"].pop("pricing", None)
            assert ours["usage"].pop("pricing") == PRICING
        theirs.pop("id", None)
        assert ours == theirs


def test_each_chunk_carries_the_gateways_id_and_the_upstreams_beside_it() -> None:
    body, facts = passed(plain_stream())
    for one in events(body)[:-1]:
        assert (one["id"], one["nativeResponseId"]) == (GENERATION, NATIVE)
        assert list(one)[:2] == ["id", "nativeResponseId"]
    assert facts.native_id == NATIVE


def test_the_first_id_seen_is_the_native_one() -> None:
    found = events(passed(STREAMS["empty id"])[0])
    assert [one.get("nativeResponseId") for one in found[:-1]] == [None, None, NATIVE]
    changing, facts = passed(STREAMS["changing id"])
    assert {one["nativeResponseId"] for one in events(changing)[:-1]} == {"id-0"}
    assert facts.native_id == "id-0"


def test_an_id_is_inserted_where_there_is_none() -> None:
    found = events(passed(STREAMS["no id"])[0])
    assert all(one["id"] == GENERATION and "nativeResponseId" not in one for one in found[:-1])
    assert events(passed(event({"choices": []}) + DONE)[0])[0] == {"id": GENERATION, "choices": []}


def test_another_gateways_splices_are_replaced_and_not_repeated() -> None:
    body, _ = passed(STREAMS["another gateway's"], meta=True)
    assert (body.count(b'"pricing"'), body.count(b'"nativeResponseId"')) == (1, 3)
    last = events(body)[-2]
    assert last["nativeResponseId"] == "G-OTHER"
    assert last["usage"]["pricing"] == PRICING
    assert last["meta"] == {"latency_ms": 1}


def test_the_usage_is_priced_and_meta_stands_at_the_end_of_its_chunk() -> None:
    body, facts = passed(plain_stream(), meta=True)
    last = events(body)[-2]
    assert last["usage"] == {**USAGE, "pricing": PRICING}
    assert list(last)[-1] == "meta"
    assert facts.usage == METERS
    assert body.count(b'"meta"') == 1


def test_the_price_is_asked_for_the_usage_so_far() -> None:
    stream = CHAT.splice(answer())
    pieces = through(stream, [STREAMS["usage in every chunk"]])
    outputs = [piece.usage["output_text_tokens"] for piece in pieces if isinstance(piece, Price)]
    assert outputs == [1, 2, 3, 4]


def test_meta_is_given_once_and_not_before_the_finish() -> None:
    found = events(passed(STREAMS["usage in every chunk"], meta=True)[0])
    assert ["meta" in one for one in found[:-1]] == [False, False, False, True]


def test_an_empty_usage_object_behind_another_is_priced_too() -> None:
    first = chunk({"content": "a"}, usage={"prompt_tokens": 1, "completion_tokens": 1})
    body = event(first) + event(chunk({"content": "b"}, "stop", usage={})) + DONE
    assert events(passed(body)[0])[1]["usage"] == {"pricing": PRICING}


def test_a_usage_without_a_figure_is_none_and_has_no_price() -> None:
    for usage in ({}, {"prompt_tokens": None}, {"prompt_tokens": -1}):
        found, facts = passed(event(chunk({"content": "a"}, "stop", usage=usage)) + DONE)
        assert events(found)[0]["usage"] == usage
        assert facts.usage is None


def test_a_usage_elsewhere_is_not_the_protocols() -> None:
    body = event(chunk({"content": "a"}, "stop", x_groq={"usage": dict(USAGE)})) + DONE
    found, facts = passed(body)
    assert events(found)[0]["x_groq"] == {"usage": USAGE}
    assert facts.usage is None


@pytest.mark.parametrize("exact", [True, False])
def test_a_usage_event_that_only_our_asking_caused_is_dropped_and_still_counted(*, exact: bool) -> None:
    asked, _ = passed(plain_stream(), exact=exact)
    found, facts = passed(plain_stream(), exact=exact, usage_event=False)
    assert len(events(found)) == len(events(asked)) - 1
    assert all(one == "[DONE]" or one["choices"] for one in events(found))
    assert facts.usage == METERS
    if exact:
        assert found == plain_stream().replace(event(chunk(usage=dict(USAGE))), b"")


def test_a_usage_inside_another_event_stays() -> None:
    body = event(chunk({"content": "a"}, "stop", usage=dict(USAGE))) + DONE
    assert events(passed(body, usage_event=False)[0])[0]["usage"]["pricing"] == PRICING


def test_the_end_comes_before_done() -> None:
    pieces = through(CHAT.splice(answer()), [plain_stream()])
    assert pieces[-2:] == [END, DONE]
    assert sum(isinstance(piece, End) for piece in pieces) == 1


def test_where_the_upstream_says_no_done_we_do() -> None:
    stream = CHAT.splice(answer())
    assert stream.feed(STREAMS["no DONE"])
    assert stream.close() == [END, DONE]
    assert stream.facts.complete


def test_no_byte_is_added_in_exact_mode() -> None:
    assert passed(STREAMS["no DONE"], exact=True)[0] == STREAMS["no DONE"]


def test_an_end_without_a_blank_line_is_an_end() -> None:
    for tail in (b"data: [DONE]", b"data: [DONE]\n", b"data:[DONE]\r\n"):
        _, facts = passed(event(chunk({"content": "a"})) + tail)
        assert (facts.complete, facts.finish) == (True, "other")


def test_a_last_chunk_without_a_blank_line_gets_one_before_our_done() -> None:
    body, facts = passed(event(chunk({"content": "a"})) + event(chunk({}, "stop")).rstrip())
    assert body.endswith(b"\n\n" + DONE)
    assert (facts.complete, facts.finish) == (True, "stop")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("error", "error"),
        ("", "other"),
        ("MAX_TOKENS", "length"),
        ("brand_new", "other"),
        (7, "other"),
    ],
)
def test_a_finish_ends_an_answer_whatever_it_says(reason: Any, expected: str) -> None:
    _, facts = passed(event(chunk({"content": "a"}, reason)))
    assert (facts.complete, facts.finish) == (True, expected)


def test_a_stop_beside_tool_calls_is_a_call() -> None:
    _, facts = passed(STREAMS["tools"])
    assert (facts.finish, facts.output) == ("tool_calls", True)


def test_a_stream_without_finish_and_done_was_cut() -> None:
    for body in (b"", b": ping\n\n", event(chunk({"content": "a"})) * 3):
        _, facts = passed(body)
        assert (facts.complete, facts.error) == (False, None)


def test_the_stump_of_a_cut_event_does_not_spoil_the_error_event_behind_it() -> None:
    whole_part = event(chunk({"content": "a"}))
    body, facts = passed(whole_part + b'data: {"id":"chatc')
    assert events(body) == [events(passed(whole_part)[0])[0]]
    assert (facts.complete, facts.skipped) == (False, 1)


def test_an_answer_starts_with_data_that_is_no_error() -> None:
    stream = CHAT.splice(answer())
    stream.feed(b": waiting\n\n")
    assert not stream.facts.started
    stream.feed(b"data: {not json\n\n")
    assert not stream.facts.started
    stream.feed(event(chunk({"role": "assistant"})))
    assert stream.facts.started
    assert not stream.facts.output


ERRORS = {
    "an error object": event({"error": {"message": "Overloaded.", "code": 502}}),
    "an error as a string": event({"error": "Overloaded."}),
    "an error event": event({"error": {"message": "Overloaded."}}, name="error"),
    "an error event without an error": event({"message": "Overloaded."}, name="error"),
    "an error event that is no JSON": b"event: error\ndata: Overloaded.\n\n",
    "a bare error field": b'error: {"message": "Overloaded."}\n\n',
    "a bare error in plain words": b"error: Overloaded.\n\n",
    "an error inside a choice": event(
        {
            "id": "x",
            "choices": [
                {"index": 0, "delta": {}, "finish_reason": "error", "error": {"message": "Overloaded."}}
            ],
        }
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_a_failure_inside_a_200_is_a_failure_and_starts_nothing(name: str) -> None:
    _, facts = passed(b": hi\n\n" + ERRORS[name])
    assert facts.error is not None
    assert facts.error.message == "Overloaded."
    assert facts.error.retryable
    assert not facts.started


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("tail", [b"", DONE, event(chunk({"content": "late"})) + DONE])
def test_a_failure_after_content_is_left_to_the_core_and_nothing_follows_it(name: str, tail: bytes) -> None:
    before = event(chunk({"content": "a"})) * 2
    body = before + ERRORS[name] + tail
    assert passed(body, exact=True)[0] == body
    found, facts = passed(body)
    assert len(events(found)) == 2
    assert facts.started
    assert facts.error is not None
    last = CHAT.render_stream_error(facts.error, GENERATION, b'{"total_nanos":0}')
    (said,) = events(last)
    assert (said["error"]["message"], said["message"], said["object"]) == (
        "Overloaded.",
        "Overloaded.",
        "error",
    )
    assert (said["generation_id"], said["pricing"]) == (GENERATION, {"total_nanos": 0})


def test_a_failure_does_not_tell_whose_account_it_was() -> None:
    error = {"message": "Rate limit in organization org-0123456789abcdef.", "code": 429}
    body = event(chunk({"content": "a"})) + event({"error": error, "user_id": "user_0123456789"})
    found, _ = passed(body)
    assert b"org-0123" not in found
    assert b"user_0123" not in found


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "m", "status_code": 400}, UpstreamRejected),
        ({"message": "m", "code": 429}, UpstreamRateLimited),
        ({"message": "m", "code": "429"}, UpstreamRateLimited),
        ({"message": "m", "code": "server_error"}, UpstreamError),
    ],
)
def test_a_status_that_the_error_names_decides_its_class(error: dict[str, Any], kind: type) -> None:
    _, facts = passed(event({"error": error}))
    assert type(facts.error) is kind


def test_a_null_error_is_none() -> None:
    _, facts = passed(event(chunk({"content": "a"}, "stop", error=None)) + DONE)
    assert facts.error is None


def test_malformed_events_go_on_and_are_counted() -> None:
    body, facts = passed(STREAMS["malformed in between"])
    assert facts.skipped == 2
    assert b"data: {broken\n\n" in body
    assert facts.complete


def test_an_idle_message_beside_a_delta_does_not_count_twice() -> None:
    both = chunk({"content": "abcd"})
    both["choices"][0]["message"] = {"role": "assistant", "content": "abcd" * 100}
    _, facts = passed(event(both) + event(chunk({}, "stop")) + DONE)
    assert facts.output_estimate == 1


@pytest.mark.parametrize(
    ("delta", "output"),
    [
        ({"content": ""}, False),
        ({"role": "assistant"}, False),
        ({"content": "a"}, True),
        ({"content": [{"type": "text", "text": "a"}]}, True),
        ({"reasoning": "a"}, True),
        ({"reasoning_content": "a"}, True),
        ({"refusal": "a"}, True),
        ({"tool_calls": [TOOL]}, True),
        ({"tool_calls": []}, False),
        ({"function_call": {"name": "f"}}, True),
        ({"images": [{"type": "image_url", "image_url": {"url": "data:"}}]}, True),
        ({"audio": {"data": "QQ=="}}, True),
    ],
)
def test_output_is_text_tool_calls_and_media(delta: dict[str, Any], output: bool) -> None:
    assert passed(event(chunk(delta)))[1].output is output


def test_the_output_is_estimated_from_its_text_alone() -> None:
    words = ["word"] * 100
    _, facts = passed(plain_stream(words))
    assert facts.output_estimate == 100
    padded = b"".join(event(chunk({"content": "word"}, obfuscation="x" * 40)) for _ in words)
    assert passed(padded)[1].output_estimate == 100


def test_a_service_tier_is_learnt() -> None:
    assert passed(event(chunk({"content": "a"}, service_tier="flex")))[1].service_tier == "flex"


@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_a_whole_body_where_a_stream_was_asked_for_becomes_a_stream(size: int) -> None:
    body = json.dumps(whole()).encode()
    found, facts = passed(body, size=size)
    assert (facts.complete, facts.started, facts.usage) == (True, True, METERS)
    chunks = events(found)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": "Hi"}
    assert chunks[-2]["usage"] == {**USAGE, "pricing": PRICING}
    assert chunks[-1] == "[DONE]"
    assert passed(body, size=size, exact=True)[0] == body


def test_an_error_body_where_a_stream_was_asked_for_is_a_failure() -> None:
    _, facts = passed(b'{"error":{"message":"no"}}')
    assert facts.error is not None
    assert (facts.error.message, facts.started) == ("no", False)


def test_an_event_without_end_is_given_up() -> None:
    stream = CHAT.splice(answer())
    stream.feed(event(chunk({"content": "a"})))
    for _ in range(15):
        stream.feed(b"data: " + b"x" * (1 << 20))
    with pytest.raises(UpstreamError, match="more than"):
        stream.feed(b"x" * (2 << 20))


TEXTS = st.text(max_size=12)
DELTAS = st.one_of(
    st.builds(lambda text: {"content": text}, TEXTS),
    st.builds(lambda text: {"reasoning_content": text}, TEXTS),
    st.builds(lambda text: {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}, TEXTS),
)
CHUNKS = st.builds(
    lambda delta, finish, usage, spaced: event(
        chunk(delta, finish, **({"usage": usage} if usage != {} else {})), compact=not spaced
    ),
    DELTAS,
    st.sampled_from([None, None, None, "stop", ""]),
    st.sampled_from([{}, None, dict(USAGE)]),
    st.booleans(),
)
NOISE = st.sampled_from(
    [b": ping\n\n", b"data: {\n\n", b"\n\n", b"event: x\ndata: {}\n\n", b"data: 1\r\n\r\n"]
)


@given(st.lists(CHUNKS | NOISE, max_size=10), st.lists(st.integers(0, 4000), max_size=12), st.booleans())
def test_any_cut_of_any_stream_gives_the_same(parts: list[bytes], cuts: list[int], exact: bool) -> None:
    body = b"".join([*parts, DONE])
    places = [0, *sorted(min(place, len(body)) for place in cuts), len(body)]
    expected, facts = passed(body, exact=exact)
    stream = CHAT.splice(answer(exact=exact))
    pieces = through(stream, [body[start:end] for start, end in pairwise(places)])
    assert filled(pieces) == expected
    if exact:
        assert expected == body
    for field in ("usage", "finish", "complete", "output", "output_estimate", "skipped", "native_id"):
        assert getattr(stream.facts, field) == getattr(facts, field)


def test_cutting_a_stream_leaves_no_chunk_behind_longer_than_it_must() -> None:
    stream = CHAT.splice(answer())
    for one in cut(plain_stream(), 10_000):
        stream.feed(one)
    first = CHAT.splice(answer())
    assert first.feed(event(chunk({"content": "a"}))) != []


def spaced_out(words: Sequence[str], **dumps: Any) -> bytes:
    """A stream whose chunks have their id in another place, or their spaces."""
    plain = [chunk({"content": word}) for word in words]
    body = [{"choices": one["choices"], "created": 1, "id": NATIVE, "model": one["model"]} for one in plain]
    last = {**body[0], "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return b"".join(f"data:{json.dumps(one, **dumps)}\n\n".encode() for one in [*body, last]) + DONE


@pytest.mark.parametrize(
    "dumps", [{}, {"separators": (",", ":")}, {"sort_keys": True}, {"ensure_ascii": False}]
)
def test_an_id_in_any_place_is_spliced_there_and_nowhere_else(dumps: dict[str, Any]) -> None:
    nested = f'"id":"{NATIVE}","model":"up-1"}}'
    words = [
        "a",
        nested,
        "b",
        f'}}, "id": "{NATIVE}", "model": "up-1"}}',
        f'data: {{"id":"{NATIVE}"',
        "\u00e9",
    ]
    body = spaced_out(words, **dumps)
    for size in (1, 50, len(body)):
        found = events(passed(body, size=size)[0])[:-2]
        assert [one["choices"][0]["delta"]["content"] for one in found] == words
        assert all((one["id"], one["nativeResponseId"]) == (GENERATION, NATIVE) for one in found)


def test_an_id_inside_a_chunk_is_none_of_ours() -> None:
    def tool(name: str) -> bytes:
        call = {"index": 0, "id": NATIVE, "function": {"name": name, "arguments": ""}}
        return event({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}], "id": NATIVE})

    body = b"".join(tool(name) for name in "abcd") + event(chunk({}, "stop")) + DONE
    for one in events(passed(body)[0])[:4]:
        assert one["choices"][0]["delta"]["tool_calls"][0]["id"] == NATIVE
        assert one["id"] == GENERATION


def test_a_usage_in_the_middle_of_plain_chunks_is_seen() -> None:
    parts = [event(chunk({"content": "a"}, usage=None))] * 20
    parts[11] = event(chunk({"content": "a"}, usage=dict(USAGE)))
    _, facts = passed(b"".join(parts))
    assert facts.usage == METERS
