"""Answers in every shape: text, thoughts, calls, media, sources, ends, failures; cut anywhere."""

import json
from typing import Any

import pytest

from plugin_sdk.errors import UpstreamError, UpstreamRateLimited
from plugin_sdk.sse import MAX_EVENT
from plugin_sdk.text import (
    AudioDelta,
    CitationsDelta,
    Failed,
    Finished,
    LogprobsDelta,
    MediaDelta,
    OpaqueDelta,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageDelta,
)
from tests.plugins.google_generate_content.wire import (
    ID,
    OTHER,
    SIGNATURE,
    answer,
    array,
    call,
    cut,
    events,
    of,
    read,
    text,
    whole,
)

USAGE = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
STREAM = (
    answer(text("Hm \u00e9", thought=True), finish=None, usage={"trafficType": "ON_DEMAND"}),
    answer(text("He"), finish=None, usage={"promptTokenCount": 3, "totalTokenCount": 3}),
    answer(text("llo \U0001f642 \"q\" [{\\"), finish=None),
    answer(call("f", {"a": "}]"}, thoughtSignature=SIGNATURE), call("f", {"b": [1, 2.5]}), usage=USAGE),
)  # fmt: skip
SHAPES = {
    "events": events(*STREAM),
    "events, LF": events(*STREAM, eol="\n"),
    "array": array(*STREAM),
    "a byte order mark": b"\xef\xbb\xbf \r\n" + array(*STREAM),
    "whole": whole(STREAM[-1]),
    "a failure": events(
        STREAM[0], {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    ),
}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("shape", SHAPES)
def test_an_answer_is_the_same_however_it_is_cut(shape: str, size: int) -> None:
    deltas, facts = read(SHAPES[shape])
    again, learnt = read(cut(SHAPES[shape], size))
    for side in (deltas, again):
        side[:] = [repr(one.error.message) if isinstance(one, Failed) else one for one in side]  # type: ignore[misc]
    assert again == deltas
    for name in (
        "started",
        "complete",
        "finish",
        "usage",
        "output",
        "output_estimate",
        "native_id",
        "skipped",
    ):
        assert getattr(learnt, name) == getattr(facts, name), name


def test_a_stream_begins_with_who_answers_and_ends_with_why() -> None:
    deltas, facts = read(events(*STREAM))
    assert deltas[0] == Started(origin=ID, native_id="R1", model="gemini-x")
    assert len(of(Started, deltas)) == 1
    assert deltas[-1] == Finished(reason="tool_calls", native="STOP")
    assert [type(one) for one in deltas[1:-1] if not isinstance(one, UsageDelta)] == [
        ReasoningDelta, TextDelta, TextDelta, ToolCallDelta, ToolCallDelta,
    ]  # fmt: skip
    assert [one.part for one in deltas if hasattr(one, "part")] == [0, 1, 1, 2, 3]
    assert (facts.complete, facts.finish, facts.native_id, facts.output) == (True, "tool_calls", "R1", True)
    assert facts.usage == {"input_text_tokens": 3, "output_text_tokens": 2}
    assert facts.output_estimate > 0


def test_parallel_calls_of_one_name_have_ids_of_their_own_that_no_other_answer_has() -> None:
    first = of(ToolCallDelta, read(events(*STREAM))[0])
    again = of(ToolCallDelta, read(array(*STREAM))[0])
    other = of(ToolCallDelta, read(events({**STREAM[-1], "responseId": "R2"}))[0])
    assert [one.id for one in first] == [one.id for one in again]
    assert len({one.id for one in (*first, *other)}) == 4
    assert all(len(one.id) == len("call_0123456789ab_0") for one in first)
    assert [(one.name, json.loads(one.arguments)) for one in first] == [
        ("f", {"a": "}]"}),
        ("f", {"b": [1, 2.5]}),
    ]


def test_calls_of_two_candidates_and_of_an_answer_without_an_id_have_ids_too() -> None:
    made = answer(call("f"))
    made["candidates"].append({**made["candidates"][0], "index": 1})
    two, _ = read(whole(made))
    assert len({one.id for one in of(ToolCallDelta, two)}) == 2
    assert [one.choice for one in of(Finished, two)] == [0, 1]
    bare = [
        {name: value for name, value in answer(call("f", n)).items() if name != "responseId"}
        for n in ({}, {"a": 1})
    ]
    assert len({one.id for bare_one in bare for one in of(ToolCallDelta, read(whole(bare_one))[0])}) == 2


def test_an_id_of_the_services_own_is_kept() -> None:
    (told,) = of(ToolCallDelta, read(whole(answer(call("f", id="oqeiriep"))))[0])
    assert (told.id, told.arguments, told.kind) == ("oqeiriep", "{}", "function")


def artefacts(deltas: list[Any]) -> list[tuple[str, str, str]]:
    """(the delta that bears it, its kind, its value)."""
    return [
        (type(one).__name__, kept.kind, kept.value)
        for one in deltas
        for kept in getattr(one, "artefacts", ())
    ]


def test_a_signature_of_a_text_follows_the_whole_text() -> None:
    """A client of another protocol must not find its text in two blocks."""
    deltas, _ = read(events(answer(text("He", thoughtSignature=SIGNATURE), finish=None), answer(text("llo"))))
    shown = [one for one in deltas if isinstance(one, TextDelta | ReasoningDelta)]
    assert [(type(one), one.text, one.part) for one in shown] == [
        (TextDelta, "He", 0), (TextDelta, "llo", 0), (ReasoningDelta, "", 1),
    ]  # fmt: skip
    assert artefacts(deltas) == [("ReasoningDelta", "thoughtSignature of a text", SIGNATURE)]


def test_every_signature_says_on_what_it_stood() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "QQ=="}, "thoughtSignature": "c"}
    deltas, _ = read(
        whole(
            answer(
                text("Hm", thought=True, thoughtSignature="a"),
                text("Hi", thoughtSignature="b"),
                picture,
                call("f", thoughtSignature="d"),
                text("", thoughtSignature="e"),
            )
        )
    )
    assert artefacts(deltas) == [
        ("ReasoningDelta", "thoughtSignature", "a"),
        ("ReasoningDelta", "thoughtSignature of a text", "b"),
        ("ReasoningDelta", "thoughtSignature of a medium", "c"),
        ("ToolCallDelta", "thoughtSignature", "d"),
        ("ReasoningDelta", "thoughtSignature of an empty text", "e"),
    ]


