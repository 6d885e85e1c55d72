"""Hand-written answers and what a test does with them: cut, pass through, fill the holes, read."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from plugin_sdk.protocol import Answer, End, Facts, Meta, Piece, Price, ResponseStream
from plugins.protocols.openai_chat import OpenAIChat

GENERATION = "G-01JQ0000000000000000000000"
NATIVE = "chatcmpl-9xAbC"
PRICING = {"total_nanos": 7}
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
DONE = b"data: [DONE]\n\n"
CHAT = OpenAIChat()


def event(value: Any, *, name: str = "", compact: bool = True) -> bytes:
    """One server-sent event."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":") if compact else None)
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {text}\n\n".encode()


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk as most providers send it; a `None` delta is a chunk without choices."""
    choices = (
        [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    )
    head = {"id": NATIVE, "object": "chat.completion.chunk", "created": 1772409600, "model": "up-1"}
    return {name: value for name, value in {**head, "choices": choices, **more}.items() if value is not ...}


def whole(message: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A whole body."""
    message = message or {"role": "assistant", "content": "Hi", "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    head = {"id": NATIVE, "object": "chat.completion", "created": 1772409600, "model": "up-1"}
    return {**head, "choices": [choice], "usage": dict(USAGE), **more}


def plain_stream(words: Sequence[str] = ("He", "llo", " wor", "ld \U0001f642", '"q"\n')) -> bytes:
    """A stream of text with a finish and a usage event."""
    return b"".join(
        [
            event(chunk({"role": "assistant", "content": ""}, usage=None)),
            *(event(chunk({"content": word}, usage=None)) for word in words),
            event(chunk({}, "stop", usage=None)),
            event(chunk(usage=dict(USAGE))),
            DONE,
        ]
    )


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


def answer(**fields: Any) -> Answer:
    return Answer(
        **{"generation_id": GENERATION, "stream": True, "usage_event": True, "model": "m", **fields}
    )


def through(stream: ResponseStream, chunks: Iterable[bytes]) -> list[Piece]:
    pieces = [piece for data in chunks for piece in stream.feed(data)]
    return pieces + stream.close()


def passed(body: bytes, *, size: int | None = None, **fields: Any) -> tuple[bytes, Facts]:
    """What the client gets in pass-through, its holes filled, and the facts."""
    stream = CHAT.splice(answer(**fields))
    pieces = through(stream, [body] if size is None else cut(body, size))
    return filled(pieces, meta=fields.get("meta", False)), stream.facts


def filled(pieces: Iterable[Piece], *, meta: bool = False) -> bytes:
    return b"".join(_filled(piece, meta=meta) for piece in pieces)


def _filled(piece: Piece, *, meta: bool) -> bytes:
    if isinstance(piece, Price):
        return b'%b"%b":%b' % (b"" if piece.empty else b",", piece.key.encode(), json.dumps(PRICING).encode())
    if isinstance(piece, Meta):
        return b',"meta":{"latency_ms":1}' if meta else b""
    return b"" if isinstance(piece, End) else piece


def events(body: bytes) -> list[Any]:
    """The decoded data of a stream's events; [DONE] and what is no JSON as text."""
    found = []
    for line in body.decode().split("\n"):
        if line.startswith("data:"):
            text = line[5:].strip()
            try:
                found.append(json.loads(text))
            except ValueError:
                found.append(text)
    return found
