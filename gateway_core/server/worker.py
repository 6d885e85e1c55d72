"""One worker: an application served by Hypercorn with our front, until it is told to stop."""

import asyncio
import gc
import signal
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.run import worker_serve
from hypercorn.config import Config, Sockets
from hypercorn.utils import LifespanFailureError, LifespanTimeoutError

from gateway_core.server.errors import CannotServe
from gateway_core.server.front import Front, installed
from gateway_core.server.listen import BACKLOG
from gateway_core.server.settings import Settings, make
from gateway_core.server.watch import Watch

_WATCH_SECONDS = 0.5
GARBAGE = 20_000  # objects that may be made and kept before the collector looks at them


class Worker:
    """Makes the application, serves it on sockets that are already listening, reloads it, stops it."""

    def __init__(self, settings: Settings, sockets: Sequence[socket.socket]) -> None:
        self._settings = settings
        self._sockets = sockets
        self._config = _hypercorn(settings)
        self._front = Front(self._config, settings.limits)
        self._app: Any
        self._stopping = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until `stop`; `ready` is called once the application has started and accepts."""
        asyncio.get_running_loop().set_exception_handler(_handle)
        self._app = make(self._settings)
        watch = Watch(self._files())
        sockets = Sockets([], list(self._sockets), [])
        if self._settings.tls:
            sockets = Sockets(list(self._sockets), [], [])

        async def until_stopped() -> None:
            _settle_memory()
            if self._settings.watch:
                self._spawn(self._follow(watch))
            ready()
            await self._stopping.wait()

        with installed(self._front):
            try:
                await worker_serve(
                    ASGIWrapper(self._app), self._config, sockets=sockets, shutdown_trigger=until_stopped
                )
            except (LifespanFailureError, LifespanTimeoutError) as error:
                raise CannotServe(str(error)) from error
            finally:
                for task in self._tasks:
                    task.cancel()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Stop accepting and finish what runs; to be told so twice changes nothing."""
        self._stopping.set()

    def kill(self) -> None:
        """End every connection at once."""
        self._front.kill()

    def reload(self) -> None:
        """Have the application take its configuration in anew, if it can."""
        self._spawn(self._reload())

    async def _reload(self) -> None:
        reload = getattr(self._app, "reload", None)
        if reload is not None:
            async with self._reloading:
                await reload()

    async def _follow(self, watch: Watch) -> None:
        """Reload when a file of the configuration changes."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            if watch.changed(self._files()):
                await self._reload()

    def _files(self) -> Sequence[Path]:
        """The files of the configuration: the application's `files()`, or else the one known here."""
        files = getattr(self._app, "files", None)
        if files is not None:
            return [Path(each) for each in files()]
        return [] if self._settings.config_path is None else [Path(self._settings.config_path)]

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def run_here(settings: Settings, sockets: Sequence[socket.socket], ready: Callable[[], None]) -> None:
    """Serve in this process until a signal: SIGTERM and SIGINT stop, twice at once; SIGHUP reloads."""

    async def main() -> None:
        worker = Worker(settings, sockets)
        loop = asyncio.get_running_loop()

        def stop() -> None:
            if worker.stopping:
                worker.kill()
            worker.stop()

        loop.add_signal_handler(signal.SIGTERM, stop)
        loop.add_signal_handler(signal.SIGINT, stop)
        loop.add_signal_handler(signal.SIGHUP, worker.reload)
        await worker.run(ready)

    run(main())


def run(coroutine: Any) -> None:
    """Run to the end on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(coroutine)


def _hypercorn(settings: Settings) -> Config:
    """Hypercorn's own settings; its limits for the connections that it serves itself are the front's."""
    config = Config()
    config.accesslog = None
    config.loglevel = "WARNING"
    config.backlog = BACKLOG
    config.graceful_timeout = settings.graceful_seconds
    config.keep_alive_timeout = settings.keep_alive_seconds
    config.keep_alive_max_requests = 1_000_000_000
    config.include_server_header = False
    config.h11_max_incomplete_size = settings.limits.head_bytes
    config.certfile = settings.certificate
    config.keyfile = settings.key
    return config


def _settle_memory() -> None:
    """What start-up made lives as long as the process: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    # A request in flight is hundreds of objects and makes no circle: at every 700, the collector would walk
    # all of them again and again for nothing.
    gc.set_threshold(GARBAGE, 20, 100)


def _handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A client's failed TLS handshake is the client's affair; all else is logged."""
    if not isinstance(context.get("exception"), ssl.SSLError):
        loop.default_exception_handler(context)
