"""A Conversation as a request for an upstream."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import msgspec

from plugin_sdk.protocol import Target, UpstreamRequest
from plugin_sdk.text import (
    Conversation,
    Message,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from plugins.protocols.openai_responses.content import (
    ID,
    ITEM,
    RAW,
    encrypted,
    write_content,
    write_reasoning,
)
from plugins.protocols.openai_responses.fidelity import EXTRAS
from plugins.protocols.openai_responses.options import REASONING, write_options
from plugins.protocols.openai_responses.patch import post

_encode = msgspec.json.encode


def build(request: Conversation, target: Target) -> UpstreamRequest:
    """The upstream request. What this protocol has no words for is left out."""
    return post(target, _encode(fields(request, target)), stream=bool(request.stream))


def fields(request: Conversation, target: Target) -> dict[str, Any]:
    """The body's fields."""
    own = request.origin == ID
    body: dict[str, Any] = {"model": target.model, **_input(request, own=own)}
    body.update(write_options(request, own=own))
    limit = target.output_limit if target.output_limit is not None else request.max_output_tokens
    if limit is not None:
        body["max_output_tokens"] = limit
    if own and request.continues is not None:
        body["previous_response_id"] = target.continues or request.continues
    if own:
        body.update({name: value for name, value in request.extra.items() if name not in body})
        body.update({name: None for name in request.nulls if name not in body})
    else:
        body.update({name: value for name, value in request.extra.items() if name in EXTRAS})
        _stateless(body, request)
    return body


def _stateless(body: dict[str, Any], request: Conversation) -> None:
    """A client of another protocol sends the whole conversation each time: nothing is to be kept for it.

    Its thinking can then only go on if it comes back encrypted.
    """
    if request.store is None:
        body["store"] = False
    include = body.setdefault("include", [])
    if request.reasoning is not None:
        include.append(REASONING)
    if not include:
        del body["include"]


def _input(request: Conversation, *, own: bool) -> dict[str, Any]:
    messages = list(request.messages)
    found: dict[str, Any] = {}
    if own and messages and messages[0].spelling == "instructions":
        found["instructions"] = _plain(messages.pop(0).parts)
    if own and len(messages) == 1 and messages[0].spelling == "input":
        found["input"] = _plain(messages[0].parts)
        return found
    customs = {
        part.id
        for message in messages
        for part in message.parts
        if isinstance(part, ToolCallPart) and part.kind == "custom"
    }
    items = [item for message in messages for item in _items(message, customs, own=own)]
    if items or not own or request.spellings.get("input") != "absent":
        found["input"] = items
    return found


def _plain(parts: Sequence[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, TextPart))


def _items(message: Message, customs: set[str], *, own: bool) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        for part in message.parts:
            if isinstance(part, ToolResultPart):
                yield _result(part, customs, own=own)
    elif message.role == "assistant":
        yield from _answered(message.parts, own=own)
    elif message.parts or own:
        extra = message.extra if own else {}
        yield {
            "role": message.role,
            "content": write_content(message.parts, own=own, answered=False),
            **extra,
        }


def _answered(parts: Sequence[Part], *, own: bool) -> Iterator[dict[str, Any]]:
    """What the assistant said: parts that began as one item are one again."""
    number = 0
    numbered = []
    before: type[Part] | None = None
    signed = False  # the item at hand has its encrypted reasoning: the next is another's
    for part in parts:
        kind = _kind(part)
        signs = any(map(encrypted, part.artefacts))
        begins = kind is not before or kind is ToolCallPart or (signs and signed)
        if own:
            begins = ITEM in part.extra
        number += begins or before is None
        signed = signs or (signed and not begins)
        before = kind
        numbered.append((number, part))
    for _, group in groupby(numbered, key=lambda pair: pair[0]):
        found = _item([part for _, part in group], own=own)
        if found is not None:
            yield found


def _kind(part: Part) -> type[Part]:
    """What cannot stand in one item with the others."""
    for kind in (ReasoningPart, ToolCallPart, OpaquePart):
        if isinstance(part, kind):
            return kind
    return TextPart


def _item(parts: Sequence[Part], *, own: bool) -> dict[str, Any] | None:
    first = parts[0]
    rest = dict(first.extra.get(ITEM) or {}) if own else {}
    if isinstance(first, ReasoningPart):
        return write_reasoning([part for part in parts if isinstance(part, ReasoningPart)], own=own)
    if isinstance(first, ToolCallPart):
        if first.kind == "server":
            return None
        field = "input" if first.kind == "custom" else "arguments"
        kind = "custom_tool_call" if first.kind == "custom" else "function_call"
        arguments = first.arguments if own or first.kind == "custom" else first.arguments or "{}"
        return {"type": kind, "call_id": first.id, "name": first.name, field: arguments, **rest}
    if isinstance(first, OpaquePart) and (not own or RAW in first.extra):
        return dict(first.value) if own else None
    said = [part for part in parts if isinstance(part, TextPart | RefusalPart | OpaquePart)]
    if not own:
        said = [part for part in said if not isinstance(part, TextPart) or part.text]
        if not said:
            return None
    if own and isinstance(first, TextPart) and first.spelling == "none":
        return {"role": "assistant", "content": [], **rest}
    content = write_content(parts if own else said, own=own, answered=True)
    if not own and len(content) == 1 and content[0]["type"] == "output_text":
        content = content[0]["text"]
    return {"role": "assistant", "content": content, **rest}


def _result(part: ToolResultPart, customs: set[str], *, own: bool) -> dict[str, Any]:
    custom = part.spelling == "custom" if own else part.call_id in customs
    output: Any
    if own:
        output = write_content(part.parts, own=True, answered=False)
    elif all(isinstance(inner, TextPart) for inner in part.parts):
        output = "\n".join(inner.text for inner in part.parts if isinstance(inner, TextPart))
    else:
        output = write_content(part.parts, own=False, answered=False)
    kind = "custom_tool_call_output" if custom else "function_call_output"
    return {"type": kind, "call_id": part.call_id, "output": output, **(part.extra if own else {})}
