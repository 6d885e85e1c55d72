"""A plugin for the bench: `GET /v1/bench/inside` says what lives in the gateway's process.

It is what a stranger could install: `files` are written into the folder that a gateway runs in.
"""

import asyncio
import gc
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from plugin_sdk.hooks import hookimpl
from plugin_sdk.plugin import Plugin, PluginConfig
from plugin_sdk.routes import PlatformRequest, PlatformResponse, PlatformRoute

PATH = "/bench/inside"


class Probe(Plugin[PluginConfig]):
    """Adds the route."""

    @hookimpl
    def register_routes(self) -> Sequence[PlatformRoute]:
        """For any caller: the bench's gateways listen on loopback."""
        return [PlatformRoute(method="GET", path=PATH, handler=self.show, key="none")]

    async def show(self, request: PlatformRequest) -> PlatformResponse:
        """How many tasks there are, this request's among them, and pieces of memory that objects hold."""
        del request
        gc.collect()
        return PlatformResponse(body={"tasks": len(asyncio.all_tasks()), "blocks": sys.getallocatedblocks()})


def files() -> Mapping[str, str]:
    """The distribution that offers it as `bench_probe`: the text of each file by its name."""
    info = "bench_probe-1.0.dist-info"
    return {
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: bench-probe\nVersion: 1.0\n",
        f"{info}/entry_points.txt": "[gateway.plugins]\nbench_probe = bench_probe:Probe\n",
        "bench_probe.py": Path(__file__).read_text(),
    }
