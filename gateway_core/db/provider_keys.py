"""Keys that teams bring for providers: sealed in the database, opened for an attempt."""

import contextlib
from collections.abc import Callable, Sequence

from pydantic import SecretStr
from tortoise.exceptions import IntegrityError
from tortoise.expressions import F
from typing_extensions import override

from gateway_core.db.provider_key_models import ProviderKey, ProviderKeyUse
from gateway_core.db.sealing import BrokenSealError, opened, sealed
from gateway_core.db.stores import Keys
from gateway_core.ids import wall_clock
from plugin_sdk.errors import Internal
from plugin_sdk.services import OwnKey, OwnKeyStore

_HINT = 4  # characters at the end of a key that are shown


class ProviderKeys(OwnKeyStore):
    """Over the key store of this process: what changes here is told to whoever caches."""

    def __init__(self, keys: Keys, pepper: bytes) -> None:
        self._keys = keys
        self._pepper = pepper

    @override
    async def of(self, team_id: str) -> Sequence[OwnKey]:
        rows = await ProviderKey.filter(team_id=team_id).order_by("provider")
        return [
            OwnKey(row.team_id, row.provider, row.sealed, row.hint, row.always_use, row.created_at)
            for row in rows
        ]

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
            with contextlib.suppress(IntegrityError):  # another worker's row will do
                await ProviderKeyUse.create(id=place, requests=0)
        return int((await mine.get()).requests)

    async def put(self, team_id: str, provider: str, key: str, *, always_use: bool) -> OwnKey:
        """Set a team's key for a provider, in the place of one that it had."""
        place = _place(team_id, provider)
        hint = key[-_HINT:] if len(key) > 3 * _HINT else ""
        text, now = sealed(key, self._pepper, place), wall_clock()
        async with self._keys.changing():
            await ProviderKey.filter(id=place).delete()
            await ProviderKey.create(
                id=place,
                team_id=team_id,
                provider=provider,
                sealed=text,
                hint=hint,
                always_use=always_use,
                created_at=now,
            )
        return OwnKey(team_id, provider, text, hint, always_use, now)

    async def delete(self, team_id: str, provider: str) -> bool:
        """Forget a key; False if there was none."""
        async with self._keys.changing():
            return bool(await ProviderKey.filter(id=_place(team_id, provider)).delete())


def _place(team_id: str, provider: str) -> str:
    return f"{team_id}:{provider}"
