"""What a hook is handed. Frozen: the core moves the request on, a hook returns a value."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from pydantic import SecretStr

from plugin_sdk.money import Hold, Nanos, PriceCard
from plugin_sdk.protocol import RequestView

KeyMode = Literal["live", "test", "management"]
LEDGER_WRITE: Final = "ledger:write"  # the scope of an operator's key


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What the client sent, before anyone believes it. Header names are lower case."""

    headers: Mapping[str, str]
    method: str
    path: str


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who is calling: a team, through one key. A `test` key reaches simulated endpoints only."""

    team_id: str
    kid: str
    mode: KeyMode = "live"
    scopes: frozenset[str] = frozenset()

    @property
    def operator(self) -> bool:
        """Whether it may move the credit of any team.

        The scope counts on a management key only: those are made by the command line alone, while a team's
        own managers give scopes to its ordinary keys.
        """
        return self.mode == "management" and LEDGER_WRITE in self.scopes


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One model at one provider through one protocol, with one price card: what routing chooses between."""

    provider: str
    model: str  # the public id
    upstream_model: str  # the id sent upstream
    operation: str
    protocol: str
    card: PriceCard
    bound: PriceCard | None = None  # what no charge goes above, by the price policies; None: its card
    max_output: int | None = None  # output tokens the model can give; None: not known
    context: int | None = None  # input and output tokens together
    simulated: bool = False
    weight: int = 1
    unpriced: bool = False  # served though it lacks a price that its operation needs
    key: SecretStr | None = None  # to call it with, the team's own; None: the one of the provider's block
    params: tuple[str, ...] = ()  # what the model takes, as its catalogue entry says; empty: it says nothing


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One call of one endpoint, numbered from 1; a generation has one or more."""

    number: int
    endpoint: Endpoint


class RequestContext(msgspec.Struct, frozen=True, kw_only=True):
    """One request, as far as it has got.

    worst_case  nanos: the input estimate plus `n` x the output limit, at the dearest candidate (money.md 6)
    """

    generation_id: str
    operation: str
    protocol: str
    principal: Principal
    headers: Mapping[str, str]
    view: RequestView
    candidates: tuple[Endpoint, ...] = ()
    worst_case: Nanos = Nanos(0)
    holds: tuple[Hold, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    state: dict[str, Any] = msgspec.field(default_factory=dict)  # a plugin's own notes, keyed by plugin name
