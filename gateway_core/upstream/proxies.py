"""Proxies from the environment, by httpx's rules; a request through one takes httpx's own transport."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Final

import httpx

from gateway_core.upstream.limits import Limits
from gateway_core.upstream.target import Target
from gateway_core.upstream.tls import TLS
from plugin_sdk.errors import UpstreamError

_SUFFIX: Final = re.compile(r"(.+)_proxy", re.IGNORECASE)
_REMEMBERED: Final = 1024


class Proxies:
    """False where the environment names none, so that asking costs nothing."""

    def __init__(self, environ: Mapping[str, str], limits: Limits, tls: TLS) -> None:
        self._limits = limits
        self._tls = tls
        self._rules = sorted(_rules(environ), key=lambda rule: rule.priority)
        self._chosen: dict[str, str | None] = {}
        self._transports: dict[tuple[str, bool], httpx.AsyncHTTPTransport] = {}

    def __bool__(self) -> bool:
        return bool(self._rules)

    def transport(self, to: Target) -> httpx.AsyncBaseTransport | None:
        """The transport through the proxy that this target has; None: go directly."""
        key = to.origin.key
        if key in self._chosen:
            proxy = self._chosen[key]
        else:
            proxy = self.choose(httpx.URL(f"{to.origin.scheme}://{to.host}"))
            if len(self._chosen) >= _REMEMBERED:
                self._chosen.clear()
            self._chosen[key] = proxy
        return None if proxy is None else self._through(proxy, verify=to.origin.verify)

    def choose(self, url: httpx.URL) -> str | None:
        """The proxy of the most specific rule that matches."""
        return next((rule.proxy for rule in self._rules if rule.matches(url)), None)

    async def close(self) -> None:
        """Close the connections to proxies."""
        transports = list(self._transports.values())
        self._transports.clear()
        for transport in transports:
            await transport.aclose()

    def _through(self, proxy: str, *, verify: bool) -> httpx.AsyncBaseTransport:
        found = self._transports.get((proxy, verify))
        if found is None:
            bounds = httpx.Limits(
                max_connections=self._limits.connections,
                max_keepalive_connections=self._limits.idle,
                keepalive_expiry=self._limits.idle_seconds,
            )
            try:
                found = httpx.AsyncHTTPTransport(
                    verify=self._tls.context(verify=verify),
                    trust_env=False,
                    proxy=httpx.Proxy(proxy),
                    limits=bounds,
                )
            except (ImportError, ValueError, httpx.InvalidURL):
                # the proxy's URL may hold a password: it is not repeated
                raise UpstreamError(
                    "connect failed: the proxy named in the environment cannot be used",
                    reason="connect_failed",
                ) from None
            self._transports[proxy, verify] = found
        return found


def patterns(environ: Mapping[str, str]) -> dict[str, str | None]:
    """URL patterns and their proxies, from `http_proxy`, `https_proxy`, `all_proxy`; None from `no_proxy`."""
    named = _named(environ)
    found: dict[str, str | None] = {}
    for scheme in ("http", "https", "all"):
        if proxy := named.get(scheme):
            found[f"{scheme}://"] = proxy if "://" in proxy else f"http://{proxy}"
    for host in (part.strip() for part in named.get("no", "").split(",")):
        if host == "*":
            return {}
        if host:
            found[_pattern(host)] = None
    return found


def _named(environ: Mapping[str, str]) -> dict[str, str]:
    """As urllib reads them: lower case wins, and an empty one takes the upper-case one away."""
    found: dict[str, str] = {}
    for lower_case in (False, True):
        for name, value in environ.items():
            match = _SUFFIX.fullmatch(name)
            if match is None or (lower_case and not name.endswith("_proxy")):
                continue
            if value:
                found[match[1].lower()] = value
            elif lower_case:
                found.pop(match[1].lower(), None)
        # behind CGI, HTTP_PROXY is a header that any client can send
        if not lower_case and "REQUEST_METHOD" in environ:
            found.pop("http", None)
    return found


def _pattern(host: str) -> str:
    if "://" in host:
        return host
    address = host.split("/")[0]
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return f"all://{host}" if host.lower() == "localhost" else f"all://*{host}"
    return f"all://{host}" if version == 4 else f"all://[{host}]"


def _rules(environ: Mapping[str, str]) -> list["_Rule"]:
    try:
        return [_Rule(pattern, proxy) for pattern, proxy in patterns(environ).items()]
    except httpx.InvalidURL as error:
        raise ValueError(f"NO_PROXY: an entry is neither a host nor a URL: {error}") from error


class _Rule:
    """One pattern: a scheme, a host (`*.x`: below x; `*x`: x and below) and a port; each may be open."""

    def __init__(self, pattern: str, proxy: str | None) -> None:
        url = httpx.URL(pattern)
        self.proxy = proxy
        self._scheme = "" if url.scheme == "all" else url.scheme
        self._port = url.port
        host = "" if url.host == "*" else url.host
        self._host = _host(host) if host else None
        # a port beats a host, a longer host a shorter one, a scheme none
        self.priority = (url.port is None, -len(host), -len(self._scheme))

    def matches(self, url: httpx.URL) -> bool:
        """Whether a URL is meant."""
        if self._scheme and self._scheme != url.scheme:
            return False
        if self._host is not None and not self._host.match(url.host):
            return False
        return self._port is None or self._port == url.port


def _host(host: str) -> re.Pattern[str]:
    if host.startswith("*."):
        return re.compile(rf"^.+\.{re.escape(host[2:])}$")
    if host.startswith("*"):
        return re.compile(rf"^(.+\.)?{re.escape(host[1:])}$")
    return re.compile(f"^{re.escape(host)}$")
