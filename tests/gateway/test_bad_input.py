"""Bad input gets the error that names it: no 500, no upstream call, no charge."""

import json
from typing import Any

import pytest

from tests.gateway.process import Gateway
from tests.gateway.samples import ASK
from tests.gateway.upstream import Script, Upstream
from tests.gateway.wire import Answer, Connection

GOOD: dict[str, Any] = {"model": "test/chat", "messages": ASK}
LARGE = 20 * 1024 * 1024


def _with(**fields: Any) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


def _nested(depth: int) -> bytes:
    """A body that is `depth` deep, the object itself counted."""
    return _with(x_deep=0).replace(b'"x_deep": 0', b'"x_deep": ' + b"[" * (depth - 1) + b"]" * (depth - 1))


NOT_JSON = {
    "nothing": b"",
    "white space": b" \n",
    "words": b"hello",
    "half of it": _with()[:-1],
    "something after it": _with() + b" x",
    "two of it": _with() * 2,
    "a trailing comma": _with()[:-1] + b",}",
    "single quotes": _with().replace(b'"', b"'"),
    "NaN": _with(temperature=0).replace(b'"temperature": 0', b'"temperature": NaN'),
    "a bare control character": _with(x_text="_").replace(b'"_"', b'"\x01"'),
    "a byte that is not UTF-8": _with(x_text="_").replace(b'"_"', b'"\xff"'),
    "half of a UTF-8 sequence": _with(x_text="_").replace(b'"_"', b'"\xf0\x9f\x8c"'),
    "an overlong UTF-8 sequence": _with(x_text="_").replace(b'"_"', b'"\xc0\xaf"'),
    "a surrogate in UTF-8": _with(x_text="_").replace(b'"_"', b'"\xed\xa0\x80"'),
    "UTF-16": _with().decode().encode("utf-16"),
    "129 levels": _nested(129),
    "5,000 levels": _nested(5_000),
    "200,000 levels": _nested(200_000),
    "a key twice": b'{"model": "test/chat", "messages": [], "model": "sim/chat"}',
    "a key twice, once escaped": b'{"model": "test/chat", "messages": [], "mod\\u0065l": "sim/chat"}',
    "a list": b"[]",
    "a text": b'"hello"',
    "a number": b"7",
    "null": b"null",
    "an unknown key twice": b'{"model": "test/chat", "messages": [], "x": 1, "x": 1}',
}
WRONG = {
    "a number for the model": _with(model=7),
    "a list for the model": _with(model=["test/chat"]),
    "an empty text for the model": _with(model=""),
    "a list without messages": _with(messages=[]),
    "text for the messages": _with(messages="hello"),
    "an object for the messages": _with(messages={"role": "user"}),
    "no messages": b'{"model": "test/chat"}',
    "text for stream": _with(stream="yes"),
    "text for max_tokens": _with(max_tokens="many"),
    "a fraction for max_tokens": _with(max_tokens=1.5),
    "an object for temperature": _with(temperature={}),
    "text for n": _with(n="two"),
    "an object for tools": _with(tools={}),
    "a list for stream_options": _with(stream_options=[]),
    "a text for logprobs": _with(logprobs="yes"),
}


def _refusal(answer: Answer) -> tuple[int, str]:
    """(status, code) of an error of architecture 14.4, in full."""
    assert answer.complete
    body = answer.json
    assert body["error"]["message"] == body["description"] or body["description"]
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert (body["generation_id"], body["status_code"]) == (answer.generation_id, answer.status)
    assert body["error_type"] == "user"
    assert answer.headers["x-gateway-error-attribution"] == "user"
    assert answer.headers["content-type"] == "application/json"
    return answer.status, body["error"]["code"]


@pytest.fixture
async def untouched(gateway: Gateway, upstream: Upstream) -> Any:
    """Whatever the test does, no upstream is called and nothing is charged."""
    before, balance = len(upstream.received), await gateway.balance()
    yield
    assert upstream.received[before:] == []
    assert await gateway.balance() == balance


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", NOT_JSON)
async def test_what_is_not_one_json_object_of_utf8_is_invalid_json(gateway: Gateway, name: str) -> None:
    async with gateway.client() as client:
        assert _refusal(await client.chat(NOT_JSON[name])) == (400, "invalid_json")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_type_is_a_validation_error(gateway: Gateway, name: str) -> None:
    async with gateway.client() as client:
        assert _refusal(await client.chat(WRONG[name])) == (400, "validation_error")


