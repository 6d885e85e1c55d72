"""What the core would lend a plugin, in memory: stores to fill, and a clock to turn."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from pydantic import SecretStr

from plugin_sdk.context import KeyMode
from plugin_sdk.errors import InsufficientFunds, NotFound
from plugin_sdk.keys import mint
from plugin_sdk.limits import Alert, Limits, Reserved, Standing
from plugin_sdk.money import Hold, Nanos
from plugin_sdk.services import (
    KeptAnswer,
    KeyChange,
    KeyRecord,
    ManagedKey,
    OwnKey,
    Services,
    UpstreamAnswer,
    WalletRecord,
)
from plugin_sdk.testing.payments import MemoryPayments
from plugin_sdk.testing.prices import MemoryPrices


class MemoryKeys:
    """A KeyStore: put records into it; `found` counts the look-ups."""

    def __init__(self) -> None:
        self._records: dict[str, KeyRecord] = {}
        self._watchers: list[Callable[[], None]] = []
        self.found = 0
        self.uses: list[str] = []

    def put(self, record: KeyRecord) -> None:
        """Add or change a key, as the core would: everyone who watches is told."""
        self._records[record.kid] = record
        for forget in self._watchers:
            forget()

    async def find(self, kid: str) -> KeyRecord | None:
        """The key of this kid."""
        self.found += 1
        return self._records.get(kid)

    def used(self, kid: str) -> None:
        """Note it."""
        self.uses.append(kid)

    def on_change(self, forget: Callable[[], None]) -> Callable[[], None]:
        """Call `forget` at every `put`; gives what ends that."""
        self._watchers.append(forget)
        return lambda: self._watchers.remove(forget)


class MemoryWallets:
    """A WalletStore with the core's rules for a hold; `holds` is what was taken."""

    def __init__(self) -> None:
        self._wallets: dict[str, WalletRecord] = {}
        self.holds: list[Hold] = []

    def put(self, team_id: str, kind: str, balance: int, available: int | None = None) -> WalletRecord:
        """Add a wallet; by default nothing of its balance is held."""
        wallet = WalletRecord(
            id=team_id if kind == "live" else f"{team_id}:{kind}",
            team_id=team_id,
            kind=kind,
            balance=Nanos(balance),
            available=Nanos(balance if available is None else available),
        )
        self._wallets[wallet.id] = wallet
        return wallet

    async def hold(self, wallet_id: str, wanted: Nanos, *, minimum_balance: Nanos) -> Hold:
        """Set aside min(wanted, available), or raise InsufficientFunds."""
        wallet = self._wallets.get(wallet_id)
        if wallet is None:
            raise InsufficientFunds("There is no such wallet.", reason="wallet_missing")
        if wallet.balance < minimum_balance or wallet.available <= 0:
            raise InsufficientFunds("There is not enough in the wallet.", reason="insufficient_funds")
        amount = Nanos(min(wanted, wallet.available))
        held = Hold(id=f"H-{len(self.holds)}", wallet_id=wallet_id, amount=amount, instance_id="memory")
        self.holds.append(held)
        return held

    async def wallet_for(self, team_id: str, kind: str) -> WalletRecord | None:
        """The team's wallet of a kind."""
        return next(
            (one for one in self._wallets.values() if (one.team_id, one.kind) == (team_id, kind)), None
        )


class MemoryLimits:
    """A LimitStore that says what it is told to: fill `answers`, see what was asked."""

    def __init__(self) -> None:
        self.any = True  # whether there are limits at all
        self.answers: list[Reserved] = []
        self.reserved: list[tuple[str, str, str, Nanos]] = []
        self.settled: list[str] = []
        self.asked = 0  # how often anybody asked whether there are limits
        self.stood: list[Standing] = []
        self.percents: Sequence[int] = ()
        self.tell: Callable[[Alert], Awaitable[None]] | None = None
        self.recounted: list[tuple[str, str]] = []

    async def limited(self, team_id: str, kid: str) -> bool:
        """`any`."""
        self.asked += 1
        return self.any

    async def reserve(self, generation_id: str, team_id: str, kid: str, worst_case: Nanos) -> Reserved:
        """The next answer; let in without a cap where none is left."""
        self.reserved.append((generation_id, team_id, kid, worst_case))
        return self.answers.pop(0) if self.answers else Reserved()

    async def settle(self, generation_id: str) -> None:
        """Note it."""
        self.settled.append(generation_id)

    async def standings(self, team_id: str, kid: str | None) -> Sequence[Standing]:
        """`stood`."""
        return self.stood

    async def recount(self, team_id: str, kid: str) -> None:
        """Note it."""
        self.recounted.append((team_id, kid))

    def watch(self, percents: Sequence[int], tell: Callable[[Alert], Awaitable[None]]) -> None:
        """Note who listens."""
        self.percents, self.tell = percents, tell


