"""How many instructions a request and an event take: `python -m tests.bench.instructions [--record]`.

They are counted by valgrind, in user space, so that a busy machine gives the figures of a quiet one: what a
change costs or saves is seen to a percent or two. They depend on Python's build and on the C library, so that
figures compare with those of the same machine, and between machines as multiples of the least application's.
Printed is each figure beside the one in instructions.json; `--record` keeps the new ones there,
and `make docs` shows them on the page.
"""

import argparse
import contextlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tests.bench.machine import Circumstances, circumstances, end_on_sigterm
from tests.bench.native import HERE, Missing, Target, compiled, load, request
from tests.bench.rig import Rig, hello, rig, target
from tests.bench.table import markdown
from tests.gateway.process import PROGRAM

RECORDED: Final = HERE / "instructions.json"
_FIXED: Final = ("env", "PYTHONHASHSEED=0")  # the same order of sets in each run
_WARM: Final = 60  # requests of each kind before counting
_PATIENCE: Final = 120.0
NAMES: Final = {
    "least": "a request of the least application",
    "request": "a request alone, its commit its own",
    "shared": "a request among 32, commits shared",
    "event": "an event passed through, of many that come at once",
    "translated": "an event translated, likewise",
}


class Instructions(msgspec.Struct, frozen=True, kw_only=True):
    """{name: instructions}."""

    taken: Circumstances
    valgrind: str
    counted: Mapping[str, int]


class Counter:
    """A process under callgrind, whose instructions are counted only between two commands of ours."""

    def __init__(self, pid: int, folder: Path) -> None:
        self._pid = pid
        self._folder = folder

    def begin(self) -> None:
        """Count from now on."""
        self._command("instrumentation", "on")

    def count(self, where: Target, body: bytes, *, connections: int, requests: int) -> float:
        """Instructions for each of so many requests."""
        self._command("zero")
        found = load(where, body, c=connections, n=requests)
        self._command("dump")
        if found.bad:
            raise RuntimeError(f"{found.bad} requests failed: {found.reason}")
        newest = max(self._folder.glob("counted*"), key=lambda path: path.stat().st_mtime_ns)
        (total,) = [line for line in newest.read_text().splitlines() if line.startswith("summary:")]
        newest.unlink()
        return int(total.split()[1]) / requests

    def _command(self, *words: str) -> None:
        command = ["vgdb", f"--pid={self._pid}", *words]
        subprocess.run(command, check=True, capture_output=True, timeout=_PATIENCE)


def measure(there: Rig, folder: Path, *, requests: int, rounds: int) -> Instructions:
    """Count all of them."""
    version = subprocess.run(["valgrind", "--version"], check=True, capture_output=True, text=True)
    counted = {}
    with hello(_under(folder / "least")) as least:
        assert least.pid is not None
        (counted["least"],) = _medians(
            least, Counter(least.pid, folder / "least"), [_WHOLE], requests, rounds
        )
    with there.gateway(program=(*_under(folder / "gateway"), *PROGRAM)) as gateway:
        counter = Counter(gateway.process.pid, folder / "gateway")
        found = _medians(target(gateway), counter, _KINDS, requests, rounds)
    counted["request"], counted["shared"], short, long, short_translated, long_translated = found
    counted["event"] = (long - short) // 450
    counted["translated"] = (long_translated - short_translated) // 450
    at = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    return Instructions(taken=circumstances(at), valgrind=version.stdout.strip(), counted=counted)


class _Kind(msgspec.Struct, frozen=True):
    """A request, on how many connections, and one of how many of them."""

    body: bytes
    connections: int = 1
    part: int = 1


_WHOLE: Final = _Kind(request("chat/d0", stream=False))
# An event's are those of a stream of 500 less those of a stream of 50: the rest of a request is in both.
_KINDS: Final = (
    _WHOLE,
    _Kind(_WHOLE.body, connections=32),
    *(
        _Kind(request(f"{provider}/{events}", stream=True), part=30)
        for provider in ("chat", "messages")
        for events in ("n50", "n500")
    ),
)


def _under(folder: Path) -> tuple[str, ...]:
    """The words before a command that has valgrind run it; counting is off until it is told."""
    folder.mkdir()
    files = [f"--callgrind-out-file={folder}/counted", f"--log-file={folder}/log"]
    return (*_FIXED, "valgrind", "--tool=callgrind", "--fair-sched=yes", "--instr-atstart=no", *files)


def _medians(
    where: Target, counter: Counter, kinds: Sequence[_Kind], requests: int, rounds: int
) -> list[int]:
    medians = []
    for kind in kinds:
        load(where, kind.body, c=4, n=_WARM)
    counter.begin()
    for kind in kinds:
        load(where, kind.body, c=1, n=_WARM // 4)  # what was warm is translated once more, to be counted
    for kind in kinds:
        each = max(2, requests // kind.part)
        found = [
            counter.count(where, kind.body, connections=kind.connections, requests=each)
            for _ in range(rounds)
        ]
        medians.append(round(statistics.median(found)))
    return medians


def recorded() -> Instructions | None:
    """Those of the repository."""
    return msgspec.json.decode(RECORDED.read_bytes(), type=Instructions) if RECORDED.exists() else None


def render(found: Instructions | None, before: Instructions | None = None) -> str:
    """The table; with the change since `before`, where there is one."""
    head = ["", "instructions", "multiple of the least"] + (["since the record"] if before else [])
    lines = []
    for name, words in NAMES.items() if found else ():
        assert found is not None
        count, least = found.counted[name], found.counted["least"]
        line = [words, f"{count:,}", f"{count / least:.2f}"]
        if before:
            line.append(f"{count / before.counted[name] - 1:+.1%}")
        lines.append(line)
    return markdown(head, lines)


def _check() -> None:
    """Raise where this machine lacks what is needed."""
    for program in ("upstream", "load"):
        compiled(program)
    if not shutil.which("valgrind") or not shutil.which("vgdb"):
        raise Missing("valgrind counts the instructions: install it")


def main() -> None:
    """Count, print, and keep if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=300, help="of each kind (300)")
    parser.add_argument("--rounds", type=int, default=3, help="the median counts (3)")
    parser.add_argument("--record", action="store_true", help="keep the figures in the repository")
    options = parser.parse_args()
    end_on_sigterm()
    try:
        _check()
    except Missing as error:
        sys.exit(f"bench: {error}")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        there = stack.enter_context(rig(folder / "rig"))
        found = measure(there, folder, requests=options.requests, rounds=options.rounds)
    print(render(found, recorded()))
    if options.record:
        RECORDED.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


if __name__ == "__main__":
    main()
