"""An upstream's answer as deltas: a stream event by event, a whole body at once."""

from collections.abc import Mapping
from typing import Any, Final

from typing_extensions import override

from plugin_sdk.errors import UpstreamError
from plugin_sdk.protocol import Decoder, Facts
from plugin_sdk.sse import Frames, read, split
from plugin_sdk.text import (
    AudioDelta,
    Citation,
    CitationsDelta,
    Delta,
    Failed,
    Finish,
    Finished,
    LogprobsDelta,
    MediaDelta,
    MediaPart,
    OpaqueDelta,
    ReasoningDelta,
    ReasoningPart,
    RefusalDelta,
    Started,
    TextDelta,
    TextPart,
    ToolCallDelta,
    UsageDelta,
)
from plugins.protocols.openai_chat.chunk import decoded
from plugins.protocols.openai_chat.content import ID, read_call, read_image, read_part, read_reasoning
from plugins.protocols.openai_chat.errors import failure, failure_in, failure_in_field
from plugins.protocols.openai_chat.tap import Tap

PADDING: Final = frozenset({"obfuscation", "p"})  # hides the length of a chunk from listeners; means nothing
_OBJECTS: Final = frozenset({"chat.completion", "chat.completion.chunk"})


class AnswerReader:
    """Chunks, or a whole body, to deltas. Knows what has begun, so that only changes are told."""

    def __init__(self, facts: Facts, *, whole: bool) -> None:
        self.facts = facts
        self.tap = Tap(facts, whole=whole)
        self._whole = whole
        self._started: Started | None = None
        self._told: dict[str, Any] = {}
        self._choices: dict[int, ChoiceReader] = {}

    def read(self, answer: dict[str, Any]) -> list[Delta]:
        """The deltas of a chunk or a body that reports no failure."""
        self.tap.read(answer)
        rest = {name: value for name, value in answer.items() if name not in PADDING}
        out: list[Delta] = []
        self._start(rest, out)
        choices = rest.pop("choices", None)
        usage = rest.pop("usage") if isinstance(rest.get("usage"), dict) else None
        if rest.get("object") in _OBJECTS:
            rest.pop("object")
        self._opaque(rest, out)
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                index = choice.get("index")
                index = index if isinstance(index, int) else 0
                if (reader := self._choices.get(index)) is None:
                    reader = self._choices[index] = ChoiceReader(index, whole=self._whole)
                reader.read(choice, out)
        if usage is not None and self.facts.usage is not None:
            out.append(UsageDelta(usage=self.facts.usage, native=usage))
        return out

    def finish(self) -> list[Delta]:
        """The ends of the choices; of one whose upstream gave no reason, `other`."""
        return [reader.finished(self.tap) for _, reader in sorted(self._choices.items())]

    def _start(self, rest: dict[str, Any], out: list[Delta]) -> None:
        rest.pop("id", None)  # the tap has it: the first that is not empty
        model, created = rest.pop("model", None), rest.pop("created", None)
        tier = rest.pop("service_tier") if isinstance(rest.get("service_tier"), str) else None
        before = self._started
        started = Started(
            origin=ID,
            native_id=self.facts.native_id,
            model=model if isinstance(model, str) else before.model if before else None,
            created=created if isinstance(created, int) else before.created if before else None,
            service_tier=tier if tier is not None else before.service_tier if before else None,
        )
        if started != before:
            self._started = started
            out.append(started)

    def _opaque(self, rest: dict[str, Any], out: list[Delta]) -> None:
        """Fields nobody models; in a stream only when they change, and never a null."""
        told = self._told
        if not self._whole:
            rest = {
                name: value for name, value in rest.items() if value is not None and told.get(name) != value
            }
        if rest:
            told.update(rest)
            out.append(OpaqueDelta(fields=rest))


