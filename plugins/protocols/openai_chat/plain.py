"""The plain chunks of a stream, told and spliced by their bytes alone.

They differ only in their text: all begin with the same bytes up to the id, or end with the same bytes from
the id on. Either is the id's own place and no other, since a raw newline or quote cannot stand inside a JSON
string, and what closes the chunk closes its top level. Whatever is more than plain (a usage, a finish, an
error, a first tool call) is told by a few substring tests.
"""

import re
from typing import Final

from plugin_sdk.json_object import AnswerObject

# Unescaped quotes cannot stand inside a string: where these bytes occur, they are a name (or a whole value).
_USAGE: Final = b'"usage"'
_FINISH: Final = b'"finish_reason"'
_ERROR: Final = b'"error"'
_TOOLS: Final = b'"tool_calls"'
_TEXT: Final = re.compile(
    rb'"(?:content|reasoning_content|reasoning|arguments)": ?"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
)
_LINES: Final = (b"data: {", b"data:{")


class PlainChunks:
    """What the plain chunks of one stream have in common, learnt from one of them."""

    __slots__ = ("_first", "_no_finish", "_no_usage", "_spliced", "_token", "known")

    def __init__(self) -> None:
        self.known = False
        self._token = self._spliced = self._no_usage = self._no_finish = b""
        self._first = True  # the token begins the chunk; else it ends it

    def learn(self, raw: bytes, top: AnswerObject, identity: bytes) -> None:
        """Take the event of a chunk as the pattern; `identity` is what stands in the place of its id."""
        span = top.span("id")
        if span is None or not raw.startswith(_LINES) or raw.count(b"\n") != 2 or len(top.members) < 2:
            return
        offset = raw.index(b"{")
        start, end = span[0] + offset, span[1] + offset
        self._first = top.members[0][0] == "id"
        if self._first:
            before, after = raw[:start], b""
        else:
            key = next(key for name, key, _, _ in top.members if name == "id") + offset
            before, after = raw[key - 1 : start], raw[end:]
        self._token = before + raw[start:end] + after
        self._spliced = before + identity + after
        space = b" " if before.endswith(b" ") else b""
        self._no_usage = _USAGE + b":" + space + b"null"
        self._no_finish = _FINISH + b":" + space + b"null"
        self.known = True

    def fits(self, raw: bytes) -> bool:
        """Whether an event has what the plain chunks have in common, whatever else it is."""
        return self.known and (raw.startswith(self._token) if self._first else raw.endswith(self._token))

    def all_of(self, block: bytes, *, tools: bool) -> bool:
        """Whether a block holds nothing but plain chunks; `tools`: a tool call is nothing new."""
        if not self.fits(block):
            return False
        count = block.count(self._token)
        return (
            block.count(b"\n") == 2 * count
            and (count == 1 or block.count(b"\n\n") == count)
            and block.count(_USAGE) == block.count(self._no_usage)
            and block.count(_FINISH) == block.count(self._no_finish)
            and block.find(_ERROR) < 0
            and (tools or block.find(_TOOLS) < 0)
        )

    def spliced(self, block: bytes) -> bytes:
        """The same chunks with our id."""
        return block.replace(self._token, self._spliced)


def size_of_text(block: bytes) -> int:
    """The bytes of the text in plain chunks."""
    texts = _TEXT.findall(block)
    return len(texts[0]) if len(texts) == 1 else sum(map(len, texts))
