"""How soon a gateway is ready, and what it occupies before it has served anything."""

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from tests.bench.machine import OURS, Circumstances, on_core, resident
from tests.bench.rig import Rig
from tests.gateway.database import environment
from tests.gateway.process import PROGRAM, Gateway, free_port

_ASK: Final = b"GET /v1/health HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
_LONGEST: Final = 60.0


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds until the first answer, each time; bytes of one idle worker."""

    taken: Circumstances
    ready_seconds: tuple[float, ...]
    resident: int


def measure(rig: Rig, taken: Circumstances, *, times: int, say: Callable[[str], None]) -> Start:
    """Start so many times over."""
    with rig.gateway() as gateway:
        time.sleep(1)
        idle = resident(gateway.process.pid)
    ready = tuple(round(_ready(gateway), 3) for _ in range(times))
    found = Start(taken=taken, ready_seconds=ready, resident=idle)
    say(f"start: ready after {min(ready):.2f} s (best of {times}); idle {idle / 1e6:.1f} MB")
    return found


def _ready(gateway: Gateway) -> float:
    """Seconds from the start of a process, over the database of a stopped one, to its first answer."""
    port = free_port()
    command = [*PROGRAM, "--config", str(gateway.config), "serve", "--listen", f"127.0.0.1:{port}"]
    with on_core(OURS), Path(gateway.log).open("ab") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=gateway.folder, env=environment(), stdout=log, stderr=log, start_new_session=True
        )
    try:
        while not _answers(port):
            if process.poll() is not None or time.perf_counter() - began > _LONGEST:
                raise RuntimeError(f"the gateway did not start:\n{gateway.log_text()}")
            time.sleep(0.005)
        return time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(_ASK)
            return client.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
