"""An upstream's answer as its reader sees it: status, headers, and bytes as they come."""

from collections.abc import Mapping

from gateway_core.upstream.decode import Inflater, inflater
from gateway_core.upstream.exchange import COMPLETE, FAILED, Exchange, RawHeaders, too_large
from gateway_core.upstream.headers import Headers, fields
from plugin_sdk.errors import UpstreamCut, UpstreamError, UpstreamTimeout


class UpstreamResponse(Exchange):
    """Read it with `next` or `read` from one task at a time; `release` it in the end, whatever happened."""

    __slots__ = ("_inflater",)

    _inflater: Inflater | None

    def opened(self, *, decode: bool = True) -> None:
        """The head is in: read what it says about the body."""
        self._inflater = None
        if decode and not self.head_only and _is_encoded(self.raw):
            try:
                self._inflater = inflater(fields(self.raw)[b"content-encoding"].decode("latin-1"))
            except UpstreamError:
                self.release()
                raise

    @property
    def headers(self) -> Mapping[str, str]:
        """The answer's headers, names in lower case; read when somebody asks, which is seldom."""
        found = fields(self.raw)
        if self._inflater is not None:
            del found[b"content-encoding"]
            found.pop(b"content-length", None)  # of the compressed form
        return Headers(found)

    async def next(self) -> bytes | None:
        """The next bytes of the body, None at its clean end; an error comes after all that had arrived."""
        while True:
            if self._inflater is not None and (piece := self._inflater.take()):
                return piece
            chunks = self.chunks
            if chunks:
                data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
                chunks.clear()
                self.buffered = 0
                if self.paused:
                    self.paused = False
                    if self.source is not None:
                        self.source.resume()
                if self._inflater is None:
                    return data
                self._inflater.feed(data)
            elif self.state >= COMPLETE:
                self._end()
                return None
            else:
                await self.wait()

    async def read(self, limit: int) -> bytes:
        """The whole body; raises UpstreamError where it has more than `limit` bytes."""
        if self._inflater is not None:
            return await self._read_decoded(limit)
        if self.state < COMPLETE:
            await self._whole(limit)
        if self.buffered > limit:
            self.release()
            raise too_large(limit)
        body = b"".join(self.chunks)
        self.chunks.clear()
        self.buffered = 0
        if self.state == FAILED:
            self._end()
        return body

    def started(self) -> None:
        """The first real event has arrived: from now on the deadline is the one between events."""
        if not self.flowing:
            self.flowing = self.heard = True

    def extend(self, seconds: float) -> None:
        """Bound what is left, from now; 0 ends it at once."""
        self.ends = min(self.ends, self.loop.time() + seconds)
        if seconds <= 0:
            self.fail(UpstreamTimeout("The rest of the answer was not waited for.", reason="total_timeout"))

    def release(self) -> None:
        """Done with it: the connection of a complete answer is in its pool already, any other is dropped."""
        self.give_up()

    async def _whole(self, limit: int) -> None:
        """Sleep until all of the body is in; nothing wakes the reader before that."""
        self.want = COMPLETE
        self.bound = limit
        if self.buffered > limit:
            return
        if self.buffered:
            self.started()  # a body that is read whole has no events: its first byte is the start
        if self.paused and self.source is not None:
            self.paused = False
            self.source.resume()
        while self.state < COMPLETE:
            await self.wait()

    async def _read_decoded(self, limit: int) -> bytes:
        pieces = []
        size = 0
        while (piece := await self.next()) is not None:
            self.started()
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                self.release()
                raise too_large(limit)
        return b"".join(pieces)

    def _end(self) -> None:
        if self.state == FAILED and self.error is not None:
            raise self.error
        if self._inflater is not None and not self._inflater.finished:
            raise UpstreamCut("The provider's answer ended before its end.", reason="cut")


def _is_encoded(raw: RawHeaders) -> bool:
    for name, _ in raw:  # noqa: SIM110  # a generator would cost as much again
        if len(name) == 16 and name.lower() == b"content-encoding":
            return True
    return False
