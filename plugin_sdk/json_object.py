"""A JSON object's top level over its own bytes: read a value, splice one, decode nothing else."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from plugin_sdk.errors import InvalidJson

MAX_DEPTH: Final = 128

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
# What it makes of the members again is the shortest text of the object: no white space, no name twice. Where
# that is the text itself, every member's place follows from the lengths, and an edit is another encoding.
_encode = msgspec.json.Encoder().encode
_scan = json.JSONDecoder(strict=False).raw_decode
# Possessive, so that a body which matches in part cannot make them try again: linear whatever a client sends.
_KEY = re.compile(rb'[ \t\r\n]*+,?[ \t\r\n]*+("[^"\\]*+(?:\\.[^"\\]*+)*+")[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL)
_CLOSE = re.compile(rb"[ \t\r\n]*+}[ \t\r\n]*+\Z")
_OPEN = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*+{")  # a byte order mark passes in answers only
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"{}[]")

Member = tuple[str, int, int, int]  # name, where its key starts, where its value starts, where it ends


class JsonObject:
    """`values[name]` is the raw JSON of a member; `edited` the object's bytes with some members changed.

    Strict, for what clients send: UTF-8, well-formed, at most 128 deep, no name twice at the top. Raises
    InvalidJson.
    """

    __slots__ = ("_compact", "_found", "body", "values")

    def __init__(self, body: bytes) -> None:
        self.body = body
        try:
            if not body.isascii():
                body.decode()
            self.values: dict[str, msgspec.Raw] = _members(body)
        except UnicodeDecodeError as error:
            raise InvalidJson(f"The body is not UTF-8: byte {error.start} cannot be read.") from error
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidJson(f"The body is not a JSON object: {error}") from error
        _check_depth(body)
        self._compact = _encode(self.values) == body
        self._found: list[Member] | None = None if self._compact else _walk(body, self.values)
        if self._found is None and not self._compact:
            raise InvalidJson("A name occurs twice at the top level of the body.")

    @property
    def members(self) -> Sequence[Member]:
        """Each member's place, in the order of the text; of a compact one known only when asked for."""
        if self._found is None:
            at = 1
            self._found = []
            for name, value in self.values.items():
                start = at + _size(name)
                self._found.append((name, at, start, start + len(value)))
                at = start + len(value) + 1
        return self._found

    def raw(self, name: str) -> bytes | None:
        """The member's JSON as it stands in the body, or None."""
        value = self.values.get(name)
        return None if value is None else bytes(value)

    def span(self, name: str) -> tuple[int, int] | None:
        """Where the member's value starts and ends; of a repeated name the last, which readers take."""
        values = self.values
        if not self._compact:
            for member in reversed(self.members):
                if member[0] == name:
                    return member[2], member[3]
            return None
        if name not in values:
            return None
        if name == next(iter(values)):
            start = _size(name) + 1
            return start, start + len(values[name])
        end = len(self.body) - 1
        for found in reversed(values):  # what is looked for is most often the first or one of the last
            start = end - len(values[found])
            if found == name:
                return start, end
            end = start - _size(found) - 1
        return None

    @property
    def opening(self) -> int:
        """Where the first member goes: just after the opening brace."""
        return self.body.index(b"{") + 1

    @property
    def closing(self) -> int:
        """Where the last member goes: before the closing brace, and before the white space in front of it."""
        if self._compact:
            return len(self.body) - 1
        return self.members[-1][3] if self.members else self.opening

    def edited(self, changes: Mapping[str, bytes], without: Collection[str] = ()) -> bytes:
        """The bytes with members changed or added (raw JSON) and others taken out; the rest as it stood."""
        values = self.values
        if not values.keys().isdisjoint(without):
            return self._rejoined(changes, {name for name in without if name in values})
        if self._compact:
            edited = values.copy()
            for name, value in changes.items():
                edited[name] = msgspec.Raw(value)
            return _encode(edited)
        body = self.body
        pieces = []
        at = 0
        for name, _, start, end in self.members:
            if name in changes:
                pieces += [body[at:start], changes[name]]
                at = end
        added = [(name, value) for name, value in changes.items() if name not in values]
        if added:
            closing = self.closing
            pieces += [body[at:closing], b"," if values else b""]
            pieces.append(b",".join([_member(name, value) for name, value in added]))
            at = closing
        pieces.append(body[at:])
        return b"".join(pieces)

    def _rejoined(self, changes: Mapping[str, bytes], gone: set[str]) -> bytes:
        body = self.body
        kept = []
        for name, key, start, end in self.members:
            if name not in gone:
                change = changes.get(name)
                kept.append(body[key:end] if change is None else body[key:start] + change)
        kept += [_member(name, value) for name, value in changes.items() if name not in self.values]
        return b"{" + b",".join(kept) + b"}"


