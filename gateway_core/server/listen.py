"""The listening socket: one address, bound and listening before any worker starts."""

import errno
import socket
from pathlib import Path

from gateway_core.server.errors import CannotServe

BACKLOG = 2048


def bind(address: str) -> socket.socket:
    """A listening socket for `127.0.0.1:8080`, `[::1]:8080`, `localhost:0` or `unix:/path`."""
    if address.startswith("unix:"):
        return _bind_unix(address)
    host, port = split(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise CannotServe(f"cannot listen on {address}: {error.strerror}") from None
    family, kind, protocol, _, where = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        # Without SO_REUSEPORT: a second gateway must not take half of the first one's clients unnoticed.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(where)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise CannotServe(f"cannot listen on {address}: {_advice(error)}") from None
    sock.setblocking(False)  # noqa: FBT003
    return sock


def split(address: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, with an IPv6 host in brackets."""
    host, colon, port = address.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not bare or (":" in bare and bare == host) or not port.isdecimal() or int(port) > 65535:
        raise CannotServe(f"cannot listen on {address!r}: say HOST:PORT, [IPV6]:PORT or unix:/path/to/socket")
    return bare, int(port)


def url(sock: socket.socket, *, tls: bool) -> str:
    """Where clients reach the socket: the port that was really bound, a host that one can connect to."""
    where = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{where}"
    host, port = where[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def unbind(sock: socket.socket, address: str) -> None:
    """Close the socket, if it is not closed yet; a Unix one leaves no file behind."""
    sock.close()
    if address.startswith("unix:"):
        Path(address.removeprefix("unix:")).unlink(missing_ok=True)


def _bind_unix(address: str) -> socket.socket:
    path = address.removeprefix("unix:")
    sock = socket.socket(socket.AF_UNIX)
    try:
        if Path(path).is_socket() and not _is_answered(path):
            Path(path).unlink()
        sock.bind(path)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise CannotServe(f"cannot listen on {address}: {_advice(error)}") from None
    sock.setblocking(False)  # noqa: FBT003
    return sock


def _is_answered(path: str) -> bool:
    """Whether a server is behind a socket file, or only a dead one's leftover."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) != errno.ECONNREFUSED


_TAKEN = "another program listens there; stop it, or choose another address with --listen"


def _advice(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return _TAKEN
    if error.errno == errno.EACCES:
        return "not permitted; choose a port from 1024 on, or a directory that this user may write"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address"
    return str(error.strerror or error)
