"""The upstream and the load generator: small C programs, compiled when they are first needed."""

import contextlib
import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from tests.bench.machine import THEIRS, cpu_seconds, on_core

HERE: Final = Path(__file__).resolve().parent
BUILT: Final = HERE.parents[1] / "build" / "bench"
_LONGEST: Final = 120.0  # seconds that a load may take beyond what it was asked for
_SENTENCE: Final = "Compare these novels for a reader of long family stories, and say with which to begin. "


class Missing(Exception):
    """What is needed is not on this machine; the text says what to do."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What the load generator saw (load.c). Times are ms; latencies and rates are of the window."""

    ok: int
    bad: int
    reason: str
    answered: int
    left: int
    redialed: int
    nanos: int
    rate: float
    events: int
    event_rate: float
    latency_p50: float
    latency_p99: float
    first_p50: float
    first_p99: float
    delay_p50: float
    delay_p99: float


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a load goes. `pid`: the process whose CPU is counted, with all below it."""

    port: int
    path: str = "/v1/chat/completions"
    headers: Mapping[str, str] = {}
    pid: int | None = None


def compiled(name: str) -> Path:
    """The program made of `name`.c, compiled if it is not there or old."""
    source, program = HERE / f"{name}.c", BUILT / name
    if program.exists() and program.stat().st_mtime >= source.stat().st_mtime:
        return program
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise Missing("a C compiler is needed for the upstream and the load generator: install gcc")
    BUILT.mkdir(parents=True, exist_ok=True)
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", program, source], check=True)
    return program


@contextlib.contextmanager
def upstream() -> Iterator[Target]:
    """The provider (upstream.c), on a port of its own, for as long as the block lasts."""
    with on_core(THEIRS):
        process = subprocess.Popen([compiled("upstream"), "0"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield Target(port=int(process.stdout.readline()), pid=process.pid)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def request(model: str, *, stream: bool) -> bytes:
    """A chat request of about 2 kB."""
    body = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You help the customers of a bookshop. Answer briefly. " * 10},
            {"role": "user", "content": _SENTENCE * 14},
        ],
        "temperature": 0.7,
        "max_tokens": 256,
        "user": "customer-1234",
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(body, separators=(",", ":")).encode()


def start_load(target: Target, body: bytes, **options: float) -> subprocess.Popen[bytes]:
    """The load generator on its way; the options are load.c's letters. `outcome` reads what it says."""
    BUILT.mkdir(parents=True, exist_ok=True)
    file = BUILT / f"request-{hashlib.sha256(body).hexdigest()[:12]}.json"
    file.write_bytes(body)
    words: list[str] = [str(compiled("load")), str(target.port), target.path, str(file)]
    for letter, value in options.items():
        words += [f"-{letter}", str(value)]
    for name, header in target.headers.items():
        words += ["-H", f"{name}: {header}"]
    with on_core(THEIRS):
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def outcome(process: subprocess.Popen[bytes], seconds: float) -> Load:
    """What a load saw, once it is over; RuntimeError where it broke."""
    try:
        out, error = process.communicate(timeout=seconds + _LONGEST)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    if process.returncode != 0:
        raise RuntimeError(f"the load generator failed: {error.decode(errors='replace')}")
    return msgspec.json.decode(out, type=Load)


def load(target: Target, body: bytes, **options: float) -> Load:
    """One load from its begin to its end."""
    seconds = options.get("s", 4) + options.get("w", 0)
    return outcome(start_load(target, body, **options), seconds)


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A load, and the CPU that its target used meanwhile."""

    load: Load
    cpu: float
    seconds: float

    @property
    def per_request(self) -> float:
        """Microseconds of CPU for each answered request."""
        return self.cpu * 1e6 / max(1, self.load.answered)

    @property
    def per_event(self) -> float:
        """Microseconds of CPU for each event, everything else of its request included."""
        return self.cpu * 1e6 / max(1, self.load.events)


def window(target: Target, body: bytes, **options: float) -> Window:
    """A load with its target's CPU."""
    cpu, start = _cpu(target), time.perf_counter()
    found = load(target, body, **options)
    return Window(load=found, cpu=_cpu(target) - cpu, seconds=time.perf_counter() - start)


def _cpu(target: Target) -> float:
    return 0.0 if target.pid is None else cpu_seconds(target.pid)