class AnswerObject(JsonObject):
    """The same, tolerant, for what upstreams answer: repeated names and lone surrogates are their own affair.

    Raises ValueError for what is no JSON object at all.
    """

    __slots__ = ()

    def __init__(self, body: bytes) -> None:
        self.body = body
        self._compact = False
        self._found = None
        try:
            self.values = _members(body)
            self._compact = _encode(self.values) == body
            self._found = None if self._compact else _walk(body, self.values)
        except (msgspec.DecodeError, RecursionError):
            pass
        if self._found is None and not self._compact:
            found = self._found = list(_scanned(body))
            self.values = {name: msgspec.Raw(body[start:end]) for name, _, start, end in found}


def _size(name: str) -> int:
    """The length of a compact member's name, with its quotes and the colon."""
    return len(_encode(name)) + 1


def _walk(body: bytes, values: Mapping[str, msgspec.Raw]) -> list[Member] | None:
    """Each member's place; None for an object that repeats a name, whose end such a walk cannot reach.

    Every step eats one member of the text, and there are more members than names.
    """
    members = []
    opened = _OPEN.match(body)
    at = opened.end() if opened else 0
    for name, value in values.items():
        key = _KEY.match(body, at)
        if key is None:
            return None
        start = key.end()
        raw = bytes(value)
        if not body.startswith(raw, start):
            return None
        at = start + len(raw)
        members.append((name, key.start(1), start, at))
    return members if _CLOSE.match(body, at) else None


def _scanned(body: bytes) -> Iterator[Member]:
    """The same by scanning value after value. In Latin-1 a character is a byte, and JSON's own are ASCII."""
    text = body.decode("latin-1")
    opened = _OPEN.match(body)
    if opened is None:
        raise ValueError("not a JSON object")
    at = opened.end()
    while not _CLOSE.match(body, at):
        key = _KEY.match(body, at)
        if key is None:
            raise ValueError(f"not JSON at byte {at}")
        try:
            _, end = _scan(text, key.end())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"not JSON at byte {key.end()}") from error
        yield str(json.loads(key[1])), key.start(1), key.end(), end
        at = end


def _member(name: str, value: bytes) -> bytes:
    return json.dumps(name).encode() + b":" + value


def _check_depth(body: bytes) -> None:
    """Refuse nesting deeper than 128; brackets in strings do not count. Each round takes the innermost pairs.

    The body is well-formed, so its strings are every other part between the quotes that are not escaped.
    """
    # Counted by taking them out, as far as it matters: `replace` searches with memchr, `count` byte by byte.
    without = len(body.replace(b"{", b"", MAX_DEPTH + 1)) + len(body.replace(b"[", b"", MAX_DEPTH + 1))
    if 2 * len(body) - without <= MAX_DEPTH:
        return
    if b'\\"' in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = b"".join(body.split(b'"')[::2]).translate(None, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
    if brackets:
        raise InvalidJson(f"The body is nested deeper than {MAX_DEPTH}.")
