"""The provider `bedrock`: where it is, how requests are signed, what its failures mean, its models."""

import json
import sys
from datetime import UTC, datetime
from typing import Any

import botocore.auth
import botocore.session
import msgspec
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from pydantic import SecretStr, ValidationError

from gateway_core.config.load import ConfigError
from gateway_core.host.snapshot import build
from gateway_core.upstream.head import Heads
from gateway_core.upstream.target import target
from plugin_sdk.errors import UpstreamError, UpstreamRateLimited, UpstreamRejected, UpstreamUnauthorized
from plugin_sdk.money import PriceCard, charge
from plugin_sdk.protocol import Target, UpstreamRequest
from plugin_sdk.testing import check_provider, models_of
from plugin_sdk.text import Conversation, Message, TextPart
from plugins.modalities.text import GENERATE
from plugins.protocols.bedrock_converse import BedrockConverse
from plugins.providers.bedrock import Bedrock, BedrockConfig
from tests.plugins.bedrock_converse.sigv4 import is_signed

ID, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2VjEXAMPLE=="
SIGNED = {"access_key_id": ID, "secret_access_key": SECRET}
MODELS = [
    "us.amazon.nova-2-lite-v1:0",
    "arn:aws:bedrock:us-east-1:000000000000:application-inference-profile/mi1dadi0g15f",
    "a b/c%3A~\u00fc",
]
HI = Conversation(
    model="m", origin="openai.chat", messages=(Message(role="user", parts=(TextPart(text="Hi \u00fc"),)),)
)


def bedrock(**options: Any) -> Bedrock:
    return Bedrock("bedrock", BedrockConfig.model_validate(options))


def asked(provider: Bedrock, model: str, *, stream: bool = False) -> UpstreamRequest:
    to = Target(base_url=str(provider.config.base_url), model=model)
    return provider.sign(BedrockConverse().build(msgspec.structs.replace(HI, stream=stream), to))


# Where it is


def test_it_is_where_its_region_is() -> None:
    assert bedrock().config.base_url == "https://bedrock-runtime.us-east-1.amazonaws.com"
    there = bedrock(region="eu-central-1")
    assert there.config.base_url == "https://bedrock-runtime.eu-central-1.amazonaws.com"
    elsewhere = bedrock(region="eu-central-1", base_url="http://127.0.0.1:1/x")
    assert elsewhere.config.base_url == "http://127.0.0.1:1/x"
    for odd in ("evil.com/", "", None, 7, "a" * 41):
        with pytest.raises(ValidationError, match="region"):
            bedrock(region=odd)


def test_a_snapshot_asks_it_there() -> None:
    plugins = {"openai_chat": {}, "bedrock_converse": {}, "text": {}, "bedrock": {"api_key": "k" * 20}}
    found = build({"plugins": plugins})
    assert found.base_urls["bedrock"] == "https://bedrock-runtime.us-east-1.amazonaws.com"
    (endpoint,) = found.endpoints("anthropic/claude-haiku-4.5", "openai.chat")
    assert endpoint.upstream_model == "global.anthropic.claude-haiku-4-5-20251001-v1:0"
    assert endpoint.protocol == "bedrock.converse"


def test_it_keeps_the_rules_of_providers_with_a_key_and_with_signatures() -> None:
    check_provider(Bedrock, operations=[GENERATE])
    check_provider(Bedrock, {"api_key": None, **SIGNED, "session_token": TOKEN}, operations=[GENERATE])


# Its credential