class ChoiceReader:
    """One choice: which of its parts have begun, and how it ends."""

    def __init__(self, index: int, *, whole: bool) -> None:
        self._index = index
        self._whole = whole
        self._part = -1
        self._lane = ""
        self._begun: set[str] = set()
        self._calls: dict[int, tuple[int, str]] = {}  # wire index -> (part, id)
        self._reason: Any = None
        self._said = False
        self.tools = False

    def read(self, choice: dict[str, Any], out: list[Delta]) -> None:
        """The deltas of this choice in one chunk."""
        rest = dict(choice)
        rest.pop("index", None)
        message = self._message(rest)
        reason = rest.get("finish_reason")
        if reason is not None or not self._whole:
            rest.pop("finish_reason", None)
        if reason is not None:
            self._reason, self._said = reason, True
        logprobs = rest.pop("logprobs") if isinstance(rest.get("logprobs"), dict) else None
        if not self._whole:
            rest = {name: value for name, value in rest.items() if value is not None}
        if rest:
            out.append(OpaqueDelta(fields=rest, scope="choice", choice=self._index))
        if message is not None:
            self._read_message(message, out)
        if logprobs is not None:
            self._logprobs(dict(logprobs), out)

    def finished(self, tap: Tap) -> Finished:
        """The end of this choice."""
        reason: Finish = tap.finish(self._reason, tools=self.tools) if self._said else "other"
        return Finished(reason=reason, choice=self._index, native=self._reason)

    def _message(self, rest: dict[str, Any]) -> dict[str, Any] | None:
        """The side that speaks: some providers send `delta` and `message` together, of which one is idle."""
        first, second = ("message", "delta") if self._whole else ("delta", "message")
        if isinstance(rest.get(first), dict):
            if not self._whole:
                rest.pop(second, None)
            return dict(rest.pop(first))
        if isinstance(rest.get(second), dict) and (self._whole or not self._begun):
            return dict(rest.pop(second))
        return None

    def _read_message(self, rest: dict[str, Any], out: list[Delta]) -> None:
        if rest.get("role") == "assistant" or not self._whole:
            rest.pop("role", None)
        for part in read_reasoning(rest):
            self._reasoning(part, out)
        if isinstance(content := rest.get("content"), str):
            rest.pop("content")
            self._text(content, out)
        elif isinstance(content, list):
            rest.pop("content")
            self._content(content, out)
        if isinstance(refusal := rest.get("refusal"), str):
            rest.pop("refusal")
            if refusal or self._fresh("refusal"):
                out.append(RefusalDelta(text=refusal, choice=self._index, part=self._at("refusal")))
        self._media(rest, out)
        self._tools(rest, out)
        if not self._whole:
            rest = {name: value for name, value in rest.items() if value is not None}
        if rest:
            out.append(OpaqueDelta(fields=rest, scope="message", choice=self._index))

    def _text(self, text: str, out: list[Delta], **more: Any) -> None:
        if text or more or self._fresh("text"):
            out.append(TextDelta(text=text, choice=self._index, part=self._at("text"), **more))

    def _reasoning(self, part: ReasoningPart, out: list[Delta]) -> None:
        if not part.text and not part.artefacts and not self._fresh(f"reasoning {part.spelling}"):
            return
        out.append(
            ReasoningDelta(
                text=part.text,
                choice=self._index,
                part=self._at("reasoning"),
                artefacts=part.artefacts,
                extra=part.extra,
                spelling=part.spelling,
            )
        )

    def _content(self, parts: list[Any], out: list[Delta]) -> None:
        """Content as a list: of text, of thinking, of whatever comes."""
        if not parts:
            out.append(OpaqueDelta(fields={"content": []}, scope="message", choice=self._index))
        for raw in parts:
            part = read_part(raw, "content") if isinstance(raw, dict | str) else None
            if isinstance(part, TextPart):
                self._lane = "" if self._whole else self._lane  # whole: each is a part of its own
                self._text(part.text, out, extra=part.extra, spelling="bare" if part.spelling else "part")
            elif isinstance(part, ReasoningPart):
                self._lane = "" if self._whole else self._lane
                self._reasoning(part, out)
            else:
                out.append(OpaqueDelta(fields={"content": [raw]}, scope="message", choice=self._index))

    def _media(self, rest: dict[str, Any], out: list[Delta]) -> None:
        if isinstance(audio := rest.get("audio"), dict):
            rest.pop("audio")
            out.append(self._audio(dict(audio)))
        if isinstance(images := rest.get("images"), list) and images:
            found = [_image(image) for image in images]
            if None not in found:
                rest.pop("images")
                out += [
                    MediaDelta(media=image, choice=self._index, part=self._at(f"image {at}"))
                    for at, image in enumerate(found)
                    if image is not None
                ]
        if isinstance(notes := rest.get("annotations"), list) and notes:
            rest.pop("annotations")
            found_notes = tuple(_citation(note) for note in notes)
            out.append(CitationsDelta(citations=found_notes, choice=self._index, part=max(self._part, 0)))

    def _audio(self, audio: dict[str, Any]) -> AudioDelta:
        taken = {
            name: audio.pop(name)
            for name, kind in (("data", str), ("transcript", str), ("id", str), ("expires_at", int))
            if isinstance(audio.get(name), kind)
        }
        return AudioDelta(choice=self._index, part=self._at("audio"), extra=audio, **taken)

    def _tools(self, rest: dict[str, Any], out: list[Delta]) -> None:
        calls = rest.get("tool_calls")
        if isinstance(calls, list) and (calls or not self._whole):
            rest.pop("tool_calls")
            for position, call in enumerate(calls):
                if isinstance(call, dict):
                    self._call(call, position, out)
        legacy = rest.get("function_call")
        if isinstance(legacy, dict) and any(legacy.values()):
            rest.pop("function_call")
            self._call({"function": legacy}, 0, out, spelling="function_call")

    def _call(self, raw: dict[str, Any], position: int, out: list[Delta], spelling: str = "") -> None:
        """More of a tool call. What a chunk leaves out (the type, the name, a null for arguments) is no news."""
        self.tools = True
        call = dict(raw)
        index = call.get("index")
        field = "custom" if call.get("type") == "custom" or "function" not in call else "function"
        if not isinstance(call.get(field), dict):
            call[field] = {}
        if not self._whole:
            call.pop("index", None)
            call["type"] = field
        read = read_call(call, "tool_calls")
        part, begins = self._call_part(index, position, read.id)
        identity = read.id if call.get("id") is not None else None
        out.append(
            ToolCallDelta(
                arguments=read.arguments,
                choice=self._index,
                part=part,
                id=identity if begins else None,
                name=read.name if begins else None,
                kind=read.kind,
                extra=read.extra,
                spelling=spelling or (read.spelling if self._whole else ""),
            )
        )

    def _call_part(self, index: Any, position: int, call_id: str) -> tuple[int, bool]:
        """(the part of this call, whether it begins here). Without an index, an id says which call it is."""
        if not isinstance(index, int):
            index = next((at for at, (_, known) in self._calls.items() if call_id and known == call_id), None)
            if index is None:
                index = len(self._calls) if call_id or self._whole or not self._calls else max(self._calls)
        known = self._calls.get(index)
        if known is not None and not self._whole and (not call_id or known[1] in ("", call_id)):
            return known[0], False
        if known is not None:
            index = max(self._calls) + 1  # an index used again for another call
        self._part += 1
        self._lane = "tool"
        self._calls[index] = (self._part, call_id)
        return self._part, True

    def _logprobs(self, logprobs: dict[str, Any], out: list[Delta]) -> None:
        content, refusal = logprobs.get("content"), logprobs.get("refusal")
        taken: dict[str, Any] = {}
        if isinstance(content, list):
            taken["content"] = tuple(logprobs.pop("content"))
        if isinstance(refusal, list):
            taken["refusal"] = tuple(logprobs.pop("refusal"))
        out.append(LogprobsDelta(choice=self._index, extra=logprobs, **taken))

    def _fresh(self, lane: str) -> bool:
        """Whether this is the first of its kind: an empty first text still says that there is one."""
        return lane not in self._begun

    def _at(self, lane: str) -> int:
        """The part that a lane writes to: a new one wherever the kind changes."""
        self._begun.add(lane)
        if lane != self._lane:
            self._part += 1
            self._lane = lane
        return self._part


