"""What was measured, as it is kept in a file: part by part, each with when and on what."""

from pathlib import Path
from typing import Final

import msgspec

from tests.bench.cases import Figures
from tests.bench.machine import Circumstances
from tests.bench.native import HERE
from tests.bench.soak import Soak
from tests.bench.start import Start
from tests.bench.streams import Streams
from tests.bench.workers import Workers

RECORDED: Final = HERE / "results.json"


class Cases(msgspec.Struct, frozen=True, kw_only=True):
    """{contender: {case: figures}} of one run."""

    taken: Circumstances
    seconds: float
    rounds: int
    figures: dict[str, dict[str, Figures]]


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """A part that was not measured is None."""

    cases: Cases | None = None
    start: Start | None = None
    streams: Streams | None = None
    workers: Workers | None = None
    soak: Soak | None = None


def read(path: Path) -> Results:
    """The results of a file; none where there is none."""
    return msgspec.json.decode(path.read_bytes(), type=Results) if path.exists() else Results()


def recorded() -> Results:
    """Those that the repository holds."""
    return read(RECORDED)


def write(path: Path, results: Results) -> None:
    """Keep the results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
