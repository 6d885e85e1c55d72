"""The cheap view of a client's request."""

import json
from typing import Any

import pytest

from plugin_sdk.errors import InvalidJson, InvalidRequest, ModelRequired
from plugin_sdk.estimate import IMAGE_TOKENS
from plugin_sdk.protocol import RequestView
from tests.plugins.openai_chat.wire import CHAT

HELLO = [{"role": "user", "content": "hello"}]


def view(**fields: Any) -> RequestView:
    return CHAT.index(json.dumps({"model": "m", "messages": HELLO, **fields}).encode())


def test_the_view_says_what_the_core_needs() -> None:
    found = view(stream=True, n=3, max_tokens=50, stream_options={"include_usage": True})
    assert (found.model, found.stream, found.choices, found.max_output) == ("m", True, 3, 50)
    assert (found.usage_event, found.meta, found.unknown) == (True, False, ())


def test_absent_fields_have_defaults_and_null_counts_as_absent() -> None:
    nulls = dict.fromkeys(
        ("stream", "n", "max_tokens", "temperature", "tools", "stop", "stream_options", "user")
    )
    for found in (view(), view(**nulls)):
        assert (found.stream, found.choices, found.max_output, found.usage_event) == (False, 1, None, False)


@pytest.mark.parametrize(
    "asked",
    [
        {"stream_options": {"include_usage": True}},
        {"usage": True},
        {"usage": {"include": True}},
        {"meta": True},
    ],
)
def test_a_client_can_ask_for_the_usage_event_in_three_ways(asked: dict[str, Any]) -> None:
    assert view(**asked).usage_event
    assert not view(stream_options={"include_usage": False}, usage=False, meta=False).usage_event


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"max_completion_tokens": 1, "max_tokens": 2, "max_output_tokens": 3}, 1),
        ({"max_tokens": 2, "max_output_tokens": 3}, 2),
        ({"max_output_tokens": 3}, 3),
        ({"max_completion_tokens": None, "max_tokens": 2}, 2),
    ],
)
def test_the_first_limit_present_wins(limits: dict[str, Any], expected: int) -> None:
    assert view(**limits).max_output == expected


def test_what_real_sdks_send_is_known_and_the_rest_is_listed() -> None:
    sent = {
        "stream_options": {},
        "metadata": {},
        "store": True,
        "reasoning_effort": "low",
        "prompt_cache_key": "k",
        "modalities": ["text"],
        "audio": {},
        "web_search_options": {},
        "functions": [],
        "function_call": "auto",
        "provider": {"order": ["a"]},
        "debug": {"enabled": True},
        "beta": {},
        "service_tier": "flex",
    }
    found = view(**sent, brand_new=1, other_new=2)
    assert found.unknown == ("brand_new", "other_new")
    assert found.preferences == {"order": ["a"]}


@pytest.mark.parametrize(
    ("field", "value", "keyword"),
    [
        ("messages", "not a list", "type"),
        ("messages", [], "minItems"),
        ("messages", None, "type"),
        ("model", 5, "type"),
        ("stream", "yes", "type"),
        ("stream", 1, "type"),
        ("n", 0, "minimum"),
        ("n", 1.5, "type"),
        ("n", True, "type"),
        ("max_tokens", -1, "minimum"),
        ("max_completion_tokens", "10", "type"),
        ("max_output_tokens", 0, "minimum"),
        ("temperature", "hot", "type"),
        ("temperature", True, "type"),
        ("tools", {"a": 1}, "type"),
        ("tools", ["x"], "type"),
        ("tool_choice", 3, "type"),
        ("response_format", [], "type"),
        ("stop", 5, "type"),
        ("stream_options", True, "type"),
        ("metadata", [], "type"),
        ("provider", "openai", "type"),
        ("modalities", "text", "type"),
    ],
)
def test_a_field_of_the_wrong_type_is_refused_by_name(field: str, value: Any, keyword: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        view(**{field: value})
    (only,) = caught.value.details
    assert caught.value.param == field
    assert (only["path"], only["keyword"]) == ([field], keyword)
    assert set(only) == {"message", "path", "keyword", "params"}
    assert only["message"] == caught.value.message
    assert f"`{field}`" in only["message"]


def test_every_wrong_field_is_listed_at_once() -> None:
    with pytest.raises(InvalidRequest) as caught:
        view(messages=[], n=0, stream="x")
    assert [detail["path"] for detail in caught.value.details] == [["messages"], ["n"], ["stream"]]


def test_ranges_are_the_upstreams_to_judge() -> None:
    assert view(temperature=900, top_p=-4, top_logprobs=10_000, seed=-(10**30)).model == "m"


def test_the_contents_of_messages_are_the_upstreams_to_judge() -> None:
    for messages in (["text"], [None], [{"role": 7}], [{"role": "user", "content": {"odd": 1}}]):
        assert view(messages=messages).model == "m"


def test_messages_are_required() -> None:
    with pytest.raises(InvalidRequest) as caught:
        CHAT.index(b'{"model":"m"}')
    assert caught.value.details[0]["keyword"] == "required"


@pytest.mark.parametrize("body", [{"messages": HELLO}, {"messages": HELLO, "model": None}])
def test_a_request_without_a_model_says_so(body: dict[str, Any]) -> None:
    with pytest.raises(ModelRequired):
        CHAT.index(json.dumps(body).encode())


def test_an_empty_model_is_a_wrong_one() -> None:
    with pytest.raises(InvalidRequest):
        view(model="")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no",
        b"[]",
        b'{"model":"m","messages":[1],"model":"n"}',
        b'{"model":"m","messages":[' + b"[" * 200 + b"]" * 200 + b"]}",
        b'{"model":"m\xff","messages":[1]}',
    ],
)
def test_what_is_no_json_object_is_invalid_json(body: bytes) -> None:
    with pytest.raises(InvalidJson):
        CHAT.index(body)


def test_text_is_estimated_at_a_third_of_its_bytes() -> None:
    found = view(messages=[{"role": "user", "content": "word " * 600}])
    assert found.input_estimate == -(-len(found.body) // 3)


def test_an_image_is_estimated_at_its_declared_figure_however_large_it_is() -> None:
    def parts(url: str) -> list[dict[str, Any]]:
        image = {"type": "image_url", "image_url": {"url": url}}
        return [{"role": "user", "content": [{"type": "text", "text": "what is it"}, image]}]

    small = view(messages=parts("https://example.com/a.png")).input_estimate
    large = view(messages=parts("data:image/png;base64," + "QUJD" * 100_000)).input_estimate
    assert IMAGE_TOKENS <= small <= IMAGE_TOKENS + 100
    assert abs(large - small) < 20


def test_audio_and_files_are_estimated_from_their_size_not_as_text() -> None:
    data = "QUJD" * 50_000
    audio = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    document = {"type": "file", "file": {"file_data": "data:application/pdf;base64," + data}}
    for part in (audio, document):
        found = view(messages=[{"role": "user", "content": [part]}]).input_estimate
        assert 500 < found < len(data) / 10


def test_a_prompt_cannot_pass_itself_off_as_an_image() -> None:
    fake = '"image_url":{"url":"data:image/png;base64,' + "QUJD" * 10_000 + '"}'
    for content in (fake, [{"type": "text", "text": fake}]):
        found = view(messages=[{"role": "user", "content": content}])
        assert found.input_estimate >= 40_000 / 3
