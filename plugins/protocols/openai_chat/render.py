"""Deltas as a client's answer: a stream chunk by chunk, or one whole body."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from typing_extensions import override

from plugin_sdk.protocol import END, META, Answer, Encoder, Piece, Price
from plugin_sdk.text import (
    AudioDelta,
    Citation,
    CitationsDelta,
    Delta,
    Failed,
    Finished,
    LogprobsDelta,
    MediaDelta,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallPart,
    UsageDelta,
)
from plugins.protocols.openai_chat.chunk import PRICING
from plugins.protocols.openai_chat.content import ID, REASONING, write_call, write_part
from plugins.protocols.openai_chat.errors import render_stream_error
from plugins.protocols.openai_chat.usage import usage_object

DONE: Final = b"data: [DONE]\n\n"
FINISHES: Final = {"other": "stop"}  # the word that the protocol's clients know for it
_CROCKFORD: Final = {letter: value for value, letter in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
_encode = msgspec.json.Encoder().encode


def created_at(generation_id: str) -> int:
    """The second in which a generation id (a ULID) was made; 0 for what is none."""
    letters = generation_id.removeprefix("G-")[:10]
    if len(letters) < 10 or any(letter not in _CROCKFORD for letter in letters):
        return 0
    value = 0
    for letter in letters:
        value = value * 32 + _CROCKFORD[letter]
    return value // 1000


class _Writer:
    """What both forms of an answer share: its head, and how a delta reads in this protocol's words."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.own = False
        self.started = False
        self.head: dict[str, Any] = {"id": answer.generation_id}
        self.calls: dict[tuple[int, int], int] = {}  # (choice, part) -> index among the choice's calls
        self.usage: UsageDelta | None = None

    def start(self, delta: Started, kind: str) -> None:
        """The fields that every object of the answer begins with."""
        self.own = delta.origin == ID
        self.started = True
        if delta.native_id is not None:
            self.head["nativeResponseId"] = delta.native_id
        self.head["object"] = kind
        created = delta.created if delta.created is not None else created_at(self.answer.generation_id)
        self.head["created"] = created
        model = delta.model if self.own or not self.answer.model else self.answer.model
        self.head["model"] = model if model is not None else self.answer.model
        if delta.service_tier is not None:
            self.head["service_tier"] = delta.service_tier

    def message(self, delta: Delta) -> dict[str, Any]:
        """The message fields of a content delta; lists hold what is new."""
        if isinstance(delta, TextDelta):
            return self._text(delta)
        if isinstance(delta, ReasoningDelta):
            return self._reasoning(delta)
        if isinstance(delta, RefusalDelta):
            return {"refusal": delta.text}
        if isinstance(delta, MediaDelta):
            image = write_part(
                msgspec.structs.replace(delta.media, spelling=delta.media.spelling), own=self.own
            )
            return {"images": [image]} if delta.media.kind == "image" else {}
        if isinstance(delta, AudioDelta):
            said = {
                "id": delta.id,
                "data": delta.data,
                "transcript": delta.transcript,
                "expires_at": delta.expires_at,
            }
            known = {name: value for name, value in said.items() if value is not None}
            return {"audio": {**known, **(delta.extra if self.own else {})}}
        if isinstance(delta, CitationsDelta):
            return {"annotations": [_annotation(citation, own=self.own) for citation in delta.citations]}
        if isinstance(delta, OpaqueDelta):
            return dict(delta.fields)
        return {}

    def _text(self, delta: TextDelta) -> dict[str, Any]:
        if not self.own or not delta.spelling:
            return {"content": delta.text}
        return {
            "content": [
                delta.text
                if delta.spelling == "bare"
                else {"type": "text", "text": delta.text, **delta.extra}
            ]
        }

    def _reasoning(self, delta: ReasoningDelta) -> dict[str, Any]:
        if not self.own:
            return {"reasoning_content": delta.text} if delta.text else {}
        if delta.spelling.startswith("thinking"):
            kept = [artefact.value for artefact in delta.artefacts if artefact.kind == "thinking"]
            plain = (
                delta.text if delta.spelling == "thinking text" else [{"type": "text", "text": delta.text}]
            )
            return {"content": [{"type": "thinking", "thinking": kept[0] if kept else plain, **delta.extra}]}
        fields: dict[str, Any] = {name: delta.text for name in delta.spelling.split() if name in REASONING}
        for artefact in delta.artefacts:
            if artefact.kind == "reasoning_details" and artefact.origin == ID:
                fields["reasoning_details"] = list(artefact.value)
        return fields

    def finish(self, delta: Finished) -> Any:
        """The `finish_reason`."""
        if self.own and delta.native is not None:
            return delta.native
        return FINISHES.get(delta.reason, delta.reason)

    def usage_object(self) -> dict[str, Any] | None:
        """The usage, in its origin's own words where it is of this protocol."""
        if self.usage is None:
            return None
        return dict(self.usage.native) if self.own and self.usage.native else usage_object(self.usage.usage)

    def call_index(self, choice: int, part: int) -> int:
        """The place of a tool call among those of its choice."""
        known = self.calls.get((choice, part))
        if known is None:
            known = self.calls[choice, part] = sum(1 for at, _ in self.calls if at == choice)
        return known