def _image(raw: Any) -> MediaPart | None:
    if not isinstance(raw, dict):
        return None
    found = read_image({name: value for name, value in raw.items() if name != "type"})
    return found if isinstance(found, MediaPart) else None


def _citation(raw: Any) -> Citation:
    if not isinstance(raw, dict):
        return Citation(kind="", native=raw)
    kind = raw.get("type")
    inner = raw.get(kind) if isinstance(kind, str) else None
    fields: Mapping[str, Any] = inner if isinstance(inner, dict) else {}

    def text(name: str) -> str | None:
        return fields[name] if isinstance(fields.get(name), str) else None

    def place(name: str) -> int | None:
        return fields[name] if isinstance(fields.get(name), int) else None

    return Citation(
        kind=str(kind), url=text("url"), title=text("title"), quoted=text("content"), start=place("start_index"),
        end=place("end_index"), native=raw,
    )  # fmt: skip


class StreamDecoder(Decoder):
    """A stream's events to deltas. A malformed event is counted and passed over."""

    def __init__(self, facts: Facts | None = None) -> None:
        self.facts = facts if facts is not None else Facts()
        self._frames = Frames()
        self._reader = AnswerReader(self.facts, whole=False)
        self._ended = False

    @override
    def feed(self, data: bytes) -> list[Delta]:
        out: list[Delta] = []
        for raw in split(self._frames.feed(data)):
            self._event(raw, out)
        return out

    @override
    def close(self) -> list[Delta]:
        out: list[Delta] = []
        if left := self._frames.close():
            if left.lstrip().startswith(b"{") and not self.facts.started:
                return self._whole(left)
            self._event(left, out)
        if self.facts.complete and not self._ended:
            self._end(out)
        return out

    def _whole(self, body: bytes) -> list[Delta]:
        """An upstream that was asked for a stream and answered with one body: its deltas all the same."""
        decoder = WholeDecoder(self.facts)
        decoder.feed(body)
        return decoder.close()

    def _event(self, raw: bytes, out: list[Delta]) -> None:
        if self._ended or self.facts.error is not None:
            return
        event = read(raw)
        if event.error is not None:
            self._fail(failure_in_field(event.error), out)
        elif event.data is None:
            return
        elif event.data.strip() == b"[DONE]":
            self.facts.started = self.facts.complete = True
            self._end(out)
        elif (chunk := decoded(event.data)) is None:
            if event.name == "error":
                self._fail(failure_in_field(event.data), out)
            else:
                self.facts.skipped += 1
        elif event.name == "error":
            self._fail(failure(chunk.get("error", chunk)), out)
        elif (error := failure_in(chunk)) is not None:
            out += self._reader.read(chunk) if self.facts.started else []
            self._fail(error, out)
        else:
            self.facts.started = True
            out += self._reader.read(chunk)

    def _fail(self, error: UpstreamError, out: list[Delta]) -> None:
        self.facts.error = error
        out.append(Failed(error=error))

    def _end(self, out: list[Delta]) -> None:
        self._ended = True
        if self.facts.finish is None:
            self.facts.finish = "other"
        out += self._reader.finish()


class WholeDecoder(Decoder):
    """A whole body to deltas."""

    def __init__(self, facts: Facts | None = None) -> None:
        self.facts = facts if facts is not None else Facts()
        self._parts: list[bytes] = []

    @override
    def feed(self, data: bytes) -> list[Delta]:
        self._parts.append(data)
        return []

    @override
    def close(self) -> list[Delta]:
        body = b"".join(self._parts)
        facts = self.facts
        answer = decoded(body)
        if answer is None:
            said = "is empty" if not body.strip() else "is not a JSON object"
            facts.error = UpstreamError(f"The provider's answer {said}.")
        else:
            facts.error = failure_in(answer)
        if answer is None or facts.error is not None:
            return [] if facts.error is None else [Failed(error=facts.error)]
        reader = AnswerReader(facts, whole=True)
        deltas = reader.read(answer)
        facts.started = facts.complete = True
        if facts.finish is None:
            facts.finish = "other"
        return [*deltas, *reader.finish()]
