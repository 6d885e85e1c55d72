"""Hand-written answers of this protocol, and what a test does with them."""

import json
from contextlib import suppress
from typing import Any

from plugins.protocols.openai_responses import OpenAIResponses
from tests.plugins.openai_chat.wire import GENERATION, PRICING, answer, cut, filled, through

__all__ = [
    "GENERATION", "NATIVE", "PRICING", "RESPONSES", "answer", "cut", "events", "filled",
    "sse", "stream", "through", "whole",
]  # fmt: skip

RESPONSES = OpenAIResponses()
NATIVE = "resp_9xAbC"
USAGE = {
    "input_tokens": 12,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 19,
}


def message(text: str = "Hi", **more: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
    return {**head, "content": [part], **more}


def whole(*items: dict[str, Any], status: str = "completed", **more: Any) -> dict[str, Any]:
    """A whole body."""
    return {
        "id": NATIVE, "object": "response", "created_at": 1772409600, "status": status, "model": "up-1",
        "error": None, "incomplete_details": None, "instructions": None, "metadata": {},
        "parallel_tool_calls": True, "temperature": 1.0, "top_p": 1.0, "tool_choice": "auto", "tools": [],
        "output": list(items or (message(),)), "usage": dict(USAGE), **more,
    }  # fmt: skip


def stream(text: str = "Hi there", **more: Any) -> bytes:
    """A stream of one message, as its own service sends it."""
    begun = {**whole(), "status": "in_progress", "output": [], "usage": None}
    item = message(text)
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    found: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "content": [], "status": "in_progress"},
        },
        {"type": "response.content_part.added", **place, "part": empty},
        *(
            {"type": "response.output_text.delta", **place, "delta": text[at : at + 3], "logprobs": []}
            for at in range(0, len(text), 3)
        ),
        {"type": "response.output_text.done", **place, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": item["content"][0]},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole(item, **more)},
    ]
    return sse(*found)


def sse(*found: dict[str, Any]) -> bytes:
    """Events, numbered."""
    return b"".join(
        f"event: {one['type']}\ndata: {json.dumps({**one, 'sequence_number': at})}\n\n".encode()
        for at, one in enumerate(found)
    )


def events(raw: bytes) -> list[Any]:
    """The data of each event that is JSON."""
    found = []
    for line in raw.replace(b"\r\n", b"\n").split(b"\n"):
        if line.startswith(b"data:"):
            with suppress(ValueError):
                found.append(json.loads(line[5:]))
    return found
