"""Which tools the simulator calls, and with what: those that the client insists on or the prompt asks for."""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec

from plugins.providers.simulator.messages import BadRequest, Json
from plugins.providers.simulator.structured import names_in, value_for

PER_CALL: Final = 4  # tokens of a call beside its arguments
_USE: Final = re.compile(r"(?i)\b(?:use|call|with) (?:the |a |your )?(?:tool|function)s?\b")
_JOINED: Final = re.compile(r"\b(?:and|or)\b|,")
_DULL: Final = frozenset({"find", "make", "list", "call", "with", "from"})


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call that the model asks for; `custom` ones carry free text instead of JSON."""

    id: str = ""
    name: str
    arguments: str
    custom: bool = False


def calls_for(request: Json, last: Json, prompt: str, place: int) -> tuple[ToolCall, ...]:
    """The calls of this turn; `place` is the choice's, so that no two choices share an id."""
    offered = {_name(tool): tool for tool in request.get("tools") or [] if isinstance(tool, Mapping)}
    choice = request.get("tool_choice") or "auto"
    chosen = _chosen(offered, choice, last, prompt)
    made = [call for name in chosen for call in _made(offered[name], name, prompt)]
    if request.get("parallel_tool_calls") is False or isinstance(choice, Mapping):
        made = made[:1]
    seed = sha256(f"{place} {prompt}".encode()).hexdigest()[:20]
    return tuple(
        msgspec.structs.replace(call, id=f"call_{seed}{number:02}") for number, call in enumerate(made)
    )


def _chosen(offered: Mapping[str, Any], choice: Any, last: Json, prompt: str) -> list[str]:
    if not offered or choice == "none":
        return []
    if isinstance(choice, Mapping):
        named = _name(choice)
        if named not in offered:
            raise BadRequest(f"Tool choice {named!r} is not among the tools.", "tool_choice")
        return [named]
    asked_for = [name for name in offered if _asked_for(name, prompt)]
    if choice in ("required", "any"):
        return asked_for or [next(iter(offered))]
    if last["role"] != "user":  # it has just been told what the tool says
        return []
    return asked_for or ([next(iter(offered))] if _USE.search(prompt) else [])


def _asked_for(name: str, prompt: str) -> bool:
    """Whether a prompt speaks of a tool: by its name, or by its telling words (`get_weather`: weather)."""
    said = prompt.lower()
    words = [word for word in re.findall(r"[a-z]{4,}", name.lower()) if word not in _DULL]
    return name.lower() in said or (bool(words) and all(word in said for word in words))


def _made(tool: Json, name: str, prompt: str) -> list[ToolCall]:
    """One call; one for each name where the prompt joins several (`in Paris and Rome`)."""
    if tool.get("type") == "custom":
        return [ToolCall(name=name, arguments=prompt[:200] or "input", custom=True)]
    function = tool.get("function")
    schema = function.get("parameters") if isinstance(function, Mapping) else None
    schema = schema if isinstance(schema, Mapping) else {"type": "object", "properties": {}}
    names = names_in(prompt)
    prompts = [prompt]
    if len(names) > 1 and _JOINED.search(prompt) and _takes_one_text(schema):
        every = re.compile("|".join(re.escape(one) for one in sorted(names, key=len, reverse=True)))
        prompts = [every.sub(lambda _, kept=one: kept, prompt) for one in names]  # type: ignore[misc]  # a bound default
    try:
        values = [msgspec.json.encode(value_for(schema, text)).decode() for text in prompts]
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise BadRequest(f"The parameters of {name!r} are not a JSON schema.", "tools") from error
    return [ToolCall(name=name, arguments=value) for value in dict.fromkeys(values)]


def _takes_one_text(schema: Json) -> bool:
    properties = schema.get("properties")
    texts = [one for one in properties.values() if _is_text(one)] if isinstance(properties, Mapping) else []
    return len(texts) == 1


def _is_text(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "string" and "enum" not in schema


def _name(tool: Json) -> str:
    inner = tool.get(str(tool.get("type")))
    return str(inner.get("name", "")) if isinstance(inner, Mapping) else ""
