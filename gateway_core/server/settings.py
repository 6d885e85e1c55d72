"""What a worker needs to know to serve; it travels to worker processes as JSON."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import msgspec

from gateway_core.server.errors import CannotServe
from gateway_core.server.limits import Limits


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How to make the application and how to serve it."""

    factory: str = "gateway_core.app:create_app"
    """`module:function`, called in the worker with `config_path`; gives an ASGI application."""
    config_path: str | None = None
    watch: bool = False
    graceful_seconds: float = 30.0
    """How long requests in flight may take to finish when the server stops."""
    keep_alive_seconds: float = 75.0
    """How long an idle connection stays open: longer than a load balancer's usual minute."""
    certificate: str | None = None
    key: str | None = None
    limits: Limits = Limits()

    @property
    def tls(self) -> bool:
        """Whether the listening socket speaks TLS."""
        return self.certificate is not None and self.key is not None


def make(settings: Settings) -> Any:
    """The application, imported only now and here."""
    module, _, name = settings.factory.partition(":")
    factory: Callable[[str | None], Any] | None = getattr(import_module(module), name, None)
    if factory is None:
        raise CannotServe(f"there is no {name!r} in {module}")
    return factory(settings.config_path)
