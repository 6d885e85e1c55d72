"""The management of a team's own provider keys: who may, what is refused, and that no key is ever shown."""

import json
from typing import Any

import pytest

from plugin_sdk.context import Principal
from plugin_sdk.errors import Forbidden, GatewayError, InvalidJson, InvalidRequest, NotFound, Unauthenticated
from plugin_sdk.routes import PlatformRequest
from plugin_sdk.testing import MemoryServices
from plugins.policies.byok import Byok, ByokConfig
from plugins.policies.byok.api import ProviderKeysApi
from tests.plugins.requests import endpoint

KEY = "sk-of-the-team-0123"


async def _api() -> tuple[ProviderKeysApi, MemoryServices]:
    services = MemoryServices()
    services.prices.offered += [endpoint("one"), endpoint("two"), endpoint("sim", simulated=True)]
    plugin = Byok("byok", ByokConfig())
    await plugin.startup(services.lent())
    return plugin._api, services


def _asking(body: Any = None, *, team: str = "T", provider: str = "one", **query: str) -> PlatformRequest:
    return PlatformRequest(
        method="POST", path="/v1/provider-keys", headers={},
        query={name: [said] for name, said in query.items()},
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        principal=Principal(team_id=team, kid="boss00", mode="management"), parameters={"provider": provider},
    )  # fmt: skip


async def test_every_route_needs_a_management_key() -> None:
    routes = Byok("byok", ByokConfig()).register_routes()
    assert {route.key for route in routes} == {"management"}
    api, _ = await _api()
    with pytest.raises(Unauthenticated):
        await api.list(PlatformRequest(method="GET", path="/v1/provider-keys", query={}, headers={}))


async def test_a_key_is_set_replaced_changed_and_deleted_and_never_shown() -> None:
    api, services = await _api()
    body = {"provider": "one", "key": KEY}
    made = await api.set(_asking(body))
    shown = {
        "provider": "one", "hint": "0123", "always_use": False, "created_at": "1970-01-01T00:00:00.000Z",
    }  # fmt: skip
    assert (made.status, made.body["provider_key"]) == (201, shown)
    assert made.headers == {"cache-control": "no-store"}
    changed = (await api.change(_asking({"always_use": True}))).body["provider_key"]
    assert changed == {**shown, "always_use": True} == (await api.show(_asking())).body["provider_key"]
    assert (await services.own_keys.of("T"))[0].sealed == KEY
    replaced = await api.set(_asking({**body, "key": "another-key-4567", "team_id": "T"}))
    listed = (await api.list(_asking(team_id="T"))).body
    assert listed["provider_keys"] == [replaced.body["provider_key"]] == [{**shown, "hint": "4567"}]
    assert (await api.delete(_asking())).body["ok"] is True
    assert (await api.list(_asking())).body["provider_keys"] == []


async def test_another_teams_key_is_not_there_and_its_team_is_forbidden() -> None:
    api, services = await _api()
    await api.set(_asking({"provider": "one", "key": KEY}))
    for call in (api.show, api.change, api.delete):
        with pytest.raises(NotFound):
            await call(_asking({"always_use": True}, team="U"))
        with pytest.raises(Forbidden):
            await call(_asking({"always_use": True}, team="U", team_id="T"))
    with pytest.raises(Forbidden):
        await api.set(_asking({"provider": "one", "key": KEY, "team_id": "T"}, team="U"))
    assert (await api.list(_asking(team="U"))).body["provider_keys"] == []
    assert [key.always_use for key in services.own_keys.keys] == [False]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", InvalidJson),
        (b'"' + KEY.encode(), InvalidJson),
        (b"\xff", InvalidJson),
        (b"[" * 100_000, InvalidJson),
        ([KEY], InvalidJson),
        ({}, InvalidRequest),
        ({KEY: "one"}, InvalidRequest),
        ({"provider": "one"}, InvalidRequest),
        ({"provider": KEY, "key": "one"}, InvalidRequest),
        ({"provider": [KEY], "key": KEY}, InvalidRequest),
        ({"provider": "sim", "key": KEY}, InvalidRequest),
        ({"provider": "one", "key": "short"}, InvalidRequest),
        ({"provider": "one", "key": KEY + " "}, InvalidRequest),
        ({"provider": "one", "key": KEY + "\n"}, InvalidRequest),
        ({"provider": "one", "key": KEY + "\x00"}, InvalidRequest),
        ({"provider": "one", "key": KEY + "\ud800"}, InvalidRequest),
        ({"provider": "one", "key": KEY * 250}, InvalidRequest),
        ({"provider": "one", "key": 12345678}, InvalidRequest),
        ({"provider": "one", "key": KEY, "always_use": 1}, InvalidRequest),
        ({"provider": "one", "key": KEY, "team_id": KEY}, Forbidden),
    ],
)
async def test_bad_input_is_refused_and_not_repeated(body: Any, error: type[GatewayError]) -> None:
    api, services = await _api()
    with pytest.raises(error) as refused:
        await api.set(_asking(body))
    assert KEY not in refused.value.message + str(refused.value.param)
    assert services.own_keys.keys == []


@pytest.mark.parametrize("body", [{}, {"key": KEY}, {"always_use": None}, {"always_use": "yes"}])
async def test_only_whether_it_is_always_used_can_be_changed(body: Any) -> None:
    api, _ = await _api()
    await api.set(_asking({"provider": "one", "key": KEY}))
    with pytest.raises(InvalidRequest):
        await api.change(_asking(body))
