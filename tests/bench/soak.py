"""Minutes of mixed load: whether memory stays, and whether anything is left when it is over."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from tests.bench import probe
from tests.bench.machine import VERIFY_SECONDS, Circumstances, resident
from tests.bench.native import Load, outcome, request, start_load
from tests.bench.quiet import QUIET, Open, settled
from tests.bench.rig import Rig, target
from tests.gateway.process import Gateway, command


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of request, on c connections: pauses of p ms, status e expected, left after l ms."""

    model: str
    stream: bool = False
    options: Mapping[str, int]


KINDS: Final = (
    Kind(model="chat/d0", options={"c": 8, "p": 20}),
    Kind(model="chat/d50", options={"c": 16}),
    Kind(model="messages/d0", options={"c": 4, "p": 20}),
    Kind(model="chat/n50", stream=True, options={"c": 2, "p": 50}),
    Kind(model="chat/i10", stream=True, options={"c": 8, "p": 10}),
    Kind(model="messages/i10", stream=True, options={"c": 8, "p": 10}),
    Kind(model="chat/e400", options={"c": 1, "p": 50, "e": 400}),
    Kind(model="chat/e429", options={"c": 1, "p": 50, "e": 429}),
    Kind(model="chat/e500", options={"c": 1, "p": 50, "e": 502}),
    Kind(model="messages/e500", stream=True, options={"c": 1, "p": 50, "e": 502}),
    Kind(model="nobody/has-it", options={"c": 1, "p": 50, "e": 404}),
    Kind(model="chat/d200", options={"c": 2, "l": 50, "p": 20}),
    Kind(model="chat/i20n100", stream=True, options={"c": 4, "l": 300, "p": 20}),
    Kind(model="messages/i20n100", stream=True, options={"c": 4, "l": 300, "p": 20}),
)
_SAMPLE: Final = 1.0
_WARM: Final = 20.0  # seconds of load before memory is looked at: pools and caches fill


class Soak(msgspec.Struct, frozen=True, kw_only=True):
    """Median bytes of the first and of the last third; what was open before the load, idle, and after it."""

    taken: Circumstances
    minutes: float
    requests: int
    bad: int
    reason: str
    abandoned: int
    first_third: int
    last_third: int
    before: Open
    after: Open

    @property
    def growth(self) -> float:
        """How much more memory the last third has than the first, as a part of it."""
        return self.last_third / self.first_third - 1


def measure(
    rig: Rig, taken: Circumstances, *, minutes: float, say: Callable[[str], None], quiet: float = QUIET
) -> Soak:
    """All kinds at once, for so long; what is open counts when nothing has changed for `quiet` seconds."""
    with rig.gateway(files=probe.files(), bench_probe={}) as gateway:
        _run(gateway, min(_WARM, minutes * 60))
        before = settled(gateway, quiet)
        loads, samples = _run(gateway, minutes * 60)
        after = settled(gateway, quiet)
        command(gateway.config, "ledger", "verify", seconds=VERIFY_SECONDS)  # raises where anything is found
    third = max(1, len(samples) // 3)
    found = Soak(
        taken=taken,
        minutes=minutes,
        requests=sum(one.answered for one in loads),
        bad=sum(one.bad for one in loads),
        reason=next((one.reason for one in loads if one.reason), ""),
        abandoned=sum(one.left for one in loads),
        first_third=int(statistics.median(samples[:third])),
        last_third=int(statistics.median(samples[-third:])),
        before=before,
        after=after,
    )
    say(
        f"soak: {minutes:g} minutes, {found.requests} answers, {found.abandoned} left early, bad {found.bad}"
        f" {found.reason}; memory {found.growth:+.1%}; open {before} -> {after}"
    )
    return found


def _run(gateway: Gateway, seconds: float) -> tuple[list[Load], list[int]]:
    running = [
        start_load(target(gateway), request(kind.model, stream=kind.stream), s=seconds, **kind.options)
        for kind in KINDS
    ]
    samples: list[int] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or not samples:
        time.sleep(min(_SAMPLE, seconds / 3))
        samples.append(resident(gateway.process.pid))
    return [outcome(one, seconds) for one in running], samples
