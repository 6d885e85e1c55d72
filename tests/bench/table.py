"""The tables of what was measured: beside what was aimed at, and figure by figure, as Markdown."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from tests.bench.cases import Figures
from tests.bench.results import Cases, Results
from tests.bench.soak import Soak
from tests.bench.start import Start
from tests.bench.streams import Streams
from tests.bench.workers import Workers

OURS: Final = "normal"
FULL: Final = "full"
_NAMES: Final = {OURS: "this gateway", FULL: "this gateway, `full`", "hello": "the least application"}
# {peer: how many times its requests/s are aimed at}; the first is the one that latencies are held against
PEERS: Final = {"ferro": 1.5, "portkey": 6.0, "litellm": 60.0}
_OPEN: Final = ("descriptors", "tasks", "blocks")
_HEAD: Final = ("", "target", "measured", "met", "others in the same run")
_FIGURES: Final = (
    "who", "case", "requests/s", "CPU us/request", "CPU us/event", "util", "p50 ms", "p99 ms", "delay p99 ms",
    "bad",
)  # fmt: skip


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line; `met` is None where nothing can be said."""

    name: str
    target: str = ""
    found: str = "not measured"
    met: bool | None = None
    beside: str = ""

    def cells(self) -> tuple[str, ...]:
        """As they are printed."""
        verdict = {True: "yes", False: "**no**", None: ""}[self.met]
        return (self.name, self.target, self.found, verdict, self.beside)


