"""Our errors as this protocol's SDKs expect them, and every recorded failure as a client would see it."""

import json
from typing import Any

import httpx
import openai
import pytest

from plugin_sdk.errors import (
    Forbidden,
    GatewayError,
    InsufficientFunds,
    Internal,
    InvalidRequest,
    ModelNotFound,
    NotImplementedYet,
    RateLimited,
    Unauthenticated,
    Unprocessable,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
)
from plugin_sdk.upstream_errors import classify
from tests.plugins.openai_chat.recorded import body, chats, needs_recordings
from tests.plugins.openai_chat.wire import CHAT, GENERATION


def rendered(error: GatewayError) -> dict[str, Any]:
    return dict(json.loads(CHAT.render_error(error, GENERATION)))


def test_the_error_object_and_the_contracts_flat_fields_stand_side_by_side() -> None:
    details = [{"message": "m", "path": ["n"], "keyword": "minimum", "params": {"limit": 1}}]
    assert rendered(InvalidRequest("`n` is wrong.", param="n", details=details)) == {
        "error": {
            "message": "`n` is wrong.",
            "type": "invalid_request_error",
            "param": "n",
            "code": "validation_error",
        },
        "generation_id": GENERATION,
        "status_code": 400,
        "error_type": "user",
        "description": "`n` is wrong.",
        "details": details,
    }


def test_reason_and_further_fields_are_kept() -> None:
    found = rendered(
        InsufficientFunds("Top up.", reason="wallet_missing", extra={"min_usd": 1, "error": "x"})
    )
    assert (found["reason"], found["min_usd"]) == ("wallet_missing", 1)
    assert found["error"]["code"] == "insufficient_funds"


def test_a_stream_ends_with_the_error_and_the_last_word_on_the_price() -> None:
    event = CHAT.render_stream_error(Internal("Sorry."), GENERATION, b'{"total_nanos":0}')
    assert event.startswith(b"data: {")
    assert event.endswith(b"}\n\n")
    found = json.loads(event[6:])
    assert (found["object"], found["message"], found["pricing"]) == ("error", "Sorry.", {"total_nanos": 0})
    assert found["error"]["message"] == "Sorry."
    assert found["generation_id"] == GENERATION
    assert b"[DONE]" not in event
    assert "pricing" not in json.loads(CHAT.render_stream_error(Internal("Sorry."), GENERATION, None)[6:])


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequest("m"), openai.BadRequestError),
        (Unauthenticated("m"), openai.AuthenticationError),
        (InsufficientFunds("m"), openai.APIStatusError),
        (Forbidden("m"), openai.PermissionDeniedError),
        (ModelNotFound("m"), openai.NotFoundError),
        (Unprocessable("m"), openai.UnprocessableEntityError),
        (RateLimited("m"), openai.RateLimitError),
        (UpstreamRateLimited("m"), openai.RateLimitError),
        (UpstreamRejected("m", upstream_status=400), openai.BadRequestError),
        (Internal("m"), openai.InternalServerError),
        (NotImplementedYet("m"), openai.InternalServerError),
        (UpstreamTimeout("m"), openai.InternalServerError),
    ],
)
def test_the_official_sdk_raises_the_right_exception(
    error: GatewayError, kind: type[openai.APIStatusError]
) -> None:
    caught = as_the_sdk_sees(error)
    assert type(caught) is kind
    assert caught.code == error.code
    assert caught.param == error.param
    assert "m" in caught.message


@needs_recordings
def test_every_recorded_failure_is_an_exception_of_the_sdk_with_the_providers_words() -> None:
    count = 0
    for exchange in chats(answered=False):
        response = exchange["response"]
        error = classify(response["status"], response.get("headers", {}), body(exchange), provider="p")
        caught = as_the_sdk_sees(error)
        assert caught.status_code == error.status
        kept = response["status"] in (400, 404, 409, 413, 422, 429)
        assert error.status == (response["status"] if kept else 502)
        assert error.message in caught.message
        assert not error.message.startswith("{")
        count += 1
    assert count >= 225


def as_the_sdk_sees(error: GatewayError) -> openai.APIStatusError:
    """What the official SDK raises for our answer."""
    answer = httpx.Response(error.status, content=CHAT.render_error(error, GENERATION))
    client = openai.OpenAI(
        api_key="k",
        base_url="http://gateway.invalid/v1",
        max_retries=0,
        http_client=httpx.Client(transport=httpx.MockTransport(lambda _: answer)),
    )
    with client, pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    return caught.value
