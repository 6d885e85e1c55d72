"""Where a request goes: its origin, and the lines that every request to it begins with."""

import httpx
import msgspec

from gateway_core.upstream.limits import TARGETS
from plugin_sdk.errors import UpstreamError


class Origin(msgspec.Struct, frozen=True):
    """One server, as a pool sees it; equal origins have equal keys."""

    key: str
    scheme: str
    host: str
    port: int
    verify: bool


class Target(msgspec.Struct, frozen=True):
    """One URL: its origin, path and query, the host as it is written, the first lines behind the method."""

    origin: Origin
    path: str
    host: str
    lines: str


def target(url: httpx.URL | str, *, verify: bool) -> Target:
    """Take a URL apart; raises UpstreamError where it is not one of ours. The message never repeats it."""
    try:
        parsed = httpx.URL(url)
        host = parsed.raw_host.decode("ascii")
        path = parsed.raw_path.decode("ascii")
        port = parsed.port
    except (httpx.InvalidURL, ValueError, TypeError):
        raise _bad_url() from None
    scheme = parsed.scheme
    if scheme not in ("http", "https") or not host or not (host + path).isprintable():
        raise _bad_url()
    written = f"[{host}]" if ":" in host else host
    if port is not None:
        written = f"{written}:{port}"
    real_port = port or (443 if scheme == "https" else 80)
    origin = Origin(f"{scheme} {host} {real_port} {verify}", scheme, host, real_port, verify)
    lines = f" {path} HTTP/1.1\r\nhost: {written}\r\naccept-encoding: identity\r\n"
    return Target(origin, path, written, lines)


def _bad_url() -> UpstreamError:
    return UpstreamError("The provider's URL is not an absolute http or https URL.", reason="invalid_url")


class Targets:
    """The URLs in use, taken apart once; the oldest are forgotten."""

    def __init__(self) -> None:
        self._verified: dict[str, Target] = {}
        self._unverified: dict[str, Target] = {}

    def get(self, url: str, *, verify: bool) -> Target:
        """The target of a URL."""
        known = self._verified if verify else self._unverified
        found = known.get(url)
        if found is None:
            found = target(url, verify=verify)
            if len(known) >= TARGETS:
                del known[next(iter(known))]
            known[url] = found
        return found