class MemoryKeyAdmin:
    """A KeyAdmin over a dict, `keys`, by id."""

    def __init__(self) -> None:
        self.keys: dict[str, ManagedKey] = {}

    async def create(self, team_id: str, mode: KeyMode, values: KeyChange) -> tuple[str, ManagedKey]:
        """A key that no authenticator knows."""
        text, parts = mint(mode)
        made = ManagedKey(
            id=f"K-{len(self.keys)}", team_id=team_id, name="", mode=mode, kid=parts.kid,
            prefix=parts.kid[:6], status="active", scopes="[]", soft_blocked=False, created_by=None,
            created_at=len(self.keys), updated_at=0, last_used_at=None, expires_at=None, limits=Limits(),
        )  # fmt: skip
        self.keys[made.id] = _changed(made, values)
        return text, self.keys[made.id]

    async def list(self, team_id: str, *, limit: int, offset: int) -> tuple[int, Sequence[ManagedKey]]:
        """The newest first."""
        found = [one for one in reversed(self.keys.values()) if one.team_id == team_id]
        return len(found), found[offset : offset + limit]

    async def get(self, team_id: str, key_id: str) -> ManagedKey | None:
        """By id or kid."""
        for one in self.keys.values():
            if key_id in (one.id, one.kid) and one.team_id == team_id:
                return one
        return None

    async def change(self, team_id: str, key_id: str, values: KeyChange) -> ManagedKey | None:
        """Set what is given."""
        found = await self.get(team_id, key_id)
        if found is None:
            return None
        self.keys[found.id] = _changed(found, values)
        return self.keys[found.id]

    async def revoke(self, team_id: str, key_id: str) -> ManagedKey | None:
        """Take it out."""
        found = await self.get(team_id, key_id)
        return None if found is None else self.keys.pop(found.id)


def _changed(key: ManagedKey, values: KeyChange) -> ManagedKey:
    given = {
        name: getattr(values, name)
        for name in values.__struct_fields__
        if name != "limits" and getattr(values, name) is not msgspec.UNSET
    }
    limits = msgspec.structs.replace(key.limits, **values.limits)
    return msgspec.structs.replace(key, **given, limits=limits)


class MemoryGenerations:
    """A GenerationStore: put records into it."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._kept: dict[tuple[str, str], KeptAnswer] = {}

    def put(self, team_id: str, generation_id: str, record: Mapping[str, Any]) -> None:
        """Add a record."""
        self._records[team_id, generation_id] = record

    async def get(self, team_id: str, generation_id: str) -> Mapping[str, Any] | None:
        """The record; None for another team's."""
        return self._records.get((team_id, generation_id))

    def keep(self, team_id: str, answer: KeptAnswer) -> None:
        """Add an answer that its provider keeps."""
        self._kept[team_id, answer.generation_id] = self._kept[team_id, answer.native_id] = answer

    async def kept(self, team_id: str, answer_id: str) -> KeptAnswer | None:
        """The answer by either of its ids; None for another team's."""
        return self._kept.get((team_id, answer_id))


