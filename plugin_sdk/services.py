"""What the core lends a plugin at start-up: stores and a clock. A plugin never sees a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from pydantic import SecretStr

from plugin_sdk.context import Endpoint, KeyMode, Principal
from plugin_sdk.limits import Limits, LimitStore
from plugin_sdk.modality import Operation
from plugin_sdk.money import Charge, Hold, Nanos, Usage
from plugin_sdk.price_rules import Terms


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A stored API key: never its secret, only hex(HMAC-SHA256(pepper, secret))."""

    id: str
    team_id: str
    kid: str
    hash: str
    mode: KeyMode
    name: str
    status: str = "active"  # active | disabled | revoked
    soft_blocked: bool = False
    scopes: frozenset[str] = frozenset()
    expires_at: int | None = None  # ms since 1970


class KeyStore(Protocol):
    """API keys."""

    async def find(self, kid: str) -> KeyRecord | None:
        """The key of this kid, straight from the database; Unavailable where that does not answer."""

    def used(self, kid: str) -> None:
        """Note that a key let somebody in; its `last_used_at` follows, within a minute or so."""

    def on_change(self, forget: Callable[[], None]) -> Callable[[], None]:
        """Call `forget` when any key changed: by this process at once, by another within a second or two.

        Gives what ends that: a plugin calls it as it shuts down, or it would be told for ever.
        """


class ManagedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as those who manage it see it (contract 2.4); times are ms since 1970."""

    id: str
    team_id: str
    name: str
    mode: KeyMode
    kid: str
    prefix: str
    status: str
    scopes: str  # JSON text
    soft_blocked: bool
    created_by: str | None
    created_at: int
    updated_at: int
    last_used_at: int | None
    expires_at: int | None
    limits: Limits


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to set of a key; what is not given stays. `limits` holds those that change, by their names."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    status: str | msgspec.UnsetType = msgspec.UNSET
    scopes: str | msgspec.UnsetType = msgspec.UNSET
    soft_blocked: bool | msgspec.UnsetType = msgspec.UNSET
    created_by: str | msgspec.UnsetType | None = msgspec.UNSET
    expires_at: int | msgspec.UnsetType | None = msgspec.UNSET
    limits: Mapping[str, int] = {}


class KeyAdmin(Protocol):
    """The ordinary keys of a team, live and test ones; revoked ones are gone."""

    async def create(self, team_id: str, mode: KeyMode, values: KeyChange) -> tuple[str, ManagedKey]:
        """A new key: its text, this once, and its row. Internal where there is no pepper."""

    async def list(self, team_id: str, *, limit: int, offset: int) -> tuple[int, Sequence[ManagedKey]]:
        """How many keys there are, and some of them, the newest first."""

    async def get(self, team_id: str, key_id: str) -> ManagedKey | None:
        """A key by its id, or by its kid; None for another team's."""

    async def change(self, team_id: str, key_id: str, values: KeyChange) -> ManagedKey | None:
        """Set something of a key; the key after it, None where there is none."""

    async def revoke(self, team_id: str, key_id: str) -> ManagedKey | None:
        """End a key for good; the key as it was, None where there is none."""


class WalletRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet; `available` is the balance less open holds and leases."""

    id: str
    team_id: str
    kind: str  # live | test
    balance: Nanos
    available: Nanos


class WalletStore(Protocol):
    """Where credit is. A policy decides how much and whether; the core moves the money."""

    async def hold(self, wallet_id: str, wanted: Nanos, *, minimum_balance: Nanos) -> Hold:
        """Set aside min(wanted, available).

        Raise InsufficientFunds with reason `wallet_missing` or `insufficient_funds` (a ledger balance below
        `minimum_balance`, or nothing available); Unavailable where the database does not answer in time.
        """

    async def wallet_for(self, team_id: str, kind: str) -> WalletRecord | None:
        """The team's wallet of a kind, remembered once found; Unavailable where the database is away."""


class KeptAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that its provider may still have, under an id of its own."""

    generation_id: str
    provider: str
    native_id: str
    upstream_model: str


class UpstreamAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider answered, whole; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class GenerationStore(Protocol):
    """The records of served requests; Unavailable where the database does not answer."""

    async def get(self, team_id: str, generation_id: str) -> Mapping[str, Any] | None:
        """The record in the contract's shape (section 4.4); None for another team's."""

    async def kept(self, team_id: str, answer_id: str) -> KeptAnswer | None:
        """A team's finished answer by its id, or by its provider's own id where the client was given that."""


class BookStore(Protocol):
    """The ledger as its owners see it. A correction is a transaction of its own, booked once a reference."""

    async def refund(
        self,
        team_id: str | None,
        generation_id: str,
        *,
        nanos: int | None = None,
        reason: str,
        reference: str | None = None,
    ) -> Mapping[str, Any]:
        """Give back a charge of the team's (None: of anybody's), or a part; never more than is left of it.

        NotFound, Unprocessable where so much is not left, Conflict where the reference was used for another.
        """

    async def adjust(
        self, team_id: str, *, nanos: int, reason: str, reference: str | None = None, kind: str = "live"
    ) -> Mapping[str, Any]:
        """Add credit, or take it; InsufficientFunds for more than is available."""

    async def credits(self, team_id: str, kind: str = "live") -> Mapping[str, Any]:
        """What is left, and what went in thirty days (contract, section 3)."""

    async def activity(self, team_id: str, *, days: int, limit: int, offset: int) -> Mapping[str, Any]:
        """The team's generations, the newest first."""

    async def ledger(self, team_id: str, *, after: int, limit: int, kind: str = "live") -> Mapping[str, Any]:
        """The wallet's transactions behind a sequence number."""


