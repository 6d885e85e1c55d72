"""The head of a request, in bytes. Nothing that a header's value holds can become a line of its own."""

import re
from collections.abc import Mapping
from typing import Final

from gateway_core.upstream.target import Target
from plugin_sdk.errors import UpstreamError

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NAMES: Final = 1024  # header names remembered
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
# How a request is framed, and which encodings can be read back, is the connection's business.
_OURS: Final = frozenset(
    {
        "accept-encoding", "connection", "content-length", "expect", "keep-alive", "proxy-connection", "te",
        "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BREAKING: Final = re.compile(r"[^\t\x20-\x7e\x80-\xff]")


class Heads:
    """Writes heads; header names are checked once and remembered."""

    def __init__(self, user_agent: str) -> None:
        self._user_agent = user_agent
        self._agent_line = f"user-agent: {user_agent}\r\n"
        self._names: dict[str, str] = {}

    def write(self, method: str, to: Target, headers: Mapping[str, str], size: int) -> bytes:
        """The head of a request with a body of this size, up to and including the blank line."""
        if method not in METHODS:
            raise _refused("The request's method is not one of HTTP's.")
        names = self._names
        # no value may bring a line of its own; all else is known to have none
        values = "".join(headers.values())
        if "\n" in values or "\r" in values or "\0" in values:
            raise _bad_value(headers)
        parts = [method, to.lines]
        if "user-agent" not in headers:
            parts.append(self._agent_line)
        for name, value in headers.items():
            written = names.get(name)
            if written is None:
                written = self._written(name)
            if written:
                parts += (written, value, "\r\n")
        if size or method not in _WITHOUT_BODY:
            parts.append(f"content-length: {size}\r\n")
        parts.append("\r\n")
        try:
            head = "".join(parts).encode("latin-1")
        except UnicodeEncodeError:
            raise _bad_value(headers) from None
        return head if "host" not in headers else _with_the_callers_host(head, to)

    def fields(self, headers: Mapping[str, str]) -> list[tuple[str, str]]:
        """The same headers for a transport that writes the head itself."""
        found = [("accept-encoding", "identity")]
        if "user-agent" not in headers:
            found.append(("user-agent", self._user_agent))
        for name, value in headers.items():
            if self._names.get(name) or self._written(name):
                found.append((name, value))
            if _BREAKING.search(value):
                raise _bad_value(headers)
        return found

    def _written(self, name: str) -> str:
        """The name as it stands before its value; "" for one that is ours to send."""
        if not _NAME.fullmatch(name):
            raise _refused("A header of the request has a name that no header may have.")
        lower = name.lower()
        ours = lower in _OURS or (lower == "host" and name != "host")
        written = "" if ours else f"{lower}: "
        if len(self._names) < _NAMES:
            self._names[name] = written
        return written


def raw_head(method: str, to: Target, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The head of a request whose headers are complete already; refuses what `Heads.write` refuses."""
    lines = [b"%s %s HTTP/1.1\r\n" % (method.encode("ascii", "replace"), to.path.encode("ascii"))]
    lines += [b"%s: %s\r\n" % field for field in headers]
    head = b"".join(lines)
    names = all(_NAME.fullmatch(name.decode("latin-1")) for name, _ in headers)
    whole = head.count(b"\n") == head.count(b"\r") == len(lines) and b"\0" not in head
    if not (names and whole and _NAME.fullmatch(method)):
        raise _refused("A header of the request cannot be sent.")
    return head + b"\r\n"


def _with_the_callers_host(head: bytes, to: Target) -> bytes:
    return head.replace(f"host: {to.host}\r\n".encode("ascii"), b"", 1)


def _bad_value(headers: Mapping[str, str]) -> UpstreamError:
    """Names the header, never its value: that may be a key with a line break behind it."""
    name = next((name for name, value in headers.items() if _BREAKING.search(value)), "?")
    return _refused(f"The value of the request's header {name} has a character that no header may have.")


def _refused(message: str) -> UpstreamError:
    return UpstreamError(message, reason="invalid_request_head")
