"""Pass-through of a stream: the upstream's own events, with the splices of architecture 14.1.

Most chunks of a stream differ only in their text. They begin with the same bytes up to and including the
id, and a raw newline cannot occur inside a JSON string, so that one `replace` over a block of whole events
splices them all; whatever is more (a usage, a finish, an error, a first tool call) is told by a few substring
tests. Everything else goes event by event.
"""

import re
from typing import Any, Final

from typing_extensions import override

from plugin_sdk.errors import UpstreamError
from plugin_sdk.json_object import AnswerObject
from plugin_sdk.protocol import END, Answer, Facts, Piece, ResponseStream
from plugin_sdk.sse import Event, Frames, read, split
from plugins.protocols.openai_chat.chunk import Splices, decoded, spliced
from plugins.protocols.openai_chat.errors import failure, failure_in, failure_in_field
from plugins.protocols.openai_chat.read import WholeDecoder
from plugins.protocols.openai_chat.render import DONE, StreamEncoder
from plugins.protocols.openai_chat.tap import Tap

# Unescaped quotes cannot stand inside a string: where these bytes occur, they are a name (or a whole value).
_USAGE: Final = b'"usage"'
_FINISH: Final = b'"finish_reason"'
_ERROR: Final = b'"error"'
_TOOLS: Final = b'"tool_calls"'
_TEXT = re.compile(rb'"(?:content|reasoning_content|reasoning|arguments)": ?"([^"\\]*+(?:\\.[^"\\]*+)*+)"')


