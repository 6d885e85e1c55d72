"""The simulator: an upstream that answers, counts, calls tools, fills schemas and fails as it is asked to."""

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator
from typing import Any, Literal

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from plugin_sdk.money import NANOS_PER_USD
from plugin_sdk.testing import models_of
from plugins.providers.simulator import Simulator, SimulatorConfig
from plugins.providers.simulator.faults import fault_of
from plugins.providers.simulator.patterns import matching
from plugins.providers.simulator.structured import names_in, value_for
from plugins.providers.simulator.tokens import count, tokens
from tests.plugins.schemas import broken

URL = "http://simulator.invalid/v1/chat/completions"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
TIME = {
    "type": "function",
    "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}},
}


def asked(text: str = "Why is the sky blue?", **more: Any) -> dict[str, Any]:
    return {"model": "sim/chat", "messages": [{"role": "user", "content": text}], **more}


async def sent(body: dict[str, Any] | bytes, **config: Any) -> httpx.Response:
    transport = Simulator("simulator", SimulatorConfig(**config)).transport()
    assert transport is not None
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await transport.handle_async_request(httpx.Request("POST", URL, content=content))


async def answered(body: dict[str, Any]) -> dict[str, Any]:
    response = await sent(body)
    found = json.loads(await response.aread())
    assert response.status_code == 200, found
    return found


async def said(text: str, **more: Any) -> str:
    return (await answered(asked(text, **more)))["choices"][0]["message"]["content"]


