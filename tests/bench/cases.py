"""The cases of the table: so many connections ask one thing of each target, round after round."""

import statistics
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from tests.bench.native import Load, Target, Window, request, window

_WARM: Final = 0.5  # seconds before each window; the CPU of those requests is counted, with them
_FIRST: Final = 3.0  # seconds of a target's very first load: imports, pools, and what its engine compiles


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """`behaviour` is the upstream's (upstream.c); `saturates`: the load is as much as the target can take."""

    name: str
    behaviour: str
    connections: int
    stream: bool = False
    translated: bool = False
    saturates: bool = False


CASES: Final = (
    Case(name="json_c64", behaviour="d0", connections=64, saturates=True),
    Case(name="json_c1", behaviour="d0", connections=1),
    Case(name="json_d50_c32", behaviour="d50", connections=32),
    Case(name="sse_c16", behaviour="n50", connections=16, stream=True, saturates=True),
    Case(
        name="sse_translated_c16",
        behaviour="n50",
        connections=16,
        stream=True,
        translated=True,
        saturates=True,
    ),
    Case(name="sse_paced_c20", behaviour="i10", connections=20, stream=True),
)


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be measured: where each behaviour is to be had, and the name of its model there."""

    name: str
    cases: tuple[str, ...]
    target: Callable[[Case], Target]
    model: Callable[[Case], str]


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The median of each figure over the rounds, and all that went wrong."""

    rounds: int
    bad: int
    reason: str
    rate: float
    util: float
    cpu_us_request: float
    cpu_us_event: float
    event_rate: float
    latency_p50: float
    latency_p99: float
    first_p50: float
    first_p99: float
    delay_p50: float
    delay_p99: float


_OF_LOAD: Final = tuple(
    name
    for name in Load.__struct_fields__
    if name in Figures.__struct_fields__ and name not in ("bad", "reason")
)


def figures(windows: Sequence[Window]) -> Figures:
    """The figures of so many windows."""
    loads = [one.load for one in windows]

    def median(values: Sequence[float]) -> float:
        return round(statistics.median(values), 4)

    return Figures(
        rounds=len(windows),
        bad=sum(one.bad for one in loads),
        reason=next((one.reason for one in loads if one.reason), ""),
        util=median([one.cpu / one.seconds for one in windows]),
        cpu_us_request=median([one.per_request for one in windows]),
        cpu_us_event=median([one.per_event for one in windows]) if loads[0].events else 0.0,
        **{name: median([getattr(one, name) for one in loads]) for name in _OF_LOAD},
    )


def measure(
    contenders: Sequence[Contender],
    wanted: Sequence[Case],
    *,
    seconds: float,
    rounds: int,
    say: Callable[[str], None],
) -> dict[str, dict[str, Figures]]:
    """{contender: {case: figures}}; each round goes through all, so that a noisy minute hits all alike."""
    found: dict[tuple[str, str], list[Window]] = {}
    for one in contenders:
        for case in wanted[:1]:
            _window(one, case, s=min(_FIRST, seconds * 2))
    for number in range(rounds):
        for case in wanted:
            for one in contenders:
                if case.name in one.cases:
                    seen = _window(one, case, s=float(seconds), w=min(_WARM, seconds))
                    found.setdefault((one.name, case.name), []).append(seen)
                    say(line(f"{number + 1} {case.name}", one.name, figures([seen])))
    result: dict[str, dict[str, Figures]] = {}
    for (name, case_name), windows in found.items():
        result.setdefault(name, {})[case_name] = figures(windows)
    return result


def _window(one: Contender, case: Case, **options: float) -> Window:
    body = request(one.model(case), stream=case.stream)
    return window(one.target(case), body, c=case.connections, **options)


def line(case: str, name: str, found: Figures) -> str:
    """One line for a person who watches."""
    return (
        f"{case:22} {name:10} {found.rate:9.1f}/s  cpu {found.cpu_us_request:8.1f} us/request"
        f" {found.cpu_us_event:7.2f} us/event  util {found.util:4.2f}"
        f"  p50 {found.latency_p50:8.3f} p99 {found.latency_p99:8.3f} ms  delay p99 {found.delay_p99:7.3f} ms"
        f"  bad {found.bad} {found.reason}"
    )
