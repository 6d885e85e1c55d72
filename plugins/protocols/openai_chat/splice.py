"""Pass-through of a stream: the upstream's own events, with the splices of architecture 14.1.

Blocks of plain chunks are spliced by their bytes; everything else goes event by event.
"""

from typing import Any

from typing_extensions import override

from plugin_sdk.errors import UpstreamError
from plugin_sdk.json_object import AnswerObject
from plugin_sdk.protocol import END, Answer, Facts, Piece, ResponseStream
from plugin_sdk.splices import NATIVE_ID, decoded, joined, spliced
from plugin_sdk.sse import Event, Frames, read, split
from plugin_sdk.upstream_errors import failure, failure_in_field
from plugins.protocols.openai_chat.chunk import Splices
from plugins.protocols.openai_chat.errors import failure_in
from plugins.protocols.openai_chat.plain import PlainChunks, size_of_text
from plugins.protocols.openai_chat.read import WholeDecoder
from plugins.protocols.openai_chat.render import DONE, StreamEncoder
from plugins.protocols.openai_chat.tap import Tap


class StreamSplice(ResponseStream):
    """The upstream's stream on its way to a client of the same protocol."""

    def __init__(self, answer: Answer) -> None:
        self.facts = Facts()
        self._tap = Tap(self.facts, whole=False)
        self._answer = answer
        self._frames = Frames()
        self._splices = Splices(answer)
        self._ended = False
        self._plain = PlainChunks()

    @override
    def feed(self, data: bytes) -> list[Piece]:
        block = self._frames.feed(data)
        if not block:
            return []
        if self._plain.all_of(block, tools=self._tap.tools):
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
        return joined(pieces)

    def _fast(self, block: bytes) -> bytes:
        if size := size_of_text(block):
            self._tap.sized(size)
        return block if self._answer.exact else self._plain.spliced(block)

    def _events(self, block: bytes) -> list[Piece]:
        pieces: list[Piece] = []
        self._some(list(split(block)), pieces)
        return joined(pieces)

    def _some(self, events: list[bytes], pieces: list[Piece]) -> None:
        """Events in a row: all at once where all are plain, else each half by itself."""
        block = b"".join(events)
        if self._plain.all_of(block, tools=self._tap.tools):
            pieces.append(self._fast(block))
        elif len(events) == 1:
            self._event(block, pieces)
        elif events:
            middle = len(events) // 2
            self._some(events[:middle], pieces)
            self._some(events[middle:], pieces)

    def _event(self, raw: bytes, pieces: list[Piece]) -> None:
        """One event, whatever it is."""
        event = read(raw)
        if self.facts.error is not None and not self._answer.exact:
            return  # nothing follows an error
        if self._ended:
            pieces.append(raw)
        elif _done(event):
            self._done(raw, pieces)
        elif event.error is not None:
            self._fail(failure_in_field(event.error), event, pieces)
        elif event.data is None:
            pieces.append(raw)
        else:
            self._data(event, event.data, pieces)

    def _done(self, raw: bytes, pieces: list[Piece]) -> None:
        self.facts.complete = self.facts.started = self._ended = True
        if self.facts.finish is None:
            self.facts.finish = "other"
        pieces += [END, raw]

    def _data(self, event: Event, data: bytes, pieces: list[Piece]) -> None:
        chunk = decoded(data)
        if chunk is None:
            if event.name == "error":
                self._fail(failure_in_field(data), event, pieces)
            else:  # it goes on as it is, for the client to judge
                self.facts.skipped += 1
                pieces.append(event.raw)
            return
        self._tap.read(chunk)
        error = failure(chunk.get("error", chunk)) if event.name == "error" else failure_in(chunk)
        if error is not None:
            self._fail(error, event, pieces)
            return
        self.facts.started = True
        if not self._unasked_usage(chunk):
            self._chunk(event, data, chunk, pieces)

    def _chunk(self, event: Event, data: bytes, chunk: dict[str, Any], pieces: list[Piece]) -> None:
        """A chunk with its splices; the pattern of the plain ones is learnt from it."""
        learns = self.facts.output and not self._plain.fits(event.raw)
        if ("choices" not in chunk and "id" not in chunk) or (self._answer.exact and not learns):
            pieces.append(event.raw)
            return
        top = AnswerObject(data)
        splices = self._splices.of(top, chunk, self.facts)
        pieces += [event.raw] if self._answer.exact else spliced(event, splices)
        if learns and chunk.get("id") and NATIVE_ID not in chunk:
            self._plain.learn(event.raw, top, self._splices.identity.value(b""))

    def _fail(self, error: UpstreamError, event: Event, pieces: list[Piece]) -> None:
        """The upstream's failure. The core says it in our words: its own may name our account."""
        if self.facts.error is None:
            self.facts.error = error
        if self._answer.exact:
            pieces.append(event.raw)
        elif event.name == "error":
            pieces.append(b"event: error\n")  # of the event that the core writes next
        self._plain = PlainChunks()  # no chunk passes any more

    def _unasked_usage(self, chunk: dict[str, Any]) -> bool:
        """A usage-only event that the client did not ask for: our own asking caused it."""
        return (
            not self._answer.usage_event
            and chunk.get("choices") == []
            and isinstance(chunk.get("usage"), dict)
            and "error" not in chunk
        )


def _done(event: Event) -> bool:
    return event.data is not None and event.data.strip() == b"[DONE]"
