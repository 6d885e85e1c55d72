"""Serving as an operator does it: a process, its workers, signals."""

import http.client
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE = 30.0
ROOT = Path(__file__).parents[3]
SERVE = """
import sys
sys.path.insert(0, sys.argv[1])
from gateway_core.server import CannotServe, Settings, serve
settings = Settings(factory="tests.http.front.toy:" + sys.argv[4], graceful_seconds=float(sys.argv[7]))
try:
    serve(
        sys.argv[2], listen=sys.argv[3], workers=int(sys.argv[5]), watch=bool(sys.argv[6]), settings=settings,
        on_ready=lambda url: print(url, flush=True),
    )
except CannotServe as error:
    sys.exit(f"cannot serve: {error}")
"""


class Running:
    """A serving process."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.url = ""

    def get(self, path: str = "/") -> str:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=PATIENCE)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def notes(self, what: str) -> list[int]:
        """The workers that noted something, once for each time."""
        try:
            lines = (self.folder / "notes").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [int(line.split()[1]) for line in lines if line.startswith(what)]

    def workers(self) -> set[int]:
        """The processes that a supervisor has started and that still run."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(pid) for pid in children.read_text().split()}

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ends(self) -> int:
        return self.process.wait(PATIENCE)


@contextmanager
def running(
    folder: Path,
    *,
    workers: int = 1,
    listen: str = "127.0.0.1:0",
    factory: str = "make",
    watch: bool = False,
    graceful: float = 10.0,
    ready: bool = True,
) -> Iterator[Running]:
    config = folder / "config"
    config.write_text("first")
    arguments = [
        str(ROOT),
        str(config),
        listen,
        factory,
        str(workers),
        "watch" if watch else "",
        str(graceful),
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    found = Running(process, folder)
    try:
        if ready:
            assert process.stdout is not None
            readable, _, _ = select.select([process.stdout], [], [], PATIENCE)
            assert readable, "never ready"
            found.url = process.stdout.readline().strip()
            assert found.url, process.communicate(timeout=PATIENCE)
        yield found
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=PATIENCE)


