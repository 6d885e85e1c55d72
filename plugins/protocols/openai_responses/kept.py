"""Answers that their providers keep: show, delete or cancel them, by our id, where they are."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from plugin_sdk.errors import GatewayError, InvalidRequest, NotFound, UpstreamError
from plugin_sdk.routes import PlatformRequest, PlatformResponse, PlatformRoute
from plugin_sdk.services import KeptAnswer, Services
from plugin_sdk.splices import NATIVE_ID
from plugin_sdk.upstream_errors import classify

ID: Final = "openai.responses"
_LONGEST_ID: Final = 200
_decode = msgspec.json.Decoder().decode


def kept_routes(
    services: Callable[[], Services], render_error: Callable[[GatewayError, str], bytes]
) -> Sequence[PlatformRoute]:
    """The routes of one answer, for any key that may do inference."""
    kept = _Kept(services)
    return [
        PlatformRoute(method=method, path=path, handler=handler, key="inference", render_error=render_error)
        for method, path, handler in (
            ("GET", "/responses/{id}", kept.show),
            ("DELETE", "/responses/{id}", kept.delete),
            ("POST", "/responses/{id}/cancel", kept.cancel),
            ("GET", "/responses/{id}/input_items", kept.items),
        )
    ]


class _Kept:
    def __init__(self, services: Callable[[], Services]) -> None:
        self._services = services

    async def show(self, request: PlatformRequest) -> PlatformResponse:
        """The answer as its provider has it, under our id."""
        if (request.query.get("stream") or ["false"])[0].lower() == "true":
            raise InvalidRequest("A kept answer is given whole here: leave `stream` out.", param="stream")
        return await self._asked(request, "GET", "")

    async def delete(self, request: PlatformRequest) -> PlatformResponse:
        """Have the provider forget it; our own record of what it cost stays."""
        return await self._asked(request, "DELETE", "")

    async def cancel(self, request: PlatformRequest) -> PlatformResponse:
        """Stop an answer that is made in the background."""
        return await self._asked(request, "POST", "/cancel")

    async def items(self, request: PlatformRequest) -> PlatformResponse:
        """What it was an answer to."""
        return await self._asked(request, "GET", "/input_items")

    async def _asked(self, request: PlatformRequest, method: str, behind: str) -> PlatformResponse:
        services = self._services()
        team = request.caller.team_id
        wanted = request.parameters["id"]
        kept = await services.generations.kept(team, wanted) if len(wanted) <= _LONGEST_ID else None
        if kept is None:
            raise NotFound(f"No answer of your team has the id {wanted[:_LONGEST_ID]}.", param="id")
        path = f"/responses/{quote(kept.native_id, safe='')}{behind}"
        if request.query:
            path += "?" + urlencode(request.query, doseq=True)
        answer = await services.ask(kept.provider, method, path, protocol=ID)
        if not 200 <= answer.status < 300:
            raise classify(answer.status, answer.headers, answer.body, provider=kept.provider)
        try:
            body = _decode(answer.body)
        except msgspec.DecodeError as error:
            raise UpstreamError("The provider's answer is not JSON.", provider=kept.provider) from error
        return PlatformResponse(body=await self._named(body, kept, team))

    async def _named(self, body: Any, kept: KeptAnswer, team: str) -> Any:
        """The same with our ids; the provider's own id of the answer goes to `nativeResponseId`."""
        if not isinstance(body, dict):
            return body
        found: dict[str, Any] = dict(body)
        if found.get("id") == kept.native_id:
            found = {"id": kept.generation_id, NATIVE_ID: kept.native_id, **_without_id(found)}
        before = found.get("previous_response_id")
        if isinstance(before, str):
            earlier = await self._services().generations.kept(team, before)
            if earlier is not None:
                found["previous_response_id"] = earlier.generation_id
        return found


def _without_id(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "id"}
