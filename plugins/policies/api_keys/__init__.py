"""API keys: `Authorization: Bearer <key>` or `x-api-key: <key>` to a principal."""

import asyncio
import hmac
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from pydantic import Field

from plugin_sdk import keys
from plugin_sdk.context import Credentials, Principal
from plugin_sdk.errors import KeyLimitExceeded, Unauthenticated
from plugin_sdk.hooks import hookimpl
from plugin_sdk.plugin import Plugin, PluginConfig
from plugin_sdk.services import KeyRecord, Services

_REASONS: Final = {
    "missing_or_invalid_authorization_header": "Send your key as `Authorization: Bearer <key>`.",
    "invalid_key_format": "That is not the form of a key of this gateway.",
    "key_not_found_or_revoked": "The key is not known, or it was disabled or revoked.",
    "invalid_secret": "The key's secret is wrong.",
    "key_expired": "The key has expired.",
    "server_misconfig_missing_pepper": "The gateway cannot check keys: it has no KEY_PEPPER.",
}


class ApiKeysConfig(PluginConfig):
    """`prefix` stands before the mark (`sk`, `tk`, `mk`) of every key."""

    prefix: str = Field(
        default=keys.DEFAULT_PREFIX,
        pattern=r"^[A-Za-z0-9]+(_[A-Za-z0-9]+)*$",
        description="what every key of this gateway begins with",
    )
    cache_seconds: int = Field(
        default=60, ge=0, le=3600, description="for how long a key that was let in is remembered unasked"
    )
    cache_keys: int = Field(default=10_000, ge=1, description="how many keys are remembered at most")


class ApiKeys(Plugin[ApiKeysConfig]):
    """Remembers the keys that it has let in by the SHA-256 of their text; never a refusal, never a plaintext.

    It refuses what it does not know: an authenticator for other credentials stands before it in the YAML.
    """

    Config = ApiKeysConfig

    def __init__(self, name: str, config: ApiKeysConfig) -> None:
        super().__init__(name, config)
        self._known: dict[
            bytes, tuple[Principal, int]
        ] = {}  # digest of the key -> caller, ms at which to ask again
        self._lookups: dict[str, asyncio.Task[KeyRecord | None]] = {}
        self._unheard: Callable[[], None] = self._forget  # until there is something to hear

    @hookimpl
    async def startup(self, services: Services) -> None:
        """Take the key store; from here on a changed key is asked for again."""
        self._services = services
        self._unheard = services.keys.on_change(self._forget)

    @hookimpl
    async def shutdown(self) -> None:
        """Forget everyone: after a reload the next snapshot's plugin has a memory of its own."""
        self._unheard()
        self._forget()

    @hookimpl
    async def authenticate(self, credentials: Credentials) -> Principal:
        """The caller, from the cache where it can; raise Unauthenticated with the contract's reason.

        Unavailable where the key is not remembered and the database does not answer.
        """
        text = _presented(credentials)
        digest = blake2b(text.encode()).digest()
        known = self._known.get(digest)
        if known is not None and self._services.clock() < known[1]:
            caller = known[0]
        else:
            caller = await self._looked_up(text, digest)
        self._services.keys.used(caller.kid)
        return caller

    async def _looked_up(self, text: str, digest: bytes) -> Principal:
        key = keys.parse(text, self.config.prefix)
        if key is None:
            raise _refusal("invalid_key_format")
        if not self._services.pepper:
            raise _refusal("server_misconfig_missing_pepper")
        asked = self._lookups  # replaced when a key changes: then the answer to come is not remembered
        found = await self._find(key.kid)
        now = self._services.clock()
        record = _checked(found, key, self._services.pepper, now)
        caller = Principal(team_id=record.team_id, kid=record.kid, mode=record.mode, scopes=record.scopes)
        if asked is self._lookups:
            self._remember(digest, caller, now, record.expires_at)
        return caller

    async def _find(self, kid: str) -> KeyRecord | None:
        """The stored key; requests that come while it is being read share one look-up."""
        lookups = self._lookups
        lookup = lookups.get(kid)
        if lookup is None:
            lookup = lookups[kid] = asyncio.create_task(self._services.keys.find(kid))
            lookup.add_done_callback(lambda _: lookups.pop(kid, None))
        return await asyncio.shield(lookup)

    def _remember(self, digest: bytes, caller: Principal, now: int, expires_at: int | None) -> None:
        until = now + self.config.cache_seconds * 1000
        self._known.pop(digest, None)
        if len(self._known) >= self.config.cache_keys:
            del self._known[next(iter(self._known))]
        self._known[digest] = (caller, until if expires_at is None else min(until, expires_at))

    def _forget(self) -> None:
        self._known.clear()
        self._lookups = {}


def _presented(credentials: Credentials) -> str:
    """The key as it was sent; `authorization` comes first."""
    headers = credentials.headers
    scheme, _, text = headers.get("authorization", "").partition(" ")
    text = text.strip() if scheme.lower() == "bearer" else ""
    text = text or headers.get("x-api-key", "").strip()
    if not text:
        raise _refusal("missing_or_invalid_authorization_header")
    return text


def _checked(record: KeyRecord | None, key: keys.ParsedKey, pepper: bytes, now: int) -> KeyRecord:
    """The record if the key may pass; nothing is said of its state to one who lacks its secret."""
    presented = keys.hashed(key.secret, pepper)
    if record is None:
        raise _refusal("key_not_found_or_revoked")
    if not hmac.compare_digest(presented, record.hash):
        raise _refusal("invalid_secret")
    if record.mode != key.mode or record.status != "active":
        raise _refusal("key_not_found_or_revoked")
    if record.expires_at is not None and now >= record.expires_at:
        raise _refusal("key_expired")
    if record.soft_blocked:
        message = "The key is blocked for now; ask the owner of its team."
        raise KeyLimitExceeded(
            message, reason="key_limit_soft_blocked"
        )  # the first of its limits (contract 2.4)
    return record


def _refusal(reason: str) -> Unauthenticated:
    return Unauthenticated(_REASONS[reason], reason=reason)
