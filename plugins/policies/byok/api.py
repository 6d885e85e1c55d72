"""`/v1/provider-keys`: a team manages the keys that it brings for providers. What was set is never shown."""

import json
from collections.abc import Sequence
from typing import Any, Final

from plugin_sdk.errors import Forbidden, InvalidJson, InvalidRequest, NotFound
from plugin_sdk.keys import PROVIDER_KEY
from plugin_sdk.routes import PlatformRequest, PlatformResponse, PlatformRoute, iso, private
from plugin_sdk.services import OwnKey, OwnKeyStore, Prices

_PATH: Final = "/provider-keys"
_ONE: Final = _PATH + "/{provider}"


class ProviderKeysApi:
    """A management key manages its own team's; there is one of each provider.

    No value that a client sent is repeated in an error: it may be the key, under a wrong name.
    """

    def __init__(self) -> None:
        self._keys: OwnKeyStore
        self._prices: Prices

    def take(self, keys: OwnKeyStore, prices: Prices) -> None:
        """From here on it can be asked."""
        self._keys, self._prices = keys, prices

    def routes(self) -> Sequence[PlatformRoute]:
        """Five, for management keys."""
        return [
            PlatformRoute(method="GET", path=_PATH, handler=self.list, key="management"),
            PlatformRoute(method="POST", path=_PATH, handler=self.set, key="management"),
            PlatformRoute(method="GET", path=_ONE, handler=self.show, key="management"),
            PlatformRoute(method="PATCH", path=_ONE, handler=self.change, key="management"),
            PlatformRoute(method="DELETE", path=_ONE, handler=self.delete, key="management"),
        ]

    async def list(self, request: PlatformRequest) -> PlatformResponse:
        """The team's keys, by provider."""
        found = await self._keys.of(_team(request))
        return private({"ok": True, "provider_keys": [_shown(key) for key in found]})

    async def set(self, request: PlatformRequest) -> PlatformResponse:
        """Set the key for a provider, in the place of one that the team had."""
        body = _object(request.body, "provider", "key", "always_use")
        team_id, provider, key = _team(request, body), body.get("provider"), body.get("key")
        offered = sorted({one.provider for one in self._prices.endpoints() if not one.simulated})
        if provider not in offered:
            has = ", ".join(offered) or "none"
            raise _invalid("provider", f"`provider` is the name of a provider here; there is {has}")
        if not isinstance(key, str) or not PROVIDER_KEY.fullmatch(key):
            raise _invalid("key", "`key` is 8 to 4000 printable characters without a space")
        made = await self._keys.put(team_id, provider, key, always_use=_always_use(body))
        return private({"ok": True, "provider_key": _shown(made)}, 201)

    async def show(self, request: PlatformRequest) -> PlatformResponse:
        """One key."""
        return private({"ok": True, "provider_key": _shown(await self._found(request, _team(request)))})

    async def change(self, request: PlatformRequest) -> PlatformResponse:
        """Say whether the gateway's own key may take over."""
        body = _object(request.body, "always_use")
        team_id = _team(request, body)
        if "always_use" not in body:
            raise _invalid("always_use", "`always_use` is missing; POST sets another key")
        key = await self._found(request, team_id)
        changed = await self._keys.change(team_id, key.provider, always_use=_always_use(body))
        if changed is None:
            raise _missing()
        return private({"ok": True, "provider_key": _shown(changed)})

    async def delete(self, request: PlatformRequest) -> PlatformResponse:
        """Forget it."""
        team_id = _team(request)
        key = await self._found(request, team_id)
        if not await self._keys.delete(team_id, key.provider):
            raise _missing()
        return private({"ok": True, "message": f"The key for {key.provider} is deleted."})

    async def _found(self, request: PlatformRequest, team_id: str) -> OwnKey:
        """The team's key for the provider of the path, which no database is asked for: it can be any text."""
        for key in await self._keys.of(team_id):
            if key.provider == request.parameters["provider"]:
                return key
        raise _missing()


def _team(request: PlatformRequest, body: dict[str, Any] | None = None) -> str:
    """The caller's team; Forbidden where the request names another."""
    team_id = request.caller.team_id
    said = [*request.query.get("team_id", ()), *([body["team_id"]] if body and "team_id" in body else ())]
    if any(one != team_id for one in said):
        raise Forbidden("team_id must match authenticated team")
    return team_id


def _object(body: bytes, *known: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):  # its text repeats the body
        raise InvalidJson("The body is not JSON.") from None
    if not isinstance(found, dict):
        raise InvalidJson("The body is not a JSON object.")
    if not found.keys() <= {*known, "team_id"}:
        names = ", ".join(f"`{name}`" for name in (*known, "team_id"))
        raise InvalidRequest(f"The body has a name that cannot be set here; there is {names}.")
    return found


def _always_use(body: dict[str, Any]) -> bool:
    said = body.get("always_use", False)
    if not isinstance(said, bool):
        raise _invalid("always_use", "`always_use` is true or false")
    return said


def _invalid(name: str, message: str) -> InvalidRequest:
    return InvalidRequest(message + ".", param=name)


def _missing() -> NotFound:
    return NotFound("The team has no key of its own for this provider.")


def _shown(key: OwnKey) -> dict[str, Any]:
    return {
        "provider": key.provider,
        "hint": key.hint,
        "always_use": key.always_use,
        "created_at": iso(key.created_at),
    }