async def streamed(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a stream that ends with [DONE]."""
    text = (await (await sent(body | {"stream": True})).aread()).decode()
    *events, done, rest = text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


def joined(events: list[dict[str, Any]], field: str = "content") -> str:
    return "".join(event["choices"][0]["delta"].get(field) or "" for event in events if event["choices"])


# Text


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Say hello in one short sentence.", "Hello!"),
        ("What is the capital of France?", "Paris"),
        ("What is 12 + 30?", "42"),
        ("Count to 5", "1, 2, 3, 4, 5"),
        ("Reply with the word banana", "banana"),
        ('Say exactly "ping pong"', "ping pong"),
        ("", "Hello!"),
        ("How do tides work?", "tides"),
    ],
)
async def test_a_prompt_gets_an_answer_that_has_to_do_with_it(prompt: str, expected: str) -> None:
    assert expected in await said(prompt)


async def test_a_text_of_so_many_words_has_so_many_words() -> None:
    assert len((await said("Write 250 words about rivers")).split()) == 250


async def test_the_same_request_has_the_same_answer_byte_for_byte() -> None:
    for stream in (False, True):
        first, second = [await (await sent(asked(stream=stream))).aread() for _ in range(2)]
        assert first == second


@given(st.text())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_prompt_is_answered_and_counted(prompt: str) -> None:
    found = asyncio.run(answered(asked(prompt)))
    usage = found["usage"]
    assert found["choices"][0]["message"]["content"]
    assert usage["prompt_tokens"] > 0 < usage["completion_tokens"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@given(st.text())
def test_tokens_are_the_text_cut_up(text: str) -> None:
    assert "".join(tokens(text)) == text
    assert count(text) == len(tokens(text))


async def test_a_longer_prompt_costs_more_tokens() -> None:
    short, long = [(await answered(asked("x " * n)))["usage"]["prompt_tokens"] for n in (10, 100)]
    assert long - short == 90


async def test_a_long_beginning_that_repeats_counts_as_read_from_a_cache() -> None:
    system = {"role": "system", "content": "word " * 1_500}
    body = asked("Hi") | {"messages": [system, {"role": "user", "content": "Hi"}]}
    usage = (await answered(body))["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    assert 1_024 <= cached < usage["prompt_tokens"]
    assert (await answered(asked("Hi")))["usage"]["prompt_tokens_details"]["cached_tokens"] == 0


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_a_limit_is_kept_to_the_token_and_the_finish_says_so(field: str) -> None:
    found = await answered(asked("Write 100 words", **{field: 7}))
    assert found["choices"][0]["finish_reason"] == "length"
    assert found["usage"]["completion_tokens"] == 7


async def test_a_limit_that_is_not_reached_changes_nothing() -> None:
    assert await answered(asked("Hi", max_tokens=500)) | {"id": ""} == await answered(asked("Hi")) | {
        "id": ""
    }


async def test_it_stops_before_a_stop_text() -> None:
    assert await said("Count to 9", stop=["4", ", 3"]) == "1, 2"
    assert await said("Count to 9", stop=", 5") == "1, 2, 3, 4"


async def test_n_gives_so_many_choices_which_differ_and_are_all_counted() -> None:
    found = await answered(asked(n=3))
    texts = [choice["message"]["content"] for choice in found["choices"]]
    assert [choice["index"] for choice in found["choices"]] == [0, 1, 2]
    assert len(set(texts)) > 1
    assert found["usage"]["completion_tokens"] == sum(count(text) for text in texts)


async def test_logprobs_cover_the_text_token_by_token() -> None:
    choice = (await answered(asked(logprobs=True, top_logprobs=3)))["choices"][0]
    content = choice["logprobs"]["content"]
    assert "".join(one["token"] for one in content) == choice["message"]["content"]
    assert all(one["logprob"] <= 0 and len(one["top_logprobs"]) == 3 for one in content)
    events = await streamed(asked(logprobs=True))
    parts = [event["choices"][0]["logprobs"] for event in events]
    assert "".join(one["token"] for part in parts if part for one in part["content"]) == joined(events)


async def test_the_reasoner_thinks_first_and_what_it_thinks_is_counted_inside_the_completion() -> None:
    found = await answered(asked(model="sim/reasoner"))
    message, usage = found["choices"][0]["message"], found["usage"]
    thought = usage["completion_tokens_details"]["reasoning_tokens"]
    assert thought == count(message["reasoning_content"]) > 0
    assert usage["completion_tokens"] == thought + count(message["content"])


async def test_more_effort_is_more_thought_and_none_is_none() -> None:
    thoughts = [
        (await answered(asked(model="sim/reasoner", reasoning_effort=effort)))["usage"][
            "completion_tokens_details"
        ]
        for effort in ("none", "low", "medium", "high")
    ]
    amounts = [one["reasoning_tokens"] for one in thoughts]
    assert amounts == sorted(set(amounts))
    assert amounts[0] == 0


async def test_a_reasoner_that_has_used_its_limit_for_thinking_says_nothing() -> None:
    found = await answered(asked(model="sim/reasoner", max_completion_tokens=5))
    assert found["choices"][0]["message"]["content"] == ""
    assert found["choices"][0]["finish_reason"] == "length"
    assert found["usage"]["completion_tokens"] == 5


# Pictures and sounds


def png(width: int, height: int) -> str:
    data = (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", width, height) + bytes(9)
    )
    return "data:image/png;base64," + base64.b64encode(data).decode()


def jpeg(width: int, height: int) -> str:
    start = b"\xff\xd8\xff\xe0" + struct.pack(">H", 16) + bytes(14)
    data = start + b"\xff\xc0" + struct.pack(">HBHH", 11, 8, height, width) + bytes(6)
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def gif(width: int, height: int) -> str:
    return "data:image/gif;base64," + base64.b64encode(b"GIF89a" + struct.pack("<HH", width, height)).decode()


def shown(url: object, text: str = "Which colour?") -> dict[str, Any]:
    parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": url}]
    return {"model": "sim/chat", "messages": [{"role": "user", "content": parts}]}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (png(16, 9), "a PNG image of 16 x 9 pixels"),
        (jpeg(640, 480), "a JPEG image of 640 x 480 pixels"),
        (gif(3, 4), "a GIF image of 3 x 4 pixels"),
        ("https://example.com/a.png", "a picture at https://example.com/a.png"),
        ("data:image/png;base64,%%%", "an image of 0 bytes"),
    ],
)
async def test_it_says_what_picture_it_was_shown(url: str, words: str) -> None:
    for given_as in ({"url": url}, url):
        found = await answered(shown(given_as))
        assert words in found["choices"][0]["message"]["content"]


async def test_a_larger_picture_costs_more_tokens() -> None:
    small, large = [
        (await answered(shown({"url": png(n, n)})))["usage"]["prompt_tokens"] for n in (64, 2_000)
    ]
    assert large - small == 15 * 170


async def test_it_says_what_sound_it_was_played_and_counts_it() -> None:
    sound = {"data": base64.b64encode(bytes(32_000)).decode(), "format": "wav"}
    message = {"role": "user", "content": [{"type": "input_audio", "input_audio": sound}]}
    found = await answered({"model": "sim/chat", "messages": [message]})
    assert "wav sound of 32000 bytes" in found["choices"][0]["message"]["content"]
    assert found["usage"]["prompt_tokens_details"]["audio_tokens"] == 10


# Tools


def calls_in(found: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    made = found["choices"][0]["message"].get("tool_calls") or []
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in made]


FORCED: dict[str, Any] = {"type": "function", "function": {"name": "get_weather"}}


@pytest.mark.parametrize(
    ("prompt", "choice", "names"),
    [
        ("Hi", FORCED, ["get_weather"]),
        ("Hi", "required", ["get_weather"]),
        ("Hi", "any", ["get_weather"]),
        ("Hi", "auto", []),
        ("Hi", None, []),
        ("Weather in Rome?", "auto", ["get_weather"]),
        ("Weather in Rome?", "none", []),
        ("Please use the tool.", "auto", ["get_weather"]),
        ("What time is it?", "required", ["get_time"]),
        ("The weather in Oslo, and the time?", "auto", ["get_weather", "get_time"]),
    ],
)
async def test_a_tool_is_called_where_the_client_insists_or_the_prompt_asks(
    prompt: str, choice: Any, names: list[str]
) -> None:
    found = await answered(asked(prompt, tools=[WEATHER, TIME], tool_choice=choice))
    assert [name for name, _ in calls_in(found)] == names
    assert found["choices"][0]["finish_reason"] == ("tool_calls" if names else "stop")
    for name, arguments in calls_in(found):
        tool: Any = WEATHER if name == "get_weather" else TIME
        assert broken(arguments, tool["function"]["parameters"]) is None


async def test_arguments_are_taken_from_the_prompt() -> None:
    found = await answered(asked("What is the weather in New York, in fahrenheit?", tools=[WEATHER]))
    assert calls_in(found) == [("get_weather", {"city": "New York", "unit": "fahrenheit"})]


async def test_several_names_make_parallel_calls_with_ids_of_their_own_unless_that_is_forbidden() -> None:
    body = asked("Weather in Paris, Rome and Oslo?", tools=[WEATHER])
    found = await answered(body)
    assert [arguments["city"] for _, arguments in calls_in(found)] == ["Paris", "Rome", "Oslo"]
    assert len({call["id"] for call in found["choices"][0]["message"]["tool_calls"]}) == 3
    assert len(calls_in(await answered(body | {"parallel_tool_calls": False}))) == 1


async def test_a_tools_result_is_answered_with_text() -> None:
    body = asked("Weather in Paris? Use the tool.", tools=[WEATHER])
    call = (await answered(body))["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": '{"temp_c": 21}'}
    found = await answered(body | {"messages": [*body["messages"], call, result]})
    assert calls_in(found) == []
    assert '{"temp_c": 21}' in found["choices"][0]["message"]["content"]


async def test_streamed_calls_join_up_to_the_whole_ones() -> None:
    body = asked("Weather in Paris and Rome?", tools=[WEATHER])
    whole = (await answered(body))["choices"][0]["message"]["tool_calls"]
    calls: dict[int, dict[str, str]] = {}
    for event in await streamed(body):
        for part in event["choices"][0]["delta"].get("tool_calls", []):
            call = calls.setdefault(part["index"], {"id": "", "name": "", "arguments": ""})
            call["id"] += part.get("id", "")
            call["name"] += part["function"].get("name", "")
            call["arguments"] += part["function"]["arguments"]
    assert [one["function"] for one in whole] == [
        {"name": call["name"], "arguments": call["arguments"]} for call in calls.values()
    ]


async def test_a_custom_tool_is_called_with_free_text() -> None:
    tool = {"type": "custom", "custom": {"name": "run_code"}}
    (call,) = (await answered(asked("Run it", tools=[tool], tool_choice="required")))["choices"][0][
        "message"
    ]["tool_calls"]
    assert (call["type"], call["custom"]) == ("custom", {"name": "run_code", "input": "Run it"})


# Structured output


class Person(BaseModel):
    name: str
    age: int


class Tree(BaseModel):
    label: str
    children: list["Tree"] = Field(default_factory=list)
    parent: "Tree | None" = None


class Order(BaseModel):
    kind: Literal["buy", "sell"]
    amount: float = Field(gt=0, le=10)
    lots: list[int] = Field(min_length=2, max_length=3)
    code: str = Field(pattern=r"^[A-Z]{3}-\d{4}$")
    note: str | None
    urgent: bool
    buyer: Person
    tag: str = Field(min_length=8, max_length=10)


def wanting(schema: Any, text: str, **more: Any) -> dict[str, Any]:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    return asked(text, response_format=wanted, **more)


async def test_names_and_numbers_are_taken_from_the_prompt() -> None:
    found = await answered(wanting(Person.model_json_schema(), "Alice is 30 years old. Extract."))
    assert json.loads(found["choices"][0]["message"]["content"]) == {"name": "Alice", "age": 30}


@pytest.mark.parametrize("model", [Person, Order, Tree])
@pytest.mark.parametrize("text", ["Alice is 30 years old.", "", "Sell -5000 now, urgent: false"])
async def test_a_model_of_pydantics_is_filled_so_that_it_validates(model: type[BaseModel], text: str) -> None:
    found = await answered(wanting(model.model_json_schema(), text))
    model.model_validate_json(found["choices"][0]["message"]["content"])


simple = st.one_of(
    st.just({"type": "null"}),
    st.just({"type": "boolean"}),
    st.builds(lambda low, room: {"type": "integer", "minimum": low, "maximum": low + room},
              st.integers(-1000, 1000), st.integers(0, 50)),
    st.builds(lambda low, room: {"type": "number", "exclusiveMinimum": low, "maximum": low + room},
              st.integers(-1000, 1000), st.integers(1, 50)),
    st.builds(lambda step: {"type": "integer", "multipleOf": step}, st.integers(1, 20)),
    st.builds(lambda low, room: {"type": "string", "minLength": low, "maxLength": low + room},
              st.integers(0, 30), st.integers(0, 5)),
    st.builds(lambda options: {"enum": options}, st.lists(st.text(max_size=5), min_size=1, max_size=3)),
    st.builds(lambda value: {"const": value}, st.one_of(st.text(max_size=5), st.integers(), st.none())),
    st.sampled_from([{"type": ["string", "null"]}, {"type": "string", "format": "date"}, {"type": "string"}]),
)  # fmt: skip


def _composed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    named = st.dictionaries(st.sampled_from(["name", "age", "city", "tags", "x"]), inner, max_size=4)
    return st.one_of(
        st.builds(
            lambda properties, closed: {
                "type": "object", "properties": properties, "required": sorted(properties),
                "additionalProperties": not closed,
            },
            named, st.booleans(),
        ),
        st.builds(lambda item, low: {"type": "array", "items": item, "minItems": low, "maxItems": low + 2},
                  inner, st.integers(0, 3)),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda items: {"type": "array", "prefixItems": items, "minItems": len(items)},
                  st.lists(inner, max_size=3)),
    )  # fmt: skip


@given(st.recursive(simple, _composed, max_leaves=8), st.text(max_size=40))
@settings(deadline=None)
@example({"type": "array", "items": {"type": "string"}, "minItems": 3, "uniqueItems": True}, "")
@example({"type": "integer", "minimum": 7, "multipleOf": 5}, "")
@example({"type": "number", "minimum": 0.5, "maximum": 0.6}, "It is 7")
@example({"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}, {"required": ["a"]}]}, "")
@example(
    {"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}}}}, ""
)
def test_a_value_is_valid_for_its_schema(schema: Any, prompt: str) -> None:
    value = value_for(schema, prompt)
    assert broken(json.loads(json.dumps(value)), schema) is None


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d{4}-\d{2}-\d{2}$",
        r"^[A-Z]{2,3}\d+$",
        r"^(foo|bar)-[^a-z]+$",
        r"^\+?[0-9 ]{7,}$",
        r"\w+@\w+\.com",
        "^$",
    ],
)
def test_a_pattern_gets_a_text_that_matches_it(pattern: str) -> None:
    assert broken(matching(pattern), {"type": "string", "pattern": pattern}) is None


def test_the_names_in_a_text_are_its_capitalised_words_but_not_those_that_begin_a_question() -> None:
    assert names_in("What is the weather in Paris and New York? Tell Bob.") == ["Paris", "New York", "Bob"]


async def test_json_object_mode_answers_with_the_keys_that_were_asked_for() -> None:
    text = await said(
        "Reply with a JSON object with keys name and age. Alice, 30.", response_format={"type": "json_object"}
    )
    assert json.loads(text) == {"name": "Alice", "age": 30}
    assert isinstance(json.loads(await said("Anything", response_format={"type": "json_object"})), dict)


# Streams


@pytest.mark.parametrize("model", ["sim/chat", "sim/reasoner"])
async def test_a_stream_says_what_the_whole_answer_says(model: str) -> None:
    body = asked("Write 40 words", model=model)
    whole = (await answered(body))["choices"][0]
    events = await streamed(body)
    assert joined(events) == whole["message"]["content"]
    assert joined(events, "reasoning_content") == whole["message"].get("reasoning_content", "")
    assert len(events) > 10
    assert [event["choices"][0]["finish_reason"] for event in events][-1] == "stop"
    assert len({event["id"] for event in events}) == 1


async def test_usage_comes_in_an_event_of_its_own_where_it_was_asked_for_only() -> None:
    assert all("usage" not in event for event in await streamed(asked()))
    *others, last = await streamed(asked(stream_options={"include_usage": True}))
    assert all(event["usage"] is None for event in others)
    assert last["choices"] == []
    assert last["usage"] == (await answered(asked()))["usage"]


async def test_every_choice_is_streamed_under_its_index() -> None:
    body = asked(n=2)
    texts = ["", ""]
    for event in await streamed(body):
        choice = event["choices"][0]
        texts[choice["index"]] += choice["delta"].get("content") or ""
    assert texts == [choice["message"]["content"] for choice in (await answered(body))["choices"]]


# Requests that are wrong


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"{", 400, None),
        (b"[]", 400, "model"),
        (b"{}", 400, "model"),
        ({"model": "sim/chat"}, 400, "messages"),
        ({"model": "sim/chat", "messages": []}, 400, "messages"),
        ({"model": "sim/chat", "messages": ["hi"]}, 400, "messages[0]"),
        (asked(n=0), 400, "n"),
        (asked(max_tokens="many"), 400, "max_tokens"),
        (
            asked(tools=[WEATHER], tool_choice={"type": "function", "function": {"name": "other"}}),
            400,
            "tool_choice",
        ),
        (wanting({"type": "object", "properties": [1]}, "x"), 400, "response_format"),
        (asked(model="sim/nobody"), 404, None),
    ],
)
async def test_a_wrong_request_gets_an_upstreams_error_object(
    body: Any, status: int, param: str | None
) -> None:
    response = await sent(body)
    error = json.loads(await response.aread())["error"]
    assert response.status_code == status
    assert error["param"] == param
    assert error["message"]


async def test_it_serves_nothing_but_chat_completions() -> None:
    transport = Simulator("simulator", SimulatorConfig()).transport()
    assert transport is not None
    for method, url in (("GET", URL), ("POST", "http://simulator.invalid/v1/other")):
        assert (await transport.handle_async_request(httpx.Request(method, url))).status_code == 404


# Faults


async def contents(response: httpx.Response) -> AsyncIterator[str]:
    """The data of each event, as it comes."""
    buffered = ""
    async for piece in response.aiter_text():
        buffered += piece
        while "\n\n" in buffered:
            event, _, buffered = buffered.partition("\n\n")
            yield event.removeprefix("data: ")


def content_of(event: str) -> str:
    return json.loads(event)["choices"][0]["delta"].get("content") or ""


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 418, 422, 429, 500, 503, 529])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_status_is_answered_by_its_number(status: int, stream: bool) -> None:
    response = await sent(asked(model=f"sim/{status}", stream=stream))
    error = json.loads(await response.aread())["error"]
    assert response.status_code == status
    assert error["message"]
    assert response.headers.get("retry-after") == ("1" if status == 429 else None)


async def test_a_refused_connection_is_one() -> None:
    with pytest.raises(httpx.ConnectError):
        await sent(asked(model="sim/refused"))


@pytest.mark.parametrize("number", [0, 1, 3, 7, 40])
async def test_a_cut_comes_after_so_many_events_with_content(number: int) -> None:
    response = await sent(asked("Hi", model=f"sim/cut-at-{number}", stream=True))
    events = contents(response)
    seen = [await anext(events) for _ in range(number + 1 if number else 0)]
    with pytest.raises(httpx.RemoteProtocolError):
        await anext(events)
    assert sum(bool(content_of(event)) for event in seen) == number


@pytest.mark.parametrize("number", [0, 1, 7])
async def test_an_error_comes_after_so_many_events_with_content(number: int) -> None:
    response = await sent(asked("Hi", model=f"sim/error-at-{number}", stream=True))
    *seen, last = [event async for event in contents(response)]
    assert sum(bool(content_of(event)) for event in seen) == number
    assert json.loads(last)["error"]["message"]


async def test_a_200_may_hold_nothing_but_an_error() -> None:
    for stream in (False, True):
        response = await sent(asked(model="sim/200-with-error", stream=stream))
        text = (await response.aread()).decode()
        assert response.status_code == 200
        assert json.loads(text.strip().removeprefix("data: "))["error"]["message"]


@pytest.mark.parametrize(("model", "events"), [("sim/stall", 0), ("sim/stall-at-2", 3)])
async def test_a_stall_is_silence_with_the_connection_open(model: str, events: int) -> None:
    response = await sent(asked(model=model, stream=True))
    stream = response.aiter_raw()
    for _ in range(events):
        await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_malformed_event_stands_among_good_ones() -> None:
    response = await sent(asked(model="sim/malformed-event", stream=True))
    *events, done = [event async for event in contents(response)]
    good = []
    for event in events:
        try:
            good.append(json.loads(event))
        except json.JSONDecodeError:
            continue
    assert done == "[DONE]"
    assert len(good) == len(events) - 1
    assert good[-1]["choices"][0]["finish_reason"] == "stop"


async def test_without_usage_there_is_none_even_where_it_was_asked_for() -> None:
    model = "sim/no-usage"
    assert "usage" not in await answered(asked(model=model))
    assert all(
        "usage" not in one
        for one in await streamed(asked(model=model, stream_options={"include_usage": True}))
    )


async def test_no_done_ends_after_its_finish_reason() -> None:
    response = await sent(asked(model="sim/no-done", stream=True))
    events = [event async for event in contents(response)]
    assert json.loads(events[-1])["choices"][0]["finish_reason"] == "stop"


async def test_empty_says_nothing_and_counts_nothing() -> None:
    found = await answered(asked(model="sim/empty"))
    assert found["choices"][0]["message"]["content"] == ""
    assert found["usage"]["completion_tokens"] == 0


async def test_a_whole_answer_is_cut_in_its_middle() -> None:
    response = await sent(asked(model="sim/cut-at-7"))
    with pytest.raises(httpx.RemoteProtocolError):
        await response.aread()


@pytest.mark.parametrize(
    "name", ["chat", "sim/chat", "sim/cut-at-", "sim/cut-at-x", "sim/42", "sim/700", "sim/4290"]
)
def test_other_names_ask_for_no_fault(name: str) -> None:
    assert fault_of(name) is None


async def test_a_slow_model_waits_before_every_event_and_others_only_if_told_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []

    async def noted(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("plugins.providers.simulator.transport.asyncio.sleep", noted)
    for model, config, expected in (
        ("sim/chat", {}, 0.0),
        ("sim/chat", {"delay": 0.5}, 0.5),
        ("sim/slow", {"slow_delay": 2.0}, 2.0),
    ):
        waits.clear()
        response = await sent(asked(model=model, stream=True), **config)
        events = [event async for event in contents(response)]
        assert waits == [expected] * len(events)


# The provider


def test_every_model_in_its_catalogue_is_answered_or_fails_by_its_name() -> None:
    models = models_of(Simulator)
    assert {"sim/chat", "sim/reasoner"} <= {model.id for model in models}
    for model in models:
        name = model.upstream or model.id
        assert name in ("sim/chat", "sim/reasoner") or fault_of(name), name


def test_its_prices_are_small_and_there_is_a_free_model() -> None:
    models = models_of(Simulator)
    assert [model.id for model in models if model.free] == ["sim/chat:free"]
    for model in models:
        assert all(price.usd * NANOS_PER_USD / price.per <= 400 for price in model.prices)


def test_a_base_url_of_the_operators_means_a_real_upstream() -> None:
    assert Simulator("s", SimulatorConfig(base_url="http://127.0.0.1:9")).transport() is None
    assert Simulator.simulated
