"""A configuration come to life: plugins, hooks, registry, catalogue. Immutable; a reload swaps it whole."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec

from gateway_core.config.load import load
from gateway_core.config.model import GatewayConfig
from gateway_core.config.problems import Problems
from gateway_core.host.dispatch import Hooks, resolve
from gateway_core.host.endpoints import Offered, offer
from gateway_core.host.manager import Loaded, load_plugins
from gateway_core.host.registry import register
from gateway_core.host.rows import ModelRow, rows
from gateway_core.ids import wall_clock
from plugin_sdk.context import Endpoint
from plugin_sdk.keys import DEFAULT_PREFIX
from plugin_sdk.modality import Operation, Route
from plugin_sdk.plugin import Plugin
from plugin_sdk.price_rules import Terms
from plugin_sdk.protocol import Protocol, UpstreamProtocol
from plugin_sdk.provider import Provider
from plugin_sdk.routes import PlatformRoute

__all__ = ["ModelRow", "Snapshot", "build"]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What a request runs on, from its first byte to its last. `warnings` are for the operator."""

    config: GatewayConfig
    plugins: tuple[Plugin[Any], ...]  # in YAML order
    hooks: Hooks
    protocols: Mapping[str, UpstreamProtocol]
    providers: Mapping[str, Provider[Any]]  # by name in the YAML
    operations: Mapping[str, Operation]
    routes: Mapping[tuple[str, str], Route]  # (method, "/v1" + path)
    platform_routes: Sequence[PlatformRoute]
    base_urls: Mapping[str, str]  # by provider, without a slash at the end
    transports: Mapping[str, httpx.AsyncBaseTransport]  # of the providers that have one of their own
    models: tuple[ModelRow, ...]
    offered: Offered
    warnings: tuple[str, ...] = ()

    def client_protocol(self, route: Route) -> Protocol:
        """What a route's clients speak; a route is registered with no other."""
        protocol = self.protocols[route.protocol]
        if not isinstance(protocol, Protocol):
            raise TypeError(f"no client can speak {protocol.id}")
        return protocol

    def endpoints(self, model: str, protocol: str) -> tuple[Endpoint, ...]:
        """Where a model, by its id or an alias, can be asked by a client of a protocol, in YAML order."""
        return self.offered.endpoints.get((model, protocol), ())

    def unpriced(self, model: str, operation: str) -> bool:
        """Whether it could be asked for that, had it a price."""
        return (model, operation) in self.offered.unpriced

    def in_force(self, endpoint: Endpoint, at: int) -> bool:
        """Whether the prices that the operation needs hold at a time: some begin or end."""
        if not endpoint.card.dated or endpoint.unpriced:
            return True
        terms = Terms(at=at)
        needs = self.operations[endpoint.operation].needs
        return all(endpoint.card.rule(meter, terms) is not None for meter in needs)

    def knows(self, model: str) -> bool:
        """Whether any provider has this model, for whatever operation."""
        return model in self.offered.names

    @property
    def key_prefix(self) -> str:
        """What stands before the mark of every API key: as the plugin that checks keys has it configured."""
        for plugin in self.plugins:
            prefix = getattr(plugin.config, "prefix", None)
            if isinstance(prefix, str) and hasattr(plugin, "authenticate"):
                return prefix
        return DEFAULT_PREFIX

    @property
    def trial_model(self) -> str | None:
        """A model that simulated credit pays for, to try the gateway with; None if there is none."""
        for listing in self.offered.listings:
            if self.providers[listing.provider].simulated:
                return listing.entry.id
        return None


def build(source: Path | str | Mapping[str, Any] | GatewayConfig | None = None) -> Snapshot:
    """The snapshot of a file, of a mapping, or of the usual place; ConfigError says all that is wrong."""
    if isinstance(source, GatewayConfig):
        config = source
    else:
        config = load(Path(source) if isinstance(source, str) else source)
    problems = Problems()
    loaded = load_plugins(config, problems)
    registry = register(loaded, problems)
    offered = offer(registry, loaded, problems, wall_clock())
    providers = registry.providers
    base_urls = {name: _base_url(one, problems, loaded) for name, one in providers.items()}
    transports = {name: own for name, one in providers.items() if (own := one.transport()) is not None}
    problems.raise_if_any()
    return Snapshot(
        config=config,
        plugins=loaded.plugins,
        hooks=resolve(loaded.manager),
        protocols=registry.protocols,
        providers=providers,
        operations=registry.operations,
        routes=registry.routes,
        platform_routes=registry.platform_routes,
        base_urls=base_urls,
        transports=transports,
        models=rows(offered),
        offered=offered,
        warnings=(*offered.warnings, *_unbounded(loaded)),
    )


def _unbounded(loaded: Loaded) -> Iterator[str]:
    """A word on each policy that changes prices and does not say how far."""
    for plugin in loaded.plugins:
        if hasattr(plugin, "price") and not hasattr(plugin, "bound"):
            yield f"plugins.{plugin.name}: changes prices and has no `bound`; what it adds may be a loss"


def _base_url(provider: Provider[Any], problems: Problems, loaded: Loaded) -> str:
    url = provider.config.base_url or type(provider).base_url or ""
    what = None
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        what = f"not a URL: {error}"
    else:
        if not url:
            what = "missing; set base_url to what the provider's own SDK is given"
        elif parsed.scheme not in ("http", "https") or not parsed.host:
            what = "write it as http://host/path or https://host/path"
    if what is not None:
        loaded.complain(problems, provider.name, ("base_url",), what)
    return url.rstrip("/")