class View:
    """The cases of one run, as the rows ask for them. A case in which a request failed counts as not met."""

    def __init__(self, cases: Cases | None) -> None:
        self._figures = cases.figures if cases else {}

    def figures(self, who: str, case: str) -> Figures | None:
        """None where it was not measured."""
        return self._figures.get(who, {}).get(case)

    def value(self, who: str, case: str, field: str) -> float | None:
        """One figure."""
        found = self.figures(who, case)
        return None if found is None else float(getattr(found, field))

    def added(self, who: str, case: str, field: str) -> float | None:
        """One figure without what it is when the upstream is asked directly."""
        found, direct = self.value(who, case, field), self.value("direct", case, field)
        return None if found is None or direct is None else found - direct

    def ratio(self, who: str, other: str, case: str, field: str) -> float | None:
        """One's figure as a multiple of another's."""
        found, beside = self.value(who, case, field), self.value(other, case, field)
        return found / beside if found and beside else None

    def cost(self, name: str, who: str, case: str, field: str, most: float) -> Row:
        """CPU for a request or an event, at most so much."""
        found = self.value(who, case, field)
        if found is None:
            return Row(name=name, target=f"at most {most:g}")
        beside = [(peer, self.value(peer, case, field)) for peer in ("hello", *PEERS)]
        shown = ", ".join(f"{_NAMES.get(peer, peer)} {value:.0f}" for peer, value in beside if value)
        return self._row(name, f"at most {most:g}", f"{found:.1f}", found <= most, shown, who, case)

    def times(self, name: str, peer: str, case: str, field: str, least: float) -> Row:
        """How many times as fast as a peer."""
        found, target = self.ratio(OURS, peer, case, field), f"at least {least:g} x"
        if found is None:
            return Row(name=name, target=target)
        shown = f"{self.value(OURS, case, field):.0f} and {self.value(peer, case, field):.0f}"
        return self._row(name, target, f"{found:.2f} x", found >= least, shown, OURS, case)

    def latency(self, name: str, case: str, field: str, most: float | None, peers: float | None) -> Row:
        """Added ms: at most `peers` times what the first peer adds; where it was not asked, below `most`."""
        first = next(iter(PEERS))
        goals = [f"at most {peers:g} x {first}'s"] if peers else []
        goals += [f"under {most:g}"] if most else []
        target, found, other = (
            "; without it, ".join(goals),
            self.added(OURS, case, field),
            self.added(first, case, field),
        )
        if found is None:
            return Row(name=name, target=target)
        met = found < most if most else None
        if peers and other is not None:
            met = found <= peers * other
        beside = [(peer, self.added(peer, case, field)) for peer in PEERS]
        shown = [f"{peer} {value:.2f}" for peer, value in beside if value is not None]
        shown.append(f"the upstream itself {self.value('direct', case, field):.2f}")
        return self._row(name, target, f"{found:.2f}", met, ", ".join(shown), OURS, case)

    def _row(
        self, name: str, target: str, found: str, met: bool | None, beside: str, who: str, case: str
    ) -> Row:
        bad = int(self.value(who, case, "bad") or 0)
        if bad:
            return Row(name=name, target=target, found=f"{found} ({bad} failed)", met=False, beside=beside)
        return Row(name=name, target=target, found=found, met=met, beside=beside)


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table."""
    return "".join("| " + " | ".join(line) + " |\n" for line in [head, ["---"] * len(head), *lines])


def targets(results: Results) -> str:
    """What was aimed at, and what is."""
    found = [*_cases(View(results.cases)), *_start(results.start), *_streams(results.streams)]
    found += [*_workers(results.workers), *_soak(results.soak)]
    return markdown(_HEAD, [row.cells() for row in found])


def figures(results: Results) -> str:
    """Every case of everyone."""
    lines = []
    for who, cases in (results.cases.figures if results.cases else {}).items():
        for case, one in cases.items():
            event = f"{one.cpu_us_event:.1f}" if one.cpu_us_event else ""
            delay = f"{one.delay_p99:.2f}" if one.delay_p99 else ""
            cells = [_NAMES.get(who, who), f"`{case}`", f"{one.rate:.0f}", f"{one.cpu_us_request:.0f}", event]
            cells += [f"{value:.2f}" for value in (one.util, one.latency_p50, one.latency_p99)]
            lines.append([*cells, delay, str(one.bad)])
    return markdown(_FIGURES, lines)


def circumstances(results: Results) -> str:
    """When and on what each part was measured."""
    lines = []
    for part in Results.__struct_fields__:
        if (found := getattr(results, part)) is not None:
            one = found.taken
            machine = f"{one.machine}, {one.cores} cores"
            lines.append(
                [f"`{part}`", one.at, f"`{one.commit}`", one.python, machine, f"{one.load_average:g}"]
            )
    return markdown(["part", "at (UTC)", "commit", "Python", "machine", "load average before"], lines)


def _cases(view: View) -> Iterator[Row]:
    request, event = "cpu_us_request", "cpu_us_event"
    yield view.cost(
        "non-stream, 64 connections, CPU us/request, `durability: normal`", OURS, "json_c64", request, 170
    )
    for peer, least in PEERS.items():
        yield view.times(f"its requests/s beside those of {peer}", peer, "json_c64", "rate", least)
    yield view.cost("the same with `durability: full`", FULL, "json_c64", request, 200)
    for who in (OURS, FULL):
        ratio = view.ratio(who, "hello", "json_c64", request)
        if ratio is not None:
            name = f"CPU a request as a multiple of the least application's, `durability: {who}`"
            yield Row(name=name, found=f"{ratio:.1f} x")
    yield view.latency("added p50, 1 connection, instant upstream, ms", "json_c1", "latency_p50", 0.6, 1.3)
    yield view.latency(
        "added p50, 32 connections, 50 ms upstream, ms", "json_d50_c32", "latency_p50", 1.0, None
    )
    yield view.latency(
        "added p99, 32 connections, 50 ms upstream, ms", "json_d50_c32", "latency_p99", None, 1.5
    )
    yield view.cost("SSE passed through, 16 streams, CPU us/event", OURS, "sse_c16", event, 12)
    yield view.times("its events/s beside those of ferro", "ferro", "sse_c16", "event_rate", 2)
    yield view.cost("SSE translated, 16 streams, CPU us/event", OURS, "sse_translated_c16", event, 60)
    yield view.latency(
        "added delay of an event, 20 paced streams, p99, ms", "sse_paced_c20", "delay_p99", 4.0, None
    )


def _start(found: Start | None) -> Iterator[Row]:
    idle = Row(name="memory of an idle worker, MB", target="under 90")
    ready = Row(name="ready after its start, best of five, s", target="within 1.5")
    if found is not None:
        best, size = min(found.ready_seconds), found.resident / 1e6
        idle = msgspec.structs.replace(idle, found=f"{size:.1f}", met=size < 90)
        ready = msgspec.structs.replace(ready, found=f"{best:.2f}", met=best <= 1.5)
    yield idle
    yield ready


def _streams(found: Streams | None) -> Iterator[Row]:
    each = Row(name="2,000 paced streams on one worker, memory a stream, kB", target="under 60, no error")
    left = Row(name="left by them: memory, files and sockets, tasks", target="none")
    if found is not None:
        met = found.each < 60_000 and not found.bad if found.streams >= 2_000 else None
        shown = f"{found.each / 1e3:.1f}, {found.bad} failed of {2 * found.streams}"
        each = msgspec.structs.replace(each, found=shown, met=met)
        kept, again = ((size - found.before) / 1e6 for size in found.after)
        more = [getattr(found.open_after, name) - getattr(found.open_before, name) for name in _OPEN]
        left = msgspec.structs.replace(
            left,
            found=f"{kept:.1f} MB, {more[0]} and {more[1]}",
            met=kept < 5 and max(more[:2]) <= 0,
            beside=f"{again:.1f} MB after as many again; {more[2]:+d} pieces of memory that objects hold",
        )
    yield each
    yield left


def _workers(found: Workers | None) -> Iterator[Row]:
    for kind in ("sqlite", "postgres"):
        row = Row(
            name=f"CPU a request with `--workers 2`, {kind}",
            target="within 10 % of one worker's, wallet exact",
        )
        pair = found.databases.get(kind) if found else None
        if pair is not None:
            exact = pair.off == 0 and not pair.one.bad + pair.two.bad
            wallet = "exact" if pair.off == 0 else f"off by {pair.off} nanos"
            row = msgspec.structs.replace(
                row,
                found=f"{pair.ratio - 1:+.0%}, wallet {wallet} after {pair.answers} answers",
                met=exact and pair.ratio <= 1.1,
                beside=f"{pair.one.cpu_us_request:.0f} us with one, {pair.two.cpu_us_request:.0f} with two",
            )
        yield row


def _soak(found: Soak | None) -> Iterator[Row]:
    memory = Row(
        name="ten minutes of mixed load, memory of the last third", target="within 3 % of the first's"
    )
    left = Row(name="files and sockets, and tasks, left by it", target="none")
    if found is not None:
        shown = f"{found.growth:+.1%} in {found.minutes:g} minutes"
        beside = (
            f"{found.requests} answers, {found.bad} not as expected, {found.abandoned} clients gone early"
        )
        met = abs(found.growth) <= 0.03 and not found.bad if found.minutes >= 10 else None
        memory = msgspec.structs.replace(memory, found=shown, met=met, beside=beside)
        more = [getattr(found.after, name) - getattr(found.before, name) for name in _OPEN]
        beside = f"{more[2]:+d} pieces of memory that objects hold"
        left = msgspec.structs.replace(
            left, found=f"{more[0]} and {more[1]}", met=max(more[:2]) <= 0, beside=beside
        )
    yield memory
    yield left
