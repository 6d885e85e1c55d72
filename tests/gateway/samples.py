"""Hand-written exchanges: one for each surprise that real providers hold, always at hand."""

from typing import Any, Final

from tests.gateway.exchanges import Exchange
from tests.gateway.upstream import sse

ASK: Final = [{"role": "user", "content": "Grüße an die Welt 🌍"}]
USAGE: Final = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
_WHOLE: Final = {"object": "chat.completion", "created": 1, "model": "m-1"}
_CHUNK: Final = {"object": "chat.completion.chunk", "created": 1, "model": "m-1"}


def answer(content: str = "Hello.", **more: Any) -> dict[str, Any]:
    """A whole answer as a provider would give it."""
    message = {"role": "assistant", "content": content, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", **_WHOLE, "choices": [choice], "usage": USAGE, **more}


def chunk(content: str | None = "Hel", finish: str | None = None, **more: Any) -> dict[str, Any]:
    """An event of a stream; no delta content where `content` is None."""
    delta = {} if content is None else {"role": "assistant", "content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-1", **_CHUNK, "choices": [choice], **more}


def usage_event(**figures: Any) -> dict[str, Any]:
    """The event that has usage and nothing else."""
    return {"id": "chatcmpl-1", **_CHUNK, "choices": [], "usage": {**USAGE, **figures}}


END: Final = (chunk("lo."), chunk(None, "stop"))


def _asked(name: str, body: bytes, *, status: int = 200, **request: Any) -> Exchange:
    return Exchange(
        id=f"{'stream' if request.get('stream') else 'whole'}-{name}", provider="sample",
        request={"model": "m-1", "messages": ASK, **request}, status=status, body=body,
    )  # fmt: skip


def _whole(name: str, body: Any, **request: Any) -> Exchange:
    return _asked(name, body if isinstance(body, bytes) else sse(body, done=False)[6:-2], **request)


def _stream(name: str, *events: Any, done: bool = True, asked: bool = True, **request: Any) -> Exchange:
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if asked else {}
    return _asked(name, sse(*events, done=done), stream=True, **options, **request)


_PRETTY: Final = b"""{
  "choices" : [ { "index": 0, "finish_reason": "stop", "score": 1.0e-7, "big": 12345678901234567890123,
    "message": { "role":"assistant", "content":"\\u00fc \\"id\\": \\"x\\" \\/ \\"usage\\": {}" } } ],
  "id"  :  "weird \\"id\\" \\u00e9",
  "usage" : { "prompt_tokens" : 12 , "completion_tokens" : 5 , "total_tokens" : 17 } ,
  "x_own": {"id": "inner", "usage": {"prompt_tokens": 1}}, "model": "m-1"
}
"""
_CALL: Final = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": "{}"}'}}
_TOOLS: Final = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
_TOLD: Final = {"content": None, "tool_calls": [_CALL]}
_COMMENT: Final = b": KEEPING YOU ALIVE"


def _tool_answer() -> dict[str, Any]:
    found = answer()
    found["choices"][0] |= {"message": {"role": "assistant", **_TOLD}, "finish_reason": "tool_calls"}
    return found


def _tool_chunk(**call: Any) -> dict[str, Any]:
    found = chunk()
    found["choices"][0]["delta"] = {"tool_calls": [{"index": 0, **call}]}
    return found


def _details(**details: Any) -> dict[str, Any]:
    return {"prompt_tokens_details": details}


def _reasoned(tokens: int, **more: Any) -> dict[str, Any]:
    return {"completion_tokens_details": {"reasoning_tokens": tokens}, **more}


def _without_id(value: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in value.items() if name != "id"}


SAMPLES: Final = (
    _whole("plain", answer()),
    _whole("pretty", _PRETTY),
    _whole("no-id", _without_id(answer())),
    _whole("no-usage", answer(usage=None)),
    _whole("tools", _tool_answer(), tools=_TOOLS, tool_choice="required", parallel_tool_calls=False),
    _whole("cached", answer(usage={**USAGE, **_details(cached_tokens=8)})),
    _whole("more-cached-than-prompt", answer(usage={**USAGE, **_details(cached_tokens=40)})),
    _whole("reasoning-inside", answer(usage={**USAGE, **_reasoned(3)})),
    _whole("reasoning-beside", answer(usage={**USAGE, **_reasoned(200), "total_tokens": 217})),
    _whole("unknown-fields", answer(x_new=[1, {"id": "no"}], x_groq={"usage": USAGE}), top_k=3, x_else=None),
    _whole("several", answer(), n=2, max_tokens=50, metadata={"a": "b"}, user="u"),
    _stream("plain", chunk(usage=None), *END, usage_event()),
    _stream("unasked", chunk(), *END, usage_event(), asked=False),
    _stream("usage-in-the-last", chunk(), chunk("lo."), chunk(None, "stop", usage=USAGE), asked=False),
    _stream("usage-in-each", chunk(usage=USAGE), chunk("lo.", usage=USAGE), chunk(None, "stop", usage=USAGE)),
    _stream("no-usage", chunk(), *END, asked=False),
    _stream("no-done", chunk(), *END, usage_event(), done=False),
    _stream("empty-finish", chunk(), chunk("lo."), chunk(None, ""), usage_event(), done=False),
    _stream("no-finish", chunk(), chunk("lo."), usage_event()),
    _stream("comments", _COMMENT, _COMMENT, chunk(), _COMMENT, *END, usage_event()),
    _stream("event-names", b"event: chunk\nid: 7\n" + sse(chunk(), done=False)[:-2], *END, usage_event()),
    _stream("changing-id", {**chunk(""), "id": ""}, {**chunk(), "id": "first"}, *END, usage_event()),
    _stream("no-ids", _without_id(chunk()), *map(_without_id, END), _without_id(usage_event())),
    _stream("tools", _tool_chunk(id="call_1", function={"name": "f", "arguments": ""}),
            _tool_chunk(function={"arguments": '{"a"'}), _tool_chunk(function={"arguments": ": 1}"}),
            chunk(None, "tool_calls"), usage_event(), tools=_TOOLS),
    _stream("beside", chunk(), *END, usage_event(**_reasoned(200), total_tokens=217)),
    _stream("error-first", b'event: error\ndata: {"error": {"message": "no such tool", "status_code": 400}}',
            done=False),
    _stream("error-midway", chunk(), b'data: {"error": {"message": "it broke", "code": 502}}', done=False),
    _stream("nothing", done=False),
    _whole("error-inside", b'{"error": {"message": "Provider returned error", "code": 502}, "user_id": "u"}'),
    _whole("nothing", b""),
    _whole("not-json", b"<html>down</html>"),
    _asked("refused", b'{"error": {"message": "no such voice", "type": "x", "code": "y"}}', status=400),
    _asked("detail", b'{"detail": "Invalid API Key"}', status=401),
    _asked("plain-error", b'{"code": "gone", "error": "The model is gone."}', status=404),
    _asked("too-many", b'{"error": {"message": "slow down"}}', status=429),
    _asked("down", b"", status=500),
)  # fmt: skip
