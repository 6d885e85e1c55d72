"""A JSON object's top level over its own bytes: read a value, splice one, decode nothing else."""

import json
import re
from collections.abc import Iterable, Mapping

import msgspec

from plugin_sdk.errors import InvalidJson

MAX_DEPTH = 128

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_KEY = re.compile(rb'[ \t\r\n]*,?[ \t\r\n]*("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*')
_CLOSE = re.compile(rb"[ \t\r\n]*}[ \t\r\n]*\Z")
_OPEN = re.compile(rb"[ \t\r\n]*{")
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')


class JsonObject:
    """`values[name]` is the raw JSON of a member; `replaced` gives the object's bytes with some members changed.

    Strict: UTF-8, well-formed, at most 128 deep, no name twice at the top. Raises InvalidJson.
    """

    __slots__ = ("_spans", "body", "values")

    def __init__(self, body: bytes) -> None:
        self.body = body
        try:
            body.decode()
            self.values: Mapping[str, msgspec.Raw] = _members(body)
        except UnicodeDecodeError as error:
            raise InvalidJson(f"The body is not UTF-8: byte {error.start} cannot be read.") from error
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidJson(f"The body is not a JSON object: {error}") from error
        _check_depth(body)
        self._spans: dict[str, tuple[int, int, int]] = {}
        self._walk()

    def _walk(self) -> None:
        """Find each member's place; the walk cannot reach the end of an object that repeats a name."""
        body = self.body
        opened = _OPEN.match(body)
        at = opened.end() if opened else 0
        for name, value in self.values.items():
            key = _KEY.match(body, at)
            end = key.end() + len(bytes(value)) if key else 0
            if key is None or body[key.end() : end] != bytes(value):
                raise InvalidJson("A name occurs twice at the top level of the body.")
            self._spans[name] = (key.start(1), key.end(), end)
            at = end
        if not _CLOSE.match(body, at):
            raise InvalidJson("A name occurs twice at the top level of the body.")

    def raw(self, name: str) -> bytes | None:
        """The member's JSON as it stands in the body, or None."""
        value = self.values.get(name)
        return None if value is None else bytes(value)

    def span(self, name: str) -> tuple[int, int]:
        """Where the member's value starts and ends in the body."""
        _, start, end = self._spans[name]
        return start, end

    def edited(self, changes: Mapping[str, bytes], without: Iterable[str] = ()) -> bytes:
        """The object's bytes with members changed or added (raw JSON) and others taken out; the rest as it stood."""
        gone = [name for name in without if name in self._spans]
        if gone:
            return self._rejoined(changes, frozenset(gone))
        pieces = []
        at = 0
        added = []
        for name, (_, start, end) in self._spans.items():
            if (value := changes.get(name)) is not None:
                pieces += [self.body[at:start], value]
                at = end
        added = [_member(name, value) for name, value in changes.items() if name not in self._spans]
        if added:
            close = self.body.rindex(b"}")
            pieces.append(self.body[at:close])
            if self._spans:
                pieces.append(b",")
            pieces.append(b",".join(added))
            at = close
        pieces.append(self.body[at:])
        return b"".join(pieces)

    def _rejoined(self, changes: Mapping[str, bytes], gone: frozenset[str]) -> bytes:
        members = []
        for name, (start, value, end) in self._spans.items():
            if name in gone:
                continue
            change = changes.get(name)
            members.append(self.body[start:end] if change is None else self.body[start:value] + change)
        members += [_member(name, value) for name, value in changes.items() if name not in self._spans]
        return b"{" + b",".join(members) + b"}"


def _member(name: str, value: bytes) -> bytes:
    return json.dumps(name).encode() + b":" + value


def _check_depth(body: bytes) -> None:
    """Refuse nesting deeper than 128; brackets inside strings do not count."""
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return
    depth = 0
    for byte in _STRINGS.sub(b"", body):
        if byte in b"{[":
            depth += 1
            if depth > MAX_DEPTH:
                raise InvalidJson(f"The body is nested deeper than {MAX_DEPTH}.")
        elif byte in b"}]":
            depth -= 1
