"""What plugins and the command line know of the database: keys, wallets, generations, teams."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, Protocol, Self

import msgspec
from tortoise.context import TortoiseContext
from tortoise.expressions import F, Q
from tortoise.transactions import in_transaction
from typing_extensions import override

from gateway_core.db import models
from gateway_core.db.books import Books
from gateway_core.db.connect import connect
from gateway_core.db.generations import Generations
from gateway_core.db.limits.setting import limit_key, limit_team, limits_in
from gateway_core.db.outage import Outage
from gateway_core.db.payments import Payments
from gateway_core.db.session import Store
from gateway_core.db.top_up import top_up, wallet_id
from gateway_core.db.url import open_store
from gateway_core.db.verify import Finding, verify
from gateway_core.ids import Ids, wall_clock
from plugin_sdk.context import KeyMode
from plugin_sdk.limits import Limits
from plugin_sdk.money import Hold, Nanos
from plugin_sdk.services import KeyRecord, KeyStore, WalletRecord, WalletStore

REVISION_SECONDS: Final = 1.0
USE_MS: Final = 60_000  # a key's last use is written once in so long
_AT_ONCE: Final = 1_000  # keys of one statement
_PREFIX: Final = 6  # characters of a kid that are shown (contract 2.1)
_log = logging.getLogger("gateway.db")


class Holder(Protocol):
    """What sets credit aside: the ledger of this process."""

    async def hold(self, wallet_id: str, wanted: Nanos, *, minimum_balance: Nanos) -> Hold:
        """As services.WalletStore.hold says."""


class TeamRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A team."""

    id: str
    name: str
    created_at: int


class Keys(KeyStore):
    """API keys. A change is told to this process at once, to others when they next look at the revision."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []
        self._seen: int | None = None
        self._watching: asyncio.Task[None] | None = None
        self._used: set[str] = set()
        self._noted: dict[str, int] = {}  # kid -> ms when its use was last written, if within USE_MS
        self._finding = Outage(_log, "no key can be looked up, the database does not answer")
        self._looking = Outage(_log, "changes of keys cannot be looked for, trying again")

    @override
    async def find(self, kid: str) -> KeyRecord | None:
        with self._finding.answering():
            row = await models.Key.get_or_none(kid=kid)
        return None if row is None else _key_record(row)

    @override
    def on_change(self, forget: Callable[[], None]) -> Callable[[], None]:
        self._listeners.append(forget)
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch(), name="keys revision")
        return lambda: self._listeners.remove(forget)

    @override
    def used(self, kid: str) -> None:
        self._used.add(kid)

    async def create(
        self, team_id: str, mode: KeyMode, name: str, kid: str, digest: str, **columns: Any
    ) -> KeyRecord:
        """Store a new key; only the HMAC of its secret is known here."""
        now = wall_clock()
        async with in_transaction():
            row = await models.Key.create(
                id=Ids().new(), team_id=team_id, name=name, mode=mode, kid=kid, hash=digest,
                prefix=kid[:_PREFIX], created_at=now, updated_at=now, **columns,
            )  # fmt: skip
            await _bump("keys")
        self._tell()
        return _key_record(row)

    async def revoke(self, kid: str) -> bool:
        """End a key for good; False if there is none of this kid."""
        async with in_transaction():
            changed = await models.Key.filter(kid=kid).update(
                status="revoked", updated_at=wall_clock(), revision=F("revision") + 1
            )
            await _bump("keys")
        self._tell()
        return bool(changed)

    @contextlib.asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """A transaction that changes keys, or what goes with them; then everyone is told."""
        async with in_transaction():
            yield
            await _bump("keys")
        self._tell()

    async def limits_of_key(self, kid: str) -> Limits | None:
        """The limits of a key; None if there is none of this kid."""
        row = await models.Key.get_or_none(kid=kid)
        return None if row is None else limits_in(row)

    async def limits_of_team(self, team_id: str) -> Limits:
        """What all keys of a team may use together."""
        row = await models.TeamLimit.get_or_none(team_id=team_id)
        return Limits() if row is None else limits_in(row)

    async def limit_key(self, kid: str, limits: Limits) -> bool:
        """Set the limits of a key, all of them; False if there is none of this kid."""
        async with self.changing():
            return await limit_key(kid, limits)

    async def limit_team(self, team_id: str, limits: Limits) -> None:
        """Set what all keys of a team may use together."""
        async with self.changing():
            await limit_team(team_id, limits)

    async def stop(self) -> None:
        """Stop looking for changes."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        with contextlib.suppress(Exception):  # only the time of a last use is lost
            await self.note_uses(wall_clock())

    async def note_uses(self, now: int) -> None:
        """Write the last use of the keys that were used, of each once a minute; all in one statement."""
        self._noted = {kid: at for kid, at in self._noted.items() if now - USE_MS < at <= now}
        used = sorted(self._used - self._noted.keys())[:_AT_ONCE]
        if not used:
            return
        earlier = Q(last_used_at=None) | Q(last_used_at__lt=now)
        await models.Key.filter(earlier, kid__in=used).update(last_used_at=now)
        self._noted.update(dict.fromkeys(used, now))
        self._used.difference_update(used)

    async def look(self) -> None:
        """See whether any key was changed since the last look, and tell whoever asked."""
        row = await models.Revision.get_or_none(name="keys")
        value = 0 if row is None else row.value
        if self._seen is not None and value != self._seen:
            self._tell()
        self._seen = value

    async def _watch(self) -> None:
        while True:
            try:
                await self.look()
                await self.note_uses(wall_clock())
            except Exception as error:  # noqa: BLE001  # the next look finds what changed
                self._looking.failed(error)
            else:
                self._looking.over()
            await asyncio.sleep(REVISION_SECONDS)

    def _tell(self) -> None:
        for forget in self._listeners:
            forget()