def test_two_signatures_of_one_text_are_two() -> None:
    deltas, _ = read(whole(answer(text("a", thoughtSignature=SIGNATURE), text("b", thoughtSignature=OTHER))))
    assert [kept for _, _, kept in artefacts(deltas)] == [SIGNATURE, OTHER]


def test_pictures_sound_and_files() -> None:
    deltas, _ = read(
        whole(
            answer(
                {"inlineData": {"mimeType": "image/png", "data": "QQ=="}},
                {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "QUE="}},
                {"fileData": {"mimeType": "application/pdf", "fileUri": "https://x/y"}},
                {"inlineData": {"mimeType": "image/png", "data": "QQ=="}, "thought": True},
            )
        )
    )
    found = [one.media for one in of(MediaDelta, deltas)]
    assert [(one.kind, one.mime, one.data, one.url) for one in found] == [
        ("image", "image/png", "QQ==", None), ("file", "application/pdf", None, "https://x/y"),
    ]  # fmt: skip
    (sound,) = of(AudioDelta, deltas)
    assert (sound.data, sound.extra) == ("QUE=", {"mimeType": "audio/L16;rate=24000"})
    (sketch,) = of(OpaqueDelta, deltas)  # one of its thoughts
    assert sketch.scope == "message"


def test_the_services_own_tools_are_not_the_clients() -> None:
    code = {
        "executableCode": {"language": "PYTHON", "code": "1+1", "id": "x1"},
        "thoughtSignature": SIGNATURE,
    }
    search = {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["q"]}, "id": "x2"}}
    outcome = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}}
    deltas, facts = read(whole(answer(code, outcome, search, {"toolResponse": {"id": "x2"}}, text("2"))))
    assert [(one.kind, one.id, one.name, json.loads(one.arguments)) for one in of(ToolCallDelta, deltas)] == [
        ("server", "x1", "code_execution", {"language": "PYTHON", "code": "1+1"}),
        ("server", "x2", "GOOGLE_SEARCH_WEB", {"args": {"queries": ["q"]}}),
    ]
    told = [one.fields["parts"] for one in of(OpaqueDelta, deltas)]
    assert told == [[outcome], [{"toolResponse": {"id": "x2"}}]]
    assert facts.finish == "stop"


