"""The `pricing` policy: what models cost, and what a usage would."""

import json
from decimal import Decimal
from typing import Any

import pytest

from plugin_sdk.catalogue import ModelEntry
from plugin_sdk.context import Principal
from plugin_sdk.errors import GatewayError, Unauthenticated
from plugin_sdk.modality import Operation
from plugin_sdk.money import PriceCard
from plugin_sdk.plugin import PluginConfig
from plugin_sdk.routes import PlatformRequest, PlatformResponse
from plugin_sdk.testing import MemoryServices
from plugins.policies.pricing import Pricing
from tests.plugins.requests import endpoint

METERS = frozenset({"input_text_tokens", "output_text_tokens", "audio_seconds"})
PRICE: list[dict[str, Any]] = [
    {"meter": "input_text_tokens", "usd": "2.50", "per": 1_000_000},
    {"meter": "audio_seconds", "usd": "0.001"},
    {
        "meter": "output_text_tokens", "usd": "10", "per": 1_000_000, "plan": "flex", "priority": 110,
        "effective_from": "2026-01-01", "effective_to": "2027-01-01T00:00:00Z", "included": 5,
        "when": [{"path": "input_tokens", "op": "gt", "value": 200_000, "or_group": 1}],
        "windows": [{"start": "01:00", "end": "04:00", "usd": "20", "days": ["mon", "sat"]}],
    },
]  # fmt: skip
ASKED = {"model": "m", "endpoint": "text.generate", "usage": {"input_text_tokens": 1000}}


@pytest.fixture
def services() -> MemoryServices:
    made = MemoryServices()
    entry = ModelEntry.model_validate({"id": "m", "price": PRICE})
    made.prices.operations["text.generate"] = Operation(
        name="text.generate", lifecycle="unary", meters=METERS
    )
    made.prices.offered = [
        endpoint(provider, card=PriceCard(id="pc", prices=entry.prices)) for provider in "ab"
    ]
    return made


async def _plugin(services: MemoryServices) -> Pricing:
    plugin = Pricing("pricing", PluginConfig())
    await plugin.startup(services.lent())
    return plugin


async def calculated(services: MemoryServices, body: Any, team: str | None = "T-1") -> PlatformResponse:
    plugin = await _plugin(services)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    principal = None if team is None else Principal(team_id=team, kid="k")
    return await plugin.calculate(
        PlatformRequest(
            method="POST", path="/pricing/calculate", query={}, headers={}, body=raw, principal=principal
        )
    )


async def listed(services: MemoryServices, **query: str) -> PlatformResponse:
    plugin = await _plugin(services)
    given = {name: [value] for name, value in query.items()}
    principal = Principal(team_id="T-1", kid="k")
    return await plugin.models(
        PlatformRequest(method="GET", path="/pricing/models", query=given, headers={}, principal=principal)
    )


def test_both_routes_need_a_key_of_any_kind() -> None:
    routes = Pricing("pricing", PluginConfig()).register_routes()
    assert [(one.method, one.path, one.key) for one in routes] == [
        ("GET", "/pricing/models", "any"),
        ("POST", "/pricing/calculate", "any"),
    ]


async def test_a_usage_is_priced_at_the_first_provider_or_at_the_one_that_is_named(
    services: MemoryServices,
) -> None:
    answer = await calculated(services, ASKED)
    assert (answer.body["ok"], answer.body["provider"], answer.body["price_card_id"]) == (True, "a", "pc")
    assert json.loads(bytes(answer.body["pricing"])) == {"total_nanos": 2_500_000}
    assert (await calculated(services, {**ASKED, "provider": "b"})).body["provider"] == "b"
    principal, *_ = services.prices.quoted[0]
    assert principal.team_id == "T-1"


async def test_plan_parameters_and_time_are_those_of_the_request_and_now_by_default(
    services: MemoryServices,
) -> None:
    more = {"plan": "FLEX", "parameters": {"quality": "high"}, "at": "2026-05-01T12:00:00+02:00"}
    await calculated(services, {**ASKED, **more})
    await calculated(services, ASKED)
    given, default = (terms for *_, terms in services.prices.quoted)
    assert (given.plan, given.values, given.at) == ("flex", {"quality": "high"}, 1_777_629_600_000)
    assert (default.plan, default.values, default.at) == ("standard", {}, services.now)


async def test_a_quantity_is_whole_or_a_decimal_in_quotes(services: MemoryServices) -> None:
    await calculated(services, {**ASKED, "usage": {"audio_seconds": "12.345", "input_text_tokens": "7"}})
    _, _, usage, _ = services.prices.quoted[0]
    assert usage == {"audio_seconds": Decimal("12.345"), "input_text_tokens": 7}
    assert isinstance(usage["input_text_tokens"], int)


async def test_what_has_no_price_is_named_and_not_made_up(services: MemoryServices) -> None:
    before = {**ASKED, "usage": {"output_text_tokens": 9}, "at": "2025-01-01"}
    assert (await calculated(services, before)).body["unpriced"] == ["output_text_tokens"]