class StreamSplice(ResponseStream):
    """The upstream's stream on its way to a client of the same protocol."""

    def __init__(self, answer: Answer) -> None:
        self.facts = Facts()
        self._tap = Tap(self.facts, whole=False)
        self._answer = answer
        self._frames = Frames()
        self._splices = Splices(answer)
        self._ended = False
        self._prefix = b""  # how the plain chunks of this stream begin; b"" while not learnt
        self._spliced_prefix = b""
        self._no_usage = self._no_finish = b""

    @override
    def feed(self, data: bytes) -> list[Piece]:
        block = self._frames.feed(data)
        if not block:
            return []
        if self._prefix and self._plain(block):
            return [self._fast(block)]
        return self._events(block)

    @override
    def close(self) -> list[Piece]:
        left = self._frames.close()
        if not self.facts.started and left.lstrip().startswith(b"{"):
            return self._whole(left)
        pieces = self._last(left) if left else []
        if self.facts.complete and self.facts.error is None:
            if self.facts.finish is None:
                self.facts.finish = "other"
            if not self._ended and not self._answer.exact:
                pieces += [END, DONE]
                self._ended = True
        return pieces

    def _whole(self, body: bytes) -> list[Piece]:
        """An upstream that was asked for a stream and answered with one body: a stream made of it."""
        decoder = WholeDecoder(self.facts)
        decoder.feed(body)
        encoder = StreamEncoder(self._answer)
        pieces = [piece for delta in decoder.close() for piece in encoder.feed(delta)]
        if self.facts.error is not None:
            return []
        return [END, body] if self._answer.exact else [*pieces, *encoder.close()]

    def _last(self, left: bytes) -> list[Piece]:
        """What stood behind the last blank line: a last event without one, or the stump of a cut stream."""
        event = read(left)
        if (
            event.data is not None
            and not self._answer.exact
            and decoded(event.data) is None
            and not _done(event)
        ):
            self.facts.skipped += 1
            return []  # a stump in front of an error event would spoil both
        pieces: list[Piece] = []
        self._event(left, pieces)
        if event.data is not None and not self._ended and not self._answer.exact:
            pieces.append(b"\n\n")
        return _joined(pieces)

    def _plain(self, block: bytes) -> bool:
        """Whether the block holds nothing but plain chunks, each on a line of its own."""
        if not block.startswith(self._prefix):
            return False
        count = block.count(self._prefix)
        return (
            block.count(b"\n") == 2 * count
            and (count == 1 or block.count(b"\n\n") == count)
            and block.count(_USAGE) == block.count(self._no_usage)
            and block.count(_FINISH) == block.count(self._no_finish)
            and block.find(_ERROR) < 0
            and (self._tap.tools or block.find(_TOOLS) < 0)
        )

    def _fast(self, block: bytes) -> bytes:
        if texts := _TEXT.findall(block):
            self._tap.sized(len(texts[0]) if len(texts) == 1 else sum(map(len, texts)))
        return block if self._answer.exact else block.replace(self._prefix, self._spliced_prefix)

    def _events(self, block: bytes) -> list[Piece]:
        pieces: list[Piece] = []
        for raw in split(block):
            if self._prefix and self._plain(raw):
                pieces.append(self._fast(raw))
            else:
                self._event(raw, pieces)
        return _joined(pieces)

    def _event(self, raw: bytes, pieces: list[Piece]) -> None:
        """One event, whatever it is."""
        event = read(raw)
        if event.error is not None:
            self._fail(failure_in_field(event.error))
            pieces.append(raw)
        elif event.data is None or self._ended:
            pieces.append(raw)
        elif _done(event):
            self.facts.complete = self.facts.started = self._ended = True
            pieces += [END, raw]
        else:
            self._data(event, event.data, pieces)

    def _data(self, event: Event, data: bytes, pieces: list[Piece]) -> None:
        chunk = decoded(data)
        if chunk is None:
            self._malformed(event, pieces)
            return
        if event.name == "error":
            self._fail(failure(chunk.get("error", chunk)))
        elif (error := failure_in(chunk)) is not None:
            self._fail(error)
        else:
            self.facts.started = True
        self._tap.read(chunk)
        if self._unasked_usage(chunk):
            return
        if self._answer.exact:
            pieces.append(event.raw)
        elif "choices" in chunk or "id" in chunk:
            top = AnswerObject(data)
            pieces += spliced(event, top, self._splices.of(top, chunk, self.facts))
        else:
            pieces.append(event.raw)
        if self.facts.output and not event.raw.startswith(self._prefix or b"\n"):
            self._learn(event, chunk)

    def _malformed(self, event: Event, pieces: list[Piece]) -> None:
        """Not JSON: it goes on as it is, for the client to judge; a failure's plain words are a failure."""
        if event.name == "error":
            self._fail(failure_in_field(event.data or b""))
        else:
            self.facts.skipped += 1
        pieces.append(event.raw)

    def _fail(self, error: UpstreamError) -> None:
        if self.facts.error is None:
            self.facts.error = error

    def _unasked_usage(self, chunk: dict[str, Any]) -> bool:
        """A usage-only event that the client did not ask for: our own asking caused it."""
        return (
            not self._answer.usage_event
            and chunk.get("choices") == []
            and isinstance(chunk.get("usage"), dict)
            and "error" not in chunk
        )

    def _learn(self, event: Event, chunk: dict[str, Any]) -> None:
        """How plain chunks begin, from one that begins with its id."""
        raw, native = event.raw, chunk.get("id")
        found = _ID_FIRST.match(raw)
        if found is None or not native or "nativeResponseId" in chunk or raw.count(b"\n") != 2:
            return
        space = b" " if raw[found.end(1) - 1 : found.end(1)] == b" " else b""
        self._no_usage = _USAGE + b":" + space + b"null"
        self._no_finish = _FINISH + b":" + space + b"null"
        self._prefix = found[0]
        self._spliced_prefix = found[1] + self._splices.identity(found[2])


# A comma behind it, so that the id is whole and another member follows.
_ID_FIRST = re.compile(rb'(data: ?{"id": ?)("[^"\\]+")(?=,[^\n]*\n\n\Z)')


def _done(event: Event) -> bool:
    return event.data is not None and event.data.strip() == b"[DONE]"


def _joined(pieces: list[Piece]) -> list[Piece]:
    """The same with neighbouring bytes in one."""
    out: list[Piece] = []
    run: list[bytes] = []
    for piece in pieces:
        if isinstance(piece, bytes):
            run.append(piece)
            continue
        if run:
            out.append(b"".join(run))
            run = []
        out.append(piece)
    if run:
        out.append(b"".join(run))
    return out
