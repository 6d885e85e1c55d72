"""A client's request: patched for an upstream of its protocol, or read into the text types and written."""

import json
from typing import Any

import pytest

from plugin_sdk.artefacts import seal
from plugin_sdk.errors import InvalidRequest
from plugin_sdk.fidelity import Report, request_report
from plugin_sdk.protocol import Target
from plugin_sdk.text import (
    Artefact,
    Conversation,
    OpaquePart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolChoice,
)
from plugins.protocols.openai_chat import OpenAIChat
from tests.plugins.openai_responses.wire import RESPONSES

TARGET = Target(base_url="https://up.example/v1/", model="up-1")
CHAT = OpenAIChat()
SIGNATURE = Artefact(origin="another", kind="signature", value="sig")
OWN = Artefact(
    origin="openai.responses", kind="encrypted_content", value={"id": "rs_1", "encrypted_content": "gAAA"}
)


def parsed(**fields: Any) -> Conversation:
    return RESPONSES.parse(RESPONSES.index(json.dumps({"model": "m", "input": "hi", **fields}).encode()))


def patched(target: Target = TARGET, **fields: Any) -> dict[str, Any]:
    view = RESPONSES.index(json.dumps({"model": "m", **fields}).encode())
    return dict(json.loads(RESPONSES.patch(view, target).body))


def refused(protocol: Any, **fields: Any) -> str | None:
    return request_report(parsed(**fields), protocol.id, protocol.carries, RESPONSES.carries, Report())


# Patched


def test_where_it_goes() -> None:
    for stream, accept in ((True, "text/event-stream"), (False, "application/json")):
        view = RESPONSES.index(json.dumps({"model": "m", "input": "x", "stream": stream}).encode())
        sent = RESPONSES.patch(view, TARGET)
        assert (sent.method, sent.url) == ("POST", "https://up.example/v1/responses")
        assert sent.headers["accept"] == accept