class StreamEncoder(Encoder):
    """A stream. The ends of the choices, the usage and [DONE] come in this order whatever order they are known in."""

    def __init__(self, answer: Answer) -> None:
        self._writer = _Writer(answer)
        self._answer = answer
        self._choices: set[int] = set()
        self._finished: set[int] = set()
        self._pending: dict[str, Any] = {}
        self._head = b""
        self._over = False

    @override
    def feed(self, delta: Delta) -> list[Piece]:
        if self._over:
            return []
        if isinstance(delta, Started):
            self._writer.start(delta, "chat.completion.chunk")
            self._head = _encode(self._writer.head)[:-1]
        elif isinstance(delta, UsageDelta):
            self._writer.usage = delta
        elif isinstance(delta, Failed):
            self._over = True
            return [render_stream_error(delta.error, self._answer.generation_id, None)]
        elif isinstance(delta, Finished):
            return self._finish(delta)
        else:
            return self._content(delta)
        return []

    @override
    def close(self) -> list[Piece]:
        if self._over:
            return []
        self._over = True
        if not self._writer.started:
            self._writer.start(Started(origin=""), "chat.completion.chunk")
            self._head = _encode(self._writer.head)[:-1]
        pieces: list[Piece] = []
        for choice in sorted(self._choices - self._finished or ({0} if not self._choices else set())):
            pieces += self._finish(Finished(reason="other", choice=choice))
        if self._answer.usage_event and (usage := self._writer.usage_object()) is not None:
            pieces += self._usage(usage)
        return [*pieces, END, DONE]

    def _content(self, delta: Delta) -> list[Piece]:
        if isinstance(delta, OpaqueDelta) and (not self._writer.own or delta.scope == "answer"):
            if self._writer.own:
                self._pending.update(delta.fields)
            return []
        choice = delta.choice
        if choice in self._finished:
            return []
        if (
            isinstance(delta, TextDelta)
            and choice in self._choices
            and not self._pending
            and not delta.spelling
        ):
            return [self._chunk(choice, b'{"content":%b}' % _encode(delta.text))]
        beside: dict[str, Any] = {}
        message: dict[str, Any] = {}
        if isinstance(delta, ToolCallDelta):
            message = self._call(delta)
        elif isinstance(delta, LogprobsDelta):
            beside = {"logprobs": _logprobs(delta, own=self._writer.own)}
        elif isinstance(delta, OpaqueDelta) and delta.scope == "choice":
            beside = dict(delta.fields)
        else:
            message = self._writer.message(delta)
        if not message and not beside:
            return []
        if choice not in self._choices:
            self._choices.add(choice)
            message = {"role": "assistant", **message}
        return [self._chunk(choice, _encode(message), beside)]

    def _call(self, delta: ToolCallDelta) -> dict[str, Any]:
        """A first delta says id, type and name; the later ones only more arguments."""
        writer = self._writer
        known = (delta.choice, delta.part) in writer.calls
        index = writer.call_index(delta.choice, delta.part)
        part = ToolCallPart(
            id=delta.id or "",
            name=delta.name or "",
            arguments=delta.arguments,
            kind=delta.kind,
            extra=delta.extra,
            spelling=delta.spelling,
        )
        call = write_call(part, own=writer.own)
        if known:
            field = "custom" if delta.kind == "custom" else "function"
            (call if delta.spelling == "function_call" else call[field]).pop("name", None)
            call.pop("type", None)
            call.pop("id", None)
        if writer.own and delta.spelling == "function_call":
            return {"function_call": call}
        return {"tool_calls": [{"index": index, **call}]}

    def _finish(self, delta: Finished) -> list[Piece]:
        if delta.choice in self._finished:
            return []
        self._finished.add(delta.choice)
        message = b"{}" if delta.choice in self._choices else b'{"role":"assistant"}'
        self._choices.add(delta.choice)
        return [self._chunk(delta.choice, message, finish=self._writer.finish(delta))]

    def _usage(self, usage: dict[str, Any]) -> list[Piece]:
        writer = self._writer
        found = _encode(usage)
        price = Price(writer.usage.usage, PRICING, not usage) if writer.usage is not None else b""
        return [
            b'data: %b%b,"choices":[],"usage":%b' % (self._head, self._taken(), found[:-1]),
            price,
            b"}",
            META,
            b"}\n\n",
        ]

    def _chunk(
        self, choice: int, message: bytes, beside: Mapping[str, Any] | None = None, finish: Any = None
    ) -> bytes:
        more = b"," + _encode(beside)[1:-1] if beside else b""
        reason = b"null" if finish is None else _encode(finish)
        return b'data: %b%b,"choices":[{"index":%d,"delta":%b%b,"finish_reason":%b}]}\n\n' % (
            self._head, self._taken(), choice, message, more, reason,
        )  # fmt: skip

    def _taken(self) -> bytes:
        """Fields of the answer that wait for the next chunk."""
        if not self._pending:
            return b""
        fields = {name: value for name, value in self._pending.items() if name not in self._writer.head}
        self._pending = {}
        return b"," + _encode(fields)[1:-1] if fields else b""


