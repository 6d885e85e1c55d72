"""Serving: Hypercorn with an HTTP/1.1 front of our own, in one process or in several."""

from gateway_core.server.errors import CannotServe
from gateway_core.server.limits import Limits
from gateway_core.server.serve import serve
from gateway_core.server.settings import Settings

__all__ = ["CannotServe", "Limits", "Settings", "serve"]