class PaymentStore(Protocol):
    """Money from outside, as whoever takes it books it. `source` is the plugin's name.

    A reference stands for one booking of its source, for whichever team: to book it again, at once or after a
    year, from this process or another, changes nothing and says `booked: false`. Conflict where it was used
    for something else.
    """

    async def credit(
        self,
        team_id: str,
        *,
        source: str,
        reference: str,
        nanos: int,
        fee: int = 0,
        reason: str,
        kind: str = "live",
    ) -> Mapping[str, Any]:
        """Credit a payment: the wallet gets `nanos` less the `fee`. NotFound where there is no such team."""

    async def reverse(
        self, *, source: str, payment: str, reference: str, nanos: int, reason: str
    ) -> Mapping[str, Any]:
        """Take a payment back that was returned outside, or `nanos` of it; its fee in proportion.

        `amount_nanos` is what the wallet lost; what it had not is booked to `loss`. NotFound where no such
        payment was credited, Unprocessable with `left_nanos` where so much is not left of it.
        """

    async def reinstate(
        self, *, source: str, reversal: str, reference: str, reason: str
    ) -> Mapping[str, Any]:
        """Undo a reversal, given by its reference: the money came after all. NotFound where there is none."""

    async def told(self, *, source: str, event: str) -> bool:
        """Whether an event of the source is `done` with, by whichever process, within 40 days."""

    async def done(self, *, source: str, event: str) -> None:
        """Remember an event, once all that it told of is in the books."""

    async def balance(self, team_id: str, kind: str = "live") -> Nanos:
        """The wallet's balance as the database has it now; 0 where there is none."""


class Ask(Protocol):
    """Asks a provider something beside a generation; nothing of it is priced."""

    async def __call__(
        self, provider: str, method: str, path: str, *, protocol: str, body: bytes = b""
    ) -> UpstreamAnswer:
        """`path` is below the provider's base_url; the request is adapted and signed as any other.

        NotFound where no such provider is configured, or it no longer speaks `protocol`. UpstreamError where
        it cannot be reached; its refusals are answers.
        """


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What a usage costs, and the JSON of it as clients see it (contract, section 4.2)."""

    charge: Charge
    pricing: msgspec.Raw


class Prices(Protocol):
    """What the running configuration offers, and what it costs."""

    def endpoints(self, model: str | None = None) -> Sequence[Endpoint]:
        """All that can be asked, or those of a model, by its id or an alias; in the order of the file."""

    def find(self, model: str, operation: str) -> Sequence[Endpoint]:
        """The endpoints of a model, by its id or an alias; raises what a request for it would."""

    def operation(self, word: str) -> Operation | None:
        """An operation by its own name, or by the path or the name of a client route."""

    async def served(self, principal: Principal, endpoint: Endpoint, terms: Terms) -> Endpoint:
        """The endpoint as a request of the caller's would try it first: with the team's own key, if any."""

    async def quote(self, principal: Principal, endpoint: Endpoint, usage: Usage, terms: Terms) -> Quote:
        """What the caller would be charged: by the endpoint's card, then by the `price` policies.

        InvalidRequest for what no ledger can hold, or a negative quantity.
        """


class OwnKey(msgspec.Struct, frozen=True):
    """A team's own key for a provider, sealed: what may be cached. `hint` is how it ends."""

    team_id: str
    provider: str
    sealed: str
    hint: str
    always_use: bool  # never the gateway's key in its place
    created_at: int


class OwnKeyStore(Protocol):
    """The keys that teams bring for providers."""

    async def of(self, team_id: str) -> Sequence[OwnKey]:
        """A team's keys, sealed; Unavailable where the database does not answer."""

    def opened(self, key: OwnKey) -> SecretStr:
        """The key itself, for one attempt. Internal where it cannot be read."""

    def on_change(self, forget: Callable[[], None]) -> Callable[[], None]:
        """Call `forget` when any key changed: by this process at once, by another within a second or two.

        Gives what ends that: a plugin calls it as it shuts down, or it would be told for ever.
        """

    async def put(self, team_id: str, provider: str, key: str, *, always_use: bool) -> OwnKey:
        """Set a team's key for a provider, in the place of one that it had. Unavailable without a pepper."""

    async def change(self, team_id: str, provider: str, *, always_use: bool) -> OwnKey | None:
        """Say whether a key is always used; the key after it, None where there is none."""

    async def delete(self, team_id: str, provider: str) -> bool:
        """Forget a key; False if there was none."""

    async def count(self, team_id: str, month: str, by: int) -> int:
        """Count requests that a team makes with keys of its own in a month (`2026-01`); how many they are."""


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """`clock` gives the wall time in ms since 1970; `pepper` is KEY_PEPPER; `models` the catalogue's rows."""

    keys: KeyStore
    wallets: WalletStore
    generations: GenerationStore
    books: BookStore
    payments: PaymentStore
    limits: LimitStore
    key_admin: KeyAdmin
    clock: Callable[[], int]
    pepper: bytes
    models: Callable[[], Sequence[Mapping[str, Any]]]
    ask: Ask
    prices: Prices
    own_keys: OwnKeyStore
