"""The credit API: who sees what, who may book, and what is refused before anything is booked."""

import json
from typing import Any

import pytest

from plugin_sdk.context import KeyMode, Principal
from plugin_sdk.errors import Conflict, Forbidden, InvalidJson, InvalidRequest, NotFound
from plugin_sdk.plugin import PluginConfig
from plugin_sdk.routes import PlatformRequest
from plugin_sdk.testing import MemoryServices
from plugins.policies.credits_api import CreditsApi

OPERATOR = frozenset({"ledger:write"})


async def _api(services: MemoryServices) -> CreditsApi:
    services.payments.teams = {"T"}
    plugin = CreditsApi("credits_api", PluginConfig())
    await plugin.startup(services.lent())
    return plugin


def _asking(
    body: Any = None,
    *,
    mode: KeyMode = "management",
    scopes: frozenset[str] = OPERATOR,
    key: str | None = None,
    **query: str,
) -> PlatformRequest:
    return PlatformRequest(
        method="POST", path="/v1/ledger", headers={} if key is None else {"idempotency-key": key},
        query={name: [value] for name, value in query.items()},
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        principal=Principal(team_id="OWN", kid="boss00", mode=mode, scopes=scopes),
    )  # fmt: skip


TOP_UP = {"team_id": "T", "usd": "10.50", "reference": "invoice 7"}


async def test_what_moves_credit_needs_a_management_key_and_so_does_the_ledger() -> None:
    routes = (await _api(MemoryServices())).register_routes()
    assert {route.path for route in routes if route.key == "any"} == {"/credits", "/activity"}
    assert {route.key for route in routes if route.path not in ("/credits", "/activity")} == {"management"}


@pytest.mark.parametrize(
    ("mode", "scopes"), [("management", frozenset({"ledger", "keys:write"})), ("live", OPERATOR)]
)
async def test_only_an_operators_key_moves_credit_also_of_its_own_team(
    mode: KeyMode, scopes: frozenset[str]
) -> None:
    services = MemoryServices()
    services.payments.teams.add("OWN")
    api = await _api(services)
    own = {"team_id": "OWN", "usd": "1", "reference": "r", "reason": "x"}
    for call, body in (
        (api.top_up, own),
        (api.adjust, own),
        (api.refund, {"generation": "G-1", "reason": "x"}),
    ):
        with pytest.raises(Forbidden) as refused:
            await call(_asking(body, mode=mode, scopes=scopes))
        assert refused.value.reason == "operator_key_required"
    assert (services.payments.booked, services.books.asked) == ({}, [])


async def test_a_top_up_is_booked_once_a_reference_wherever_that_stands() -> None:
    services = MemoryServices()
    api = await _api(services)
    first = await api.top_up(_asking(TOP_UP))
    again = await api.top_up(_asking({"team_id": "T", "nanos": 10_500_000_000}, key="invoice 7"))
    assert (first.status, again.status) == (201, 200)
    assert again.body["transaction"]["booked"] is False
    assert services.payments.balances == {"T": 10_500_000_000}
    with pytest.raises(Conflict):
        await api.top_up(_asking({**TOP_UP, "usd": "11"}))
    with pytest.raises(NotFound):
        await api.top_up(_asking({**TOP_UP, "team_id": "U"}))
    assert list(services.payments.booked) == [("operator", "invoice 7")]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"team_id": "T", "usd": "1"}, "reference"),
        ({**TOP_UP, "usd": 10.5}, "usd"),
        ({**TOP_UP, "usd": "1e3"}, "usd"),
        ({**TOP_UP, "usd": "0.0000000001"}, "usd"),
        ({**TOP_UP, "usd": "-1"}, "usd"),
        ({**TOP_UP, "usd": "NaN"}, "usd"),
        ({**TOP_UP, "nanos": 5}, None),
        ({"team_id": "T", "reference": "r"}, None),
        ({"team_id": "T", "reference": "r", "nanos": 0}, None),
        ({"team_id": "T", "reference": "r", "nanos": 1.5}, "nanos"),
        ({"team_id": "T", "reference": "r", "nanos": True}, "nanos"),
        ({"team_id": "T", "reference": "r", "nanos": 10**30}, "nanos"),
        ({**TOP_UP, "team_id": 7}, "team_id"),
        ({**TOP_UP, "kind": "gold"}, "kind"),
        ({**TOP_UP, "source": "stripe"}, "source"),
        ([], None),
    ],
)
async def test_a_top_up_that_makes_no_sense_is_a_400_that_names_the_field(
    body: Any, field: str | None
) -> None:
    services = MemoryServices()
    with pytest.raises(InvalidRequest) as refused:
        await (await _api(services)).top_up(_asking(body))
    assert refused.value.param == field
    assert services.payments.booked == {}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a":' * 5_000, b"nul"])
async def test_a_body_that_is_no_json_is_a_400(body: bytes) -> None:
    api = await _api(MemoryServices())
    for call in (api.top_up, api.adjust, api.refund):
        with pytest.raises((InvalidJson, InvalidRequest)):
            await call(_asking(body))


async def test_a_reference_and_a_header_that_differ_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="different"):
        await (await _api(MemoryServices())).top_up(_asking(TOP_UP, key="another"))


async def test_corrections_go_through_the_same_books_as_the_command_line() -> None:
    services = MemoryServices()
    api = await _api(services)
    await api.adjust(_asking({"team_id": "T", "usd": "-0.25", "reason": "too much", "reference": "r"}))
    await api.refund(_asking({"generation": "G-1", "nanos": 3, "reason": "nonsense"}, key="k"))
    await api.refund(_asking({"generation": "G-1", "reason": "nonsense"}))
    assert services.books.asked == [
        ("adjust", "T", {"nanos": -250_000_000, "reason": "too much", "reference": "r", "kind": "live"}),
        ("refund", None, {"generation": "G-1", "nanos": 3, "reason": "nonsense", "reference": "k"}),
        ("refund", None, {"generation": "G-1", "nanos": None, "reason": "nonsense", "reference": None}),
    ]


async def test_a_team_sees_its_own_and_an_operator_any() -> None:
    services = MemoryServices()
    api = await _api(services)
    none: frozenset[str] = frozenset()
    await api.credits(_asking(mode="live", scopes=none))
    await api.credits(_asking(mode="test", scopes=none))
    await api.ledger(_asking(scopes=none, team_id="OWN", kind="test", after="7", limit="5"))
    await api.activity(_asking(team_id="T", days="7"))
    assert services.books.asked == [
        ("credits", "OWN", {"kind": "live"}),
        ("credits", "OWN", {"kind": "test"}),
        ("ledger", "OWN", {"after": 7, "limit": 5, "kind": "test"}),
        ("activity", "T", {"days": 7, "limit": 50, "offset": 0}),
    ]
    for call in (api.credits, api.ledger, api.activity):
        with pytest.raises(Forbidden):
            await call(_asking(scopes=none, team_id="T"))


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "251"},
        {"limit": "-1"},
        {"limit": "NaN"},
        {"limit": "²"},
        {"days": "366"},
        {"offset": "5001"},
    ],
)
async def test_a_page_out_of_bounds_is_a_400(query: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        await (await _api(MemoryServices())).activity(_asking(**query))
