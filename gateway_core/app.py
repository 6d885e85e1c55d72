"""The application: config to snapshot to Quart app, and the reload that swaps the snapshot."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from quart import Quart

from gateway_core.config.load import ConfigError
from gateway_core.db.key_admin import KeyAdmin
from gateway_core.db.limits import Limiter
from gateway_core.db.provider_keys import ProviderKeys
from gateway_core.db.stores import Stores
from gateway_core.db.url import open_store
from gateway_core.host.dispatch import HookCall
from gateway_core.host.snapshot import Snapshot, build
from gateway_core.http.application import application
from gateway_core.http.platform import Platform
from gateway_core.ids import wall_clock
from gateway_core.ledger import Ledger
from gateway_core.observe.log import Log, configure
from gateway_core.pipeline.asking import ask
from gateway_core.pipeline.lane import Lane
from gateway_core.pipeline.prices import Prices
from gateway_core.pipeline.runtime import Runtime
from gateway_core.upstream import Upstream
from plugin_sdk.services import Services


class Gateway:
    """One process's gateway: opens what it needs when the server starts, closes it when it stops."""

    def __init__(self, config_path: Path | None) -> None:
        self._path = config_path
        self._snapshot = build(config_path)
        configure(self._snapshot.config.gateway.log_level, self._snapshot.config.gateway.log_format)
        self._runtime: Runtime | None = None
        self._stores: Stores | None = None
        self._limiter: Limiter | None = None
        self._log = Log("gateway")
        self._reloading = asyncio.Lock()

    def files(self) -> Sequence[Path]:
        """The configuration's file, for a server that watches it."""
        path = self._snapshot.config.path
        return [] if path is None else [path]

    async def start(self) -> tuple[Lane, Platform]:
        """Open the database, the ledger and the upstream side; start the plugins."""
        gateway = self._snapshot.config.gateway
        self._stores = await Stores.open(gateway.database)
        ledger = await Ledger.open(gateway.database, durability=gateway.durability, clock=wall_clock)
        self._limiter = Limiter(open_store(gateway.database, "normal"), ledger.instance_id, wall_clock)
        upstream = Upstream(environ=self._snapshot.config.environ)
        self._runtime = runtime = Runtime(
            snapshot=self._snapshot,
            ledger=ledger,
            generations=self._stores.generations,
            upstream=upstream,
            clock=wall_clock,
            log=self._log,
        )
        await self._start_plugins(self._snapshot)
        return Lane(runtime), Platform(runtime)

    async def stop(self) -> None:
        """Finish what runs, then let go in the reverse order."""
        if self._runtime is None or self._stores is None:
            return
        await self._runtime.finish()
        await self._stop_plugins(self._runtime.snapshot)
        if self._limiter is not None:
            await self._limiter.close()
        await self._runtime.upstream.close()
        await self._runtime.ledger.close()
        await self._stores.close()

    async def reload(self) -> Sequence[str]:
        """Build a new snapshot from the file and swap it in; on errors keep the old one and return them."""
        async with self._reloading:
            runtime = self._runtime
            if runtime is None:
                return ["the gateway is not running"]
            old = runtime.snapshot
            try:
                new = await asyncio.to_thread(build, self._path)
                await self._start_plugins(new)
            except ConfigError as error:
                self._log.error("reload refused", errors=error.errors)
                return list(error.errors)
            except Exception as error:  # noqa: BLE001  # a plugin that cannot start must not take the old one down
                self._log.exception("reload refused", error)
                return [f"a plugin failed to start: {error}"]
            for name in ("listen", "database", "durability"):
                if getattr(new.config.gateway, name) != getattr(old.config.gateway, name):
                    self._log.warning("restart to change this", setting=f"gateway.{name}")
            runtime.snapshot = new
            self._log.info("reloaded", models=len(new.models))
            runtime.adopt(self._retire(runtime, old))
            return []

    async def _retire(self, runtime: Runtime, old: Snapshot) -> None:
        """Requests in flight finish on the old snapshot; then its plugins let go."""
        await runtime.unused(old)
        await self._stop_plugins(old)

    async def _start_plugins(self, snapshot: Snapshot) -> None:
        if self._stores is None or self._runtime is None or self._limiter is None:
            raise RuntimeError("the database is not open")
        services = Services(
            keys=self._stores.keys,
            wallets=self._stores.wallets(self._runtime.ledger),
            generations=self._stores.generations,
            books=self._stores.books,
            payments=self._stores.payments,
            limits=self._limiter,
            key_admin=KeyAdmin(self._stores.keys, snapshot.config.pepper(), snapshot.key_prefix),
            clock=wall_clock,
            pepper=snapshot.config.pepper(),
            models=lambda: snapshot.models,
            ask=partial(ask, self._runtime.upstream, snapshot),
            own_keys=ProviderKeys(self._stores.keys, snapshot.config.pepper()),
            prices=Prices(snapshot, self._runtime.ids.generation),
        )
        try:
            for call in snapshot.hooks.startup:
                await call(services)
        except BaseException:
            await self._stop_plugins(snapshot)  # those that did start hold something, or run
            raise

    async def _stop_plugins(self, snapshot: Snapshot) -> None:
        for call in reversed(snapshot.hooks.shutdown):
            await self._isolated(call)

    async def _isolated(self, call: HookCall) -> None:
        try:
            await call()
        except Exception as error:  # noqa: BLE001  # one plugin's failure must not keep the others from closing
            self._log.exception("shutdown failed", error)


def create_app(config_path: Path | str | None = None) -> Quart:
    """The ASGI application, for our own server or any other; `app.reload()` takes the file in anew."""
    gateway = Gateway(None if config_path is None else Path(config_path))
    app = application(gateway.start, gateway.stop)
    app.reload = gateway.reload  # type: ignore[attr-defined]  # the server's worker calls both
    app.files = gateway.files  # type: ignore[attr-defined]
    return app