class MemoryBooks:
    """A BookStore that takes every correction; `asked` is what it was told: (what, team, values)."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, Mapping[str, Any]]] = []

    async def refund(
        self,
        team_id: str | None,
        generation_id: str,
        *,
        nanos: int | None = None,
        reason: str,
        reference: str | None = None,
    ) -> Mapping[str, Any]:
        """Note it."""
        values = {"generation": generation_id, "nanos": nanos, "reason": reason, "reference": reference}
        return self._noted("refund", team_id, values)

    async def adjust(
        self, team_id: str, *, nanos: int, reason: str, reference: str | None = None, kind: str = "live"
    ) -> Mapping[str, Any]:
        """Note it."""
        values = {"nanos": nanos, "reason": reason, "reference": reference, "kind": kind}
        return self._noted("adjust", team_id, values)

    async def credits(self, team_id: str, kind: str = "live") -> Mapping[str, Any]:
        """Note it."""
        return self._noted("credits", team_id, {"kind": kind})

    async def activity(self, team_id: str, *, days: int, limit: int, offset: int) -> Mapping[str, Any]:
        """Note it."""
        return self._noted("activity", team_id, {"days": days, "limit": limit, "offset": offset})

    async def ledger(self, team_id: str, *, after: int, limit: int, kind: str = "live") -> Mapping[str, Any]:
        """Note it."""
        return self._noted("ledger", team_id, {"after": after, "limit": limit, "kind": kind})

    def _noted(self, what: str, team_id: str | None, values: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append((what, team_id, values))
        return {**values, "booked": True}


class MemoryUpstreams:
    """An Ask: `answers` are given in turn, `asked` is what was asked: (provider, method, path, body)."""

    def __init__(self) -> None:
        self.answers: list[UpstreamAnswer] = []
        self.asked: list[tuple[str, str, str, bytes]] = []

    async def __call__(
        self, provider: str, method: str, path: str, *, protocol: str, body: bytes = b""
    ) -> UpstreamAnswer:
        """The next answer; NotFound where none is left."""
        self.asked.append((provider, method, path, body))
        if not self.answers:
            raise NotFound(f"No provider {provider} speaks {protocol}.")
        return self.answers.pop(0)


class MemoryOwnKeys:
    """An OwnKeyStore: `keys` are of every team; nothing is really sealed. `counts` are by team and month."""

    def __init__(self) -> None:
        self.keys: list[OwnKey] = []
        self.counts: dict[tuple[str, str], int] = {}
        self.failing = False

    async def of(self, team_id: str) -> Sequence[OwnKey]:
        """The team's."""
        return [key for key in self.keys if key.team_id == team_id]

    def opened(self, key: OwnKey) -> SecretStr:
        """What stands for the sealed text."""
        return SecretStr(key.sealed)

    def on_change(self, forget: Callable[[], None]) -> Callable[[], None]:
        """Nothing here changes by itself."""
        return lambda: None

    async def put(self, team_id: str, provider: str, key: str, *, always_use: bool) -> OwnKey:
        """Keep it as it is."""
        await self.delete(team_id, provider)
        self.keys.append(OwnKey(team_id, provider, key, key[-4:], always_use, 0))
        return self.keys[-1]

    async def change(self, team_id: str, provider: str, *, always_use: bool) -> OwnKey | None:
        """The same key, set anew."""
        for key in await self.of(team_id):
            if key.provider == provider:
                return await self.put(team_id, provider, key.sealed, always_use=always_use)
        return None

    async def delete(self, team_id: str, provider: str) -> bool:
        """Leave the others."""
        had = len(self.keys)
        self.keys = [key for key in self.keys if (key.team_id, key.provider) != (team_id, provider)]
        return len(self.keys) < had

    async def count(self, team_id: str, month: str, by: int) -> int:
        """Add them up; OSError where it is `failing`."""
        if self.failing:
            raise OSError("no database")
        self.counts[team_id, month] = self.counts.get((team_id, month), 0) + by
        return self.counts[team_id, month]


class MemoryServices:
    """The stores, the upstreams, and a clock that stands still until `now` (ms since 1970) is set."""

    def __init__(self, *, pepper: bytes = b"pepper", now: int = 1_767_225_600_000) -> None:
        self.keys = MemoryKeys()
        self.wallets = MemoryWallets()
        self.generations = MemoryGenerations()
        self.upstreams = MemoryUpstreams()
        self.books = MemoryBooks()
        self.payments = MemoryPayments()
        self.limits = MemoryLimits()
        self.key_admin = MemoryKeyAdmin()
        self.prices = MemoryPrices()
        self.own_keys = MemoryOwnKeys()
        self.pepper = pepper
        self.now = now

    def lent(self) -> Services:
        """What `startup(services)` is called with."""
        return Services(
            keys=self.keys,
            wallets=self.wallets,
            generations=self.generations,
            books=self.books,
            payments=self.payments,
            limits=self.limits,
            key_admin=self.key_admin,
            clock=lambda: self.now,
            pepper=self.pepper,
            models=tuple,
            ask=self.upstreams,
            prices=self.prices,
            own_keys=self.own_keys,
        )