class WholeEncoder(Encoder):
    """One body. Nothing leaves before the close."""

    def __init__(self, answer: Answer) -> None:
        self._writer = _Writer(answer)
        self._answer = answer
        self._choices: dict[int, _Choice] = {}
        self._fields: dict[str, Any] = {}

    @override
    def feed(self, delta: Delta) -> list[Piece]:
        writer = self._writer
        if isinstance(delta, Started):
            writer.start(delta, "chat.completion")
        elif isinstance(delta, UsageDelta):
            writer.usage = delta
        elif isinstance(delta, OpaqueDelta) and delta.scope == "answer":
            if writer.own:
                self._fields.update(delta.fields)
        elif not isinstance(delta, Failed):
            if (choice := self._choices.get(delta.choice)) is None:
                choice = self._choices[delta.choice] = _Choice(delta.choice)
            choice.add(delta, writer)
        return []

    @override
    def close(self) -> list[Piece]:
        writer = self._writer
        if not writer.started:
            writer.start(Started(origin=""), "chat.completion")
        choices = [choice.whole(own=writer.own) for _, choice in sorted(self._choices.items())]
        fields = {name: value for name, value in self._fields.items() if name not in writer.head}
        body = _encode({**writer.head, **fields, "choices": choices})[:-1]
        usage = writer.usage_object()
        if usage is None or writer.usage is None:
            return [END, body, META, b"}"]
        price = Price(writer.usage.usage, PRICING, not usage)
        return [END, body, b',"usage":', _encode(usage)[:-1], price, b"}", META, b"}"]


