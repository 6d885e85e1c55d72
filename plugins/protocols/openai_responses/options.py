"""The knobs of a request, in both directions."""

from collections.abc import Mapping
from typing import Any, Final, cast

from plugin_sdk.text import (
    BuiltInTool,
    Conversation,
    Reasoning,
    ResponseFormat,
    Tool,
    ToolChoice,
)

# Field here -> field of a Conversation, where the values are the same.
PLAIN: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_logprobs": "top_logprobs",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "parallel_tool_calls": "parallel_tool_calls",
    "max_tool_calls": "max_tool_calls",
    "metadata": "metadata",
    "user": "user",
    "store": "store",
    "prompt_cache_key": "cache_key",
    "service_tier": "service_tier",
    "speed": "speed",
    "stream": "stream",
}
NAMELESS: Final = "answer"  # a schema needs a name


LOGPROBS: Final = "message.output_text.logprobs"
REASONING: Final = "reasoning.encrypted_content"  # an answer of another protocol's holds it in any case


def read_include(rest: dict[str, Any], spellings: dict[str, str]) -> dict[str, Any]:
    """The fields of a Conversation that `include` says; it stays in `rest` where it asks for more."""
    include = rest.get("include")
    if not isinstance(include, list):
        return {}
    if set(include) <= {LOGPROBS, REASONING}:
        spellings["include"] = ",".join(rest.pop("include"))
    return {"logprobs": True} if LOGPROBS in include else {}


def read_options(rest: dict[str, Any]) -> dict[str, Any]:
    """The fields of a Conversation that `rest` says; they are taken out of it."""
    fields: dict[str, Any] = {field: rest.pop(name) for name, field in PLAIN.items() if name in rest}
    for name in ("max_output_tokens", "max_completion_tokens"):
        if name in rest and "max_output_tokens" not in fields:
            fields["max_output_tokens"] = rest.pop(name)
    if "tools" in rest:
        fields["tools"] = tuple(_tool(raw) for raw in rest.pop("tools"))
    if "tool_choice" in rest:
        fields["tool_choice"] = _choice(rest.pop("tool_choice"))
    if isinstance(rest.get("reasoning"), dict):
        fields["reasoning"] = _reasoning(dict(rest.pop("reasoning")))
    _text(rest, fields)
    return fields


def _tool(raw: dict[str, Any]) -> Tool | BuiltInTool:
    rest = dict(raw)
    kind = rest.pop("type", None)
    name = rest.get("name")
    if kind not in ("function", "custom") or not isinstance(name, str):
        return BuiltInTool(kind=str(kind), value=raw)
    rest.pop("name")
    taken: dict[str, Any] = {}
    for field, wanted in (("description", str), ("parameters", dict), ("strict", bool)):
        if isinstance(rest.get(field), wanted) and (kind == "function" or field == "description"):
            taken[field] = rest.pop(field)
    return Tool(name=name, kind=cast("Any", kind), extra=rest, **taken)


def _choice(raw: Any) -> ToolChoice:
    if raw in ("auto", "none", "required"):
        return ToolChoice(mode=raw)
    if raw == "any":
        return ToolChoice(mode="required", spelling="any")
    if isinstance(raw, dict) and raw.get("type") in ("function", "custom") and set(raw) == {"type", "name"}:
        return ToolChoice(mode="tool", name=raw["name"], spelling=raw["type"])
    return ToolChoice(mode="opaque", native=raw)


def _reasoning(inner: dict[str, Any]) -> Reasoning:
    taken = {
        name: inner.pop(name)
        for name, kind in (("effort", str), ("summary", str), ("enabled", bool))
        if isinstance(inner.get(name), kind)
    }
    budget = inner.pop("max_tokens") if isinstance(inner.get("max_tokens"), int) else None
    return Reasoning(budget=budget, extra=inner, **taken)


def _text(rest: dict[str, Any], fields: dict[str, Any]) -> None:
    """`text: {format, verbosity}`; `response_format` is an alias of ours for the format."""
    said = rest.pop("text") if isinstance(rest.get("text"), dict) else None
    text = dict(said or {})
    if isinstance(text.get("verbosity"), str):
        fields["verbosity"] = text.pop("verbosity")
    form = text.pop("format") if text.get("format") is not None else None
    if form is None and "response_format" in rest:
        form = rest.pop("response_format")
        if isinstance(form, str):
            form = {"type": form}
        if isinstance(form, dict) and isinstance(inner := form.get("json_schema"), dict):
            form = {"type": "json_schema", **inner}
    if form is not None:
        fields["response_format"] = _format(form)
    if text or said == {}:
        rest["text"] = text


