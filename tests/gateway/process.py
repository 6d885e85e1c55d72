"""A real gateway: a configuration file, a database of its own, and `gateway serve` as a process."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.gateway.database import Database, environment
from tests.gateway.wire import Client

START_SECONDS = 40.0
PROGRAM = (sys.executable, "-m", "gateway_core")
STOP_SECONDS = 20.0


@dataclass(kw_only=True)
class Gateway:
    """One run of the gateway. `key` is the rich team's; the team of `poor_key` has no credit."""

    folder: Path
    database: Database
    port: int
    key: str
    poor_key: str
    test_key: str
    process: subprocess.Popen[bytes]
    config: Path
    log: Path
    arguments: Sequence[str]
    program: Sequence[str]

    @property
    def base_url(self) -> str:
        """What an OpenAI SDK is given."""
        return f"http://127.0.0.1:{self.port}/v1"

    def client(self, key: str | None = None) -> Client:
        """A raw client with the rich team's key, or another."""
        return Client(self.port, key or self.key)

    def stranger(self) -> Client:
        """A raw client without a key."""
        return Client(self.port, None)

    def cli(self, *arguments: str) -> Any:
        """What a `gateway` command printed as JSON."""
        return json.loads(command(self.config, *arguments, "--json"))

    def log_text(self, most: int = 8_000) -> str:
        """The end of what the server wrote."""
        return self.log.read_text(errors="replace")[-most:] if self.log.exists() else ""

    def wait_ready(self) -> None:
        """Return once every worker serves; RuntimeError with the log where they do not."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            # A first worker answers before the last has started; the line is written when all have.
            if " listens on " in self.log_text() and self._answers():
                return
            time.sleep(0.03)
        self.kill()
        raise RuntimeError(f"the gateway did not start; its log:\n{self.log_text()}")

    def clients_of(self, worker: int) -> set[int]:
        """The ports of the clients that are connected to one worker, as the kernel tells it."""
        links = []
        for link in Path(f"/proc/{worker}/fd").iterdir():
            with contextlib.suppress(OSError):
                links.append(str(link.readlink()))
        inodes = {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}
        found = set()
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            local, remote = (int(end.partition(":")[2], 16) for end in fields[1:3])
            if local == self.port and fields[3] == "01" and fields[9] in inodes:
                found.add(remote)
        return found

    async def balance(self, team: str = "rich") -> int:
        """The nanos in a team's wallets, read past the gateway."""
        query = f"SELECT w.balance FROM wallets w JOIN teams t ON t.id = w.team_id WHERE t.name = '{team}'"
        (rows,) = await self.database.rows(query)
        return sum(int(row["balance"]) for row in rows)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.base_url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self) -> int | None:
        """SIGTERM, wait, and whatever is left of its process group by force; its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
                return None
        self._sweep()
        return self.process.returncode

    def kill(self) -> None:
        """kill -9 of the server and of its workers: they share a process group of their own."""
        self._sweep()
        self.process.wait(STOP_SECONDS)

    def restart(self) -> None:
        """Start again on the same port, database and configuration, with a log of its own."""
        self.log.rename(self.log.with_suffix(f".{self.process.pid}.log"))
        self.process = _spawn(self.program, self.config, self.folder, self.log, self.arguments)
        self.wait_ready()

    def workers(self) -> list[int]:
        """The pids of the server's worker processes."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rpartition(") ")[2].split()
                if int(fields[1]) == self.process.pid and b"resource_tracker" not in _cmdline(stat.parent):
                    found.append(int(stat.parent.name))
        return sorted(found)

    def _sweep(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


@contextlib.contextmanager
def running(
    folder: Path,
    database: Database,
    plugins: Mapping[str, Any],
    *,
    gateway: Mapping[str, Any] | None = None,
    workers: int = 1,
    arguments: Sequence[str] = (),
    program: Sequence[str] = PROGRAM,
) -> Iterator[Gateway]:
    """A gateway that serves with these plugins beside the standard ones, for as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = write_config(folder, database, plugins, gateway)
    options = ["serve", "--listen", f"127.0.0.1:{port}", "--workers", str(workers), *arguments]
    log = folder / "serve.log"
    keys = database.keys
    found = Gateway(
        folder=folder, database=database, port=port, key=keys["key"], poor_key=keys["poor_key"],
        test_key=keys["test_key"], process=_spawn(program, config, folder, log, options), config=config,
        log=log, arguments=options, program=program,
    )  # fmt: skip
    try:
        found.wait_ready()
        yield found
    finally:
        found.stop()


def write_config(
    folder: Path, database: Database, plugins: Mapping[str, Any], gateway: Mapping[str, Any] | None = None
) -> Path:
    """The YAML file of a gateway: the standard plugins and these."""
    content = {
        "include": "standard",
        "gateway": {"database": database.url, **(gateway or {})},
        "plugins": {"simulator": {}, **plugins},
    }
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def command(config: Path, *arguments: str, seconds: float = 60.0) -> str:
    """What `gateway --config FILE ...` printed; RuntimeError with what it said where it failed."""
    done = subprocess.run(
        [*PROGRAM, "--config", str(config), *arguments],
        capture_output=True, cwd=config.parent, env=environment(), timeout=seconds, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise RuntimeError(f"gateway {' '.join(arguments)} failed ({done.returncode}): {said}")
    return done.stdout.decode()


def free_port() -> int:
    """A port that nobody listened on a moment ago, and that no client is given for its own end.

    Else one could have it while a gateway is down between two runs.
    """
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", 20_000 + secrets.randbelow(12_000)))
            return int(probe.getsockname()[1])


def _spawn(
    program: Sequence[str], config: Path, folder: Path, log: Path, options: Sequence[str]
) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            [*program, "--config", str(config), *options],
            stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=folder, env=environment(),
            start_new_session=True,
        )  # fmt: skip


def _cmdline(process: Path) -> bytes:
    return (process / "cmdline").read_bytes()
