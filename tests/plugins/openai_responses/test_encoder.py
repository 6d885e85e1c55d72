"""Answers of other protocols, and of this one, as a client of this one gets them."""

import json
from typing import Any

import pytest

from plugin_sdk.artefacts import unseal
from plugin_sdk.protocol import END, Price, Translation
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
from tests.plugins.openai_responses.sdk import Accumulator, accept, legal
from tests.plugins.openai_responses.wire import (
    GENERATION,
    PRICING,
    RESPONSES,
    USAGE,
    answer,
    events,
    filled,
    message,
    sse,
    stream,
    through,
    whole,
)

START = Started(origin="another", native_id="x-1", model="up-1", created=7, service_tier="default")
STOP = Finished(reason="stop")
STEM = GENERATION.removeprefix("G-")
METERS = {"input_text_tokens": 8, "cached_read_text_tokens": 4, "output_text_tokens": 7}
SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search"}}


def streamed(*deltas: Delta) -> list[Any]:
    """The events, each of which the SDK's types take."""
    encoder = RESPONSES.encoder(answer(stream=True))
    raw = filled([piece for delta in deltas for piece in encoder.feed(delta)] + encoder.close())
    found = events(raw)
    legal(found)
    names = [line[7:].decode() for line in raw.split(b"\n") if line.startswith(b"event: ")]
    assert names == [one["type"] for one in found]
    if found[-1]["type"] == "response.completed":
        assert [item["type"] for item in Accumulator().response(raw)[0]["output"]] == [
            item["type"] for item in found[-1]["response"]["output"]
        ]
    return found


def told(*deltas: Delta) -> dict[str, Any]:
    """The whole response: the same at the end of a stream as at once."""
    encoder = RESPONSES.encoder(answer(stream=False))
    for delta in deltas:
        assert encoder.feed(delta) == []
    found: dict[str, Any] = json.loads(filled(encoder.close()))
    assert found == streamed(*deltas)[-1]["response"]
    accept(found)
    return found


def items(*deltas: Delta) -> list[dict[str, Any]]:
    return list(told(START, *deltas, STOP)["output"])


def kinds(found: list[Any]) -> list[str]:
    return [one["type"].removeprefix("response.") for one in found]


def test_text_comes_in_the_events_of_the_contract() -> None:
    found = streamed(START, TextDelta(text="He"), TextDelta(text="llo"), UsageDelta(usage=METERS), STOP)
    assert kinds(found) == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta",
        "output_text.delta", "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    place = {"item_id": f"msg_{STEM}_0", "output_index": 0, "content_index": 0}
    assert found[4] == {
        "type": "response.output_text.delta", "sequence_number": 4, **place, "delta": "He", "logprobs": [],
    }  # fmt: skip
    assert found[6]["text"] == "Hello"
    begun, last = found[0]["response"], found[-1]["response"]
    assert (begun["status"], begun["output"], begun["usage"]) == ("in_progress", [], None)
    assert begun["id"] == last["id"] == GENERATION
    assert (last["nativeResponseId"], last["model"], last["created_at"]) == ("x-1", "up-1", 7)
    assert (last["status"], last["service_tier"]) == ("completed", "default")
    assert last["usage"] == {
        "input_tokens": 12, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 19,
        "pricing_breakdown": PRICING,
    }  # fmt: skip


def test_each_delta_leaves_at_once_and_the_last_event_behind_the_settlement() -> None:
    encoder = RESPONSES.encoder(answer(stream=True))
    assert b"response.created" in filled(encoder.feed(START))
    assert b'"delta":"He"' in filled(encoder.feed(TextDelta(text="He")))
    assert encoder.feed(UsageDelta(usage=METERS)) == []
    assert encoder.feed(STOP) == []
    pieces = encoder.close()
    behind = pieces[pieces.index(END) :]
    assert b"response.completed" in filled(behind)
    assert any(isinstance(piece, Price) for piece in behind)
    assert encoder.close() == []
    assert encoder.feed(TextDelta(text="late")) == []


