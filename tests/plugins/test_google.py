"""The provider `google`: its key in a header, its failures, its models."""

import json
from decimal import Decimal
from typing import Any

import pytest

from plugin_sdk.errors import UpstreamRateLimited, UpstreamRejected, UpstreamUnauthorized
from plugin_sdk.fidelity import Report
from plugin_sdk.money import PriceCard, charge
from plugin_sdk.protocol import UpstreamRequest
from plugin_sdk.testing import check_provider, models_of
from plugins.modalities.text import GENERATE
from plugins.providers.google import Google
from plugins.providers.vertex import Vertex

KEY = "not-a-real-key-0123456789"
URL = "https://generativelanguage.googleapis.com/v1beta/models/gemini-x:generateContent"


def google(**config: Any) -> Google:
    return Google("google", Google.Config.model_validate({"api_key": KEY, **config}))


def request(**body: Any) -> UpstreamRequest:
    return UpstreamRequest(method="POST", url=URL, headers={"accept": "x"}, body=json.dumps(body).encode())


def test_it_keeps_the_rules_of_providers() -> None:
    check_provider(Google, operations=[GENERATE])


def test_the_key_travels_in_a_header_and_never_in_the_url() -> None:
    signed = google().sign(request())
    assert signed.headers == {"accept": "x", "x-goog-api-key": KEY}
    assert signed.url == URL
    assert google(api_key="none").sign(request()) == request()
    assert google(api_key=None).sign(request()) == request()


def test_labels_are_left_out_and_the_client_is_told_in_its_own_word() -> None:
    report = Report()
    adapted = google().adapt(request(contents=[{"labels": 1}], labels={"team": "a"}), report)
    assert json.loads(adapted.body) == {"contents": [{"labels": 1}]}
    assert report.dropped == {"metadata": "this service keeps no labels"}
    report = Report()
    untouched = request(contents=[{"labels": 1}])
    assert google().adapt(untouched, report) is untouched
    assert not report


def failure(code: int, message: str, *details: Any, status: str = "S") -> bytes:
    error = {"code": code, "message": message, "status": status, "details": list(details)}
    return json.dumps({"error": error}).encode()


@pytest.mark.parametrize("reason", ["API_KEY_INVALID", "API_KEY_EXPIRED"])
def test_a_key_that_is_not_valid_is_our_fault_although_it_is_a_400(reason: str) -> None:
    body = failure(400, f"API key not valid: {KEY}", {"reason": reason})
    error = google().classify(400, {}, body)
    assert type(error) is UpstreamUnauthorized
    assert (error.status, error.upstream_status, error.retryable) == (502, 400, True)
    assert "API key" not in error.message
    assert KEY not in str(error.__cause__)
    other = google().classify(400, {}, failure(400, "too hot", {"reason": "OTHER"}))
    assert type(other) is UpstreamRejected


def test_a_quota_says_when_to_come_back_and_not_whose_it_is() -> None:
    said = "Quota exceeded for metric 'm' of service 's' for consumer 'project_number:1234567890'."
    error = google().classify(429, {}, failure(429, said, {"retryDelay": "48s"}))
    assert type(error) is UpstreamRateLimited
    assert error.retry_after == "48"
    assert "1234567890" not in error.message


@pytest.mark.parametrize("provider", [Google, Vertex])
def test_every_model_has_a_plain_name_and_a_price_for_everything_in_a_usage(provider: Any) -> None:
    kinds = ("text", "image", "audio", "video")
    usage = {
        **{f"input_{kind}_tokens": 1_000 for kind in kinds},
        **{f"cached_read_{kind}_tokens": 1_000 for kind in kinds},
        "output_text_tokens": 10, "output_reasoning_tokens": 10,
    }  # fmt: skip
    models = models_of(provider)
    assert len(models) >= 8
    for model in models:
        assert model.id == f"google/{model.upstream}"
        assert model.aliases == (model.upstream,)
        made = charge(usage, PriceCard(id="c", prices=model.prices))
        lines = {line.meter: line.nanos for line in made.lines}
        assert made.unpriced == ()
        assert {price.meter for price in model.prices} <= GENERATE.meters
        assert lines["output_reasoning_tokens"] == lines["output_text_tokens"]
        for kind in kinds:
            assert lines[f"cached_read_{kind}_tokens"] <= lines[f"input_{kind}_tokens"]
        if "image" in model.output_types:
            assert "output_image_tokens" in {price.meter for price in model.prices}


def test_a_known_price_is_what_it_is() -> None:
    (model,) = [one for one in models_of(Google) if one.upstream == "gemini-2.5-flash"]
    assert {price.meter: price.usd for price in model.prices} == {
        "input_text_tokens": Decimal("0.30"), "input_audio_tokens": Decimal("1.00"),
        "cached_read_text_tokens": Decimal("0.03"), "cached_read_image_tokens": Decimal("0.03"),
        "cached_read_video_tokens": Decimal("0.03"), "cached_read_audio_tokens": Decimal("0.10"),
        "output_text_tokens": Decimal("2.50"), "native_web_search_requests": Decimal("0.035"),
    }  # fmt: skip
