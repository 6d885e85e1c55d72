"""A chat completion: from the request's JSON to what the simulator answers, before it is put on the wire."""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec

from plugins.providers.simulator import media
from plugins.providers.simulator.replies import reasoning, reply
from plugins.providers.simulator.structured import names_in, object_for, value_for
from plugins.providers.simulator.tokens import PER_MESSAGE, cached, count, tokens

_THOUGHTS: Final = {
    "none": 0,
    "minimal": 1,
    "low": 2,
    "medium": 4,
    "high": 8,
    "xhigh": 10,
}  # sentences, by effort
_MOST_CHOICES: Final = 128


class BadRequest(Exception):
    """What an upstream answers with 400: `param` is the field at fault."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call that the model asks for; `custom` ones carry free text instead of JSON."""

    id: str
    name: str
    arguments: str
    custom: bool = False


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
        said = sum(
            count(choice.content) + sum(count(c.arguments) + 4 for c in choice.calls)
            for choice in self.choices
        )
        return said + self.reasoning_tokens


def complete(request: Mapping[str, Any], *, thinks: bool) -> Completion:
    """The answer to a request; `thinks` says that the model reasons before it speaks."""
    messages = _messages(request)
    prompts = [_prompt_of(message) for message in messages]
    audio = sum(tokens_ for message in messages for _, tokens_ in _sounds(message))
    costs = [PER_MESSAGE + _cost(message, text) for message, text in zip(messages, prompts, strict=True)]
    offered = count(msgspec.json.encode(request["tools"]).decode()) if request.get("tools") else 0
    number = _whole(request, "n", 1, _MOST_CHOICES)
    return Completion(
        id=f"chatcmpl-sim{sha256(msgspec.json.encode(request, order='sorted')).hexdigest()[:24]}",
        model=str(request["model"]),
        choices=tuple(_choice(request, messages, prompts, place, thinks=thinks) for place in range(number)),
        prompt_tokens=PER_MESSAGE + sum(costs) + offered,
        cached_tokens=cached(sum(costs[:-1]) + offered),
        audio_tokens=audio,
        top_logprobs=_top_logprobs(request),
        service_tier="default" if request.get("service_tier") else None,
    )


def _choice(
    request: Mapping[str, Any], messages: Sequence[Any], prompts: Sequence[str], place: int, *, thinks: bool
) -> Choice:
    prompt = next(
        (text for m, text in zip(messages[::-1], prompts[::-1], strict=True) if m["role"] == "user"), ""
    )
    thought = reasoning(prompt, _sentences(request)) if thinks and _sentences(request) else ""
    calls = _calls(request, messages[-1], prompt, place)
    content = "" if calls else _content(request, messages[-1], prompts[-1], prompt, place)
    return _cut(
        request,
        Choice(content=content, reasoning=thought, calls=calls, finish="tool_calls" if calls else "stop"),
    )


def _content(
    request: Mapping[str, Any], last: Mapping[str, Any], last_text: str, prompt: str, place: int
) -> str:
    wanted = request.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, Mapping) else wanted
    if kind == "json_schema" and isinstance(wanted, Mapping):
        inner = wanted.get("json_schema") if isinstance(wanted.get("json_schema"), Mapping) else wanted
        return msgspec.json.encode(value_for(inner.get("schema", {}), prompt)).decode()  # type: ignore[union-attr]  # a Mapping, as tested
    if kind == "json_object":
        return msgspec.json.encode(object_for(prompt)).decode()
    if last["role"] == "tool":
        return f"Here is what the tool says: {' '.join(last_text.split())[:500]}"
    shown = [words for words, _ in [*_pictures(last), *_sounds(last)]]
    if shown:
        return f"You sent {' and '.join(shown)}. {reply(prompt, place)}"
    return reply(prompt, place)


def _calls(
    request: Mapping[str, Any], last: Mapping[str, Any], prompt: str, place: int
) -> tuple[ToolCall, ...]:
    """The calls of this turn: those that the client insists on, or those that the prompt asks for."""
    offered = {_name(tool): tool for tool in request.get("tools") or [] if isinstance(tool, Mapping)}
    choice = request.get("tool_choice", "auto")
    if not offered or choice == "none":
        return ()
    if isinstance(choice, Mapping):
        named = _name(choice)
        if named not in offered:
            raise BadRequest(f"Tool choice {named!r} is not among the tools.", "tool_choice")
        chosen = [named]
    else:
        chosen = [name for name in offered if _asked_for(name, prompt)]
        if choice in ("required", "any"):
            chosen = chosen or [next(iter(offered))]
        elif last["role"] != "user":
            return ()
        elif not chosen and re.search(
            r"(?i)\b(?:use|call|with) (?:the |a |your )?(?:tool|function)s?\b", prompt
        ):
            chosen = [next(iter(offered))]
    made = [call for name in chosen for call in _calls_of(offered[name], name, prompt)]
    if request.get("parallel_tool_calls") is False or isinstance(choice, Mapping):
        made = made[:1]
    seed = sha256(f"{place} {prompt}".encode()).hexdigest()
    return tuple(
        msgspec.structs.replace(call, id=f"call_{seed[:20]}{number:02}") for number, call in enumerate(made)
    )


