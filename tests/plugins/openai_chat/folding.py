"""A stream's chunks folded into the one body that a client makes of them."""

from collections.abc import Iterable
from typing import Any

PADDING = {"obfuscation", "p"}
_FIRST = {"id", "type", "object", "role", "expires_at", "name"}
_JOINED = {"content", "reasoning", "reasoning_content", "refusal", "arguments", "input", "data", "transcript"}


def folded(chunks: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """One body: text joined, lists appended, of everything else the last; nulls say nothing."""
    top: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for raw in chunk.get("choices") or []:
            _choice(choices.setdefault(raw.get("index", 0), {"message": {}}), dict(raw))
        top |= {
            name: value
            for name, value in chunk.items()
            if name not in PADDING and name != "choices" and value is not None
        }
    for choice in choices.values():
        message = choice["message"]
        message.pop("role", None)
        if "tool_calls" in message:
            message["tool_calls"] = list(message["tool_calls"].values())
    top.setdefault("object", "chat.completion.chunk")
    return {**top, "choices": [choices[index] for index in sorted(choices)]}


def _choice(into: dict[str, Any], raw: dict[str, Any]) -> None:
    delta, message = raw.pop("delta", None), raw.pop("message", None)
    side = delta if delta else message if not into["message"] else None
    _merge(into["message"], side or {})
    for name, found in (raw.pop("logprobs", None) or {}).items():
        if found is not None:
            kept = into.setdefault("logprobs", {})
            kept[name] = kept.get(name, []) + found if name in ("content", "refusal") else found
    into |= {name: value for name, value in raw.items() if value is not None and name != "index"}


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        before = into.get(name)
        if value is None or (name in _FIRST and before not in (None, "")):
            continue
        if name == "tool_calls":
            _calls(into.setdefault(name, {}), value)
        elif isinstance(before, dict) and isinstance(value, dict):
            _merge(before, value)
        elif type(before) is type(value) and (name in _JOINED or isinstance(value, list)):
            into[name] = before + value
        else:
            into[name] = dict(value) if isinstance(value, dict) else value


def _calls(into: dict[int, dict[str, Any]], calls: list[dict[str, Any]]) -> None:
    for raw in calls:
        call = {name: value for name, value in raw.items() if name != "index" and value != ""}
        index = raw.get("index")
        if index is None or (call.get("id") and into.get(index, call).get("id") not in (None, call["id"])):
            index = len(into)
        _merge(into.setdefault(index, {}), call)
