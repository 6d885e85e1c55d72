"""What clients of other protocols say, written for an upstream of this one."""

import json
from typing import Any

import pytest

from plugin_sdk.protocol import Target
from plugin_sdk.text import (
    Artefact,
    BuiltInTool,
    Citation,
    Conversation,
    MediaPart,
    Message,
    Part,
    Reasoning,
    ReasoningPart,
    RefusalPart,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)
from tests.plugins.openai_responses.wire import RESPONSES

TARGET = Target(base_url="https://up.example/v1/", model="up-1")
SIGNATURE = Artefact(origin="another", kind="signature", value="sig")
OWN = Artefact(
    origin="openai.responses", kind="encrypted_content", value={"id": "rs_1", "encrypted_content": "gAAA"}
)


def built(*parts: Part, role: Any = "assistant", **fields: Any) -> dict[str, Any]:
    """What a client of another protocol says, for an upstream of this one."""
    messages = (Message(role="user", parts=(TextPart(text="hi"),)), Message(role=role, parts=parts))
    request = Conversation(model="m", messages=messages if parts else messages[:1], origin="other", **fields)
    return dict(json.loads(RESPONSES.build(request, TARGET).body))


def said(*parts: Part, role: Any = "assistant") -> list[Any]:
    return list(built(*parts, role=role)["input"][1:])


def test_nothing_is_kept_for_a_client_that_sends_everything_each_time() -> None:
    assert built()["store"] is False
    assert built(store=True)["store"] is True
    assert "include" not in built()
    assert built(reasoning=Reasoning(effort="low"))["include"] == ["reasoning.encrypted_content"]


def test_what_another_protocol_said_is_written_in_this_ones_words() -> None:
    picture = MediaPart(kind="image", data="QUJD", mime="image/png", detail="low")
    assert said(TextPart(text="a"), picture, role="user") == [
        {"role": "user", "content": [
            {"type": "input_text", "text": "a"},
            {"type": "input_image", "image_url": "data:image/png;base64,QUJD", "detail": "low"},
        ]}
    ]  # fmt: skip
    cited = TextPart(text="b", citations=(Citation(kind="url", url="u"),))
    assert said(TextPart(text="a")) == [{"role": "assistant", "content": "a"}]
    assert said(cited, RefusalPart(text="no")) == [
        {"role": "assistant", "content": [
            {"type": "output_text", "text": "b", "annotations": []}, {"type": "refusal", "refusal": "no"}]}
    ]  # fmt: skip
    file = MediaPart(kind="file", data="QUJD", mime="application/pdf")
    assert said(file, role="user")[0]["content"] == [
        {"type": "input_file", "file_data": "data:application/pdf;base64,QUJD", "filename": "document"}
    ]


def test_calls_and_results_are_items_of_their_own() -> None:
    assert said(
        TextPart(text="a"),
        ToolCallPart(id="c1", name="f", arguments=""),
        ToolCallPart(id="c2", name="g", arguments="free", kind="custom"),
        ToolCallPart(id="c3", name="search", arguments="{}", kind="server"),
    ) == [
        {"role": "assistant", "content": "a"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "free"},
    ]
    two = ToolResultPart(call_id="c1", parts=(TextPart(text="x"), TextPart(text="y")))
    assert said(two, role="tool") == [{"type": "function_call_output", "call_id": "c1", "output": "x\ny"}]
    shown = ToolResultPart(call_id="c1", parts=(MediaPart(kind="image", url="https://a.example/b"),))
    assert said(shown, role="tool")[0]["output"] == [
        {"type": "input_image", "image_url": "https://a.example/b"}
    ]


def test_thinking_goes_on_where_it_comes_back_encrypted_and_nowhere_else() -> None:
    assert said(ReasoningPart(text="hm"), TextPart(text="a")) == [{"role": "assistant", "content": "a"}]
    assert said(ReasoningPart(text="hm", artefacts=(SIGNATURE,))) == []
    second = Artefact(origin=OWN.origin, kind=OWN.kind, value={"id": "rs_2", "encrypted_content": "gBBB"})
    own = [
        ReasoningPart(text="hm", artefacts=(OWN,)),
        ReasoningPart(text="so"),
        ReasoningPart(text="", artefacts=(second,)),
    ]
    texts = [{"type": "summary_text", "text": text} for text in ("hm", "so")]
    assert said(*own) == [
        {"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA", "summary": texts},
        {"type": "reasoning", "id": "rs_2", "encrypted_content": "gBBB", "summary": []},
    ]


def test_options_of_another_protocol_are_written_in_this_ones_words() -> None:
    form = ResponseFormat(kind="json_schema", schema={"a": 1})
    assert built(response_format=form, verbosity="low")["text"] == {
        "verbosity": "low", "format": {"type": "json_schema", "name": "answer", "schema": {"a": 1}},
    }  # fmt: skip
    tools = (Tool(name="f"), Tool(name="h", kind="custom"), BuiltInTool(kind="search", value={}))
    found = built(tools=tools, tool_choice=ToolChoice(mode="tool", name="h"), max_output_tokens=5)
    assert found["tools"] == [
        {
            "type": "function",
            "name": "f",
            "parameters": {"type": "object", "properties": {}},
            "strict": False,
        },
        {"type": "custom", "name": "h"},
    ]
    assert (found["tool_choice"], found["max_output_tokens"]) == ({"type": "custom", "name": "h"}, 5)
    assert built(logprobs=True, top_logprobs=2)["include"] == ["message.output_text.logprobs"]
    assert built(speed="fast")["service_tier"] == "priority"
    assert built(extra={"safety_identifier": "s", "other": 1})["safety_identifier"] == "s"
    assert "other" not in built(extra={"other": 1})
    assert "tool_choice" not in built(tools=tools[2:], tool_choice=ToolChoice(mode="required"))


@pytest.mark.parametrize(
    ("reasoning", "limit", "effort"),
    [
        (Reasoning(effort="xhigh", budget=5), None, "xhigh"),
        (Reasoning(enabled=False), None, "none"),
        (Reasoning(enabled=True), None, "medium"),
        (Reasoning(budget=1_000), 10_000, "minimal"),
        (Reasoning(budget=3_000), 10_000, "low"),
        (Reasoning(budget=5_000), 10_000, "medium"),
        (Reasoning(budget=9_000), 10_000, "high"),
        (Reasoning(budget=32_000), None, "high"),
    ],
)
def test_a_budget_is_an_effort_here(reasoning: Reasoning, limit: int | None, effort: str) -> None:
    assert built(reasoning=reasoning, max_output_tokens=limit)["reasoning"]["effort"] == effort