def _calls_of(tool: Mapping[str, Any], name: str, prompt: str) -> list[ToolCall]:
    """One call; one for each name where the prompt joins several (`in Paris and Rome`)."""
    if tool.get("type") == "custom":
        return [ToolCall(id="", name=name, arguments=prompt[:200] or "input", custom=True)]
    function = tool.get("function")
    schema = function.get("parameters") if isinstance(function, Mapping) else None
    schema = schema if isinstance(schema, Mapping) else {"type": "object", "properties": {}}
    names = names_in(prompt)
    properties = schema.get("properties")
    takes_text = isinstance(properties, Mapping) and any(
        isinstance(one, Mapping) and one.get("type") == "string" and "enum" not in one
        for one in properties.values()
    )
    joined = len(names) > 1 and takes_text and re.search(r"\b(?:and|or)\b|,", prompt)
    prompts = (
        [re.sub("|".join(map(re.escape, names)), kept, prompt) for kept in names] if joined else [prompt]
    )
    values = [msgspec.json.encode(value_for(schema, text)).decode() for text in prompts]
    return [ToolCall(id="", name=name, arguments=value) for value in dict.fromkeys(values)]


def _asked_for(name: str, prompt: str) -> bool:
    """Whether a prompt speaks of a tool: by its name, or by what is telling in it (`get_weather`: weather)."""
    said = prompt.lower()
    words = [
        word
        for word in re.findall(r"[a-z]{4,}", name.lower())
        if word not in ("find", "make", "list", "call")
    ]
    return name.lower() in said or (bool(words) and all(word in said for word in words))


def _cut(request: Mapping[str, Any], choice: Choice) -> Choice:
    """The choice within `stop` and the client's limit, which thinking counts against too."""
    content, finish = choice.content, choice.finish
    stops = request.get("stop")
    for stop in [stops] if isinstance(stops, str) else stops or []:
        at = content.find(str(stop))
        if at >= 0 and stop:
            content = content[:at]
    limit = next(
        (request[f] for f in ("max_completion_tokens", "max_tokens") if isinstance(request.get(f), int)), None
    )
    if limit is None:
        return msgspec.structs.replace(choice, content=content)
    if limit < 1:
        raise BadRequest("The output limit must be at least 1.", "max_tokens")
    thought, limit = _within(choice.reasoning, limit)
    said, limit = _within(content, limit)
    calls = []
    for call in choice.calls:
        if limit > 4:
            arguments, limit = _within(call.arguments, limit - 4)
            calls.append(msgspec.structs.replace(call, arguments=arguments))
    whole = (thought, said, calls) == (choice.reasoning, content, list(choice.calls))
    return Choice(content=said, reasoning=thought, calls=tuple(calls), finish=finish if whole else "length")


def _within(text: str, limit: int) -> tuple[str, int]:
    kept = tokens(text)[: max(limit, 0)]
    return "".join(kept), limit - len(kept)


def _messages(request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("'messages' must be a list with at least one message.", "messages")
    for place, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise BadRequest("A message is an object with a role.", f"messages[{place}]")
    return messages


def _parts(message: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return [part for part in parts if isinstance(part, Mapping) and part.get("type") == kind]


def _prompt_of(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in _parts(message, "text"))


def _pictures(message: Mapping[str, Any]) -> list[tuple[str, int]]:
    return [media.picture(part) for part in _parts(message, "image_url")]


def _sounds(message: Mapping[str, Any]) -> list[tuple[str, int]]:
    return [media.sound(part) for part in _parts(message, "input_audio")]


def _cost(message: Mapping[str, Any], text: str) -> int:
    calls = count(msgspec.json.encode(message["tool_calls"]).decode()) if message.get("tool_calls") else 0
    return count(text) + calls + sum(size for _, size in [*_pictures(message), *_sounds(message)])


def _name(tool: Mapping[str, Any]) -> str:
    inner = tool.get(str(tool.get("type")))
    return str(inner.get("name", "")) if isinstance(inner, Mapping) else ""


def _sentences(request: Mapping[str, Any]) -> int:
    given = request.get("reasoning")
    effort = request.get("reasoning_effort") or (given.get("effort") if isinstance(given, Mapping) else None)
    return _THOUGHTS.get(str(effort or "medium"), _THOUGHTS["medium"])


def _whole(request: Mapping[str, Any], field: str, default: int, most: int) -> int:
    value = request.get(field)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise BadRequest(f"'{field}' must be a whole number from 1 to {most}.", field)
    return value


def _top_logprobs(request: Mapping[str, Any]) -> int | None:
    if request.get("logprobs") is not True:
        return None
    value = request.get("top_logprobs")
    return min(max(value, 0), 20) if isinstance(value, int) else 0
