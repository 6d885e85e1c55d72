"""The messages of a chat request: their text, what they show, what they cost."""

from collections.abc import Mapping
from typing import Any

import msgspec

from plugins.providers.simulator import media
from plugins.providers.simulator.tokens import PER_MESSAGE, count

Json = Mapping[str, Any]


class BadRequest(Exception):
    """What an upstream answers with 400: `param` is the field at fault."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


def messages_of(request: Json) -> list[Json]:
    """The request's messages, at least one; raise BadRequest on what is none."""
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("'messages' must be a list with at least one message.", "messages")
    for place, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise BadRequest("A message is an object with a role.", f"messages[{place}]")
    return messages


def text_of(message: Json) -> str:
    """What a message says, its text parts joined."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in _parts(message, "text"))


def prompt_of(messages: list[Json]) -> str:
    """What the user said last."""
    return next((text_of(message) for message in reversed(messages) if message["role"] == "user"), "")


def pictures(message: Json) -> list[tuple[str, int]]:
    """(what it is, in words; its tokens) of each picture in a message."""
    return [media.picture(part) for part in _parts(message, "image_url")]


def sounds(message: Json) -> list[tuple[str, int]]:
    """(what it is, in words; its tokens) of each sound in a message."""
    return [media.sound(part) for part in _parts(message, "input_audio")]


def cost(message: Json) -> int:
    """The tokens of a message with everything in it."""
    calls = count(msgspec.json.encode(message["tool_calls"]).decode()) if message.get("tool_calls") else 0
    shown = sum(size for _, size in [*pictures(message), *sounds(message)])
    return PER_MESSAGE + count(text_of(message)) + calls + shown


def _parts(message: Json, kind: str) -> list[Json]:
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return [part for part in parts if isinstance(part, Mapping) and part.get("type") == kind]
