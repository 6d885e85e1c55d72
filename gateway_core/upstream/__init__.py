"""The upstream side of HTTP: one pool of connections per origin, deadlines, and answers as bytes."""

from gateway_core.upstream.client import Upstream
from gateway_core.upstream.limits import Limits
from gateway_core.upstream.response import UpstreamResponse
from gateway_core.upstream.transport import FastTransport

__all__ = ["FastTransport", "Limits", "Upstream", "UpstreamResponse"]