def test_sources_have_their_places_in_characters_and_come_once_behind_the_text() -> None:
    grounding = {
        "webSearchQueries": ["a", "b", "a"],
        "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}, {"retrievedContext": {"text": "t"}}],
        "groundingSupports": [
            {"segment": {"endIndex": 4, "text": "\u00e9\u00e9"}, "groundingChunkIndices": [0, 1, 9]},
            {"segment": {"startIndex": 90, "endIndex": 95, "text": "later"}, "groundingChunkIndices": [0]},
            {"segment": {"startIndex": 90, "endIndex": 95, "text": "nowhere"}, "groundingChunkIndices": [0]},
        ],
    }
    first = answer(text("\u00e9\u00e9 and "), finish=None, candidate={"groundingMetadata": grounding})
    second = answer(text("later"), candidate={"groundingMetadata": grounding})
    deltas, facts = read(events(first, second))
    (sources,) = of(CitationsDelta, deltas)
    assert deltas.index(sources) == len(deltas) - 2
    assert [(one.kind, one.url, one.title, one.quoted, one.start, one.end) for one in sources.citations] == [
        ("web", "https://a", "A", None, 0, 2),
        ("retrievedContext", None, None, "t", 0, 2),
        ("web", "https://a", "A", None, 7, 12),
        ("web", "https://a", "A", None, None, None),
    ]
    assert facts.usage is None


def test_searches_are_counted_as_they_are_billed() -> None:
    grounding = {"webSearchQueries": ["a", "b", "a"]}
    for model, billed in (("gemini-3-flash", 2), ("gemini-2.5-flash", 1)):
        made = answer(text("x"), usage=USAGE, candidate={"groundingMetadata": grounding})
        _, facts = read(whole({**made, "modelVersion": model}))
        assert facts.usage == {
            "input_text_tokens": 3,
            "output_text_tokens": 2,
            "native_web_search_requests": billed,
        }


@pytest.mark.parametrize("behind", [False, True])
def test_a_client_is_told_of_the_searches_that_it_pays_for(behind: bool) -> None:
    grounding = {"groundingMetadata": {"webSearchQueries": ["a", "b"]}}
    first = answer(text("x"), finish=None, usage=USAGE if behind else None)
    second = answer(text("y"), usage=None if behind else USAGE, candidate=grounding)
    deltas, facts = read(events(first, second))
    told = [delta.usage for delta in deltas if isinstance(delta, UsageDelta)]
    assert told[-1] == facts.usage
    assert told[-1]["native_web_search_requests"] == 2


@pytest.mark.parametrize("name", ["citations", "citationSources"])
def test_what_is_recited_is_a_source_too(name: str) -> None:
    recited = {name: [{"startIndex": 1, "endIndex": 3, "uri": "https://a", "license": "mit"}, "odd"]}
    (sources,) = of(
        CitationsDelta, read(whole(answer(text("abcd"), candidate={"citationMetadata": recited})))[0]
    )
    assert [(one.kind, one.url, one.start, one.end) for one in sources.citations] == [
        ("citation", "https://a", 1, 3)
    ]


def test_log_probabilities_are_of_tokens_with_their_alternatives() -> None:
    found = {
        "chosenCandidates": [{"token": "\u00e9", "tokenId": 1, "logProbability": -0.5}, {"token": "b"}, 7],
        "topCandidates": [{"candidates": [{"token": "c", "logProbability": -1.5}]}, "odd"],
    }
    (told,) = of(LogprobsDelta, read(whole(answer(text("x"), candidate={"logprobsResult": found})))[0])
    assert told.content == (
        {
            "token": "\u00e9", "logprob": -0.5, "bytes": [0xC3, 0xA9],
            "top_logprobs": [{"token": "c", "logprob": -1.5, "bytes": [99]}],
        },
        {"token": "b", "logprob": 0.0, "bytes": [98], "top_logprobs": []},
        {"token": "", "logprob": 0.0, "bytes": [], "top_logprobs": []},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"), ("SPII", "content_filter"), ("BLOCKLIST", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"), ("MODEL_ARMOR", "content_filter"), ("OTHER", "other"),
        ("MALFORMED_FUNCTION_CALL", "error"), ("UNEXPECTED_TOOL_CALL", "error"), ("LANGUAGE", "other"),
        ("SOMETHING_NEW", "other"), (1, "stop"), (2, "length"), (99, "other"),
    ],
)  # fmt: skip
def test_an_end_in_the_contracts_word(native: Any, reason: str) -> None:
    deltas, facts = read(whole(answer(text("x"), finish=native)))
    assert deltas[-1] == Finished(reason=reason, native=native)  # type: ignore[arg-type]  # one of them
    assert facts.finish == reason


def test_a_prompt_that_was_refused_is_an_answer_that_the_filter_ended() -> None:
    blocked = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7},
    }
    for body in (whole(blocked), events(blocked), array(blocked)):
        deltas, facts = read(body)
        assert deltas[-1] == Finished(reason="content_filter", native="PROHIBITED_CONTENT")
        assert (facts.complete, facts.finish, facts.output) == (True, "content_filter", False)
        assert facts.usage == {"input_text_tokens": 7, "output_text_tokens": 0}


