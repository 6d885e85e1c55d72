"""The pricing routes, in a gateway: they say what requests are charged, and answer any bytes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.gateway.upstream import Upstream
from tests.pipeline.driver import PRICE, Driver, driver
from tests.pipeline.test_endings import ANSWER, COST, plugins, request, whole

URL = "/v1/pricing/calculate"
MARKUP = {"markup": {"rules": [{"percent": "10"}]}}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as found:
        yield found


async def posted(gateway: Driver, body: Any) -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {gateway.key}"}
    raw = body if isinstance(body, bytes) else json.dumps(body)
    answer = await gateway.app.test_client().post(URL, data=raw, headers=headers)
    return answer.status_code, json.loads(await answer.get_data())


async def got(gateway: Driver, path: str) -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {gateway.key}"}
    answer = await gateway.app.test_client().get(path, headers=headers)
    return answer.status_code, json.loads(await answer.get_data())


async def test_a_calculation_is_to_the_nano_what_the_request_was_charged_with_its_markup(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.play("priced", whole(ANSWER))
    async with driver(tmp_path, {**plugins(upstream), **MARKUP}) as gateway:
        charged = (await gateway.ask(request("priced"))).json["usage"]["pricing"]
        usage = {line["dimension"]: line["quantity"] for line in charged["lines"]}
        for name in ("chat/completions", "/chat/completions", "chat.completions", "text.generate"):
            status, found = await posted(gateway, {"model": "m", "endpoint": name, "usage": usage})
            assert (status, found["ok"], found["pricing"]) == (200, True, charged)
    assert charged["total_nanos"] == COST * 11 // 10


async def test_whose_keys_cannot_be_looked_up_is_told_no_price_that_could_be_another(
    upstream: Upstream, tmp_path: Path
) -> None:
    usage = {"input_text_tokens": 1_000}
    async with driver(tmp_path, {**plugins(upstream), "byok": {}}) as gateway:
        gateway.rows("ALTER TABLE provider_keys RENAME TO away")
        asked = {"model": "m", "endpoint": "chat/completions", "usage": usage}
        status, found = await posted(gateway, asked)
        assert (status, found["ok"], "pricing" in found) == (503, False, False)
        gateway.rows("ALTER TABLE away RENAME TO provider_keys")
        assert (await posted(gateway, asked))[0] == 200


async def test_the_price_list_has_the_markup_of_the_team_in_it(upstream: Upstream, tmp_path: Path) -> None:
    async with driver(tmp_path, {**plugins(upstream), **MARKUP}) as gateway:
        status, found = await got(gateway, "/v1/pricing/models?provider=one")
    assert (status, found["total"]) == (200, 1)
    assert [(rule["meter"], rule["price_usd"]) for rule in found["models"][0]["rules"]] == [
        ("input_text_tokens", "2.75"),
        ("output_text_tokens", "11"),
    ]


async def test_the_errors_are_those_of_a_platform_route(upstream: Upstream, tmp_path: Path) -> None:
    usage = {"input_text_tokens": 1}
    blocks = plugins(upstream, models=[{"id": "m", "price": "free"}, {"id": "unpriced"}])
    async with driver(tmp_path, blocks) as gateway:
        cases: dict[str, tuple[Any, int, str]] = {
            "model": ({"model": "no", "endpoint": "responses", "usage": usage}, 404, "model_not_found"),
            "price": (
                {"model": "unpriced", "endpoint": "responses", "usage": usage}, 402, "pricing_not_configured",
            ),
            "meter": (
                {"model": "m", "endpoint": "responses", "usage": {"x": 1}}, 400, "validation_error",
            ),
            "bytes": (b"\x00\xff{", 400, "invalid_json"),
            "half a character": (
                b'{"model": "\\ud800", "endpoint": "responses", "usage": {}}', 404, "model_not_found",
            ),
            "half a meter": (
                b'{"model": "m", "endpoint": "responses", "usage": {"\\udfff": 1}}', 400, "validation_error",
            ),
        }  # fmt: skip
        for name, (body, status, code) in cases.items():
            assert (await posted(gateway, body))[0] == status, name
            found = (await posted(gateway, body))[1]
            assert (found["ok"], found["error"]) == (False, code), name
        answer = await gateway.app.test_client().post(URL, data=b"{}")
        assert answer.status_code == 401
        free = {"model": "m", "endpoint": "responses", "usage": usage}
        assert (await posted(gateway, free))[1]["pricing"]["total_nanos"] == 0


async def test_what_no_ledger_can_hold_is_a_400(upstream: Upstream, tmp_path: Path) -> None:
    models = [{"id": "m", "price": {"input_text_tokens": "1000000000", "output_text_tokens": "1"}}]
    async with driver(tmp_path, plugins(upstream, models=models)) as gateway:
        body = {"model": "m", "endpoint": "responses", "usage": {"input_text_tokens": 10**18}}
        status, found = await posted(gateway, body)
    assert (status, found["error"]) == (400, "validation_error")
    assert "no ledger can hold" in found["message"]


async def test_given_requests_count_and_are_one_where_they_are_not_given(
    upstream: Upstream, tmp_path: Path
) -> None:
    price = {"input_text_tokens": "0", "output_text_tokens": "0", "requests": "0.01"}
    async with driver(tmp_path, plugins(upstream, models=[{"id": "m", "price": price}])) as gateway:
        for usage, nanos in (({"requests": 3}, 30_000_000), ({"input_text_tokens": 5}, 10_000_000)):
            body = {"model": "m", "endpoint": "responses", "usage": usage}
            assert (await posted(gateway, body))[1]["pricing"]["total_nanos"] == nanos


async def test_prices_that_have_not_begun_are_a_402_and_past_ones_are_forgotten(
    upstream: Upstream, tmp_path: Path
) -> None:
    later = [
        {"meter": meter, "usd": "1", "effective_from": "2999-01-01"}
        for meter in ("input_text_tokens", "output_text_tokens")
    ]
    over = [{**rule, "usd": "9", "effective_from": None, "effective_to": "2020-01-01"} for rule in later]
    now = [{"meter": rule["meter"], "usd": "0.000001"} for rule in later]
    models = [
        {"id": "later", "price": later}, {"id": "over", "price": over}, {"id": "m", "price": over + now},
    ]  # fmt: skip
    upstream.play("dated", whole(ANSWER))
    async with driver(tmp_path, plugins(upstream, models=models)) as gateway:
        for model in ("later", "over"):
            answer = await gateway.ask({**request("dated"), "model": model})
            assert (answer.status, answer.json["error"]["code"]) == (402, "pricing_not_configured")
        answer = await gateway.ask(request("dated"))
        assert answer.json["usage"]["pricing"]["total_nanos"] == 14 * 1_000
        (listed,) = (await got(gateway, "/v1/pricing/models?model=m"))[1]["models"]
    assert [rule["price_usd"] for rule in listed["rules"]] == ["0.000001", "0.000001"]
    assert len(upstream.calls("dated")) == 1


async def test_a_model_has_its_prices_under_every_name_that_a_request_may_give_it(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.play("alias", whole(ANSWER))
    one = plugins(upstream, models=[{"id": "m", "aliases": ["org/m-latest"], "price": PRICE}])
    other = {"two": {**one["one"], "models": [{"id": "m", "price": PRICE}, {"id": "n", "price": PRICE}]}}
    async with driver(tmp_path, {**one, **other}) as gateway:
        for name, providers in (
            ("m", {"one", "two"}),
            ("org/m-latest", {"one"}),
            ("n", {"two"}),
            ("m-", set()),
        ):
            status, found = await got(
                gateway, f"/v1/pricing/models?model={quote(name, safe='')}&endpoint=responses"
            )
            assert (status, found["total"]) == (200, len(providers))
            assert {row["api_provider_id"] for row in found["models"]} == providers
            assert {row["model_id"] for row in found["models"]} <= {"m", "n"}
            answer = await gateway.ask({**request("alias"), "model": name})
            assert answer.status == (200 if providers else 404)
            usage = {"model": name, "endpoint": "responses", "usage": {"input_text_tokens": 1}}
            assert (await posted(gateway, usage))[0] == (200 if providers else 404)