def _format(raw: Any) -> ResponseFormat:
    kind = raw.get("type") if isinstance(raw, dict) else None
    if kind not in ("text", "json_object", "json_schema"):
        return ResponseFormat(kind="opaque", native=raw)
    inner = {name: value for name, value in raw.items() if name != "type"}
    taken: dict[str, Any] = {}
    for field, wanted in (("name", str), ("description", str), ("schema", dict), ("strict", bool)):
        if isinstance(inner.get(field), wanted):
            taken[field] = inner.pop(field)
    return ResponseFormat(kind=kind, extra=inner, **taken)


def write_options(request: Conversation, *, own: bool) -> dict[str, Any]:
    """The fields of a request that are no messages."""
    body: dict[str, Any] = {}
    for name, field in PLAIN.items():
        if (value := getattr(request, field)) is not None:
            body[name] = value
    if not own and body.pop("speed", None) == "fast":
        body.setdefault("service_tier", "priority")
    if (include := _written_include(request, own=own)) is not None:
        body["include"] = include
    if request.tools is not None:
        written = [_written_tool(tool, own=own) for tool in request.tools]
        body["tools"] = [tool for tool in written if tool is not None]
        if not body["tools"] and request.tools:
            del body["tools"]
    if (choice := request.tool_choice) is not None and (own or (choice.mode != "opaque" and "tools" in body)):
        body["tool_choice"] = _written_choice(choice, request, own=own)
    reasoning = _written_reasoning(request, own=own)
    if reasoning or (own and reasoning is not None):
        body["reasoning"] = reasoning
    if text := _written_text(request, own=own):
        body["text"] = text
    return body


def _written_include(request: Conversation, *, own: bool) -> list[str] | None:
    if own:
        spelled = request.spellings.get("include")
        return None if spelled is None else [word for word in spelled.split(",") if word]
    return [LOGPROBS] if request.logprobs else None


def _written_tool(tool: Tool | BuiltInTool, *, own: bool) -> dict[str, Any] | None:
    if isinstance(tool, BuiltInTool):
        return dict(tool.value) if own else None
    found: dict[str, Any] = {"type": tool.kind, "name": tool.name}
    if tool.description is not None:
        found["description"] = tool.description
    if tool.kind == "function":
        if tool.parameters is not None:
            found["parameters"] = tool.parameters
        elif not own:
            found["parameters"] = {"type": "object", "properties": {}}
        if tool.strict is not None:
            found["strict"] = tool.strict
        elif not own:
            found["strict"] = False  # here the default is true, and most schemas are not written for it
    return {**found, **(tool.extra if own else {})}


def _written_choice(choice: ToolChoice, request: Conversation, *, own: bool) -> Any:
    if choice.mode == "opaque":
        return choice.native
    if choice.mode == "tool":
        custom = any(
            isinstance(one, Tool) and one.name == choice.name and one.kind == "custom"
            for one in request.tools or ()
        )
        return {"type": choice.spelling if own else "custom" if custom else "function", "name": choice.name}
    return choice.spelling if own and choice.spelling else choice.mode


def _written_reasoning(request: Conversation, *, own: bool) -> dict[str, Any] | None:
    reasoning = request.reasoning
    if reasoning is None:
        return None
    found: dict[str, Any] = {}
    effort = reasoning.effort
    if effort is None and not own:
        effort = _effort(reasoning, request.max_output_tokens)
    if effort is not None:
        found["effort"] = effort
    if reasoning.summary is not None:
        found["summary"] = reasoning.summary
    elif not own and reasoning.include_thoughts:
        found["summary"] = "auto"
    if own:
        if reasoning.enabled is not None:
            found["enabled"] = reasoning.enabled
        if reasoning.budget is not None:
            found["max_tokens"] = reasoning.budget
        found.update(reasoning.extra)
    return found


def _effort(reasoning: Reasoning, limit: int | None) -> str | None:
    """The word for a budget, by its part of the limit on output (contract, section 8)."""
    if reasoning.enabled is False:
        return "none"
    if reasoning.budget is None:
        return "medium" if reasoning.enabled else None
    part = reasoning.budget / limit if limit else reasoning.budget / 32_000
    steps = ((0.15, "minimal"), (0.3, "low"), (0.5, "medium"))
    return next((word for most, word in steps if part <= most), "high")


def _written_text(request: Conversation, *, own: bool) -> dict[str, Any]:
    text: dict[str, Any] = dict(cast("Mapping[str, Any]", request.extra.get("text") or {})) if own else {}
    if request.verbosity is not None:
        text["verbosity"] = request.verbosity
    form = request.response_format
    if form is not None and (own or form.kind != "opaque"):
        text["format"] = _written_format(form, own=own)
    return text


def _written_format(form: ResponseFormat, *, own: bool) -> Any:
    if form.kind == "opaque":
        return form.native
    found: dict[str, Any] = {"type": form.kind}
    if form.kind == "json_schema" and not own:
        found["name"] = form.name or NAMELESS
    for name in ("name", "description", "schema", "strict"):
        if (value := getattr(form, name)) is not None:
            found[name] = value
    return {**found, **(form.extra if own else {})}
