"""Measures the gateway and prints the table: `python -m tests.bench [part ...]` (`make bench`).

Parts are `cases`, `start`, `streams`, `workers` and `soak`; without any, all of them: some twenty minutes.
Linux, a C compiler and two cores are needed; the gateway has one for itself, the upstream and the load share
the other. All traffic stays on loopback. Results are kept in build/bench/results.json, part by part;
`--record` keeps them beside this file and writes the tables of docs/explain/performance.md.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from tests.bench import cases, results, soak, start, streams, table, workers
from tests.bench.contenders import contenders
from tests.bench.machine import CORES, Circumstances, circumstances, end_on_sigterm
from tests.bench.native import BUILT, Missing, compiled
from tests.bench.peers import PEERS
from tests.bench.results import Cases
from tests.bench.rig import Rig, rig
from tests.contract.reference import write_pages

PARTS = ("cases", "start", "streams", "workers", "soak")


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a window (4)")
    parser.add_argument("--rounds", type=int, default=3, help="windows of each case; the median counts (3)")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the soak (10)")
    parser.add_argument("--streams", type=int, default=2_000, help="at once, on one worker (2000)")
    parser.add_argument("--only", default="", help="these cases, with commas between")
    parser.add_argument(
        "--peer", action="append", default=[], metavar="NAME=PATH",
        help=f"another gateway that is installed: {', '.join(PEERS)}; never downloaded",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=BUILT / "results.json", help="where results are kept")
    parser.add_argument("--record", action="store_true", help="keep them in the repository, and in the page")
    found = parser.parse_args()
    if wrong := set(found.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(wrong))}; there are {', '.join(PARTS)}")
    found.parts = found.parts or PARTS
    found.peers = {name: Path(path) for name, _, path in (one.partition("=") for one in found.peer)}
    if wrong := set(found.peers) - set(PEERS):
        parser.error(f"no such peer: {', '.join(sorted(wrong))}; there are {', '.join(PEERS)}")
    if found.record:
        found.out = results.RECORDED
    return found


def say(text: str) -> None:
    """Tell who watches, apart from the table."""
    print(text, file=sys.stderr, flush=True)


def measure(part: str, there: Rig, taken: Circumstances, options: argparse.Namespace) -> object:
    """One part."""
    if part == "start":
        return start.measure(there, taken, times=5, say=say)
    if part == "streams":
        return streams.measure(there, taken, streams=options.streams, say=say)
    if part == "workers":
        return workers.measure(there, taken, seconds=options.seconds, rounds=options.rounds, say=say)
    if part == "soak":
        return soak.measure(there, taken, minutes=options.minutes, say=say)
    names = set(filter(None, options.only.split(",")))
    wanted = [case for case in cases.CASES if not names or case.name in names]
    with contenders(there, options.peers) as everyone:
        found = cases.measure(everyone, wanted, seconds=options.seconds, rounds=options.rounds, say=say)
    return Cases(taken=taken, seconds=options.seconds, rounds=options.rounds, figures=found)


def main() -> None:
    """Measure the parts one after the other, and keep each as soon as it is there."""
    options = arguments()
    end_on_sigterm()
    try:
        for program in ("upstream", "load"):
            compiled(program)
    except Missing as error:
        sys.exit(f"bench: {error}")
    if len(CORES) < 2:
        say("bench: there is one core only, and the load takes its part of it: latencies mean little")
    with tempfile.TemporaryDirectory() as folder, rig(Path(folder)) as there:
        for part in options.parts:
            taken = circumstances(time.strftime("%Y-%m-%d %H:%M", time.gmtime()))
            found = measure(part, there, taken, options)
            kept = msgspec.structs.replace(results.read(options.out), **{part: found})
            results.write(options.out, kept)
    print(table.targets(results.read(options.out)))
    print(table.figures(results.read(options.out)))
    if options.record:
        write_pages()


if __name__ == "__main__":
    main()
