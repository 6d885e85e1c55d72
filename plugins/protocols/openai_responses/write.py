"""Deltas to output items, and to the events that tell of them: each item is opened once and closed once."""

from collections.abc import Mapping
from typing import Any, Final

from plugin_sdk.artefacts import seal
from plugin_sdk.text import (
    AudioDelta,
    CitationsDelta,
    ContentDelta,
    LogprobsDelta,
    MediaDelta,
    OpaqueDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from plugins.protocols.openai_responses.content import ENCRYPTED, ID, ITEM, annotation
from plugins.protocols.openai_responses.items import ARGUMENTS, BEGUN, BESIDE

Event = dict[str, Any]
_ARGUMENTS: Final = {kind: field for kind, (field, _) in ARGUMENTS.items()}
_PREFIXES: Final = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "image_generation_call": "ig",
}


class Item:
    """One output item."""

    __slots__ = ("artefacts", "fields", "final", "index", "open", "part", "parts")

    def __init__(self, index: int, fields: dict[str, Any]) -> None:
        self.index = index
        self.fields = fields
        self.final: dict[str, Any] = {}
        self.open = True
        self.part = -1  # of the deltas, the last that wrote here
        self.parts: list[dict[str, Any]] = []
        self.artefacts: list[Any] = []

    @property
    def kind(self) -> str:
        """Its type."""
        return str(self.fields.get("type"))