def test_nothing_but_the_model_and_our_own_fields_changes_in_the_clients_bytes() -> None:
    body = b'{"surprise":{ "b":1, "a":[1e2]},"model": "m","meta":true,"input":"h\\u00e9", "usage":{} }'
    sent = RESPONSES.patch(RESPONSES.index(body), TARGET).body
    for kept in (b'"surprise":{ "b":1, "a":[1e2]}', b'"input":"h\\u00e9"', b'"up-1"'):
        assert kept in sent
    assert list(json.loads(sent)) == ["surprise", "model", "input"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"input_items": "x"}, {"input": "x"}),
        ({"input_items": "x", "input": "y"}, {"input": "y"}),
        ({"input": "x", "max_completion_tokens": 5}, {"input": "x", "max_output_tokens": 5}),
        (
            {"input": "x", "max_completion_tokens": 5, "max_output_tokens": 6},
            {"input": "x", "max_output_tokens": 6},
        ),
    ],
)
def test_aliases_of_ours_go_under_the_protocols_own_names(
    fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert patched(**fields) == {"model": "up-1", **expected}


def test_no_more_output_is_asked_for_than_is_paid_for() -> None:
    limited = Target(base_url="u", model="m", output_limit=3)
    assert patched(limited, input="x")["max_output_tokens"] == 3
    assert patched(limited, input="x", max_output_tokens=9)["max_output_tokens"] == 3


def test_an_earlier_answer_goes_upstream_under_its_own_id() -> None:
    target = Target(base_url="u", model="m", continues="resp_1")
    assert patched(target, input="x", previous_response_id="G-1")["previous_response_id"] == "resp_1"
    body = RESPONSES.build(parsed(previous_response_id="G-1"), target).body
    assert json.loads(body)["previous_response_id"] == "resp_1"


# There and back

ITEMS: dict[str, Any] = {
    "text": "hello",
    "roles": [
        {"role": role, "content": "x"} for role in ("system", "developer", "user", "assistant", "user")
    ],
    "parts": [{"role": "user", "type": "message", "content": [
        {"type": "input_text", "text": "x"},
        {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "low"},
        {"type": "input_image", "image_url": {"url": "data:image/png;base64,QUJD"}},
        {"type": "input_image", "file_id": "file-1"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"},
        {"type": "input_file", "file_data": "QUJD"},
        {"type": "input_file", "file_url": "https://a.example/b.pdf", "surprise": 1},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}},
        {"type": "input_audio", "data": "QUJD", "format": "mp3"},
        {"type": "input_video", "input_video": {"url": "https://a.example/b.mp4", "fps": 2}},
        {"type": "input_video", "video_url": "https://a.example/b.mp4"},
        {"type": "unheard_of", "x": {"y": None}},
        {"type": "input_image", "image_url": None},
    ]}],
    "an answer": [
        {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [
            {"type": "output_text", "text": "a", "logprobs": [], "annotations": [
                {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1}]},
            {"type": "output_text", "text": "b", "annotations": [{"type": "file_path", "file_id": "f"}]},
            {"type": "refusal", "refusal": "no"},
        ]},
        {"type": "message", "role": "assistant", "phase": "final_answer", "content": []},
        {"type": "message", "role": "assistant", "content": "one"},
        {"type": "message", "role": "assistant", "content": "two"},
    ],
    "thinking": [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "s"}]},
        {"type": "reasoning", "id": "rs_3", "summary": [], "content": [
            {"type": "reasoning_text", "text": "t"}], "encrypted_content": None, "status": "completed"},
        {"type": "reasoning", "id": "rs_4", "summary": [{"type": "summary_text", "text": "s", "x": 1}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": ""}], "content": None},
    ],
    "tools": [
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{broken"},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "", "status": "completed"},
        {"type": "custom_tool_call", "call_id": "c3", "name": "h", "input": "free text"},
        {"type": "function_call_output", "call_id": "c1", "output": "ok"},
        {"type": "function_call_output", "call_id": "c2", "output": [
            {"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "https://a.example/b"}]},
        {"type": "custom_tool_call_output", "call_id": "c3", "output": "", "id": "x"},
    ],
    "tools of the provider": [
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
        {"type": "item_reference", "id": "msg_1"},
        {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}},
        {"id": "msg_without_type"} | {"role": "user", "content": []},
        {"type": "compaction", "encrypted_content": "x"},
    ],
}  # fmt: skip
OPTIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "numbers": {"temperature": 0, "top_p": 1.0, "top_logprobs": 3, "max_tool_calls": 2},
    "limits": {"max_output_tokens": 5},
    "includes": {"include": ["reasoning.encrypted_content", "message.output_text.logprobs"]},
    "other includes": {"include": ["message.output_text.logprobs", "file_search_call.results"]},
    "no includes": {"include": []},
    "text": {"text": {"format": {"type": "text"}, "verbosity": "low", "surprise": 1}},
    "a schema": {
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"a": 1}, "strict": True}}
    },
    "any JSON": {"text": {"format": {"type": "json_object"}}},
    "a grammar": {"text": {"format": {"type": "grammar", "grammar": "x"}}},
    "tools": {
        "tools": [
            {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False, "x": 1},
            {"type": "function", "name": "g", "parameters": None, "strict": None},
            {"type": "custom", "name": "h", "format": {"type": "text"}, "description": "d"},
            {"type": "web_search", "filters": {"allowed_domains": ["a.example"]}},
            {"type": "mcp", "server_label": "l", "server_url": "u"},
        ],
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": False,
    },
    "a choice of a kind": {"tool_choice": {"type": "web_search"}},
    "some of the tools": {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}},
    "thinking": {"reasoning": {"effort": "low", "summary": "auto", "enabled": True, "max_tokens": 5, "x": 1}},
    "no thinking": {"reasoning": {}},
    "state": {
        "previous_response_id": "resp_1", "store": True, "conversation": {"id": "c"}, "truncation": "auto",
        "prompt": {"id": "p", "variables": {"a": {"type": "input_text", "text": "x"}}}, "background": False,
        "context_management": [{"type": "compaction"}], "instructions": "Be brief.",
    },
    "a list of instructions": {"instructions": [{"role": "developer", "content": "x"}]},
    "who asks": {"user": "u", "safety_identifier": "s", "metadata": {"a": "b"}, "prompt_cache_key": "k"},
    "nulls": {"temperature": None, "tools": None, "previous_response_id": None, "instructions": None},
    "what nobody knows": {"surprise": {"a": [None]}},
}  # fmt: skip


@pytest.mark.parametrize("name", ITEMS)
def test_items_are_the_same_after_the_types(name: str) -> None:
    sent = {"model": "m", "input": ITEMS[name]}
    request = RESPONSES.parse(RESPONSES.index(json.dumps(sent).encode()))
    assert json.loads(RESPONSES.build(request, TARGET).body) == {**sent, "model": "up-1"}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_are_the_same_after_the_types(name: str) -> None:
    expected = {"model": "up-1", "input": "hi", **OPTIONS[name]}
    assert json.loads(RESPONSES.build(parsed(**OPTIONS[name]), TARGET).body) == expected