def until(condition: Callable[[], object]) -> None:
    """Wait for what will happen; what never does fails the test."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_after_the_request_in_flight(
    tmp_path: Path, workers: int, number: signal.Signals
) -> None:
    with running(tmp_path, workers=workers) as server:
        host, _, port = server.url.removeprefix("http://").rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        connection.request("GET", "/wait")
        until(lambda: server.notes("waiting"))
        server.signal(number)
        until(lambda: refuses(host, int(port)))
        (tmp_path / "release").touch()
        answer = connection.getresponse()
        assert answer.status == 200
        assert int(answer.read()) in server.notes("waiting")
        assert server.ends() == 0


@linux
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_process_group_is_one_signal(tmp_path: Path, number: signal.Signals) -> None:
    """As an init system sends it: each worker gets it, and its supervisor too."""
    with running(tmp_path, workers=2) as server:
        host, _, port = server.url.removeprefix("http://").rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        connection.request("GET", "/wait")
        until(lambda: server.notes("waiting"))
        for pid in server.workers():
            os.kill(pid, number)
        server.signal(number)
        until(lambda: refuses(host, int(port)))
        (tmp_path / "release").touch()
        answer = connection.getresponse()
        assert (answer.status, int(answer.read())) == (200, server.notes("waiting")[0])
        assert server.ends() == 0


@linux
def test_a_stop_before_every_worker_is_ready_lets_the_ready_one_finish(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/socket"
    with (
        running(tmp_path, workers=2, listen=address, factory="one_by_one", ready=False) as server,
        socket.socket(socket.AF_UNIX) as client,
        socket.socket(socket.AF_UNIX) as idle,
    ):
        client.settimeout(PATIENCE)
        idle.settimeout(PATIENCE)
        until(lambda: client.connect_ex(f"{tmp_path}/socket") == 0)
        client.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        idle.connect(f"{tmp_path}/socket")
        until(lambda: server.notes("waiting"))
        server.signal(signal.SIGTERM)
        assert idle.recv(1000) == b""  # the ready one has been told
        (tmp_path / "start").touch()  # the other one gets ready only now, and stops
        until(lambda: len([pid for pid in server.workers() if not gone(pid)]) == 1)
        (tmp_path / "release").touch()
        said = b""
        while data := client.recv(1000):
            said += data
        assert said.startswith(b"HTTP/1.1 200 ")
        assert server.ends() == 0


def refuses(host: str, port: int) -> bool:
    """Whether nobody listens there any more."""
    with socket.socket() as probe:
        probe.settimeout(PATIENCE)
        return probe.connect_ex((host, port)) != 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_stops_it_at_once(tmp_path: Path, workers: int) -> None:
    with running(tmp_path, workers=workers, graceful=3600.0) as server:
        host, _, port = server.url.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
            client.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
            until(lambda: server.notes("waiting"))
            server.signal(signal.SIGTERM)
            until(lambda: refuses(host, int(port)))
            server.signal(signal.SIGTERM)
            assert client.recv(1000) == b""
        assert server.ends() == 0


@pytest.mark.parametrize("workers", [1, 3])
def test_a_hangup_reloads_every_worker(tmp_path: Path, workers: int) -> None:
    with running(tmp_path, workers=workers) as server:
        server.signal(signal.SIGHUP)
        until(lambda: len(server.notes("reloaded")) == workers)
        assert len(set(server.notes("reloaded"))) == workers
        assert server.get().isdecimal()
        server.signal(signal.SIGTERM)
        assert server.ends() == 0
        assert len(server.notes("reloaded")) == workers


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", ["config", "included"])
def test_a_changed_file_reloads_every_worker_that_watches(tmp_path: Path, workers: int, name: str) -> None:
    (tmp_path / "included").write_text("first")
    with running(tmp_path, workers=workers, watch=True) as server:
        replacement = tmp_path / "replacement"
        replacement.write_text("second")
        replacement.rename(tmp_path / name)
        until(lambda: len(server.notes("reloaded")) == workers)


@linux
def test_a_dead_worker_is_replaced_while_its_siblings_serve(tmp_path: Path) -> None:
    with running(tmp_path, workers=3) as server:
        before = server.workers()
        assert len(before) == 3
        with pytest.raises(ConnectionError):
            server.get("/die")
        until(lambda: len(server.workers() & before) == 2)
        for _ in range(20):
            assert server.get().isdecimal()
        until(lambda: len(server.workers()) == 3)
        server.signal(signal.SIGHUP)
        until(lambda: set(server.notes("reloaded")) == server.workers())
        server.signal(signal.SIGTERM)
        assert server.ends() == 0


@linux
def test_workers_stop_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as server:
        workers = server.workers()
        server.process.kill()
        until(lambda: all(gone(pid) for pid in workers))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("factory", "why"),
    [
        ("fail", "the application cannot be made"),
        ("refuse", "the database is on fire"),
        ("absent", "no 'absent'"),
    ],
)
def test_an_application_that_does_not_start_ends_it_with_the_reason(
    tmp_path: Path, workers: int, factory: str, why: str
) -> None:
    with running(tmp_path, workers=workers, factory=factory, ready=False) as server:
        out, err = server.process.communicate(timeout=PATIENCE)
        assert server.process.returncode == 1
        assert out == ""
        assert why in err


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        address = first.url.removeprefix("http://")
        with running(tmp_path, listen=address, ready=False) as second:
            out, err = second.process.communicate(timeout=PATIENCE)
            assert out == ""
            assert err.startswith(f"cannot serve: cannot listen on {address}: another program listens there")


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "localhost:0"])
def test_the_url_says_where_it_really_listens(tmp_path: Path, listen: str) -> None:
    if listen == "[::1]:0" and not _has_ipv6():
        pytest.skip("no IPv6 on this machine")
    with running(tmp_path, listen=listen) as server:
        assert int(server.get()) == server.process.pid


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("workers", [1, 2])
def test_a_unix_socket_serves_and_leaves_no_file(tmp_path: Path, workers: int) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as leftover:
        leftover.bind(str(path))
    with running(tmp_path, workers=workers, listen=f"unix:{path}") as server:
        assert server.url == f"unix:{path}"
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(path))
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            said = b""
            while data := client.recv(1000):
                said += data
        assert said.startswith(b"HTTP/1.1 200 ")
        server.signal(signal.SIGTERM)
        assert server.ends() == 0
    assert not path.exists()


def test_the_working_directory_does_not_shadow_a_package(tmp_path: Path) -> None:
    shadow = tmp_path / "gateway_core"
    shadow.mkdir()
    (shadow / "__init__.py").write_text("raise ImportError('shadowed')")
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        with running(tmp_path, workers=2) as server:
            assert server.get().isdecimal()
    finally:
        os.chdir(before)