def test_thinking_a_summary_text_and_calls_are_items_in_their_order() -> None:
    thought, text, first, second = items(
        ReasoningDelta(text="hm", summary=True),
        ReasoningDelta(text="so", part=1),
        TextDelta(text="a", part=2),
        ToolCallDelta(id="c1", name="f", part=3),
        ToolCallDelta(id="c2", name="g", part=4, kind="custom"),
        ToolCallDelta(arguments='{"a"', part=3),
        ToolCallDelta(arguments="free", part=4, kind="custom"),
        ToolCallDelta(arguments=":1}", part=3),
    )
    assert (thought["type"], thought["id"]) == ("reasoning", f"rs_{STEM}_0")
    assert thought["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert thought["content"] == [{"type": "reasoning_text", "text": "so"}]
    assert text["content"][0]["text"] == "a"
    assert first == {
        "type": "function_call", "id": f"fc_{STEM}_2", "status": "completed", "call_id": "c1", "name": "f",
        "arguments": '{"a":1}',
    }  # fmt: skip
    assert (second["call_id"], second["input"]) == ("c2", "free")


def test_events_of_a_call_name_its_item_and_not_the_call() -> None:
    found = streamed(START, ToolCallDelta(id="c1", name="f"), ToolCallDelta(arguments="{}"), STOP)
    assert kinds(found)[2:-1] == [
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done",
        "output_item.done",
    ]  # fmt: skip
    assert {one.get("item_id") for one in found[3:5]} == {f"fc_{STEM}_0"}
    assert (found[4]["arguments"], found[4]["name"]) == ("{}", "f")


def test_a_call_without_arguments_has_empty_ones_and_one_without_an_id_gets_its_own() -> None:
    (call,) = items(ToolCallDelta(name="f"))
    assert (call["arguments"], bool(call["call_id"])) == ("{}", True)


def test_ids_of_items_are_the_answers_own() -> None:
    other = RESPONSES.encoder(answer(stream=False, generation_id="G-2"))
    other.feed(TextDelta(text="a"))
    mine = items(TextDelta(text="a"))[0]["id"]
    assert json.loads(filled(other.close()))["output"][0]["id"] != mine


def test_a_refusal_citations_and_log_probabilities_stand_in_their_part() -> None:
    cited = CitationsDelta(citations=(Citation(kind="x", url="u", title="t", start=0, end=1, native=1),))
    (said,) = items(
        TextDelta(text="a"),
        LogprobsDelta(content=({"token": "a", "logprob": -0.5, "bytes": None},)),
        cited,
        RefusalDelta(text="no", part=1),
    )
    text, refusal = said["content"]
    assert text["annotations"] == [
        {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1}
    ]
    assert text["logprobs"] == [{"token": "a", "bytes": [], "logprob": -0.5, "top_logprobs": []}]
    assert refusal == {"type": "refusal", "refusal": "no"}


def test_a_picture_is_one_that_was_drawn_and_speech_is_its_transcript() -> None:
    picture = MediaDelta(media=MediaPart(kind="image", data="QUJD", mime="image/png"))
    drawn, spoken = items(picture, AudioDelta(data="AAAA", transcript="Hi", part=1))
    assert (drawn["type"], drawn["result"], drawn["status"]) == ("image_generation_call", "QUJD", "completed")
    assert spoken["content"][0]["text"] == "Hi"


def test_what_is_for_no_client_of_this_protocol_is_left_out() -> None:
    found = items(
        ToolCallDelta(id="s", name="search", kind="server"),
        OpaqueDelta(fields={"item": {"type": "message"}}, scope="message"),
        OpaqueDelta(fields={"surprise": 1}),
        TextDelta(text="of another choice", choice=1),
        CitationsDelta(citations=(), part=1),
    )
    assert found == []
    assert told(START, OpaqueDelta(fields={"surprise": 1}), STOP)["output"] == []


@pytest.mark.parametrize(
    ("reason", "status", "details", "item"),
    [
        ("stop", "completed", None, "completed"),
        ("tool_calls", "completed", None, "completed"),
        ("other", "completed", None, "completed"),
        ("length", "incomplete", {"reason": "max_output_tokens"}, "incomplete"),
        ("content_filter", "incomplete", {"reason": "content_filter"}, "incomplete"),
    ],
)
def test_how_it_ended(reason: Any, status: str, details: Any, item: str) -> None:
    found = told(START, TextDelta(text="a"), Finished(reason=reason))
    assert (found["status"], found["incomplete_details"]) == (status, details)
    assert found["output"][0]["status"] == item
    assert streamed(START, TextDelta(text="a"), Finished(reason=reason))[-1]["type"] == f"response.{status}"


def test_nothing_at_all_is_an_answer_too() -> None:
    assert told(STOP)["output"] == []
    assert told(START)["usage"] is None


def test_thinking_is_always_sealed_so_that_it_never_goes_to_a_provider_as_its_own() -> None:
    signature = Artefact(origin="another", kind="signature", value="s")
    plain, signed = items(
        ReasoningDelta(text="hm"),
        TextDelta(text="a", part=1),
        ReasoningDelta(text="so", part=2),
        ReasoningDelta(part=2, artefacts=(signature,)),
    )[::2]
    assert unseal(plain["encrypted_content"]) == []
    assert [one.artefact for one in unseal(signed["encrypted_content"]) or ()] == [signature]


# This protocol's own answers, read and written again


def again(body: bytes, *, came: bool = True, stream: bool = True) -> bytes:
    way = Translation(RESPONSES.decoder(stream=came), RESPONSES.encoder(answer(stream=stream)), RESPONSES)
    return filled(through(way, [body]))


def test_items_keep_their_ids_and_tools_of_the_provider_their_progress() -> None:
    begun = {**SEARCH, "status": "in_progress"}
    body = sse(
        {"type": "response.created", "response": whole(status="in_progress", usage=None, output=[])},
        {"type": "response.in_progress", "response": whole(status="in_progress", usage=None, output=[])},
        {"type": "response.output_item.added", "output_index": 0, "item": begun},
        {"type": "response.web_search_call.searching", "output_index": 0, "item_id": "ws_1"},
        {"type": "response.output_item.done", "output_index": 0, "item": SEARCH},
        {"type": "response.completed", "response": whole(SEARCH)},
    )
    found = events(again(body))
    assert kinds(found) == kinds(events(body))
    assert found[2:5] == events(body)[2:5]


@pytest.mark.parametrize("named", [True, False])
def test_a_stream_is_the_same_after_the_types(named: bool) -> None:
    body = stream()
    if not named:
        body = b"".join(line + b"\n" for line in body.split(b"\n")[:-1] if not line.startswith(b"event:"))
    for theirs, ours in zip(events(body), events(again(body)), strict=True):
        if "response" in ours:
            assert ours["response"].pop("id") == GENERATION
            ours["response"].pop("nativeResponseId")
            theirs["response"].pop("id")
            if ours["response"]["usage"]:
                assert ours["response"]["usage"].pop("pricing_breakdown") == PRICING
        assert ours == theirs


def test_an_answer_that_we_end_says_why_and_what_there_was() -> None:
    decoder, encoder = RESPONSES.decoder(stream=True), RESPONSES.encoder(answer(stream=True))
    way = Translation(decoder, encoder, RESPONSES)
    pieces = way.feed(stream()[: stream().index(b"event: response.output_text.done")]) + way.stop(1)
    found = events(filled(pieces))
    legal(found)
    last = found[-1]
    assert (last["type"], last["response"]["status"]) == ("response.incomplete", "incomplete")
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last["response"]["output"] == [{**message("Hi there"), "status": "incomplete"}]
    assert last["response"]["tool_choice"] == "auto"


def test_an_item_is_told_once_wherever_the_last_event_has_it() -> None:
    """Some leave items out of the last event, or change their ids on the way."""
    for output in ([SEARCH, message("Hi there")], [{**message("Hi there"), "id": "changed"}]):
        body = stream(output=output)
        decoder = RESPONSES.decoder(stream=True)
        deltas = decoder.feed(body) + decoder.close()
        assert "".join(one.text for one in deltas if isinstance(one, TextDelta)) == "Hi there"
        assert events(again(body))[-1]["response"]["output"] == output


def test_what_events_did_not_say_the_last_one_does() -> None:
    call = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": {"a": 1}}
    body = sse({"type": "response.completed", "response": whole(message("Hi"), call)})
    decoder = RESPONSES.decoder(stream=True)
    deltas = decoder.feed(body) + decoder.close()
    assert "".join(one.text for one in deltas if isinstance(one, TextDelta)) == "Hi"
    calls = [one for one in deltas if isinstance(one, ToolCallDelta)]
    assert (calls[0].id, calls[0].name, "".join(one.arguments for one in calls)) == ("c1", "f", '{"a":1}')
    assert decoder.facts.finish == "tool_calls"


def test_a_call_without_an_id_gets_the_same_one_however_its_bytes_are_cut() -> None:
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    ids = set()
    for native in ("resp_1", "resp_1", "resp_2"):
        decoder = RESPONSES.decoder(stream=False)
        decoder.feed(json.dumps({**whole(call), "id": native}).encode())
        ids |= {one.id for one in decoder.close() if isinstance(one, ToolCallDelta) and one.id}
    assert len(ids) == 2


def test_tools_of_the_provider_are_told_to_others() -> None:
    drawn = {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "QUJD"}
    decoder = RESPONSES.decoder(stream=False)
    decoder.feed(json.dumps(whole(SEARCH, drawn, message("Hi"))).encode())
    found = decoder.close()
    (server,) = [one for one in found if isinstance(one, ToolCallDelta)]
    assert (server.kind, server.name, json.loads(server.arguments)) == (
        "server",
        "web_search_call",
        {"action": {"type": "search"}},
    )
    (picture,) = [one for one in found if isinstance(one, MediaDelta)]
    assert (picture.media.data, picture.media.mime) == ("QUJD", "image/png")


def test_usage_and_its_native_object_are_told_together() -> None:
    decoder = RESPONSES.decoder(stream=True)
    deltas = decoder.feed(stream()) + decoder.close()
    (usage,) = [one for one in deltas if isinstance(one, UsageDelta)]
    assert usage.native == USAGE
    assert sum(usage.usage.values()) == USAGE["total_tokens"]
