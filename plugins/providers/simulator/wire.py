"""A completion on the wire: one JSON body, or a stream of server-sent events."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Final

import msgspec

from plugins.providers.simulator.chat import Choice, Completion
from plugins.providers.simulator.tokens import tokens
from plugins.providers.simulator.tools import ToolCall

CREATED: Final = 1_767_225_600  # always the same, so that an answer depends on nothing but its request
DONE: Final = b"data: [DONE]\n\n"
_TOKENS_PER_EVENT: Final = 3


def body(completion: Completion, *, usage: bool = True) -> bytes:
    """The answer that is not streamed."""
    choices = [_whole(completion, place, choice) for place, choice in enumerate(completion.choices)]
    answer = _head(completion, "chat.completion") | {"choices": choices}
    return msgspec.json.encode(answer | {"usage": usage_of(completion)} if usage else answer)


def events(completion: Completion, *, usage: bool) -> Iterator[bytes]:
    """Every event before `[DONE]`; `usage` is what the client set `stream_options.include_usage` to."""
    head = _head(completion, "chat.completion.chunk")
    blank = {"usage": None} if usage else {}
    for place, choice in enumerate(completion.choices):
        for delta, finish, logprobs in _deltas(completion, choice):
            one = {"index": place, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
            yield event(head | {"choices": [one]} | blank)
    if usage:
        yield event(head | {"choices": [], "usage": usage_of(completion)})


def event(data: object) -> bytes:
    """One server-sent event."""
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def usage_of(completion: Completion) -> dict[str, Any]:
    """The usage object: totals, and the parts that they contain."""
    prompt, said = completion.prompt_tokens, completion.completion_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": said,
        "total_tokens": prompt + said,
        "prompt_tokens_details": {
            "cached_tokens": completion.cached_tokens,
            "audio_tokens": completion.audio_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": completion.reasoning_tokens, "audio_tokens": 0},
    }


def _head(completion: Completion, kind: str) -> dict[str, Any]:
    head = {"id": completion.id, "object": kind, "created": CREATED, "model": completion.model}
    if completion.service_tier:
        head["service_tier"] = completion.service_tier
    return head | {"system_fingerprint": "fp_simulator"}


def _whole(completion: Completion, place: int, choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.content or None, "refusal": None}
    if not choice.calls:
        message["content"] = choice.content
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.calls:
        message["tool_calls"] = [_called(call) for call in choice.calls]
    logprobs = _logprobs(tokens(choice.content), completion.top_logprobs)
    return {"index": place, "message": message, "logprobs": logprobs, "finish_reason": choice.finish}


def _deltas(completion: Completion, choice: Choice) -> Iterator[tuple[dict[str, Any], str | None, Any]]:
    yield {"role": "assistant", "content": "" if not choice.calls else None, "refusal": None}, None, None
    for piece in _grouped(choice.reasoning):
        yield {"reasoning_content": "".join(piece)}, None, None
    for piece in _grouped(choice.content):
        yield {"content": "".join(piece)}, None, _logprobs(piece, completion.top_logprobs)
    for place, call in enumerate(choice.calls):
        field = "input" if call.custom else "arguments"
        kind = "custom" if call.custom else "function"
        opened = {"index": place, "id": call.id, "type": kind, kind: {"name": call.name, field: ""}}
        yield {"tool_calls": [opened]}, None, None
        for piece in _grouped(call.arguments):
            yield {"tool_calls": [{"index": place, kind: {field: "".join(piece)}}]}, None, None
    yield {}, choice.finish, None


def _grouped(text: str) -> Iterator[list[str]]:
    pieces = tokens(text)
    for at in range(0, len(pieces), _TOKENS_PER_EVENT):
        yield pieces[at : at + _TOKENS_PER_EVENT]


def _called(call: ToolCall) -> dict[str, Any]:
    if call.custom:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _logprobs(pieces: list[str], top: int | None) -> dict[str, Any] | None:
    if top is None:
        return None
    return {"content": [_logprob(piece, top) for piece in pieces], "refusal": None}


def _logprob(piece: str, top: int) -> dict[str, Any]:
    def at(token: str, logprob: float) -> dict[str, Any]:
        return {"token": token, "logprob": logprob, "bytes": list(token.encode())}

    sure = -sha256(piece.encode()).digest()[0] / 512  # between 0 and -0.5
    others = [at(f"{piece}{place}", sure - place) for place in range(1, top)]
    return at(piece, sure) | {"top_logprobs": [at(piece, sure), *others][:top]}
