"""Thousands of streams at once on one worker: what each occupies, and what stays when they are over."""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from tests.bench import probe
from tests.bench.machine import Circumstances, allow_sockets, resident
from tests.bench.native import outcome, request, start_load
from tests.bench.quiet import Open, settled
from tests.bench.rig import Rig, target

_MODEL: Final = "chat/i1000n40"  # an event a second, for 40 seconds
_SECONDS: Final = 40.0
_MIDDLE: Final = 25.0  # all have begun, none has ended


class Streams(msgspec.Struct, frozen=True, kw_only=True):
    """Resident bytes before, in the middle, and when all is quiet; twice, to see whether what stays grows."""

    taken: Circumstances
    streams: int
    bad: int
    reason: str
    before: int
    during: tuple[int, ...]
    after: tuple[int, ...]
    open_before: Open
    open_after: Open
    delay_p99: float

    @property
    def each(self) -> float:
        """Bytes that a stream occupies."""
        return (self.during[0] - self.before) / self.streams


def measure(rig: Rig, taken: Circumstances, *, streams: int, say: Callable[[str], None]) -> Streams:
    """Two waves of so many streams."""
    allow_sockets(2 * streams + 1_000)
    during, after, bad, reason, delay = [], [], 0, "", 0.0
    with rig.gateway(files=probe.files(), bench_probe={}) as gateway:
        pid = gateway.process.pid
        warm = request("chat/n50", stream=True)
        outcome(start_load(target(gateway), warm, c=16, n=200), _SECONDS)
        open_before = settled(gateway)
        before = resident(pid)
        for _ in range(2):
            body = request(_MODEL, stream=True)
            wave = start_load(target(gateway), body, c=streams, n=streams)
            time.sleep(_MIDDLE)
            during.append(resident(pid))
            found = outcome(wave, _SECONDS)
            bad, reason, delay = bad + found.bad, reason or found.reason, max(delay, found.delay_p99)
            open_after = settled(gateway)
            after.append(resident(pid))
    result = Streams(
        taken=taken, streams=streams, bad=bad, reason=reason, before=before, during=tuple(during),
        after=tuple(after), open_before=open_before, open_after=open_after, delay_p99=delay,
    )  # fmt: skip
    sizes = ", ".join(f"{size / 1e6:.1f}" for size in (before, during[0], after[0], during[1], after[1]))
    say(
        f"streams: {streams}, bad {bad} {reason}, {result.each / 1e3:.1f} kB each; MB {sizes};"
        f" open {open_before} -> {open_after}"
    )
    return result
