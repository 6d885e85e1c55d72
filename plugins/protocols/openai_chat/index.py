"""A cheap view of a client's request, and the same bytes made into an upstream's: nothing is decoded that is not used."""

from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec

from plugin_sdk.errors import InvalidRequest, ModelRequired
from plugin_sdk.estimate import input_tokens
from plugin_sdk.json_object import JsonObject
from plugin_sdk.protocol import GATEWAY_FIELDS, RequestView, Target, UpstreamRequest

PATH: Final = "/chat/completions"
HEADERS: Final = {
    "content-type": "application/json",
    "accept": "application/json",
    "accept-encoding": "identity",
}
STREAM_HEADERS: Final = {**HEADERS, "accept": "text/event-stream"}

# The first that is present wins (contract 1.1). The last is the gateway's own: no upstream of this protocol has it.
LIMITS: Final = ("max_completion_tokens", "max_tokens", "max_output_tokens")
OWN_LIMIT: Final = "max_output_tokens"

_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Text = Annotated[str, msgspec.Meta(min_length=1)]

# Types only: ranges and the contents of messages are the upstream's to judge, unless we translate.
TYPES: Final[dict[str, Any]] = {
    "model": _Text,
    "stream": bool,
    "n": _Positive,
    "max_completion_tokens": _Positive,
    "max_tokens": _Positive,
    "max_output_tokens": _Positive,
    "stream_options": dict[str, Any],
    "temperature": float,
    "top_p": float,
    "top_k": float,  # some SDKs send 40.0
    "frequency_penalty": float,
    "presence_penalty": float,
    "seed": int,
    "stop": str | list[str],
    "logit_bias": dict[str, Any],
    "logprobs": bool,
    "top_logprobs": int,
    "tools": list[dict[str, Any]],
    "tool_choice": str | dict[str, Any],
    "parallel_tool_calls": bool,
    "max_tool_calls": int,
    "functions": list[dict[str, Any]],
    "function_call": str | dict[str, Any],
    "response_format": str | dict[str, Any],
    "modalities": list[str],
    "response_modalities": list[str],
    "audio": dict[str, Any],
    "image_config": dict[str, Any],
    "prediction": dict[str, Any],
    "reasoning": dict[str, Any],
    "reasoning_effort": str,
    "thinking": dict[str, Any],
    "system": str,
    "service_tier": str,
    "metadata": dict[str, Any],
    "store": bool,
    "user": str,
    "safety_identifier": str,
    "prompt_cache_key": str,
    "session_id": str,
    "web_search_options": dict[str, Any],
    "verbosity": str,
    "models": list[str],
    "plugins": list[Any],
}
# Known, and of any type: what the protocol's SDKs and the contract's clients send.
ANY: Final = frozenset(
    {"messages", "prompt_cache_retention", "prompt_cache_options", "moderation", "speed", "route", "trace"}
)
KNOWN: Final = ANY | GATEWAY_FIELDS | set(TYPES)

_DECODERS: Final[dict[str, Callable[[bytes], Any]]] = {
    name: msgspec.json.Decoder(kind).decode for name, kind in TYPES.items()
}
_WORDS: Final = {
    bool: "true or false", int: "an integer", float: "a number", str: "a string", _Positive: "a positive integer",
    _Text: "a non-empty string",
}  # fmt: skip


class _Turn(msgspec.Struct):
    content: msgspec.Raw = msgspec.Raw(b"null")


_turns = msgspec.json.Decoder(list[_Turn]).decode
_any = msgspec.json.Decoder().decode
_encode = msgspec.json.encode
# Those that `index` needs itself; the others are checked only.
_READ: Final = frozenset({"model", "stream", "n", *LIMITS, "stream_options"})


class Found(msgspec.Struct, frozen=True):
    """The view's notes for `patch` and `parse`: the body's top level, and the limit fields that the client set."""

    object: JsonObject
    limits: tuple[str, ...]
    options: dict[str, Any] | None


def index(body: bytes) -> RequestView:
    """The view of a body. Raises InvalidJson, InvalidRequest or ModelRequired."""
    top = JsonObject(body)
    fields, unknown = _checked(top)
    model = fields.get("model")
    if model is None:
        raise ModelRequired("The request names no model: set `model`.", param="model")
    limits = tuple(name for name in LIMITS if name in fields)
    options = fields.get("stream_options")
    usage = _flag(top, "usage", "include")
    meta = _flag(top, "meta", "include")
    return RequestView(
        body=body,
        model=model,
        stream=fields.get("stream", False),
        choices=fields.get("n", 1),
        max_output=fields[limits[0]] if limits else None,
        input_estimate=input_tokens(len(body), _media(top)),
        usage_event=usage or meta or (options is not None and options.get("include_usage") is True),
        meta=meta,
        unknown=unknown,
        preferences=_preferences(top),
        native=Found(top, limits, options),
    )