class Writer:
    """The items of an answer, and the events of each delta."""

    def __init__(self, generation_id: str) -> None:
        self.items: list[Item] = []
        self.own = False
        # Clients send items back: an id that another answer had too would be refused as a duplicate.
        self._stem = generation_id.rpartition("-")[2]
        self._calls: dict[int, Item] = {}  # by the part of the deltas
        self._talk: Item | None = None  # the message or the reasoning that is being written

    def write(self, delta: ContentDelta) -> list[Event]:
        """The events of a delta; of several choices only the first is told."""
        events: list[Event] = []
        if delta.choice == 0:
            if isinstance(delta, TextDelta | RefusalDelta | AudioDelta):
                self._spoken(delta, events)
            elif isinstance(delta, ReasoningDelta):
                self._reasoning(delta, events)
            elif isinstance(delta, ToolCallDelta):
                self._call(delta, events)
            else:
                self._beside(delta, events)
        return events

    def _spoken(self, delta: TextDelta | RefusalDelta | AudioDelta, events: list[Event]) -> None:
        if isinstance(delta, AudioDelta):
            if delta.transcript:
                self._text(delta.part, "output_text", delta.transcript, events)
        else:
            kind = "refusal" if isinstance(delta, RefusalDelta) else "output_text"
            self._text(delta.part, kind, delta.text, events)
            if self.own and isinstance(delta, TextDelta) and delta.extra and delta.text:
                events[-1].update(delta.extra)

    def _beside(
        self, delta: CitationsDelta | LogprobsDelta | MediaDelta | OpaqueDelta, events: list[Event]
    ) -> None:
        if isinstance(delta, CitationsDelta):
            self._cite(delta, events)
        elif isinstance(delta, LogprobsDelta):
            self._logprobs(delta)
        elif isinstance(delta, MediaDelta):
            self._media(delta, events)
        elif self.own:
            self._native(delta.fields, events)

    def close(self, *, cut: bool = False) -> list[Event]:
        """The ends of what is still open; `cut`: it was to go on."""
        events: list[Event] = []
        for item in self.items:
            self._done(item, events, status="incomplete" if cut else "completed")
        return events

    # Messages

    def _text(self, part: int, kind: str, text: str, events: list[Event]) -> None:
        item = self._talking("message", events, role="assistant", content=[])
        if not item.parts or item.part != part or item.parts[-1]["type"] != kind:
            self._part_done(item, events)
            item.part = part
            fresh: dict[str, Any] = (
                {"type": kind, "text": "", "annotations": [], "logprobs": []}
                if kind == "output_text"
                else {"type": kind, "refusal": ""}
            )
            item.parts.append(fresh)
            place = self._place(item)
            events.append(self._of("content_part.added", item, **place, part=dict(fresh)))
        if not text:
            return
        field = "text" if kind == "output_text" else "refusal"
        item.parts[-1][field] += text
        event = self._of(f"{kind}.delta", item, content_index=self._last(item), delta=text)
        if kind == "output_text":
            event["logprobs"] = []
        events.append(event)

    def _cite(self, delta: CitationsDelta, events: list[Event]) -> None:
        if delta.citations and self._saying() is None:
            self._text(delta.part, "output_text", "", events)
        item = self._saying()
        if item is None:
            return
        notes = item.parts[-1]["annotations"]
        for one in delta.citations:
            note = annotation(one, own=self.own)
            place = {**self._place(item), "annotation_index": len(notes), "annotation": note}
            notes.append(note)
            events.append(self._of("output_text.annotation.added", item, **place))

    def _logprobs(self, delta: LogprobsDelta) -> None:
        item = self._saying()
        if item is None:
            return
        for one in delta.content or ():
            said = {name: value for name, value in one.items() if value is not None}
            known = {"token": "", "bytes": [], "logprob": 0.0, "top_logprobs": []}
            item.parts[-1]["logprobs"].append({**known, **said})

    def _saying(self) -> Item | None:
        """The message whose text is being written."""
        item = self._talk
        return item if item is not None and item.parts and item.parts[-1]["type"] == "output_text" else None

    # Thinking

    def _reasoning(self, delta: ReasoningDelta, events: list[Event]) -> None:
        foreign = [artefact for artefact in delta.artefacts if artefact.origin != ID]
        if not delta.text and not foreign:
            return
        item = self._talking("reasoning", events, summary=[])
        item.artefacts += foreign
        if not delta.text:
            return
        kind = "summary_text" if delta.summary else "reasoning_text"
        if not item.parts or item.part != delta.part or item.parts[-1]["type"] != kind:
            self._part_done(item, events)
            item.part = delta.part
            item.parts.append({"type": kind, "text": ""})
            name = "reasoning_summary_part.added" if delta.summary else "content_part.added"
            events.append(self._of(name, item, **self._place(item), part={"type": kind, "text": ""}))
        item.parts[-1]["text"] += delta.text
        name = "reasoning_summary_text.delta" if delta.summary else "reasoning_text.delta"
        events.append(self._of(name, item, **self._place(item), delta=delta.text))

    # Tools

    def _call(self, delta: ToolCallDelta, events: list[Event]) -> None:
        if delta.kind == "server":
            return
        item = self._calls.get(delta.part) or self._begun_call(delta)
        if item is None:
            self._hush(events)
            if foreign := [artefact for artefact in delta.artefacts if artefact.origin != ID]:
                self._sealed(foreign, delta.id or "", events)
            custom = delta.kind == "custom"
            call_id = delta.id or f"call_{len(self.items)}"
            fields = {"call_id": call_id, "name": delta.name or "", "input" if custom else "arguments": ""}
            item = self._open("custom_tool_call" if custom else "function_call", events, **fields)
            self._calls[delta.part] = item
        if delta.arguments and item.open:
            field = "input" if item.kind == "custom_tool_call" else "arguments"
            item.fields[field] += delta.arguments
            name = "custom_tool_call_input.delta" if field == "input" else "function_call_arguments.delta"
            events.append(self._of(name, item, delta=delta.arguments))

    def _sealed(self, artefacts: list[Any], call_id: str, events: list[Event]) -> None:
        """Artefacts of a call travel in a reasoning item of their own, before it."""
        item = self._open("reasoning", events, summary=[])
        item.fields[ENCRYPTED] = seal(artefacts, call_id)
        self._done(item, events)

    def _media(self, delta: MediaDelta, events: list[Event]) -> None:
        media = delta.media
        if self.own or media.kind != "image" or media.data is None:
            return
        self._hush(events)
        self._done(self._open("image_generation_call", events, result=media.data), events)

    # Items of this protocol, which stand as they were

    def _native(self, fields: Mapping[str, Any], events: list[Event]) -> None:
        """An item begins, or is done, or its provider has news of it."""
        if isinstance(begun := fields.get(BEGUN), Mapping):
            item = Item(len(self.items), dict(begun))
            if not (isinstance(begun.get("id"), str) and begun["id"]):
                begun = item.fields = {**begun, "id": self._named(item.kind, item.index)}
            self.items.append(item)
            if item.kind in ("message", "reasoning"):
                self._talk = item
            for field in _ARGUMENTS.values():
                if field in item.fields:
                    item.fields[field] = ""
            events.append({"type": "response.output_item.added", "output_index": item.index, "item": begun})
        elif isinstance(done := fields.get(ITEM), dict):
            if (opened := self._opened(done)) is not None:
                self._done(opened, events, done)
        elif isinstance(event := fields.get(BESIDE), dict):
            wanted = event.get("item_id")
            places = [item.index for item in self.items if item.open and item.fields.get("id") == wanted]
            events += [{**event, "output_index": place} for place in places]

    def _opened(self, done: Mapping[str, Any]) -> Item | None:
        """The open item that this one is the end of: by its id, else by what it is."""
        items = [item for item in self.items if item.open and item.kind == done.get("type")]
        same = [item for item in items if item.fields.get("id") == done.get("id")]
        alike = [item for item in items if item.fields.get("call_id") == done.get("call_id")]
        return next(iter(same or alike), None)

    def _begun_call(self, delta: ToolCallDelta) -> Item | None:
        """The item of a call that had begun before its first delta."""
        if not self.own or delta.id is None:
            return None
        known = [item for item in self.items if item.open and item.fields.get("call_id") == delta.id]
        if known and known[-1] not in self._calls.values():
            self._calls[delta.part] = known[-1]
            return known[-1]
        return None

    # Opening and closing

    def _talking(self, kind: str, events: list[Event], **fields: Any) -> Item:
        if self._talk is None or self._talk.kind != kind:
            self._hush(events)
            self._talk = self._open(kind, events, **fields)
        return self._talk

    def _hush(self, events: list[Event]) -> None:
        """The message or the reasoning that was being written is done."""
        if self._talk is not None:
            self._done(self._talk, events)

    def _open(self, kind: str, events: list[Event], **fields: Any) -> Item:
        status = {} if kind == "reasoning" else {"status": "in_progress"}
        index = len(self.items)
        item = Item(index, {"type": kind, "id": self._named(kind, index), **status, **fields})
        self.items.append(item)
        shown = dict(item.fields)
        if kind == "image_generation_call":
            shown["result"] = None
        events.append({"type": "response.output_item.added", "output_index": item.index, "item": shown})
        return item

    def _named(self, kind: str, index: int) -> str:
        return f"{_PREFIXES.get(kind, 'item')}_{self._stem}_{index}"

    def _part_done(self, item: Item, events: list[Event]) -> None:
        """The last part of an item is over."""
        if not item.parts:
            return
        part = item.parts[-1]
        kind = part["type"]
        place = self._place(item)
        said = {"refusal": part["refusal"]} if kind == "refusal" else {"text": part["text"]}
        if kind == "output_text":
            said["logprobs"] = part["logprobs"]
        names = {"summary_text": "reasoning_summary_text", "reasoning_text": "reasoning_text"}
        events.append(self._of(f"{names.get(kind, kind)}.done", item, **place, **said))
        over = "reasoning_summary_part.done" if kind == "summary_text" else "content_part.done"
        events.append(self._of(over, item, **place, part=part))

    def _done(
        self,
        item: Item,
        events: list[Event],
        native: dict[str, Any] | None = None,
        *,
        status: str = "completed",
    ) -> None:
        if not item.open:
            return
        item.open = False
        if item is self._talk:
            self._talk = None
        self._part_done(item, events)
        fields = item.fields
        if native is None:
            self._finish(item, status)
        if (field := _ARGUMENTS.get(item.kind)) is not None:
            said = fields if native is None else native
            name = {"name": str(said.get("name") or "")} if field == "arguments" else {}
            event = "function_call_arguments.done" if name else "custom_tool_call_input.done"
            events.append(self._of(event, item, **{field: str(said.get(field) or "")}, **name))
        item.final = fields if native is None else native
        events.append({"type": "response.output_item.done", "output_index": item.index, "item": item.final})

    def _finish(self, item: Item, status: str) -> None:
        """What an item says at its end, where its provider does not say it."""
        fields = item.fields
        if item.kind == "message":
            fields["content"] = item.parts
        elif item.kind == "reasoning":
            fields["summary"] = [part for part in item.parts if part["type"] == "summary_text"]
            if thinking := [part for part in item.parts if part["type"] == "reasoning_text"]:
                fields["content"] = thinking
            if not self.own:  # also of none: a provider of this protocol could make nothing of the item
                fields.setdefault(ENCRYPTED, seal(item.artefacts))
        elif item.kind == "function_call":
            fields["arguments"] = fields["arguments"] or "{}"
        if "status" in fields and item.kind in _PREFIXES:
            fields["status"] = "completed" if item.kind == "image_generation_call" else status

    def _place(self, item: Item) -> dict[str, int]:
        """Where the last part of an item stands, in the field that its kind is in."""
        last = item.parts[-1]
        if last["type"] == "summary_text":
            return {"summary_index": sum(part["type"] == "summary_text" for part in item.parts) - 1}
        if last["type"] == "reasoning_text":
            return {"content_index": sum(part["type"] == "reasoning_text" for part in item.parts) - 1}
        return {"content_index": self._last(item)}

    def _last(self, item: Item) -> int:
        return len(item.parts) - 1

    def _of(self, event: str, item: Item, /, **fields: Any) -> Event:
        return {
            "type": f"response.{event}",
            "item_id": item.fields["id"],
            "output_index": item.index,
            **fields,
        }
