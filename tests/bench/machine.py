"""What Linux tells about processes: their CPU time, memory and sockets; and which core they run on."""

import contextlib
import os
import platform
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

VERIFY_SECONDS: Final = 600.0  # for the books of hundreds of thousands of requests
_TICKS: Final = os.sysconf("SC_CLK_TCK")
CORES: Final = tuple(sorted(os.sched_getaffinity(0)))
OURS: Final = CORES[0]  # what is measured has this core for itself
THEIRS: Final = CORES[-1]  # the upstream and the load share this one


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """When and on what something was measured."""

    at: str
    commit: str
    python: str
    machine: str
    cores: int
    load_average: float
    """Of the minute before: what else the machine was doing."""


def circumstances(at: str) -> Circumstances:
    """Those of now."""
    name = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            name = line.partition(":")[2].strip()
    return Circumstances(
        at=at,
        commit=_commit(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        machine=f"{name}, {platform.system()} {platform.machine()}",
        cores=len(CORES),
        load_average=round(os.getloadavg()[0], 2),
    )


def _commit() -> str:
    try:
        command = ["git", "describe", "--always", "--dirty"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started inside this block runs on that core only, and so do its children."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def end_on_sigterm() -> None:
    """A SIGTERM unwinds this process as an exit does, so that what it started ends with it."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def allow_sockets(wanted: int) -> None:
    """Raise this process's limit of open files, which children inherit; OSError where that is not allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        if hard < wanted:
            raise OSError(f"{wanted} open files are needed, and this machine allows {hard} (ulimit -Hn)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):
            for child in (thread / "children").read_text().split():
                found += tree(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """What a process and all below it have used, user and system time."""
    ticks = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(") ")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


def resident(pid: int) -> int:
    """The bytes of memory that a process and all below it occupy, shared libraries counted in each."""
    pages = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{one}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    """How many files and sockets a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