class Wallets(WalletStore):
    """Wallets as policies see them: found here, held from by the ledger."""

    def __init__(self, holder: Holder) -> None:
        self._holder = holder
        self._found: dict[str, WalletRecord] = {}
        self._finding = Outage(_log, "no wallet can be looked up, the database does not answer")

    @override
    def hold(self, wallet_id: str, wanted: Nanos, *, minimum_balance: Nanos) -> Coroutine[Any, Any, Hold]:
        return self._holder.hold(wallet_id, wanted, minimum_balance=minimum_balance)

    @override
    async def wallet_for(self, team_id: str, kind: str) -> WalletRecord | None:
        """The team's wallet; once found it is remembered, since a wallet never goes away.

        Its balance is that of the moment it was found: only `hold` decides by the true one.
        """
        wanted = wallet_id(team_id, kind)
        if (known := self._found.get(wanted)) is not None:
            return known
        with self._finding.answering():
            row = await models.Wallet.get_or_none(id=wanted)
        if row is None:
            return None
        found = self._found[wanted] = wallet_record(row)
        return found


class Stores:
    """Every store of one database. Open it in the loop that uses it, close it before that ends."""

    def __init__(self, url: str, stack: contextlib.AsyncExitStack, context: TortoiseContext) -> None:
        self._url = url
        self._stack = stack
        self._raw: Store | None = None
        self._ids = Ids()
        self.context = context
        self.keys = Keys()
        self.generations = Generations()
        self.books = Books(self._opened)
        self.payments = Payments(self._opened)

    @classmethod
    async def open(cls, url: str) -> Self:
        """The stores of a migrated database."""
        context = await connect(url)
        stack = contextlib.AsyncExitStack()
        stack.push_async_callback(context.close_connections)
        return cls(url, stack, context)

    def wallets(self, holder: Holder) -> Wallets:
        """The wallet store over this process's ledger."""
        return Wallets(holder)

    async def create_team(self, name: str) -> TeamRecord:
        """A new team; its wallets appear with their first top-up. IntegrityError if the name is taken."""
        row = await models.Team.create(id=self._ids.new(), name=name, created_at=wall_clock())
        return TeamRecord(id=row.id, name=row.name, created_at=row.created_at)

    async def team_by_name(self, name: str) -> TeamRecord | None:
        """The team of this name."""
        row = await models.Team.get_or_none(name=name)
        return None if row is None else TeamRecord(id=row.id, name=row.name, created_at=row.created_at)

    async def create_key(
        self, team_id: str, mode: KeyMode, name: str, kid: str, digest: str, scopes: Sequence[str] = ()
    ) -> KeyRecord:
        """Store a new key; `digest` is the HMAC of its secret."""
        return await self.keys.create(team_id, mode, name, kid, digest, scopes=json.dumps(list(scopes)))

    async def revoke_key(self, kid: str) -> bool:
        """End a key for good; False if there is none of this kid."""
        return await self.keys.revoke(kid)

    async def top_up(self, team_id: str, kind: str, nanos: Nanos, source: str) -> WalletRecord:
        """Add credit to a team's wallet, which is made if it is the first; the wallet after it."""
        if nanos <= 0:
            raise ValueError("a top-up adds credit: the amount must be above 0")
        work = partial(top_up, team_id, kind, nanos, source, self._ids.new(), wall_clock())
        await self._opened().write(work)
        found = await self.show_wallet(team_id, kind)
        if found is None:
            raise RuntimeError("the wallet that was topped up is not there")
        return found

    async def show_wallet(self, team_id: str, kind: str = "live") -> WalletRecord | None:
        """A team's wallet as the database has it now."""
        row = await models.Wallet.get_or_none(id=wallet_id(team_id, kind))
        return None if row is None else wallet_record(row)

    async def verify(self) -> list[Finding]:
        """What cannot be true in the ledger of this database; an empty list is a proof."""
        return await verify(self._url)

    def _opened(self) -> Store:
        """The raw store, which is opened at its first use."""
        if self._raw is None:
            self._raw = open_store(self._url, "full")
            self._stack.push_async_callback(self._raw.close)
        return self._raw

    async def close(self) -> None:
        """Close every connection."""
        await self.keys.stop()
        await self._stack.aclose()


def wallet_record(row: models.Wallet) -> WalletRecord:
    """A wallet's row as policies see it."""
    return WalletRecord(
        id=row.id,
        team_id=row.team_id,
        kind=row.kind,
        balance=Nanos(row.balance),
        available=Nanos(row.balance - row.leased - row.held),
    )


async def _bump(name: str) -> None:
    await models.Revision.get_or_create(name=name, defaults={"value": 0})
    await models.Revision.filter(name=name).update(value=F("value") + 1)


def _key_record(row: models.Key) -> KeyRecord:
    return KeyRecord(
        id=row.id,
        team_id=row.team_id,
        kid=row.kid,
        hash=row.hash,
        mode=row.mode,  # type: ignore[arg-type]  # only create() writes it
        name=row.name,
        status=row.status,
        soft_blocked=row.soft_blocked,
        scopes=frozenset(json.loads(row.scopes)),
        expires_at=row.expires_at,
    )
