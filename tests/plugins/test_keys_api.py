"""The management API of keys: who may, for which team, and what is refused."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from plugin_sdk.context import KeyMode, Principal
from plugin_sdk.errors import Forbidden, GatewayError, InvalidJson, InvalidRequest, NotFound, Unauthenticated
from plugin_sdk.routes import PlatformRequest
from plugin_sdk.testing import MemoryServices
from plugins.policies.keys_api import KeysApi, KeysApiConfig


async def _api(services: MemoryServices, *scopes: str) -> KeysApi:
    plugin = KeysApi("keys_api", KeysApiConfig(scopes=scopes))
    await plugin.startup(services.lent())
    return plugin


def _asking(
    body: Any = None,
    *,
    team: str = "T",
    mode: KeyMode = "management",
    kid: str = "boss00",
    key: str = "",
    scopes: frozenset[str] = frozenset(),
    **query: str,
) -> PlatformRequest:
    return PlatformRequest(
        method="POST", path="/v1/keys", headers={}, query={name: [value] for name, value in query.items()},
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        principal=Principal(team_id=team, kid=kid, mode=mode, scopes=scopes), parameters={"id": key},
    )  # fmt: skip


async def test_every_route_but_the_callers_own_key_needs_a_management_key() -> None:
    routes = (await _api(MemoryServices())).register_routes()
    assert {route.path for route in routes if route.key != "management"} == {"/key"}
    assert len(routes) == 11


async def test_a_key_is_shown_whole_once_and_listed_without_its_secret() -> None:
    services = MemoryServices()
    api = await _api(services, "a", "b")
    made = (await api.create(_asking({"name": "app", "monthly_limit_cost_nanos": 5, "scopes": "a b"}))).body[
        "key"
    ]
    assert made["key"].startswith("aistats_v1_sk_")
    assert (made["scopes"], made["monthly_limit_cost_nanos"]) == ('["a", "b"]', 5)
    listed = (await api.list(_asking())).body
    assert (listed["limit"], listed["offset"], listed["total"]) == (50, 0, 1)
    assert made["key"] not in json.dumps(listed)


async def test_another_teams_key_is_not_there_and_its_team_is_forbidden() -> None:
    services = MemoryServices()
    api = await _api(services)
    made = (await api.create(_asking({"name": "app"}))).body["key"]
    for call in (api.show, api.change, api.delete):
        with pytest.raises(NotFound):
            await call(_asking({"name": "mine"}, team="U", key=made["id"]))
    with pytest.raises(Forbidden):
        await api.list(_asking(team="U", team_id="T"))
    with pytest.raises(Forbidden):
        await api.create(_asking({"name": "x", "team_id": "T"}, team="U"))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", InvalidJson),
        ([], InvalidJson),
        ({}, InvalidRequest),
        ({"name": ""}, InvalidRequest),
        ({"name": "x" * 101}, InvalidRequest),
        ({"name": "x", "mode": "management"}, InvalidRequest),
        ({"name": "x", "status": "revoked"}, InvalidRequest),
        ({"name": "x", "daily_limit_requests": -1}, InvalidRequest),
        ({"name": "x", "daily_limit_requests": True}, InvalidRequest),
        ({"name": "x", "daily_limit_cost_nanos": 1 << 63}, InvalidRequest),
        ({"name": "x", "scopes": [1]}, InvalidRequest),
        ({"name": "x", "expires_at": "soon"}, InvalidRequest),
        ({"name": "x", "hash": "0"}, InvalidRequest),
    ],
)
async def test_a_body_that_makes_no_sense_makes_no_key(body: Any, error: type[GatewayError]) -> None:
    services = MemoryServices()
    with pytest.raises(error):
        await (await _api(services)).create(_asking(body))
    assert services.key_admin.keys == {}


@pytest.mark.parametrize("query", [{"limit": "251"}, {"limit": "0"}, {"offset": "5001"}, {"offset": "-1"}])
async def test_a_page_has_bounds(query: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        await (await _api(MemoryServices())).list(_asking(**query))


async def test_without_a_pepper_no_key_is_made() -> None:
    found = await (await _api(MemoryServices(pepper=b""))).create(_asking({"name": "x"}))
    assert (found.status, found.body["error"]) == (503, "server_misconfig_missing_pepper")


async def test_a_change_and_an_end_say_so() -> None:
    services = MemoryServices()
    api = await _api(services)
    made = (await api.create(_asking({"name": "app"}))).body["key"]
    found = await api.change(_asking({"soft_blocked": True, "daily_limit_requests": 3}, key=made["id"]))
    assert found.body == {"ok": True, "message": "Key updated successfully"}
    shown = (await api.show(_asking(key=made["id"]))).body["key"]
    assert (shown["soft_blocked"], shown["daily_limit_requests"], shown["name"]) == (True, 3, "app")
    assert (await api.delete(_asking(key=made["id"]))).body["message"] == 'Key "app" deleted successfully'


async def test_an_ordinary_key_sees_itself_and_no_other() -> None:
    services = MemoryServices()
    api = await _api(services)
    made = (await api.create(_asking({"name": "app"}))).body["key"]
    own = await api.own(_asking(mode="live", kid=made["kid"]))
    assert own.body["data"]["id"] == made["id"]
    with pytest.raises(Unauthenticated):
        await api.own(_asking(mode="live", kid=made["kid"], id="K-9"))


@pytest.mark.parametrize(
    "said", [["a", "c"], "c", '["c"]', ["ledger:write"], [""], ["A"], ["a "], ["\ud800"]]
)
async def test_a_key_gets_no_scope_that_neither_its_maker_has_nor_the_operator_allows(said: Any) -> None:
    services = MemoryServices()
    api = await _api(services, "a")
    has = frozenset({"b", "ledger:write"})  # the operator's own key makes no operator of another
    kept = (await api.create(_asking({"name": "x", "scopes": ["a", "b"]}, scopes=has))).body["key"]
    assert kept["scopes"] == '["a", "b"]'
    for call, key in ((api.create, ""), (api.change, kept["id"])):
        with pytest.raises(Forbidden) as refused:
            await call(_asking({"name": "y", "scopes": said}, scopes=has, key=key))
        assert (refused.value.reason, refused.value.param) == ("scope_not_grantable", "scopes")
    with pytest.raises(Forbidden):  # what another manager of the team has is not its own
        await api.change(_asking({"scopes": ["b"]}, key=kept["id"]))
    (left,) = services.key_admin.keys.values()
    assert (left.name, left.scopes) == ("x", '["a", "b"]')
    await api.change(_asking({"scopes": []}, key=kept["id"]))
    assert services.key_admin.keys[kept["id"]].scopes == "[]"


def test_the_operators_scope_cannot_be_allowed() -> None:
    with pytest.raises(ValidationError, match="the operator's keys"):
        KeysApiConfig(scopes=("ledger:write",))
