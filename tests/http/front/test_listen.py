"""Addresses and files: what is understood, and what is said of the rest."""

import os
import socket
from pathlib import Path

import pytest

from gateway_core.server.errors import CannotServe
from gateway_core.server.listen import bind, split, unbind, url
from gateway_core.server.watch import Watch


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("[::1]:8080", "::1", 8080),
        ("localhost:0", "localhost", 0),
        ("0.0.0.0:65535", "0.0.0.0", 65535),
    ],
)
def test_an_address_has_a_host_and_a_port(address: str, host: str, port: int) -> None:
    assert split(address) == (host, port)


@pytest.mark.parametrize(
    "address", ["", "8080", ":8080", "localhost", "localhost:", "a:b", "::1:80", "a:65536", "[]:1"]
)
def test_what_is_no_address_is_said(address: str) -> None:
    with pytest.raises(CannotServe, match="say HOST:PORT"):
        bind(address)


def test_an_address_of_another_machine_is_said() -> None:
    with pytest.raises(CannotServe, match="this machine does not have that address"):
        bind("192.0.2.1:0")


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CannotServe, match="No such file"):
        bind(f"unix:{tmp_path}/none/socket")


def test_a_unix_socket_in_use_is_not_taken_away(tmp_path: Path) -> None:
    first = bind(f"unix:{tmp_path}/socket")
    with pytest.raises(CannotServe, match="another program listens there"):
        bind(f"unix:{tmp_path}/socket")
    unbind(first, f"unix:{tmp_path}/socket")
    assert list(tmp_path.iterdir()) == []
    unbind(bind(f"unix:{tmp_path}/socket"), f"unix:{tmp_path}/socket")


@pytest.mark.parametrize(("listen", "host"), [("127.0.0.1:0", "127.0.0.1"), ("0.0.0.0:0", "127.0.0.1")])
def test_a_url_can_be_connected_to(listen: str, host: str) -> None:
    sock = bind(listen)
    port = sock.getsockname()[1]
    assert url(sock, tls=False) == f"http://{host}:{port}"
    assert url(sock, tls=True) == f"https://{host}:{port}"
    socket.create_connection((host, port), timeout=10).close()
    unbind(sock, listen)


def test_a_changed_file_is_noticed_once(tmp_path: Path) -> None:
    file, other = tmp_path / "a", tmp_path / "b"
    file.write_text("1")
    watch = Watch([file, other])
    assert not watch.changed([file, other])
    file.write_text("two")
    assert watch.changed([file, other])
    assert not watch.changed([file, other])
    other.write_text("now there")
    assert watch.changed([file, other])
    stamp = file.stat()
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    assert watch.changed([file, other])
    file.unlink()
    assert watch.changed([file, other])


def test_another_list_of_files_is_no_change(tmp_path: Path) -> None:
    file, other = tmp_path / "a", tmp_path / "b"
    file.write_text("1")
    other.write_text("1")
    watch = Watch([file])
    assert not watch.changed([file, other])
    assert not watch.changed([other])
