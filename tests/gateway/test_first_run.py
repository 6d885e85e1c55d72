"""`gateway serve` in an empty folder: a key and a curl line, and the line works as pasted."""

import contextlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.gateway.database import environment
from tests.gateway.process import PROGRAM, free_port
from tests.gateway.wire import events

SECONDS = 30
_CURL = re.compile(r"^\s*(curl (?:[^\n]*\\\n)*[^\n]*)", re.MULTILINE)
_KEY = re.compile(r"aistats_v1_sk_\w+")


@contextlib.contextmanager
def _first_run(folder: Path, port: int) -> Iterator[str]:
    """Serve in a folder with no option but the address; gives what was printed once it listens."""
    process = subprocess.Popen(
        [*PROGRAM, "serve", "--listen", f"127.0.0.1:{port}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=folder,
        env=_environment(), start_new_session=True,
    )  # fmt: skip
    guard = threading.Timer(SECONDS, _kill, [process])
    guard.start()
    said = b""
    try:
        assert process.stdout is not None
        while b"curl " not in said and (line := process.stdout.readline()):
            said += line
        while said.rstrip(b"\r\n").endswith(b"\\") and (line := process.stdout.readline()):
            said += line
        guard.cancel()
        yield said.decode()
    finally:
        guard.cancel()
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS)
        _kill(process)
        process.communicate()


def _environment() -> Mapping[str, str]:
    return {name: value for name, value in environment().items() if name != "KEY_PEPPER"}


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_the_printed_curl_line_streams_an_answer_with_its_price(tmp_path: Path) -> None:
    with _first_run(tmp_path, free_port()) as said:
        key, line = _KEY.search(said), _CURL.search(said)
        assert key is not None, said
        assert line is not None, said
        assert key[0] in line[1]
        done = subprocess.run(
            ["bash", "-c", line[1]], capture_output=True, timeout=SECONDS, check=True, env=_environment()
        )
    *chunks, end = events(done.stdout)
    assert end == "[DONE]"
    assert "".join(one["choices"][0]["delta"].get("content") or "" for one in chunks if one["choices"])
    pricing = chunks[-1]["usage"]["pricing"]
    assert pricing["lines"]
    assert pricing["total_nanos"] == sum(one["line_nanos"] for one in pricing["lines"]) > 0


def test_the_key_is_printed_once_and_its_pepper_is_private(tmp_path: Path) -> None:
    port = free_port()
    with _first_run(tmp_path, port) as said:
        assert _KEY.search(said)
    modes = [stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir() if "pepper" in one.name]
    assert modes == [0o600]
    shown = subprocess.run(
        [*PROGRAM, "wallet", "show", "--team", "default", "--test", "--json"],
        cwd=tmp_path, env=_environment(), capture_output=True, timeout=SECONDS, check=True,
    )  # fmt: skip
    assert json.loads(shown.stdout)["balance_nanos"] == 10_000_000_000
    made = subprocess.run(
        [*PROGRAM, "keys", "create", "--team", "default", "--json"],
        cwd=tmp_path, env=_environment(), capture_output=True, timeout=SECONDS, check=True,
    )  # fmt: skip
    assert _KEY.fullmatch(json.loads(made.stdout)["key"])
