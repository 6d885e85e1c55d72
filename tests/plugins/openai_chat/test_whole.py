"""A whole answer passed through."""

import json
from typing import Any

import pytest

from plugin_sdk.errors import UpstreamError, UpstreamRateLimited
from plugin_sdk.protocol import END
from tests.plugins.openai_chat.wire import (
    CHAT,
    GENERATION,
    NATIVE,
    PRICING,
    USAGE,
    answer,
    passed,
    plain_stream,
    through,
    whole,
)


def spliced(body: dict[str, Any], **fields: Any) -> dict[str, Any]:
    found, _ = passed(json.dumps(body).encode(), stream=False, **fields)
    return dict(json.loads(found))


def test_the_id_the_price_and_meta_are_spliced_and_nothing_else() -> None:
    body = whole(system_fingerprint="fp", odd={"b": 1, "a": [1.50]})
    found = spliced(body, meta=True)
    assert found.pop("meta") == {"latency_ms": 1}
    assert found == {
        **body,
        "id": GENERATION,
        "nativeResponseId": NATIVE,
        "usage": {**USAGE, "pricing": PRICING},
    }


def test_other_bytes_stay_as_they_were_written() -> None:
    body = b'{ "id":"x" ,\n"choices": [ {"message":{"content":"\\u00e9"},"finish_reason":"stop"} ],"n":1.50 }'
    found, _ = passed(body, stream=False)
    assert found == body.replace(b'"x"', b'"%b","nativeResponseId":"x"' % GENERATION.encode())


def test_the_end_stands_before_all_of_it() -> None:
    pieces = through(CHAT.splice(answer(stream=False)), [json.dumps(whole()).encode()])
    assert pieces[0] == END
    assert pieces.count(END) == 1


@pytest.mark.parametrize("size", [1, 10, 1000])
def test_exact_mode_changes_no_byte(size: int) -> None:
    body = json.dumps(whole(), indent=2).encode() + b"\n"
    assert passed(body, size=size, stream=False, exact=True)[0] == body


def test_the_facts_of_a_whole_answer() -> None:
    _, facts = passed(json.dumps(whole(service_tier="flex")).encode(), stream=False)
    assert (facts.started, facts.complete, facts.output, facts.error) == (True, True, True, None)
    assert (facts.finish, facts.native_id, facts.service_tier) == ("stop", NATIVE, "flex")
    assert facts.usage == {"input_text_tokens": 12, "output_text_tokens": 3}
    assert facts.output_estimate == 1


def test_without_a_usage_there_is_meta_and_no_price() -> None:
    body = whole()
    del body["usage"]
    found = spliced(body, meta=True)
    assert found["meta"] == {"latency_ms": 1}
    assert "usage" not in found
    assert spliced({**body, "usage": None})["usage"] is None


def test_no_output_is_seen_where_there_is_none() -> None:
    for message in ({"role": "assistant", "content": ""}, {"role": "assistant", "content": None}):
        assert not passed(json.dumps(whole(message)).encode(), stream=False)[1].output


def test_an_idle_delta_beside_the_message_is_ignored() -> None:
    body = whole()
    body["choices"][0]["delta"] = {"role": "assistant", "content": ""}
    assert passed(json.dumps(body).encode(), stream=False)[1].output


@pytest.mark.parametrize(
    "body",
    [b"", b"  \n", b"<html>", b"[]", b'"text"', b"{", b'{"id":"x"', b"null"],
)
def test_what_is_no_answer_is_the_upstreams_failure(body: bytes) -> None:
    pieces = through(stream := CHAT.splice(answer(stream=False)), [body])
    assert pieces == []
    assert isinstance(stream.facts.error, UpstreamError)
    assert stream.facts.error.retryable
    assert not stream.facts.complete


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "No.", "code": 502}}, "No."),
        ({"error": "No."}, "No."),
        (
            {"choices": [{"message": {"content": "half"}, "error": {"message": "No."}}]},
            "No.",
        ),
    ],
)
def test_an_error_in_a_200_is_a_failure(body: dict[str, Any], message: str) -> None:
    found, facts = passed(json.dumps(body).encode(), stream=False)
    assert found == b""
    assert facts.error is not None
    assert (facts.error.message, facts.complete) == (message, False)


def test_a_429_in_a_200_is_a_429() -> None:
    body = json.dumps({"error": {"message": "Slow down.", "code": 429}}).encode()
    assert type(passed(body, stream=False)[1].error) is UpstreamRateLimited


def test_a_stream_where_none_was_asked_for_becomes_a_whole_answer() -> None:
    found, facts = passed(plain_stream(("He", "llo")), stream=False)
    body = json.loads(found)
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "Hello"}
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"] == {**USAGE, "pricing": PRICING}
    assert (body["id"], body["nativeResponseId"]) == (GENERATION, NATIVE)
    assert (facts.complete, facts.finish) == (True, "stop")


def test_a_stream_that_was_cut_is_no_whole_answer() -> None:
    _, facts = passed(plain_stream()[:500], stream=False)
    assert facts.error is not None
    assert not facts.complete