def test_a_key_is_a_bearer_token() -> None:
    sent = asked(bedrock(api_key="bedrock-api-key-1"), MODELS[0])
    assert sent.headers["authorization"] == "Bearer bedrock-api-key-1"
    assert "authorization" not in asked(bedrock(), MODELS[0]).headers
    assert "authorization" not in asked(bedrock(api_key="none"), MODELS[0]).headers


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"access_key_id": ID}, "together"),
        ({"secret_access_key": SECRET}, "together"),
        ({"session_token": TOKEN}, "session_token"),
        ({"api_key": "k", **SIGNED}, "not both"),
    ],
)
def test_half_a_credential_and_two_of_them_are_refused(options: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        bedrock(**options)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("base_url", [None, "http://127.0.0.1:8123/proxy", "https://Bedrock.Example.com:443"])
def test_what_leaves_over_the_wire_is_what_was_signed(
    model: str, token: str | None, stream: bool, base_url: str | None
) -> None:
    provider = bedrock(**SIGNED, session_token=token, region="eu-west-1", base_url=base_url)
    sent = asked(provider, model, stream=stream)
    head = Heads("agent").write(sent.method, target(sent.url, verify=True), sent.headers, len(sent.body))
    lines = head.decode().split("\r\n")
    method, path, _ = lines[0].split(" ")
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    assert is_signed(method, path, headers, sent.body, SECRET)
    assert not is_signed(method, path, headers, sent.body + b" ", SECRET)
    assert not is_signed(method, path + "x", headers, sent.body, SECRET)
    assert headers.get("x-amz-security-token") == token
    assert "eu-west-1/bedrock/aws4_request" in headers["authorization"]
    assert SECRET not in head.decode()
    assert all(name not in headers["authorization"] for name in ("accept", "user-agent", "content-length"))


@pytest.mark.parametrize("model", MODELS[:2])
def test_the_signature_is_the_one_of_awss_own_client(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 3, 2, 12, 30, 45, tzinfo=UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda **_: now)
    theirs = _sent_by_botocore(model)
    ours = bedrock(**SIGNED, session_token=TOKEN, region="eu-west-1").sign(
        UpstreamRequest(
            method="POST", url=theirs.url, headers={"content-type": "application/json"}, body=theirs.body
        )
    )
    assert theirs.url == asked(bedrock(region="eu-west-1"), model).url
    for name in ("authorization", "x-amz-date", "x-amz-security-token"):
        assert ours.headers[name] == theirs.headers[name].decode()
    assert ours.headers["x-amz-date"] == "20260302T123045Z"


def _sent_by_botocore(model: str) -> Any:
    """The request that AWS's own client sends."""
    sent = []
    client = botocore.session.Session().create_client(
        "bedrock-runtime",
        region_name="eu-west-1",
        aws_access_key_id=ID,
        aws_secret_access_key=SECRET,
        aws_session_token=TOKEN,
        config=Config(retries={"max_attempts": 1}),
    )

    class Raw:
        def stream(self, *_: Any, **__: Any) -> Any:
            yield b"{}"

    def send(request: Any, **_: Any) -> Any:
        sent.append(request)
        return AWSResponse(request.url, 200, {"content-type": "application/json"}, Raw())

    client.meta.events.register("before-send.bedrock-runtime.*", send)
    client.converse(modelId=model, messages=[{"role": "user", "content": [{"text": "Hi \u00fc"}]}])
    (found,) = sent
    return found


def test_without_botocore_an_access_key_is_refused_with_the_name_of_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    with pytest.raises(ValueError, match=r"ai-stats-gateway\[bedrock\]"):
        bedrock(**SIGNED)
    plugins = {"openai_chat": {}, "bedrock_converse": {}, "text": {}, "bedrock": SIGNED}
    with pytest.raises(ConfigError, match=r"ai-stats-gateway\[bedrock\]"):
        build({"plugins": plugins})
    assert bedrock(api_key="k" * 20)


# Its failures


def failed(status: int, body: Any, **headers: str) -> UpstreamError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return bedrock(**SIGNED).classify(status, headers, raw)


@pytest.mark.parametrize(
    ("status", "word", "kind"),
    [
        (400, "ValidationException", UpstreamRejected),
        (400, "ServiceQuotaExceededException", UpstreamRateLimited),
        (400, "ThrottlingException", UpstreamRateLimited),
        (429, "ThrottlingException", UpstreamRateLimited),
        (429, "ModelNotReadyException", UpstreamRateLimited),
        (400, "ExpiredTokenException", UpstreamUnauthorized),
        (400, "IncompleteSignatureException", UpstreamUnauthorized),
        (403, "AccessDeniedException", UpstreamUnauthorized),
        (403, "UnrecognizedClientException", UpstreamUnauthorized),
        (404, "ResourceNotFoundException", UpstreamRejected),
        (424, "ModelErrorException", UpstreamError),
        (500, "InternalServerException", UpstreamError),
        (503, "ServiceUnavailableException", UpstreamError),
    ],
)
def test_a_failure_is_what_the_services_word_says(status: int, word: str, kind: type[UpstreamError]) -> None:
    url = "http://internal.amazon.com/coral/com.amazon.bedrock/"
    shapes = [
        failed(status, {"message": "words"}, **{"x-amzn-errortype": f"{word}:{url}"}),
        failed(status, {"message": "words"}, **{"x-amzn-errortype": word}),
        failed(status, {"__type": f"com.amazon.coral.service#{word}", "message": "words"}),
        failed(status, {"__type": word, "Message": "words"}),
    ]
    for error in shapes:
        assert type(error) is kind
        assert (error.upstream_status, error.upstream_code, error.provider) == (status, word, "bedrock")
        assert str(error.__cause__ or error.message) == "words"


def test_a_failure_without_a_word_goes_by_its_status() -> None:
    assert type(failed(400, {"message": "x"})) is UpstreamRejected
    assert type(failed(429, b"<html>")) is UpstreamRateLimited
    assert failed(400, {"message": "x", "code": "odd"}).upstream_code == "odd"
    assert failed(400, {"message": "x"}, **{"x-amzn-errortype": "a b\n"}).upstream_code is None
    assert failed(429, {"message": "x"}, **{"retry-after": "7"}).retry_after == "7"


def test_neither_the_account_nor_a_credential_is_told() -> None:
    said = f"User: arn:aws:sts::123456789012:assumed-role/x of 123456789012 with {ID} {SECRET}"
    for status in (400, 403, 500):
        error = failed(status, {"message": said, "requestId": 123456789012})
        assert "123456789012" not in f"{error.message} {error!r}"
        assert SECRET not in f"{error.message} {error.__cause__}"
        assert ID not in f"{error.message} {error.__cause__}"
    assert "assumed-role/x" in failed(400, {"message": said}).message


# Its models


def test_its_models_are_of_many_vendors_each_with_all_prices_that_it_can_meter() -> None:
    models = models_of(Bedrock)
    assert len(models) >= 12
    assert {model.id.split("/")[0] for model in models} >= {
        "anthropic",
        "amazon",
        "meta",
        "mistral",
        "openai",
    }
    usage = {
        "input_text_tokens": 1_000, "cached_read_text_tokens": 1_000, "cached_write_text_tokens": 10,
        "cached_write_text_tokens_5m": 10, "cached_write_text_tokens_1h": 10, "output_text_tokens": 10,
    }  # fmt: skip
    for model in models:
        assert model.upstream
        made = charge(usage, PriceCard(id="c", prices=model.prices))
        assert made.unpriced == ()
        lines = {line.meter: line.nanos for line in made.lines}
        if "claude" in model.id:
            assert lines["cached_read_text_tokens"] * 10 == lines["input_text_tokens"]
            assert lines["cached_write_text_tokens_1h"] == lines["input_text_tokens"] // 50


def test_a_known_price_is_what_it_is() -> None:
    (model,) = [one for one in models_of(Bedrock) if one.id == "anthropic/claude-haiku-4.5"]
    assert {price.meter: str(price.usd) for price in model.prices} == {
        "input_text_tokens": "1.00", "cached_read_text_tokens": "0.10", "cached_write_text_tokens": "1.25",
        "cached_write_text_tokens_5m": "1.25", "cached_write_text_tokens_1h": "2.00",
        "output_text_tokens": "5.00",
    }  # fmt: skip


def test_a_teams_own_key_takes_the_place_of_whatever_the_block_has() -> None:
    request = UpstreamRequest(method="POST", url="https://b.example/model/m/converse", headers={}, body=b"{}")
    for block in ({"api_key": "bedrock-api-key-1"}, {**SIGNED, "session_token": TOKEN}):
        sent = bedrock(**block).keyed(SecretStr("key-of-a-team")).sign(request)
        assert dict(sent.headers) == {"authorization": "Bearer key-of-a-team"}
