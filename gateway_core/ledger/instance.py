"""Which process this is, and whether another one on this host still lives."""

import os
from pathlib import Path
from typing import Final

import msgspec

_PROC: Final = Path("/proc")
_STARTED: Final = 19  # the field of /proc/<pid>/stat, counted after the name: clock ticks from boot to start


class Process(msgspec.Struct, frozen=True):
    """A process: its host, its pid, and when it started, which tells it from a later one of the same pid.

    `host` is this boot of this kernel and this pid namespace; empty where the system does not say.
    """

    host: str
    pid: int
    started: int

    def is_gone(self, host: str) -> bool:
        """Whether it has certainly ended, seen from `host`; False where that cannot be known."""
        return bool(host) and host == self.host and _started(self.pid) != self.started


def this_process() -> Process:
    """The process that asks."""
    pid = os.getpid()
    return Process(this_host(), pid, _started(pid) or 0)


def this_host() -> str:
    """The name under which processes can see each other; empty if there is no /proc."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    """When a process started; None if there is none, or only its exit status is left."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in ("Z", "X") else int(fields[_STARTED - 1])
