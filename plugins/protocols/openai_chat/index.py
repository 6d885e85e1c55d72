"""A cheap view of a client's request: nothing is decoded that is not used."""

from typing import Any

import msgspec

from plugin_sdk.artefacts import MARK
from plugin_sdk.estimate import input_tokens
from plugin_sdk.json_object import JsonObject
from plugin_sdk.price_rules import plan_of
from plugin_sdk.protocol import RequestView
from plugin_sdk.request_fields import filled_list, flag, model_of, preferences
from plugins.protocols.openai_chat.fields import FIELDS, LIMITS, SEARCH


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
    fields, unknown = FIELDS.checked(top, filled_list(top, "messages", "message"))
    model = model_of(fields)
    limits = tuple([name for name in LIMITS if name in fields])
    options = fields.get("stream_options")
    meta = flag(top, "meta")
    asked = meta or flag(top, "usage") or (options is not None and options.get("include_usage") is True)
    speed = "priority" if fields.get("speed") == "fast" else None
    search = fields.get(SEARCH)
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
        preferences=preferences(top),
        plan=plan_of(speed or fields.get("service_tier")),
        parameters={} if search is None else {SEARCH: search},
        sealed=MARK in body,
        native=Found(top, limits, options),
    )


def _media(top: JsonObject) -> list[bytes]:
    """The contents of messages that are lists of parts: plain text cannot carry media."""
    raw = top.values["messages"]
    if bytes(raw).rfind(b"[") == 0:  # no list in this one
        return []
    try:
        turns = _turns(raw)
    except msgspec.ValidationError:  # not even objects: the upstream will say so
        return [bytes(raw)]
    return [bytes(turn.content) for turn in turns if memoryview(turn.content)[0] == ord("[")]
