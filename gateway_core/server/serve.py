"""Bind once, then serve: here with one worker, by spawned processes with more."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from gateway_core.server.listen import bind, unbind, url
from gateway_core.server.settings import Settings
from gateway_core.server.supervisor import Supervisor
from gateway_core.server.worker import run_here


def serve(
    config_path: Path | str | None,
    *,
    listen: str,
    workers: int = 1,
    watch: bool = False,
    on_ready: Callable[[str], None] | None = None,
    settings: Settings | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reloads. `on_ready` gets the URL once every worker is ready.

    Raises CannotServe, whose text is for the operator, and whatever the application's factory raises.
    """
    path = None if config_path is None else str(config_path)
    settings = msgspec.structs.replace(settings or Settings(), config_path=path, watch=watch)
    sock = bind(listen)

    def ready() -> None:
        if on_ready is not None:
            on_ready(url(sock, tls=settings.tls))

    try:
        if workers == 1:
            run_here(settings, [sock], ready)
        else:
            asyncio.run(Supervisor(settings, [sock], workers, ready).run())
    finally:
        unbind(sock, listen)