@pytest.mark.parametrize(
    ("change", "status", "param", "words"),
    [
        ({"model": "nope"}, 404, "model", "does not exist"),
        ({"model": None}, 400, "model", "model"),
        ({"model": 7}, 400, "model", "text"),
        ({"model": "x" * 201}, 400, "model", "text"),
        ({"endpoint": None}, 400, "endpoint", "missing"),
        ({"endpoint": "chat/copletions"}, 400, "endpoint", "no endpoint here"),
        ({"provider": "c"}, 404, None, "it is at a, b"),
        ({"usage": None}, 400, "usage", "quantities by meter"),
        ({"usage": [1]}, 400, "usage", "quantities by meter"),
        ({"usage": {"imput_tokens": 1}}, 400, "usage.imput_tokens", "`imput_tokens` is no meter"),
        ({"usage": {"x" * 9_000: 1}}, 400, "usage." + "x" * 200, "is no meter"),
        ({"usage": {"input_text_tokens": -1}}, 400, "usage.input_text_tokens", "cannot be negative"),
        ({"usage": {"input_text_tokens": "-0.1"}}, 400, "usage.input_text_tokens", "cannot be negative"),
        ({"usage": {"input_text_tokens": 1.5}}, 400, "usage.input_text_tokens", "in quotes"),
        ({"usage": {"input_text_tokens": True}}, 400, "usage.input_text_tokens", "whole number"),
        ({"usage": {"input_text_tokens": None}}, 400, "usage.input_text_tokens", "whole number"),
        ({"usage": {"input_text_tokens": 10**18 + 1}}, 400, "usage.input_text_tokens", "whole number"),
        ({"usage": {"input_text_tokens": "1e999999999"}}, 400, "usage.input_text_tokens", "whole number"),
        ({"usage": {"input_text_tokens": "\u0661"}}, 400, "usage.input_text_tokens", "whole number"),
        ({"usage": {"input_text_tokens": "nan"}}, 400, "usage.input_text_tokens", "whole number"),
        ({"usage": {f"m{n}": 1 for n in range(101)}}, 400, "usage", "more than 100"),
        ({"plan": 3}, 400, "plan", "text"),
        ({"parameters": [1]}, 400, "parameters", "object"),
        ({"at": "tomorrow"}, 400, "at", "a time as"),
        ({"at": 12}, 400, "at", "a time as"),
        ({"tier": "flex"}, 400, "tier", "not known here"),
    ],
)  # fmt: skip
async def test_what_cannot_be_priced_is_refused_by_its_name(
    services: MemoryServices, change: dict[str, Any], status: int, param: str | None, words: str
) -> None:
    body = {name: value for name, value in {**ASKED, **change}.items() if value is not None}
    with pytest.raises(GatewayError, match=words) as refused:
        await calculated(services, body)
    assert (refused.value.status, refused.value.param) == (status, param)
    assert len(refused.value.message) < 400


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b"1" * 5_000, b"[" * 100_000, b'{"usage": NaN}'])
async def test_a_body_that_is_no_object_is_a_400(services: MemoryServices, body: bytes) -> None:
    with pytest.raises(GatewayError) as refused:
        await calculated(services, body)
    assert refused.value.status == 400


async def test_a_call_without_a_caller_is_unauthenticated(services: MemoryServices) -> None:
    with pytest.raises(Unauthenticated):
        await calculated(services, ASKED, team=None)


async def test_the_list_gives_each_rule_in_the_contracts_words(services: MemoryServices) -> None:
    answer = await listed(services, limit="1")
    assert (answer.body["total"], answer.body["limit"], answer.body["offset"]) == (2, 1, 0)
    (row,) = answer.body["models"]
    assert (row["model_id"], row["api_provider_id"], row["currency"]) == ("m", "a", "USD")
    assert row["rules"] == [
        {"meter": "input_text_tokens", "unit_size": 1_000_000, "price_usd": "2.5", "plan": "standard",
         "priority": 100},
        {"meter": "audio_seconds", "unit_size": 1, "price_usd": "0.001", "plan": "standard", "priority": 100},
        {"meter": "output_text_tokens", "unit_size": 1_000_000, "price_usd": "10", "plan": "flex",
         "priority": 110,
         "match": [{"path": "input_tokens", "op": "gt", "value": 200_000, "or_group": 1}],
         "effective_from": "2026-01-01T00:00:00Z", "effective_to": "2027-01-01T00:00:00Z",
         "time_windows": [{"start_time": "01:00", "end_time": "04:00", "days_of_week": ["mon", "sat"],
                           "price_usd": "20"}],
         "included_quantity": 5},
    ]  # fmt: skip


async def test_the_list_is_narrowed_by_provider_model_and_endpoint(services: MemoryServices) -> None:
    rows = (await listed(services, provider="b")).body["models"]
    assert [row["api_provider_id"] for row in rows] == ["b"]
    assert (await listed(services, model="other")).body["total"] == 0
    assert (await listed(services, endpoint="text.generate")).body["total"] == 2


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "251"}, {"limit": "x"}, {"offset": "-1"}, {"endpoint": "nope"}]
)
async def test_a_query_that_cannot_be_meant_is_a_400(services: MemoryServices, query: dict[str, str]) -> None:
    with pytest.raises(GatewayError) as refused:
        await listed(services, **query)
    assert refused.value.status == 400
