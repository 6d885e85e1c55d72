"""A cheap view of a client's request: nothing is decoded that is not used."""

from typing import Any, Final

import msgspec

from plugin_sdk.errors import InvalidRequest, ModelRequired
from plugin_sdk.estimate import input_tokens
from plugin_sdk.json_object import JsonObject
from plugin_sdk.protocol import RequestView
from plugins.protocols.openai_chat.fields import DECODERS, KNOWN, LIMITS, detail

# Those that the view needs; the others are checked only.
_READ: Final = frozenset({"model", "stream", "n", *LIMITS, "stream_options"})
_any = msgspec.json.Decoder().decode


class Found(msgspec.Struct, frozen=True):
    """The view's notes for `patch`: the body's top level, the limit fields and stream options that it has."""

    object: JsonObject
    limits: tuple[str, ...]
    options: dict[str, Any] | None


class _Turn(msgspec.Struct):
    content: msgspec.Raw = msgspec.Raw(b"null")


_turns = msgspec.json.Decoder(list[_Turn]).decode


def index(body: bytes) -> RequestView:
    """The view of a body. Raises InvalidJson, InvalidRequest or ModelRequired."""
    top = JsonObject(body)
    fields, unknown = _checked(top)
    model = fields.get("model")
    if model is None:
        raise ModelRequired("The request names no model: set `model`.", param="model")
    limits = tuple(name for name in LIMITS if name in fields)
    options = fields.get("stream_options")
    meta = _flag(top, "meta")
    asked = meta or _flag(top, "usage") or (options is not None and options.get("include_usage") is True)
    return RequestView(
        body=body,
        model=model,
        stream=fields.get("stream", False),
        choices=fields.get("n", 1),
        max_output=fields[limits[0]] if limits else None,
        input_estimate=input_tokens(len(body), _media(top)),
        usage_event=asked,
        meta=meta,
        unknown=unknown,
        preferences=_preferences(top),
        native=Found(top, limits, options),
    )


def _checked(top: JsonObject) -> tuple[dict[str, Any], tuple[str, ...]]:
    """(the values that the view needs, the names nobody knows); raises with every wrong field at once."""
    fields: dict[str, Any] = {}
    unknown: list[str] = []
    wrong = _messages_problem(top)
    for name, value in top.values.items():
        if (decode := DECODERS.get(name)) is None:
            if name not in KNOWN:
                unknown.append(name)
            continue
        try:
            found = decode(value)
        except msgspec.ValidationError as error:
            if bytes(value) != b"null":  # an explicit null is an absent field
                wrong.append(detail(name, error))
            continue
        if name in _READ:
            fields[name] = found
    if wrong:
        raise _invalid(wrong)
    return fields, tuple(unknown)


def _messages_problem(top: JsonObject) -> list[dict[str, Any]]:
    """What is wrong with `messages`, which must be a list of at least one; its contents are not looked at."""
    raw = top.raw("messages")
    if raw is None:
        return [_problem("messages", "is required", "required", {"missingProperty": "messages"})]
    if not raw.startswith(b"["):
        return [_problem("messages", "must be a list", "type", {"expected": "a list"})]
    if not raw[1:-1].strip():
        return [_problem("messages", "must hold at least one message", "minItems", {"limit": 1})]
    return []


def _media(top: JsonObject) -> list[bytes]:
    """The contents of messages that are lists of parts: plain text cannot carry media."""
    raw = top.values["messages"]
    try:
        turns = _turns(raw)
    except msgspec.ValidationError:  # not even objects: the upstream will say so
        return [bytes(raw)]
    return [bytes(turn.content) for turn in turns if memoryview(turn.content)[0] == ord("[")]


def _flag(top: JsonObject, name: str) -> bool:
    """Whether a field of the gateway's own says yes: `true`, or `{"include": true}`."""
    raw = top.values.get(name)
    if raw is None:
        return False
    value = _any(raw)
    return value is True or (isinstance(value, dict) and value.get("include") is True)


def _preferences(top: JsonObject) -> dict[str, Any] | None:
    raw = top.values.get("provider")
    value = None if raw is None else _any(raw)
    if value is not None and not isinstance(value, dict):
        raise _invalid([_problem("provider", "must be an object", "type", {"expected": "an object"})])
    return value


def _problem(name: str, said: str, keyword: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"message": f"`{name}` {said}.", "path": [name], "keyword": keyword, "params": params}


def _invalid(wrong: list[dict[str, Any]]) -> InvalidRequest:
    return InvalidRequest(wrong[0]["message"], param=wrong[0]["path"][0], details=wrong)
