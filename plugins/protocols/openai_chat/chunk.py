"""The splices of one chunk or whole body: its id, the price in its usage, the `meta` at its end."""

import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from plugin_sdk.json_object import AnswerObject
from plugin_sdk.protocol import META, Answer, Facts, Piece, Price
from plugin_sdk.sse import BOM, Event

PRICING: Final = "pricing"
NATIVE: Final = "nativeResponseId"

Splice = tuple[int, int, tuple[Piece, ...]]  # from, to, what stands there instead

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


def decoded(data: bytes) -> dict[str, Any] | None:
    """A JSON object, or None. Half an emoji, broken UTF-8 or a NaN inside it are none of our business."""
    try:
        found = _decode(data)
    except (msgspec.DecodeError, RecursionError):
        try:
            found = json.loads(data.removeprefix(BOM).decode("utf-8", "replace"), strict=False)
        except (ValueError, RecursionError):
            return None
    return found if isinstance(found, dict) else None


class Splices:
    """Finds the splices of each object of one answer; `meta` goes into one of them."""

    __slots__ = ("_answer", "_id", "_meta", "_native")

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._id = _encode(answer.generation_id)
        self._native = b""  # the first id the upstream gave, as JSON
        self._meta = answer.meta

    def identity(self, native: bytes) -> bytes:
        """The value of `id`, and `nativeResponseId` behind it where one is known."""
        if not self._native and native not in (b"", b'""', b"null"):
            self._native = native
        return self._id + (b',"nativeResponseId":' + self._native if self._native else b"")

    def of(self, top: AnswerObject, chunk: dict[str, Any], facts: Facts) -> list[Splice]:
        """The splices of an object, in order of their places."""
        splices = self._ids(top)
        usage = chunk.get("usage")
        if isinstance(usage, dict) and facts.usage is not None:
            splices += _price(top, usage, facts)
        last = not self._answer.stream or (facts.finish is not None and isinstance(usage, dict))
        if self._meta and last:
            splices += self._meta_splices(top)
        return sorted(splices, key=lambda splice: splice[0])

    def _ids(self, top: AnswerObject) -> list[Splice]:
        gone = _without(top, NATIVE) if NATIVE in top.values else []
        if (span := top.span("id")) is None:
            comma = b"," if len(top.members) > len(gone) else b""
            return [(top.opening, top.opening, (b'"id":' + self.identity(b"") + comma,)), *gone]
        start, end = span
        return [(start, end, (self.identity(top.body[start:end]),)), *gone]

    def _meta_splices(self, top: AnswerObject) -> list[Splice]:
        self._meta = False
        return [*_without(top, "meta"), (top.closing, top.closing, (META,))]


def _price(top: AnswerObject, usage: dict[str, Any], facts: Facts) -> list[Splice]:
    """The hole for the price, at the end of the usage object; a `pricing` that stood there goes."""
    span = top.span("usage")
    if span is None or facts.usage is None:
        return []
    start, end = span
    if PRICING not in usage:
        at = top.body.rindex(b"}", start, end)
        return [(at, at, (Price(facts.usage, PRICING, not usage),))]
    inner = AnswerObject(top.body[start:end]).edited({}, [PRICING])
    return [(start, end, (inner[:-1], Price(facts.usage, PRICING, inner == b"{}"), b"}"))]


def _without(top: AnswerObject, name: str) -> list[Splice]:
    """Takes a member out, with the comma before it or, of the first, behind it."""
    splices: list[Splice] = []
    for position, (found, key, _, end) in enumerate(top.members):
        if found != name:
            continue
        if position:
            splices.append((top.members[position - 1][3], end, ()))
        else:
            behind = top.members[1][1] if len(top.members) > 1 else end
            splices.append((key, behind, ()))
    return splices


def spliced(event: Event, top: AnswerObject, splices: Sequence[Splice]) -> list[Piece]:
    """The event's own bytes with the splices; a place in the data is found in the line that holds it."""
    pieces: list[Piece] = []
    at = 0
    raw = event.raw
    lines = event.lines
    for start, end, instead in splices:
        begin, stop = (
            (_place(lines, start), _place(lines, end))
            if len(lines) > 1
            else (start + lines[0][1], end + lines[0][1])
        )
        pieces.append(raw[at:begin])
        pieces += instead
        at = stop
    pieces.append(raw[at:])
    return pieces


def _place(lines: Sequence[tuple[int, int]], at: int) -> int:
    """Where a place in the data stands in the raw event."""
    line = max((line for line in lines if line[0] <= at), default=lines[0])
    return line[1] + at - line[0]