def test_our_own_words_are_written_in_the_protocols() -> None:
    request = parsed(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {}}})
    body = json.loads(RESPONSES.build(request, TARGET).body)
    assert body["text"] == {"format": {"type": "json_schema", "name": "n", "schema": {}}}
    request = parsed(max_completion_tokens=4, tool_choice="any")
    assert (request.max_output_tokens, request.tool_choice) == (
        4,
        ToolChoice(mode="required", spelling="any"),
    )


@pytest.mark.parametrize(
    ("given", "param"),
    [
        (["x"], "input.0"),
        ([{"role": "tool", "content": "x"}], "input.0.role"),
        ([{"role": "user", "content": 5}], "input.0.content"),
        ([{"role": "user", "content": [{"text": "x"}]}], "input.0.content.0"),
        ([{"type": "function_call", "name": "f", "arguments": "{}"}], "input.0"),
        ([{"type": "function_call_output", "output": "x"}], "input.0"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_path(given: list[Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parsed(input=given)
    assert raised.value.param == param


# For other protocols' upstreams


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "G-1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"instructions": [{"role": "user", "content": "x"}]}, "instructions"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "opaque_parts"),
        ({"input": [{"type": "compaction", "encrypted_content": "x"}]}, "opaque_parts"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "file_id"),
    ],
)
def test_what_only_its_own_provider_keeps_is_refused_elsewhere_and_not_dropped(
    fields: dict[str, Any], param: str
) -> None:
    assert refused(CHAT, **fields) == param
    assert refused(RESPONSES, **fields) is None


def test_what_goes_without_is_said_and_not_refused() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    request = parsed(
        input=[search, {"role": "user", "content": "x"}], truncation="auto", background=False,
        include=["reasoning.encrypted_content"], store=False, top_logprobs=2, max_tool_calls=3,
    )  # fmt: skip
    report = Report()
    assert CHAT.carries is not None
    assert request_report(request, CHAT.id, CHAT.carries, RESPONSES.carries, report) is None
    assert set(report.dropped) == {"server_tool_calls", "truncation", "background", "max_tool_calls"}


def test_the_types_say_what_was_meant() -> None:
    request = parsed(
        instructions="Be brief.",
        include=["message.output_text.logprobs"],
        input=[
            {"role": "user", "content": "a"},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}],
             "encrypted_content": "gAAA"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "b"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "web_search_call", "id": "ws_1"},
            {"type": "function_call_output", "call_id": "c", "output": "ok"},
        ],
    )  # fmt: skip
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "tool"]
    thought, text, call, served = request.messages[2].parts
    assert isinstance(thought, ReasoningPart)
    assert (thought.text, thought.summary, thought.artefacts) == ("hm", True, (OWN,))
    assert isinstance(text, TextPart)
    assert isinstance(call, ToolCallPart)
    assert isinstance(served, OpaquePart)
    assert served.call_id == "ws_1"
    assert request.logprobs


# Thinking of other protocols, on its way through a client of this one


def test_thinking_that_another_protocol_gave_goes_back_there_and_never_to_this_ones_providers() -> None:
    thought = {"type": "reasoning", "id": "rs_G_0", "summary": [{"type": "summary_text", "text": "hm"}]}
    items = [
        {"role": "user", "content": "a"},
        {**thought, "encrypted_content": seal([SIGNATURE])},
        {**thought, "id": "rs_G_1", "encrypted_content": seal(())},
        {"type": "reasoning", "id": "rs_G_2", "summary": [], "encrypted_content": seal([SIGNATURE], "c")},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ]
    view = RESPONSES.index(json.dumps({"model": "m", "input": items}).encode())
    assert view.sealed
    signed, plain, call = RESPONSES.parse(view).messages[1].parts
    assert isinstance(signed, ReasoningPart)
    assert isinstance(plain, ReasoningPart)
    assert (signed.text, signed.artefacts, plain.text, plain.artefacts) == ("hm", (SIGNATURE,), "hm", ())
    assert call.artefacts == (SIGNATURE,)
    sent = json.loads(RESPONSES.build(RESPONSES.parse(view), TARGET).body)
    assert sent["input"] == [items[0], items[4]]