def test_a_whole_answer_without_candidates_is_an_answer_all_the_same() -> None:
    deltas, facts = read(whole({"modelVersion": "x", "usageMetadata": USAGE}), stream=False)
    assert deltas[-1] == Finished(reason="other")
    assert facts.complete


@pytest.mark.parametrize("finish", [None, "FINISH_REASON_UNSPECIFIED", 0])
def test_a_stream_that_gives_no_reason_was_cut_and_a_whole_answer_was_not(finish: Any) -> None:
    deltas, facts = read(events(answer(text("x"), finish=finish)))
    assert (facts.complete, facts.finish, of(Finished, deltas)) == (False, None, [])
    deltas, facts = read(whole(answer(text("x"), finish=finish)), stream=False)
    assert (facts.complete, facts.finish) == (True, "other")


def test_a_stream_is_complete_only_when_every_candidate_has_ended() -> None:
    two = answer(text("a"))
    two["candidates"].append({"index": 1, "content": {"parts": [text("b")]}})
    assert not read(events(two))[1].complete
    last = {"candidates": [{"index": 1, "finishReason": "STOP"}]}
    deltas, facts = read(events(two, last))
    assert facts.complete
    assert [(one.choice, one.reason) for one in of(Finished, deltas)] == [(0, "stop"), (1, "stop")]


@pytest.mark.parametrize("end", range(0, len(SHAPES["events"]), 37))
def test_a_stream_cut_short_has_no_end(end: int) -> None:
    deltas, facts = read(SHAPES["events"][:end])
    assert not facts.complete
    assert of(Finished, deltas) == []


def test_what_cannot_be_read_is_counted_and_passed_over() -> None:
    body = (
        events(answer(text("a"), finish=None))
        + b"data: {broken\r\n\r\n: a comment\r\n\r\ndata: 7\r\n\r\n"
        + events(answer(text("b")))
    )
    deltas, facts = read(body)
    assert "".join(one.text for one in of(TextDelta, deltas)) == "ab"
    assert facts.skipped == 2
    odd = {
        "candidates": [7, {"content": 7}, {"content": {"parts": [7, {}, {"text": 7}]}}],
        "usageMetadata": 7,
        "promptFeedback": 7,
    }
    deltas, facts = read(events(odd, answer(text("a"))))
    assert facts.complete
    assert facts.error is None


FAILURE = {"error": {"code": 429, "message": "Slow down", "status": "RESOURCE_EXHAUSTED"}}


@pytest.mark.parametrize(
    "body",
    [
        whole(FAILURE), array(FAILURE), events(FAILURE),
        b"event: error\r\ndata: " + json.dumps(FAILURE["error"]).encode() + b"\r\n\r\n",
        b"error: " + json.dumps(FAILURE).encode() + b"\r\n\r\n",
    ],
    ids=["json as an event stream", "array", "event", "named event", "bare field"],
)  # fmt: skip
def test_a_failure_inside_a_200_has_the_class_that_it_names(body: bytes) -> None:
    deltas, facts = read(body)
    (failed,) = deltas
    assert isinstance(failed, Failed)
    assert type(facts.error) is UpstreamRateLimited
    assert facts.error.message == "Slow down"
    assert not facts.started


def test_nothing_follows_a_failure() -> None:
    deltas, facts = read(events(STREAM[1], FAILURE, STREAM[3]))
    assert isinstance(deltas[-1], Failed)
    assert (facts.complete, of(ToolCallDelta, deltas)) == (False, [])
    assert facts.started


@pytest.mark.parametrize(
    "body", [b"", b"  ", b"[]", b"<html>", b"{", b"\xff\xfe", b"7", b"[1,", b'"x"', b"data: x"]
)
def test_a_body_that_is_no_answer_is_a_failure_of_a_whole_and_an_unbegun_stream(body: bytes) -> None:
    deltas, facts = read(body, stream=False)
    assert type(facts.error) is UpstreamError
    assert [type(one) for one in deltas] == [Failed]
    _, facts = read(body)
    assert (facts.error, facts.started, facts.complete) == (None, False, False)


def test_an_endless_member_of_an_array_is_refused() -> None:
    with pytest.raises(UpstreamError, match="more than"):
        read([b'[{"a": "', *[b"x" * (1 << 20)] * (MAX_EVENT // (1 << 20) + 1)])


def test_the_time_and_the_tier_are_told_in_the_contracts_words() -> None:
    made = {
        **answer(text("x"), usage={**USAGE, "serviceTier": "standard"}),
        "createTime": "2026-03-05T22:50:39.305240Z",
    }
    (started,) = of(Started, read(whole(made))[0])
    assert (started.created, started.service_tier) == (1_772_751_039, "default")
    (started,) = of(Started, read(whole({**made, "createTime": "yesterday"}))[0])
    assert started.created is None
