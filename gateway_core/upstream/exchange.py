"""One request and its answer, between whoever fills it (a socket, a transport) and whoever reads it.

The source appends to `chunks` and moves `state`, the reader waits on `waiter`, the sweep compares `due` and
`ends` with the time.
"""

import asyncio
import math
from typing import TYPE_CHECKING, Final, Protocol

from plugin_sdk.errors import UpstreamCut, UpstreamError, UpstreamTimeout
from plugin_sdk.provider import Deadlines

if TYPE_CHECKING:
    from gateway_core.upstream.sweep import Sweep

HEAD: Final = 0  # nothing but interim answers so far
BODY: Final = 1  # status and headers are in
COMPLETE: Final = 2
FAILED: Final = 3

RawHeaders = list[tuple[bytes, bytes]]


class Source(Protocol):
    """What fills an exchange."""

    def resume(self) -> None:
        """The reader has caught up."""

    def drop(self) -> None:
        """Nobody wants the rest."""


class Exchange:
    """The state that both sides share; only the loop's own thread touches it.

    due      when the phase's deadline ends; ends: when the total does (loop time)
    flowing  the first event was seen: `between` counts, and `heard` says that bytes came since the last look
    want     the state that wakes the reader although there are no chunks: BODY, or COMPLETE for a whole body
    bound    the most bytes a whole body may have
    """

    __slots__ = (
        "between", "bound", "buffered", "chunks", "due", "ends", "error", "flowing", "head_only", "heard",
        "loop", "paused", "raw", "source", "state", "status", "sweep", "waiter", "want",
    )  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sweep: "Sweep", ends: float, *, head_only: bool
    ) -> None:
        self.loop = loop
        self.sweep = sweep
        self.ends = ends
        self.head_only = head_only
        self.due = self.between = math.inf
        self.flowing = self.heard = self.paused = False
        self.state = HEAD
        self.status = 0
        self.raw: RawHeaders = []
        self.chunks: list[bytes] = []
        self.buffered = 0
        self.want = BODY
        self.bound = math.inf
        self.error: Exception | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.source: Source | None = None

    def begin(self, source: Source, deadlines: Deadlines) -> None:
        """The request is on its way: from now on its deadlines count."""
        self.source = source
        self.due = self.loop.time() + (deadlines.first_event or math.inf)
        self.between = deadlines.between_events or math.inf
        self.sweep.watch(self)

    @property
    def finished(self) -> bool:
        """Whether the whole answer has come and been read."""
        return self.state >= COMPLETE and not self.chunks

    def wake(self) -> None:
        """Let the reader look again."""
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def wait(self) -> "asyncio.Future[None]":
        """Done when the source has something to say."""
        self.waiter = waiter = self.loop.create_future()
        return waiter

    async def head(self) -> None:
        """Until status and headers are in; raises what kept them from coming."""
        while self.state == HEAD:
            await self.wait()
        if self.state == FAILED and not self.status and self.error is not None:
            raise self.error

    def completed(self) -> None:
        """The source gave the whole answer: it is free, and no deadline counts any more."""
        self.state = COMPLETE
        self.source = None
        self.paused = False
        self.sweep.forget(self)
        self.wake()

    def fail(self, error: Exception) -> None:
        """End it: what has come so far can still be read, then this error is raised."""
        if self.state >= COMPLETE:
            return
        self.state = FAILED
        self.error = error
        self.paused = False
        self.sweep.forget(self)
        source, self.source = self.source, None
        if source is not None:
            source.drop()
        self.wake()

    def expire(self, now: float) -> None:
        """A deadline has passed."""
        if now >= self.ends:
            self.fail(
                UpstreamTimeout("The provider's answer took too long as a whole.", reason="total_timeout")
            )
        elif self.flowing:
            self.fail(UpstreamTimeout("The provider stopped sending.", reason="event_timeout"))
        else:
            self.fail(UpstreamTimeout("The provider did not begin to answer.", reason="first_event_timeout"))

    def outgrown(self) -> None:
        """A body that is read whole is over its bound."""
        self.fail(too_large(self.bound))

    def give_up(self) -> None:
        """Nobody will read the rest: forget what has come, let the source go."""
        self.chunks.clear()
        self.buffered = 0
        if self.state < COMPLETE:
            self.fail(UpstreamCut("The answer was given up before its end.", reason="given_up"))


def too_large(limit: float) -> UpstreamError:
    """The body is over the reader's limit."""
    return UpstreamError(f"The provider's answer is over {limit:.0f} bytes.", reason="answer_too_large")
