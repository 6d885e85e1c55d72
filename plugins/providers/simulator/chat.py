"""A chat completion: from the request's JSON to what the simulator answers, before it is put on the wire."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec

from plugins.providers.simulator.messages import (
    BadRequest,
    Json,
    cost,
    messages_of,
    pictures,
    prompt_of,
    sounds,
    text_of,
)
from plugins.providers.simulator.replies import reasoning, reply
from plugins.providers.simulator.structured import object_for, value_for
from plugins.providers.simulator.tokens import PER_MESSAGE, cached, count, tokens
from plugins.providers.simulator.tools import PER_CALL, ToolCall, calls_for

_THOUGHTS: Final = {
    "none": 0,
    "minimal": 1,
    "low": 2,
    "medium": 4,
    "high": 8,
    "xhigh": 10,
}  # sentences, by effort
_MOST_CHOICES: Final = 128


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One answer, already cut to the limit that the client set."""

    content: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish: str = "stop"


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that goes on the wire, and the counts that go with it."""

    id: str
    model: str
    choices: tuple[Choice, ...]
    prompt_tokens: int
    cached_tokens: int
    audio_tokens: int
    top_logprobs: int | None = None  # None: no logprobs were asked for
    service_tier: str | None = None

    @property
    def reasoning_tokens(self) -> int:
        """What was thought, over all choices."""
        return sum(count(choice.reasoning) for choice in self.choices)

    @property
    def completion_tokens(self) -> int:
        """What was said and thought, over all choices."""
        said = sum(count(choice.content) for choice in self.choices)
        called = sum(count(call.arguments) + PER_CALL for choice in self.choices for call in choice.calls)
        return said + called + self.reasoning_tokens


def complete(request: Json, *, thinks: bool) -> Completion:
    """The answer to a request; `thinks` says that the model reasons before it speaks."""
    messages = messages_of(request)
    costs = [cost(message) for message in messages]
    offered = count(msgspec.json.encode(request["tools"]).decode()) if request.get("tools") else 0
    number = _whole(request, "n", 1, _MOST_CHOICES)
    return Completion(
        id=f"chatcmpl-sim{sha256(msgspec.json.encode(request, order='sorted')).hexdigest()[:24]}",
        model=str(request["model"]),
        choices=tuple(_choice(request, messages, place, thinks=thinks) for place in range(number)),
        prompt_tokens=PER_MESSAGE + sum(costs) + offered,
        cached_tokens=cached(sum(costs[:-1]) + offered),
        audio_tokens=sum(size for message in messages for _, size in sounds(message)),
        top_logprobs=_top_logprobs(request),
        service_tier="default" if request.get("service_tier") else None,
    )


def _choice(request: Json, messages: list[Json], place: int, *, thinks: bool) -> Choice:
    prompt = prompt_of(messages)
    sentences = _sentences(request) if thinks else 0
    calls = calls_for(request, messages[-1], prompt, place)
    choice = Choice(
        content="" if calls else _stopped(request, _content(request, messages[-1], prompt, place)),
        reasoning=reasoning(prompt, sentences) if sentences else "",
        calls=calls,
        finish="tool_calls" if calls else "stop",
    )
    limit = _limit(request)
    return choice if limit is None else _within_limit(choice, limit)


def _content(request: Json, last: Json, prompt: str, place: int) -> str:
    wanted = request.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, Mapping) else wanted
    if kind == "json_schema" and isinstance(wanted, Mapping):
        return _structured(wanted, prompt)
    if kind == "json_object":
        return msgspec.json.encode(object_for(prompt)).decode()
    if last["role"] == "tool":
        return f"Here is what the tool says: {' '.join(text_of(last).split())[:500]}"
    shown = [words for words, _ in [*pictures(last), *sounds(last)]]
    said = reply(prompt, place)
    return f"You sent {' and '.join(shown)}. {said}" if shown else said


def _structured(wanted: Json, prompt: str) -> str:
    inner = wanted.get("json_schema")
    holder = inner if isinstance(inner, Mapping) else wanted
    try:
        return msgspec.json.encode(value_for(holder.get("schema", {}), prompt)).decode()
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise BadRequest("That is not a JSON schema.", "response_format") from error


def _stopped(request: Json, content: str) -> str:
    stops = request.get("stop")
    for stop in [stops] if isinstance(stops, str) else stops or []:
        if isinstance(stop, str) and stop:
            content = content.partition(stop)[0]
    return content


def _limit(request: Json) -> int | None:
    for field in ("max_completion_tokens", "max_tokens"):
        if request.get(field) is not None:
            return _whole(request, field, 1, 10**9)
    return None


def _within_limit(choice: Choice, limit: int) -> Choice:
    """As much of the choice as the limit allows: thinking counts against it, and comes first."""
    thought, limit = _head(choice.reasoning, limit)
    said, limit = _head(choice.content, limit)
    calls = []
    for call in choice.calls:
        if limit > PER_CALL:
            arguments, limit = _head(call.arguments, limit - PER_CALL)
            calls.append(msgspec.structs.replace(call, arguments=arguments))
    kept = msgspec.structs.replace(choice, content=said, reasoning=thought, calls=tuple(calls))
    return kept if kept == choice else msgspec.structs.replace(kept, finish="length")


def _head(text: str, limit: int) -> tuple[str, int]:
    kept = tokens(text)[:limit]
    return "".join(kept), limit - len(kept)


def _sentences(request: Json) -> int:
    given = request.get("reasoning")
    effort = request.get("reasoning_effort") or (given.get("effort") if isinstance(given, Mapping) else None)
    return _THOUGHTS.get(str(effort or "medium"), _THOUGHTS["medium"])


def _whole(request: Json, field: str, default: int, most: int) -> int:
    value: Any = request.get(field)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise BadRequest(f"'{field}' must be a whole number from 1 to {most}.", field)
    return value


def _top_logprobs(request: Json) -> int | None:
    if request.get("logprobs") is not True:
        return None
    value = request.get("top_logprobs")
    return min(max(value, 0), 20) if isinstance(value, int) else 0
