"""Streams and bodies by hand: the rules of the kit, odd wires, random interleavings, cuts anywhere."""

import json
from typing import Any

import pytest

from plugin_sdk.artefacts import seal, unseal
from plugin_sdk.protocol import Target
from plugin_sdk.testing import Sample, check_protocol
from plugin_sdk.text import (
    Artefact,
    Failed,
    Finished,
    ReasoningDelta,
    ReasoningPart,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallPart,
)
from plugins.modalities.text import GENERATE
from plugins.protocols.openai_responses.usage import meters
from tests.plugins.openai_responses.sdk import accept
from tests.plugins.openai_responses.wire import (
    RESPONSES,
    answer,
    filled,
    message,
    stream,
    whole,
)

ASK = {"model": "m", "input": "Hello", "temperature": 0.5}
METERS = {
    "input_text_tokens": 8,
    "cached_read_text_tokens": 4,
    "output_text_tokens": 5,
    "output_reasoning_tokens": 2,
}


def encoded(request: dict[str, Any]) -> bytes:
    return json.dumps(request).encode()


def test_the_protocol_keeps_the_rules_of_the_kit() -> None:
    call = {
        "id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1", "name": "f",
        "arguments": '{"a": 1}',
    }  # fmt: skip
    check_protocol(
        RESPONSES,
        Sample(request=encoded(ASK), response=json.dumps(whole()).encode(), usage=METERS),
        Sample(request=encoded(ASK), response=json.dumps(whole(message(), call)).encode(), usage=METERS),
        Sample(request=encoded({**ASK, "stream": True}), response=stream(), usage=METERS),
        operation=GENERATE,
    )


def test_a_failure_in_a_stream_is_a_failure() -> None:
    broken = whole(status="failed", error={"message": "Broken.", "code": "x"})
    event = {"type": "response.failed", "response": broken}
    for raw in (
        f"event: response.failed\ndata: {json.dumps(event)}\n\n".encode(),
        b'event: error\ndata: {"type": "error", "message": "Broken.", "code": "x"}\n\n',
        b'data: {"error": {"message": "Broken."}}\n\n',
    ):
        decoder = RESPONSES.decoder(stream=True)
        (failed,) = decoder.feed(raw + stream()) + decoder.close()
        assert isinstance(failed, Failed)
        assert failed.error.message == "Broken."
        assert (decoder.facts.error, decoder.facts.complete) == (failed.error, False)
        assert not decoder.facts.started


def test_event_names_may_be_missing_and_malformed_events_are_passed_over() -> None:
    lines = [line for line in stream().split(b"\n") if not line.startswith(b"event:")]
    lines.insert(4, b"data: {broken\n")
    decoder = RESPONSES.decoder(stream=True)
    deltas = decoder.feed(b"\n".join(lines)) + decoder.close()
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == "Hi there"
    assert (decoder.facts.skipped, decoder.facts.complete) == (1, True)


def test_a_foreign_signature_travels_in_a_reasoning_item_and_comes_back() -> None:
    mine = Artefact(origin="anthropic.messages", kind="signature", value="sig")
    call = Artefact(origin="google.generate_content", kind="thoughtSignature", value="th")
    encoder = RESPONSES.encoder(answer(stream=False))
    for delta in (
        Started(origin="anthropic.messages"),
        ReasoningDelta(text="Hm.", artefacts=(mine,)),
        ToolCallDelta(id="call_1", name="f", part=1, artefacts=(call,)),
        ToolCallDelta(arguments="{}", part=1),
        Finished(reason="tool_calls"),
    ):
        encoder.feed(delta)
    found = json.loads(filled(encoder.close()))
    accept(found)
    assert [item["type"] for item in found["output"]] == ["reasoning", "reasoning", "function_call"]
    request = {"model": "m", "input": [{"role": "user", "content": "x"}, *found["output"]]}
    view = RESPONSES.index(encoded(request))
    assert view.sealed
    parts = RESPONSES.parse(view).messages[1].parts
    assert next(part.artefacts for part in parts if isinstance(part, ReasoningPart)) == (mine,)
    assert [part.artefacts for part in parts if isinstance(part, ToolCallPart)] == [(call,)]
    built = json.loads(RESPONSES.build(RESPONSES.parse(view), Target(base_url="u", model="m")).body)
    assert "gw1." not in json.dumps(built)
    assert unseal(seal([mine])) is not None


@pytest.mark.parametrize("count", [1 << 40, 10**30, -1, 1e300])
def test_a_count_beyond_all_measure_is_noise_and_not_a_quantity(count: float) -> None:
    assert meters({"input_tokens": count, "output_tokens": 5}) == {"output_text_tokens": 5}