class _Choice:
    """One choice of a whole body, as it is put together."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._message: dict[str, Any] = {"role": "assistant"}
        self._fields: dict[str, Any] = {}
        self._calls: dict[int, ToolCallDelta] = {}
        self._part = (-1, "")
        self._finish: Any = None
        self._closed = False

    def add(self, delta: Delta, writer: _Writer) -> None:
        """Take a delta in."""
        if isinstance(delta, ToolCallDelta):
            self._call(delta)
        elif isinstance(delta, LogprobsDelta):
            self._logprobs(_logprobs(delta, own=writer.own))
        elif isinstance(delta, Finished):
            self._finish, self._closed = writer.finish(delta), writer.own and delta.native is None
        elif isinstance(delta, OpaqueDelta) and not writer.own:
            return
        elif isinstance(delta, OpaqueDelta) and delta.scope == "choice":
            self._fields.update(delta.fields)
        elif not isinstance(delta, Started | UsageDelta | Failed):
            self._merge(
                writer.message(delta), delta.part if isinstance(delta, TextDelta | ReasoningDelta) else -1
            )

    def _merge(self, fields: dict[str, Any], part: int) -> None:
        message = self._message
        for name, value in fields.items():
            before = message.get(name)
            if name == "content" and isinstance(value, list):
                self._parts(value, part)
            elif isinstance(before, str) and isinstance(value, str):
                message[name] = before + value
            elif isinstance(before, list) and isinstance(value, list):
                message[name] = [*before, *value]
            elif name == "audio" and isinstance(before, dict) and isinstance(value, dict):
                joined = {
                    key: before[key] + value[key]
                    for key in ("data", "transcript")
                    if key in before and key in value
                }
                message[name] = {**before, **value, **joined}
            else:
                message[name] = value

    def _parts(self, parts: list[Any], at: int) -> None:
        """Content as a list: more of the same part joins it, another one follows it."""
        content = self._message.setdefault("content", [])
        if not isinstance(content, list):
            content = self._message["content"] = [{"type": "text", "text": content}] if content else []
        for part in parts:
            kind = part.get("type") if isinstance(part, dict) else ""
            if (at, kind) == self._part and at >= 0 and content:
                content[-1] = _joined(content[-1], part)
            else:
                content.append(part)
            self._part = (at, kind)

    def _call(self, delta: ToolCallDelta) -> None:
        before = self._calls.get(delta.part)
        self._calls[delta.part] = delta if before is None else msgspec.structs.replace(
            before,
            arguments=before.arguments + delta.arguments,
            id=before.id or delta.id,
            name=before.name or delta.name,
            extra={**before.extra, **delta.extra},
        )  # fmt: skip

    def _logprobs(self, found: dict[str, Any]) -> None:
        before = self._fields.get("logprobs") or {}
        joined = {
            name: [*before[name], *found[name]]
            for name in ("content", "refusal")
            if before.get(name) is not None and found.get(name) is not None
        }
        self._fields["logprobs"] = {**before, **found, **joined}

    def whole(self, *, own: bool) -> dict[str, Any]:
        """The finished choice."""
        message = self._message
        if not own:
            message.setdefault("content", None)
            message.setdefault("refusal", None)
        for _, call in sorted(self._calls.items()):
            part = ToolCallPart(
                id=call.id or "",
                name=call.name or "",
                arguments=call.arguments,
                kind=call.kind,
                extra=call.extra,
                spelling=call.spelling,
            )
            if own and "function_call" in call.spelling:
                message["function_call"] = write_call(part, own=own)
            else:
                message.setdefault("tool_calls", []).append(write_call(part, own=own))
        fields: dict[str, Any] = {"index": self._index, "message": message}
        if not own:
            fields["logprobs"] = None
        if not self._closed:
            fields["finish_reason"] = self._finish
        elif "finish_reason" not in self._fields:
            fields["finish_reason"] = "stop"
        return {**fields, **self._fields}


def _joined(before: Any, more: Any) -> Any:
    """Two pieces of one content part in one."""
    if isinstance(before, str) and isinstance(more, str):
        return before + more
    if isinstance(before.get("thinking"), list) and isinstance(more.get("thinking"), list):
        texts = [item.get("text", "") for side in (before, more) for item in side["thinking"]]
        return {**before, **more, "thinking": [{"type": "text", "text": "".join(texts)}]}
    name = "thinking" if "thinking" in before else "text"
    return {**before, **more, name: before.get(name, "") + more.get(name, "")}


def _logprobs(delta: LogprobsDelta, *, own: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if delta.content is not None or not own:
        fields["content"] = None if delta.content is None else list(delta.content)
    if delta.refusal is not None or not own:
        fields["refusal"] = None if delta.refusal is None else list(delta.refusal)
    return {**fields, **(delta.extra if own else {})}


def _annotation(citation: Citation, *, own: bool) -> Any:
    if own:
        return citation.native
    source = {
        "url": citation.url or "",
        "title": citation.title or "",
        "start_index": citation.start or 0,
        "end_index": citation.end or 0,
    }
    return {"type": "url_citation", "url_citation": source}
