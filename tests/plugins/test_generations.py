"""The `generations` policy: GET /v1/generations?id=."""

import pytest

from plugin_sdk.context import Principal
from plugin_sdk.errors import NotFound, Unauthenticated
from plugin_sdk.plugin import PluginConfig
from plugin_sdk.routes import PlatformRequest, PlatformResponse
from plugin_sdk.testing import MemoryServices
from plugins.policies.generations import Generations

RECORD = {"id": "G-1", "team_id": "T-1", "cost_nanos": 12}


async def _asked(query: dict[str, list[str]], team: str | None = "T-1") -> PlatformResponse:
    services = MemoryServices()
    services.generations.put("T-1", "G-1", RECORD)
    plugin = Generations("generations", PluginConfig())
    await plugin.startup(services.lent())
    (route,) = plugin.register_routes()
    principal = None if team is None else Principal(team_id=team, kid="k")
    return await route.handler(
        PlatformRequest(method="GET", path="/generations", query=query, headers={}, principal=principal)
    )


def test_the_route_needs_a_key_that_may_do_inference() -> None:
    (route,) = Generations("generations", PluginConfig()).register_routes()
    assert (route.method, route.path, route.key) == ("GET", "/generations", "inference")


async def test_the_team_gets_its_record_as_it_is_stored() -> None:
    answer = await _asked({"id": ["G-1"]})
    assert (answer.status, answer.body) == (200, RECORD)


@pytest.mark.parametrize("query", [{}, {"id": []}, {"id": [""]}, {"ID": ["G-1"]}])
async def test_no_id_is_a_400_in_the_contracts_words(query: dict[str, list[str]]) -> None:
    answer = await _asked(query)
    assert answer.status == 400
    assert (answer.body["ok"], answer.body["error"]) == (False, "missing_id")


@pytest.mark.parametrize("wanted", ["G-2", "' OR 1=1", "G-1" * 10_000])
async def test_an_unknown_id_is_not_found(wanted: str) -> None:
    with pytest.raises(NotFound) as refused:
        await _asked({"id": [wanted]})
    assert refused.value.code == "not_found"
    assert len(refused.value.message) < 200


async def test_another_teams_record_is_not_found_in_the_same_words() -> None:
    with pytest.raises(NotFound) as mine:
        await _asked({"id": ["G-2"]})
    with pytest.raises(NotFound) as theirs:
        await _asked({"id": ["G-1"]}, team="T-2")
    assert theirs.value.message.replace("G-1", "G-2") == mine.value.message


async def test_a_call_without_a_caller_is_unauthenticated() -> None:
    with pytest.raises(Unauthenticated):
        await _asked({"id": ["G-1"]}, team=None)