async def test_a_body_of_128_levels_goes_through(gateway: Gateway, upstream: Upstream) -> None:
    name = upstream.play("deep", Script(status=404, pieces=(b'{"error": {"message": "seen"}}',)))
    body = _nested(128).replace(b"{", b'{"x_script": "%s", ' % name.encode(), 1)
    async with gateway.client() as client:
        answer = await client.chat(body)
    assert answer.json["error"]["message"] == "seen"
    assert len(upstream.calls(name)) == 1


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("body", [json.dumps({"messages": ASK}).encode(), _with(model=None)])
async def test_no_model_is_model_required(gateway: Gateway, body: bytes) -> None:
    async with gateway.client() as client:
        assert _refusal(await client.chat(body)) == (400, "model_required")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "model",
    ["no-such/model", "x" * 100_000, "test/chat\n", " test/chat", "é\u0000"],
    ids=["unknown", "long", "line end", "space", "NUL"],
)
async def test_an_unknown_model_is_a_404(gateway: Gateway, model: str) -> None:
    async with gateway.client() as client:
        answer = await client.chat(_with(model=model))
    assert _refusal(answer) == (404, "model_not_found")
    assert len(answer.body) < 10_000


@pytest.mark.usefixtures("untouched")
async def test_a_model_without_a_price_is_refused(gateway: Gateway) -> None:
    async with gateway.client() as client:
        assert _refusal(await client.chat(_with(model="test/unpriced"))) == (402, "pricing_not_configured")


@pytest.mark.usefixtures("untouched")
async def test_a_body_that_says_it_has_20_mb_is_too_large(gateway: Gateway) -> None:
    async with gateway.client() as client:
        answer = await client.chat(_with(x_text="a" * LARGE))
    assert _refusal(answer) == (413, "payload_too_large")


@pytest.mark.usefixtures("untouched")
async def test_a_body_of_20_mb_that_does_not_say_so_is_too_large(gateway: Gateway) -> None:
    body = _with(x_text="a" * LARGE)
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(part), part) for part in (body[: LARGE // 2], body[LARGE // 2 :])
    )
    headers = {"authorization": f"Bearer {gateway.key}", "transfer-encoding": "chunked"}
    connection = Connection(gateway.port)
    try:
        answer = await connection.request(
            "POST", "/v1/chat/completions", headers=headers, body=chunks + b"0\r\n\r\n"
        )
    finally:
        connection.close()
    assert _refusal(answer) == (413, "payload_too_large")


@pytest.mark.usefixtures("untouched")
async def test_strictness_refuses_an_unknown_field_and_names_it(gateway: Gateway) -> None:
    async with gateway.client() as client:
        answer = await client.chat(_with(x_new=1), x_aistats_strictness="strict")
    assert _refusal(answer) == (400, "validation_error")
    assert answer.json["details"][0]["path"] == ["x_new"]
    assert answer.json["details"][0]["keyword"] == "unknown_param"


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, "missing_or_invalid_authorization_header"),
        ("Basic Zm9v", "missing_or_invalid_authorization_header"),
        ("Bearer sk-openai", "invalid_key_format"),
        ("Bearer aistats_v1_sk_nobodyknows0_" + "s" * 40, "key_not_found_or_revoked"),
    ],
)
async def test_a_key_that_is_none_of_ours_is_a_401_that_says_why(
    gateway: Gateway, key: str | None, reason: str
) -> None:
    headers = {} if key is None else {"authorization": key}
    async with gateway.stranger() as client:
        answer = await client.chat(GOOD, **headers)
    assert _refusal(answer) == (401, "unauthorised")
    assert answer.json["reason"] == reason


@pytest.mark.usefixtures("untouched")
async def test_a_wrong_secret_is_a_401_that_says_so(gateway: Gateway) -> None:
    async with gateway.client(gateway.key[:-4] + "0000") as client:
        answer = await client.chat(GOOD)
    assert _refusal(answer) == (401, "unauthorised")
    assert answer.json["reason"] == "invalid_secret"


@pytest.mark.usefixtures("untouched")
async def test_a_team_without_credit_gets_a_402_that_says_how_much_is_needed(gateway: Gateway) -> None:
    async with gateway.client(gateway.poor_key) as client:
        answer = await client.chat(GOOD)
    assert _refusal(answer) == (402, "insufficient_funds")
    assert answer.json["reason"] in ("wallet_missing", "insufficient_funds")
    assert answer.json["min_usd"] == 1


@pytest.mark.usefixtures("untouched")
async def test_an_invalid_body_is_a_400_even_for_a_team_without_credit(gateway: Gateway) -> None:
    async with gateway.client(gateway.poor_key) as client:
        assert _refusal(await client.chat(b"{")) == (400, "invalid_json")


@pytest.mark.usefixtures("untouched")
async def test_a_path_or_a_method_that_is_not_there_says_so(gateway: Gateway) -> None:
    async with gateway.client() as client:
        assert (await client.get("/v1/nothing")).status == 404
        assert (await client.get("/v1/chat/completions")).status == 405
        assert (await client.get("/v1/generations")).json["error"] == "missing_id"
        assert (await client.get("/v1/generations?id=G-0")).status == 404
