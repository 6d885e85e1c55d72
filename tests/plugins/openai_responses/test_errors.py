"""Our errors as this protocol's SDKs expect them, and every recorded failure as a client would see it."""

import json
from typing import Any

import httpx2
import openai
import pytest
from openai.types.responses import ResponseErrorEvent

from plugin_sdk.errors import (
    GatewayError,
    InsufficientFunds,
    Internal,
    InvalidRequest,
    ModelNotFound,
    RateLimited,
    Unauthenticated,
    UpstreamRejected,
    UpstreamTimeout,
)
from plugin_sdk.upstream_errors import classify
from tests.plugins.openai_responses.recorded import body, exchanges, needs_recordings
from tests.plugins.openai_responses.wire import GENERATION, RESPONSES, stream


def client(status: int, content: bytes, kind: str = "application/json") -> openai.OpenAI:
    answer = httpx2.Response(status, content=content, headers={"content-type": kind})
    transport = httpx2.MockTransport(lambda _: answer)
    return openai.OpenAI(
        api_key="k",
        base_url="http://gateway.invalid/v1",
        max_retries=0,
        http_client=httpx2.Client(transport=transport),
    )


def as_the_sdk_sees(error: GatewayError) -> openai.APIStatusError:
    """What the official SDK raises for our answer."""
    with (
        client(error.status, RESPONSES.render_error(error, GENERATION)) as asked,
        pytest.raises(openai.APIStatusError) as caught,
    ):
        asked.responses.create(model="m", input="x")
    return caught.value


def test_the_error_object_and_the_contracts_flat_fields_stand_side_by_side() -> None:
    found = json.loads(RESPONSES.render_error(InvalidRequest("No.", param="input"), GENERATION))
    assert found["error"] == {
        "message": "No.", "type": "invalid_request_error", "param": "input", "code": "validation_error",
    }  # fmt: skip
    assert (found["generation_id"], found["status_code"], found["error_type"]) == (GENERATION, 400, "user")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequest("m"), openai.BadRequestError),
        (Unauthenticated("m"), openai.AuthenticationError),
        (InsufficientFunds("m"), openai.APIStatusError),
        (ModelNotFound("m"), openai.NotFoundError),
        (RateLimited("m"), openai.RateLimitError),
        (UpstreamRejected("m", upstream_status=422), openai.UnprocessableEntityError),
        (Internal("m"), openai.InternalServerError),
        (UpstreamTimeout("m"), openai.InternalServerError),
    ],
)
def test_the_official_sdk_raises_the_right_exception(
    error: GatewayError, kind: type[openai.APIStatusError]
) -> None:
    caught = as_the_sdk_sees(error)
    assert type(caught) is kind
    assert (caught.code, caught.param) == (error.code, error.param)


def test_the_official_sdk_raises_on_the_error_that_ends_a_stream() -> None:
    begun = stream()[: stream().index(b"event: response.output_text.done")]
    raw = begun + RESPONSES.render_stream_error(Internal("Sorry."), GENERATION, b'{"total_nanos":0}')
    with client(200, raw, "text/event-stream") as asked:
        events = asked.responses.create(model="m", input="x", stream=True)
        with pytest.raises(openai.APIError, match="Sorry") as caught:
            [event.type for event in events]
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["code"] == "gateway_error"


def test_the_event_is_one_that_the_sdks_type_of_it_takes() -> None:
    raw = RESPONSES.render_stream_error(Internal("Sorry."), GENERATION, b'{"total_nanos":0}')
    head, data = raw.removesuffix(b"\n\n").split(b"\n")
    assert head == b"event: error"
    found = json.loads(data.removeprefix(b"data: "))
    ResponseErrorEvent.model_validate(found, strict=True)
    assert found["pricing_breakdown"] == {"total_nanos": 0}
    assert found["generation_id"] == GENERATION
    assert "pricing_breakdown" not in _data(RESPONSES.render_stream_error(Internal("x"), GENERATION, None))


def _data(raw: bytes) -> dict[str, Any]:
    return dict(json.loads(raw.split(b"data: ")[1]))


@needs_recordings
def test_every_recorded_failure_is_an_exception_of_the_sdk_with_the_providers_words() -> None:
    count = 0
    for exchange in exchanges(answered=False):
        response = exchange["response"]
        error = classify(response["status"], response.get("headers", {}), body(exchange), provider="p")
        caught = as_the_sdk_sees(error)
        kept = response["status"] in (400, 404, 409, 413, 422, 429)
        assert caught.status_code == (response["status"] if kept else 502)
        assert error.message in caught.message
        assert not error.message.startswith("{")
        count += 1
    print(f"errors: run {count}, of the right class {count}, failed 0")
    assert count == 25
