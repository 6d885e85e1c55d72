"""Thousands of streams at once on one worker: what each occupies, and what stays when they are over."""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from tests.bench.machine import Circumstances, allow_sockets, descriptors, resident
from tests.bench.native import outcome, request, start_load
from tests.bench.rig import Rig, target

_MODEL: Final = "chat/i1000n40"  # an event a second, for 40 seconds
_SECONDS: Final = 40.0
_MIDDLE: Final = 25.0  # all have begun, none has ended
_QUIET: Final = 3.0
_SOCKETS: Final = 4  # for each stream: two of the gateway's, and room


class Streams(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes before, in the middle of the streams, and after; twice, to see that what stays does not grow."""

    taken: Circumstances
    streams: int
    bad: int
    reason: str
    before: int
    during: tuple[int, ...]
    after: tuple[int, ...]
    descriptors_before: int
    descriptors_after: int
    delay_p99: float

    @property
    def each(self) -> float:
        """Bytes that a stream occupies."""
        return (self.during[0] - self.before) / self.streams


def measure(rig: Rig, taken: Circumstances, *, streams: int, say: Callable[[str], None]) -> Streams:
    """Two waves of so many streams."""
    allow_sockets(min(streams * _SOCKETS, 2 * streams + 1_000))
    during, after, bad, reason, delay = [], [], 0, "", 0.0
    with rig.gateway() as gateway:
        pid = gateway.process.pid
        warm = request("chat/n50", stream=True)
        outcome(start_load(target(gateway), warm, c=16, n=200), _SECONDS)
        time.sleep(_QUIET)
        before, sockets = resident(pid), descriptors(pid)
        for _ in range(2):
            body = request(_MODEL, stream=True)
            wave = start_load(target(gateway), body, c=streams, n=streams)
            time.sleep(_MIDDLE)
            during.append(resident(pid))
            found = outcome(wave, _SECONDS)
            bad, reason, delay = bad + found.bad, reason or found.reason, max(delay, found.delay_p99)
            time.sleep(_QUIET)
            after.append(resident(pid))
        left = _settled(pid, sockets)
    result = Streams(
        taken=taken, streams=streams, bad=bad, reason=reason, before=before, during=tuple(during),
        after=tuple(after), descriptors_before=sockets, descriptors_after=left, delay_p99=delay,
    )  # fmt: skip
    sizes = ", ".join(f"{size / 1e6:.1f}" for size in (before, during[0], after[0], during[1], after[1]))
    say(f"streams: {streams}, bad {bad} {reason}, {result.each / 1e3:.1f} kB each; MB {sizes}")
    return result


def _settled(pid: int, wanted: int, patience: float = 45.0) -> int:
    """The open files once they are as few as wanted, or when patience ends: kept connections close too."""
    deadline = time.monotonic() + patience
    while (found := descriptors(pid)) > wanted and time.monotonic() < deadline:
        time.sleep(0.5)
    return found
