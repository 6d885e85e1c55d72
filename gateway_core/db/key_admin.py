"""The keys of a team, for its own managers: real keys, made and changed as the command line does."""

import logging
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from tortoise.expressions import F, Q
from tortoise.queryset import QuerySet
from typing_extensions import override

from gateway_core.db import models
from gateway_core.db.limits.setting import limit_key, limits_in
from gateway_core.db.outage import Outage
from gateway_core.db.stores import Keys
from gateway_core.ids import may_be_id, wall_clock
from plugin_sdk import keys as form
from plugin_sdk import services
from plugin_sdk.context import KeyMode
from plugin_sdk.errors import Internal
from plugin_sdk.services import KeyChange, ManagedKey

_ORDINARY: Final = ("live", "test")
_log = logging.getLogger("gateway.db")


class KeyAdmin(services.KeyAdmin):
    """Over the key store of this process, with the pepper and the prefix of one configuration."""

    def __init__(self, keys: Keys, pepper: bytes, prefix: str) -> None:
        self._keys = keys
        self._pepper = pepper
        self._prefix = prefix
        self._outage = Outage(_log, "keys cannot be managed, the database does not answer")

    @override
    async def create(self, team_id: str, mode: KeyMode, values: KeyChange) -> tuple[str, ManagedKey]:
        if not self._pepper:
            raise Internal("The gateway has no KEY_PEPPER.", reason="server_misconfig_missing_pepper")
        text, parts = form.mint(mode, self._prefix)
        name = values.name if isinstance(values.name, str) else ""
        with self._outage.answering():
            made = await self._keys.create(
                team_id, mode, name, parts.kid, form.hashed(parts.secret, self._pepper), **_columns(values),
                **values.limits,
            )  # fmt: skip
        found = await self.get(team_id, made.id)
        if found is None:
            raise RuntimeError("the key that was made is not there")
        return text, found

    @override
    async def list(self, team_id: str, *, limit: int, offset: int) -> tuple[int, Sequence[ManagedKey]]:
        mine = self._mine(team_id)
        with self._outage.answering():
            found = await mine.order_by("-created_at", "-id").offset(offset).limit(limit)
            return await mine.count(), [_managed(row) for row in found]

    @override
    async def get(self, team_id: str, key_id: str) -> ManagedKey | None:
        if not may_be_id(key_id):
            return None
        with self._outage.answering():
            row = await self._mine(team_id).get_or_none(Q(id=key_id) | Q(kid=key_id))
        return None if row is None else _managed(row)

    @override
    async def change(self, team_id: str, key_id: str, values: KeyChange) -> ManagedKey | None:
        if not may_be_id(key_id):
            return None
        with self._outage.answering():
            changed = await self._changed(team_id, key_id, values)
        return await self.get(team_id, key_id) if changed else None

    async def _changed(self, team_id: str, key_id: str, values: KeyChange) -> bool:
        async with self._keys.changing():
            row = await self._mine(team_id).select_for_update().get_or_none(Q(id=key_id) | Q(kid=key_id))
            if row is None:
                return False
            columns: dict[str, Any] = {**_columns(values), "updated_at": wall_clock()}
            if isinstance(values.name, str):
                columns["name"] = values.name
            if values.limits:
                await limit_key(row.kid, msgspec.structs.replace(limits_in(row), **values.limits))
            await models.Key.filter(id=row.id).update(**columns, revision=F("revision") + 1)
        return True

    @override
    async def revoke(self, team_id: str, key_id: str) -> ManagedKey | None:
        found = await self.get(team_id, key_id)
        with self._outage.answering():
            revoked = found is not None and await self._keys.revoke(found.kid)
        return found if revoked else None

    def _mine(self, team_id: str) -> QuerySet[models.Key]:
        return models.Key.filter(team_id=team_id, mode__in=_ORDINARY).exclude(status="revoked")


def _columns(values: KeyChange) -> dict[str, Any]:
    """What is to be set, by column; the name and the limits have ways of their own."""
    names = ("status", "scopes", "soft_blocked", "created_by", "expires_at")
    return {name: getattr(values, name) for name in names if getattr(values, name) is not msgspec.UNSET}


def _managed(row: models.Key) -> ManagedKey:
    return ManagedKey(
        id=row.id,
        team_id=row.team_id,
        name=row.name,
        mode=row.mode,  # type: ignore[arg-type]  # only create() writes it
        kid=row.kid,
        prefix=row.prefix,
        status=row.status,
        scopes=row.scopes,
        soft_blocked=row.soft_blocked,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        limits=limits_in(row),
    )
