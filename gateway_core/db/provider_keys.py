"""Keys that teams bring for providers: sealed in the database, opened for an attempt."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from pydantic import SecretStr
from tortoise.exceptions import IntegrityError
from tortoise.expressions import F
from typing_extensions import override

from gateway_core.db.outage import Outage
from gateway_core.db.provider_key_models import ProviderKey, ProviderKeyUse
from gateway_core.db.sealing import BrokenSealError, opened, sealed
from gateway_core.db.stores import Keys
from gateway_core.ids import wall_clock
from plugin_sdk.errors import Internal, Unavailable
from plugin_sdk.services import OwnKey, OwnKeyStore

_HINT = 4  # characters at the end of a key that are shown
_log = logging.getLogger("gateway.db")


class ProviderKeys(OwnKeyStore):
    """Over the key store of this process: what changes here is told to whoever caches."""

    def __init__(self, keys: Keys, pepper: bytes) -> None:
        self._keys = keys
        self._pepper = pepper
        self._finding = Outage(_log, "no provider's key can be looked up, the database does not answer")
        self._changing = Outage(_log, "no provider's key can be changed, the database does not answer")

    @override
    async def of(self, team_id: str) -> Sequence[OwnKey]:
        with self._finding.answering():
            rows = await ProviderKey.filter(team_id=team_id).order_by("provider")
        return [_own(row) for row in rows]

    @override
    def opened(self, key: OwnKey) -> SecretStr:
        try:
            return SecretStr(opened(key.sealed, self._pepper, _place(key.team_id, key.provider)))
        except BrokenSealError as error:
            raise Internal(f"The team's key for {key.provider} cannot be read; set it again.") from error

    @override
    def on_change(self, forget: Callable[[], None]) -> Callable[[], None]:
        return self._keys.on_change(forget)

    @override
    async def count(self, team_id: str, month: str, by: int) -> int:
        place = f"{team_id}:{month}"
        mine = ProviderKeyUse.filter(id=place)
        while not await mine.update(requests=F("requests") + by):
            with suppress(IntegrityError):  # another worker's row will do
                await ProviderKeyUse.create(id=place, requests=0)
        return int((await mine.get()).requests)

    @override
    async def put(self, team_id: str, provider: str, key: str, *, always_use: bool) -> OwnKey:
        if not self._pepper:
            raise Unavailable(
                "There is no KEY_PEPPER to seal the key with.", reason="server_misconfig_missing_pepper"
            )
        place = _place(team_id, provider)
        made = ProviderKey(
            id=place,
            team_id=team_id,
            provider=provider,
            sealed=sealed(key, self._pepper, place),
            hint=key[-_HINT:] if len(key) > 3 * _HINT else "",
            always_use=always_use,
            created_at=wall_clock(),
        )
        while True:
            with suppress(IntegrityError):  # another's key came between: it is replaced, too
                async with self._changed():
                    await ProviderKey.filter(id=place).delete()
                    await made.save(force_create=True)
                return _own(made)

    @override
    async def change(self, team_id: str, provider: str, *, always_use: bool) -> OwnKey | None:
        async with self._changed():
            await ProviderKey.filter(id=_place(team_id, provider)).update(always_use=always_use)
            row = await ProviderKey.get_or_none(id=_place(team_id, provider))
        return None if row is None else _own(row)

    @override
    async def delete(self, team_id: str, provider: str) -> bool:
        async with self._changed():
            return bool(await ProviderKey.filter(id=_place(team_id, provider)).delete())

    @asynccontextmanager
    async def _changed(self) -> AsyncIterator[None]:
        """A change of keys, of which every worker hears. Unavailable where the database does not answer."""
        with self._changing.answering():
            async with self._keys.changing():
                yield


def _own(row: ProviderKey) -> OwnKey:
    return OwnKey(row.team_id, row.provider, row.sealed, row.hint, row.always_use, row.created_at)


def _place(team_id: str, provider: str) -> str:
    return f"{team_id}:{provider}"