def _checked(top: JsonObject) -> tuple[dict[str, Any], tuple[str, ...]]:
    """(the values that the view needs, the names nobody knows); raises with every wrong field at once."""
    fields: dict[str, Any] = {}
    unknown: list[str] = []
    wrong: list[dict[str, Any]] = []
    for name, value in top.values.items():
        if (decode := _DECODERS.get(name)) is None:
            if name not in KNOWN:
                unknown.append(name)
            continue
        if memoryview(value) == b"null":  # an explicit null is an absent field
            continue
        try:
            found = decode(value)
        except msgspec.ValidationError as error:
            wrong.append(_detail(name, error))
            continue
        if name in _READ:
            fields[name] = found
    if (problem := _messages_problem(top)) is not None:
        wrong.insert(0, problem)
    if wrong:
        first = wrong[0]
        raise InvalidRequest(first["message"], param=".".join(map(str, first["path"])), details=wrong)
    return fields, tuple(unknown)


def _messages_problem(top: JsonObject) -> dict[str, Any] | None:
    """What is wrong with `messages`, which must be a list of at least one; its contents are not looked at."""
    raw = top.values.get("messages")
    if raw is None:
        return {
            "message": "`messages` is required.", "path": ["messages"], "keyword": "required",
            "params": {"missingProperty": "messages"},
        }  # fmt: skip
    view = memoryview(raw)
    if view[0] != ord("["):
        return {
            "message": "`messages` must be a list.", "path": ["messages"], "keyword": "type",
            "params": {"type": "array"},
        }  # fmt: skip
    if not bytes(view[1:-1]).strip():
        return {
            "message": "`messages` must hold at least one message.", "path": ["messages"],
            "keyword": "minItems", "params": {"limit": 1},
        }  # fmt: skip
    return None


def _media(top: JsonObject) -> list[bytes]:
    """The contents of messages that are lists of parts: text cannot carry media."""
    raw = top.values["messages"]
    try:
        turns = _turns(raw)
    except msgspec.ValidationError:  # not even objects: the upstream will say so
        return [bytes(raw)]
    return [bytes(turn.content) for turn in turns if memoryview(turn.content)[0] == ord("[")]


def _detail(name: str, error: msgspec.ValidationError) -> dict[str, Any]:
    kind = TYPES[name]
    words = _WORDS.get(kind)
    said = f"`{name}` must be {words}." if words else f"`{name}` has the wrong type: {error}."
    keyword = "minimum" if ">= 1" in str(error) else "type"
    params = {"limit": 1} if keyword == "minimum" else {"expected": words or str(error)}
    return {"message": said, "path": [name], "keyword": keyword, "params": params}


def _flag(top: JsonObject, name: str, inner: str) -> bool:
    """Whether a field of the gateway's own says yes: `true`, or an object that says so."""
    raw = top.values.get(name)
    if raw is None:
        return False
    value = _any(raw)
    return value is True or (isinstance(value, dict) and value.get(inner) is True)


def _preferences(top: JsonObject) -> dict[str, Any] | None:
    raw = top.values.get("provider")
    if raw is None:
        return None
    value = _any(raw)
    if value is not None and not isinstance(value, dict):
        raise InvalidRequest(
            "`provider` must be an object.", param="provider",
            details=[{"message": "`provider` must be an object.", "path": ["provider"], "keyword": "type",
                      "params": {"type": "object"}}],
        )  # fmt: skip
    return value


def patch(view: RequestView, target: Target) -> UpstreamRequest:
    """The client's own bytes for an upstream of the same protocol."""
    found: Found = view.native
    changes = {"model": _encode(target.model)}
    without = set(GATEWAY_FIELDS)
    if view.stream and target.stream_usage:
        options = found.options or {}
        if options.get("include_usage") is not True:
            changes["stream_options"] = _encode({**options, "include_usage": True})
    _limit(view, target, changes, without)
    if "system" in found.object.values:
        without.add("system")
        _prepend_system(found.object, changes)
    return UpstreamRequest(
        method="POST",
        url=target.base_url.rstrip("/") + PATH,
        headers=dict(STREAM_HEADERS if view.stream else HEADERS),
        body=found.object.edited(changes, without),
    )


def _limit(view: RequestView, target: Target, changes: dict[str, bytes], without: set[str]) -> None:
    """Clamp the limit fields that are there; without one of the protocol's own, add the one the provider names."""
    native = [name for name in view.native.limits if name != OWN_LIMIT]
    if OWN_LIMIT in view.native.limits:
        without.add(OWN_LIMIT)
    limit = target.output_limit
    if limit is None:
        limit = view.max_output if not native else None
    if limit is not None:
        for name in native or [target.output_limit_field]:
            changes[name] = b"%d" % limit


def _prepend_system(top: JsonObject, changes: dict[str, bytes]) -> None:
    """The contract's `system` field becomes the first message."""
    system = _any(top.values["system"])
    if system:
        messages = (top.raw("messages") or b"[]").lstrip()
        message = _encode({"role": "system", "content": system})
        changes["messages"] = b"[" + message + b"," + messages[1:]
