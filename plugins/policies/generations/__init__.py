"""`GET /v1/generations?id=`: the record of one served request, to the team that made it."""

from collections.abc import Sequence
from typing import Final

from plugin_sdk.errors import NotFound
from plugin_sdk.hooks import hookimpl
from plugin_sdk.plugin import Plugin, PluginConfig
from plugin_sdk.routes import PlatformRequest, PlatformResponse, PlatformRoute
from plugin_sdk.services import Services

_LONGEST_ID: Final = 64


class Generations(Plugin[PluginConfig]):
    """Reads only: the core writes the record with the settlement."""

    @hookimpl
    async def startup(self, services: Services) -> None:
        """Take the store of generations."""
        self._generations = services.generations

    @hookimpl
    def register_routes(self) -> Sequence[PlatformRoute]:
        """One route, for any key that may do inference."""
        return [PlatformRoute(method="GET", path="/generations", handler=self.show, key="inference")]

    async def show(self, request: PlatformRequest) -> PlatformResponse:
        """The record (contract 4.4); a 404 for an unknown id and for another team's alike."""
        team_id = request.caller.team_id
        wanted = (request.query.get("id") or [""])[0]
        if not wanted:
            message = "Say which generation: /v1/generations?id=G-..."
            return PlatformResponse(status=400, body={"ok": False, "error": "missing_id", "message": message})
        record = None
        if len(wanted) <= _LONGEST_ID:
            record = await self._generations.get(team_id, wanted)
        if record is None:
            raise NotFound(f"No generation of your team has the id {wanted[:_LONGEST_ID]}.")
        return PlatformResponse(body=record)
