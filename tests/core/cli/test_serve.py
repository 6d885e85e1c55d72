"""`gateway serve`: what it refuses to start with, and the key of the first start."""

import asyncio
import json
import re
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway_core.cli.database import migrated
from gateway_core.cli.serve import first_key
from gateway_core.config.model import GatewayBlock
from plugin_sdk import keys
from tests.core.cli.conftest import Run, found


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[str]:
    """`gateway serve --json` as a process on a port of its own; gives the line printed when it was ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway_core", "serve", "--listen", "127.0.0.1:0", "--json", *words],
        cwd=folder, env={"PATH": "", "PYTHONUNBUFFERED": "1"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process.stdout.readline()
    finally:
        process.terminate()
        said = process.communicate(timeout=30)
    assert process.returncode == 0, said


def ask(told: dict[str, Any], key: str) -> str:
    body = {"model": "sim/chat", "messages": [{"role": "user", "content": "Hello"}]}
    request = urllib.request.Request(
        told["url"] + "/v1/chat/completions", json.dumps(body).encode(), {"Authorization": f"Bearer {key}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["object"])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_first_start_makes_a_key_that_works_and_the_second_makes_none(
    tmp_path: Path, workers: str
) -> None:
    with serving(tmp_path, "--workers", workers) as line:
        first = json.loads(line)
        assert keys.parse(first["key"]) is not None
        assert ask(first, first["key"]) == "chat.completion"
    with serving(tmp_path, "--workers", workers) as line:
        again = json.loads(line)
        assert set(again) == {"url"}
        assert ask(again, first["key"]) == "chat.completion"


def test_a_port_that_is_taken_is_said_in_one_line_and_no_key_is_lost(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run("serve", "--listen", address)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: cannot listen on {address}: ")
    assert result.stderr.count("\n") == 1
    with closing(sqlite3.connect("gateway.db")) as connection:
        assert connection.execute(
            "SELECT (SELECT count(*) FROM keys), (SELECT count(*) FROM teams)"
        ).fetchone() == (0, 0)


def test_postgres_without_a_pepper_is_refused_before_anything_is_asked_of_it(run: Run) -> None:
    result = run("serve", DATABASE_URL="postgres://user@127.0.0.1:1/db")
    assert result.exit_code == 2
    assert (
        result.stderr
        == "set KEY_PEPPER: on PostgreSQL every process needs this one secret, to hash API keys\n"
    )


def test_a_listen_that_is_none_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    assert run("serve", "--listen", "8080").exit_code == 2
    assert run("serve", "--workers", "0").exit_code == 2
    assert list(tmp_path.iterdir()) == []


def unused(folder: Path) -> GatewayBlock:
    gateway = GatewayBlock(database=f"sqlite://{folder}/gateway.db")
    asyncio.run(migrated(gateway))
    return gateway


def test_a_first_key_is_made_once(tmp_path: Path) -> None:
    gateway = unused(tmp_path)
    first = asyncio.run(first_key(gateway, "aistats_v1", b"p"))
    assert first is not None
    assert keys.parse(first) is not None
    assert asyncio.run(first_key(gateway, "aistats_v1", b"p")) is None


def test_a_start_that_was_broken_off_before_its_key_is_finished_by_the_next(run: Run) -> None:
    run("migrate")
    run("teams", "create", "default")
    run("wallet", "top-up", "--team", "default", "--usd", "10", "--test")
    assert asyncio.run(first_key(GatewayBlock(), "aistats_v1", b"p")) is not None
    assert (
        found(run("wallet", "show", "--team", "default", "--test", "--json"))["balance_nanos"]
        == 10_000_000_000
    )


@pytest.mark.parametrize("words", [["teams", "create", "acme"], ["keys", "create", "--team", "default"]])
def test_who_has_set_up_a_team_or_a_key_needs_no_first_one(run: Run, words: list[str]) -> None:
    run("migrate")
    run("teams", "create", "default")
    assert run(*words).exit_code == 0
    assert asyncio.run(first_key(GatewayBlock(), "aistats_v1", b"p")) is None


def test_the_first_credit_comes_from_nowhere_real(tmp_path: Path) -> None:
    asyncio.run(first_key(unused(tmp_path), "aistats_v1", b"p"))
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as connection:
        entries = connection.execute("SELECT account, amount FROM ledger_entries ORDER BY amount").fetchall()
        (team,) = connection.execute("SELECT id FROM teams WHERE name = 'default'").fetchone()
    assert entries == [("top_up:simulated", -10_000_000_000), (f"wallet:{team}:test", 10_000_000_000)]


def test_the_curl_line_is_one_command_however_a_model_is_called() -> None:
    from gateway_core.cli.serve import _welcome

    text = _welcome("http://127.0.0.1:1", "KEY", "it's/$(a)`model`")
    command = text[text.index("curl ") :]
    done = subprocess.run(
        ["bash", "-c", 'curl() { printf "%s\\n" "$@"; }\n' + command],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1])["model"] == "it's/$(a)`model`"
    assert re.search(r"^http://127\.0\.0\.1:1/v1/chat/completions$", done.stdout, re.MULTILINE)
