"""The management API of keys: `/v1/management/keys`, alias `/v1/keys`, and `GET /v1/key` (contract 2.5)."""

from collections.abc import Sequence, Set
from typing import Any

from pydantic import Field, field_validator

from plugin_sdk.context import LEDGER_WRITE
from plugin_sdk.errors import Forbidden, NotFound, Unauthenticated
from plugin_sdk.hooks import hookimpl
from plugin_sdk.limits import WINDOWS, Limits, Standing
from plugin_sdk.plugin import Plugin, PluginConfig
from plugin_sdk.routes import PlatformRequest, PlatformResponse, PlatformRoute, iso, private
from plugin_sdk.services import ManagedKey, Services
from plugins.policies.keys_api.bodies import NewKey, page, read_change, read_new

_ALIASES = ("/management/keys", "/keys")


class KeysApiConfig(PluginConfig):
    """The `keys_api:` block. A key that a team makes gets no scope but these and its management key's own."""

    scopes: tuple[str, ...] = Field(default=(), description="scopes that any team may give its keys")

    @field_validator("scopes")
    @classmethod
    def _harmless(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if LEDGER_WRITE in value:
            raise ValueError(f"{LEDGER_WRITE} is for the operator's keys, which the command line makes")
        return value


class KeysApi(Plugin[KeysApiConfig]):
    """A management key manages the ordinary keys of its own team; management keys are the operator's."""

    Config = KeysApiConfig

    @hookimpl
    async def startup(self, services: Services) -> None:
        """Take the keys and their limits."""
        self._keys = services.key_admin
        self._limits = services.limits
        self._pepper = services.pepper

    @hookimpl
    def register_routes(self) -> Sequence[PlatformRoute]:
        """Five routes under two names, and the caller's own key."""
        found = [PlatformRoute(method="GET", path="/key", handler=self.own, key="any")]
        for path in _ALIASES:
            one = path + "/{id}"
            found += [
                PlatformRoute(method="GET", path=path, handler=self.list, key="management"),
                PlatformRoute(method="POST", path=path, handler=self.create, key="management"),
                PlatformRoute(method="GET", path=one, handler=self.show, key="management"),
                PlatformRoute(method="PATCH", path=one, handler=self.change, key="management"),
                PlatformRoute(method="DELETE", path=one, handler=self.delete, key="management"),
            ]
        return found

    async def list(self, request: PlatformRequest) -> PlatformResponse:
        """The team's keys, the newest first."""
        team_id = _team(request, request.query.get("team_id"))
        limit, offset = page(request.query)
        total, found = await self._keys.list(team_id, limit=limit, offset=offset)
        keys = [_listed(key) for key in found]
        return private({"ok": True, "limit": limit, "offset": offset, "total": total, "keys": keys})

    async def create(self, request: PlatformRequest) -> PlatformResponse:
        """A new key; its text is in this answer and nowhere else."""
        new: NewKey = read_new(request.body, self._grantable(request))
        team_id = _team(request, None if new.team_id is None else [new.team_id])
        if not self._pepper:
            word = "server_misconfig_missing_pepper"
            return private({"ok": False, "error": word, "message": "The gateway has no KEY_PEPPER."}, 503)
        text, made = await self._keys.create(team_id, new.mode, new.values)
        shown = {**_listed(made), **_limits(made.limits), "kid": made.kid, "key": text}
        return private({"ok": True, "key": shown}, 201)

    async def show(self, request: PlatformRequest) -> PlatformResponse:
        """One key, and how far its limits are used."""
        team_id = _team(request, request.query.get("team_id"))
        return private({"ok": True, "key": await self._shown(await self._found(request, team_id))})

    async def change(self, request: PlatformRequest) -> PlatformResponse:
        """Set its name, status, block, scopes, expiry or limits."""
        values, team = read_change(request.body, self._grantable(request))
        team_id = _team(request, None if team is None else [team])
        if await self._keys.change(team_id, request.parameters["id"], values) is None:
            raise _missing()
        return private({"ok": True, "message": "Key updated successfully"})

    async def delete(self, request: PlatformRequest) -> PlatformResponse:
        """Revoke it, and show it no more; the records of what it did stay."""
        team_id = _team(request, request.query.get("team_id"))
        found = await self._keys.revoke(team_id, request.parameters["id"])
        if found is None:
            raise _missing()
        return private({"ok": True, "message": f'Key "{found.name}" deleted successfully'})

    async def own(self, request: PlatformRequest) -> PlatformResponse:
        """The key that asks; a management key may ask for one of its team by `id`."""
        caller = request.caller
        if wanted := (request.query.get("id") or [""])[0]:
            if caller.mode != "management":
                raise Unauthenticated("This needs a management key.", reason="management_key_required")
            found = await self._keys.get(caller.team_id, wanted)
        else:
            found = await self._keys.get(caller.team_id, caller.kid)
            if found is None:  # a management key: there is no more to say of it
                about = {"team_id": caller.team_id, "prefix": caller.kid[:6], "mode": caller.mode}
                return private({"data": about})
        if found is None:
            raise _missing()
        return private({"data": await self._shown(found)})

    def _grantable(self, request: PlatformRequest) -> Set[str]:
        """The scopes that the caller may give: never more than it has, or the operator allows."""
        return (request.caller.scopes | {*self.config.scopes}) - {LEDGER_WRITE}

    async def _found(self, request: PlatformRequest, team_id: str) -> ManagedKey:
        found = await self._keys.get(team_id, request.parameters["id"])
        if found is None:
            raise _missing()
        return found

    async def _shown(self, key: ManagedKey) -> dict[str, Any]:
        standings = await self._limits.standings(key.team_id, key.kid) if key.limits.any else ()
        return {
            "id": key.id,
            "team_id": key.team_id,
            "name": key.name,
            "prefix": key.prefix,
            "status": key.status,
            "scopes": key.scopes,
            "created_by": key.created_by,
            "created_at": iso(key.created_at),
            "last_used_at": _time(key.last_used_at),
            "soft_blocked": key.soft_blocked,
            "kid": key.kid,
            "mode": key.mode,
            "disabled": key.status != "active",
            "updated_at": _time(key.updated_at),
            "expires_at": _time(key.expires_at),
            **_limits(key.limits),
            "usage": [_standing(one) for one in standings],
        }


def _team(request: PlatformRequest, said: Sequence[str] | None) -> str:
    """The caller's team; Forbidden where the request names another."""
    team_id = request.caller.team_id
    if said and said[0] != team_id:
        raise Forbidden("team_id must match authenticated team")
    return team_id


def _time(moment: int | None) -> str | None:
    return None if moment is None else iso(moment)


def _missing() -> NotFound:
    return NotFound("Key not found")


def _listed(key: ManagedKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "status": key.status,
        "scopes": key.scopes,
        "created_at": iso(key.created_at),
        "last_used_at": _time(key.last_used_at),
        "mode": key.mode,
        "soft_blocked": key.soft_blocked,
    }


def _limits(limits: Limits) -> dict[str, int]:
    return {
        f"{window}_limit_{unit}": getattr(limits, f"{window}_limit_{unit}")
        for unit in ("requests", "cost_nanos")
        for window in WINDOWS
    }


def _standing(one: Standing) -> dict[str, Any]:
    return {
        "window": one.window,
        "metric": "request" if one.metric == "requests" else "cost",
        "used": one.used,
        "reserved": one.reserved,
        "limit": one.limit,
        "reset_at": iso(one.reset_at),
    }
