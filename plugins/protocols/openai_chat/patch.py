"""Pass-through of a request: the client's own bytes, made into an upstream's."""

from typing import Final

import msgspec

from plugin_sdk.json_object import JsonObject
from plugin_sdk.protocol import GATEWAY_FIELDS, RequestView, Target, UpstreamRequest
from plugins.protocols.openai_chat.fields import OWN_LIMIT
from plugins.protocols.openai_chat.index import Found

PATH: Final = "/chat/completions"
_HEADERS: Final = {
    "content-type": "application/json",
    "accept": "application/json",
    "accept-encoding": "identity",
}
_STREAM_HEADERS: Final = {**_HEADERS, "accept": "text/event-stream"}

_encode = msgspec.json.encode
_any = msgspec.json.Decoder().decode


def post(target: Target, body: bytes, *, stream: bool) -> UpstreamRequest:
    """The request of a body."""
    return UpstreamRequest(
        method="POST",
        url=target.base_url.rstrip("/") + PATH,
        headers=dict(_STREAM_HEADERS if stream else _HEADERS),
        body=body,
    )


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
    return post(target, found.object.edited(changes, without), stream=view.stream)


def _limit(view: RequestView, target: Target, changes: dict[str, bytes], without: set[str]) -> None:
    """Clamp the limit fields that are there; without one of the protocol's own, add the provider's choice."""
    native = [name for name in view.native.limits if name != OWN_LIMIT]
    if OWN_LIMIT in view.native.limits:
        without.add(OWN_LIMIT)
    limit = target.output_limit
    if limit is None and not native:
        limit = view.max_output
    if limit is not None:
        for name in native or [target.output_limit_field]:
            changes[name] = b"%d" % limit


def _prepend_system(top: JsonObject, changes: dict[str, bytes]) -> None:
    """The contract's `system` field becomes the first message."""
    system = _any(top.values["system"])
    if system:
        message = _encode({"role": "system", "content": system})
        changes["messages"] = b"[" + message + b"," + bytes(top.values["messages"])[1:]
