"""The client's own bytes on their way to an upstream of the same protocol."""

import json
from typing import Any

import pytest

from plugin_sdk.protocol import GATEWAY_FIELDS, Target, UpstreamRequest
from tests.plugins.openai_chat.wire import CHAT

BODY = (
    b'{ "model" : "public/name","temperature":1.50,\n '
    b'"messages": [{"role":"user","content":"caf\\u00e9 \xc3\xa9"}], "x":{"b":1,"a":[2.0,1e3]} }'
)


def patched(body: bytes, **fields: Any) -> UpstreamRequest:
    target = Target(**{"base_url": "https://up.example/v1", "model": "up-1", **fields})
    return CHAT.patch(CHAT.index(body), target)


def sent(fields: dict[str, Any], **target: Any) -> dict[str, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **fields}
    return dict(json.loads(patched(json.dumps(body).encode(), **target).body))


def test_only_the_model_differs() -> None:
    assert patched(BODY).body == BODY.replace(b'"public/name"', b'"up-1"')


def test_where_it_goes_and_how() -> None:
    request = patched(BODY, base_url="https://up.example/v1/")
    assert (request.method, request.url) == ("POST", "https://up.example/v1/chat/completions")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["accept"] == "application/json"
    stream = patched(BODY.replace(b"1.50", b'1.5,"stream":true'))
    assert stream.headers["accept"] == "text/event-stream"


def test_each_request_has_headers_of_its_own() -> None:
    first = patched(BODY)
    first.headers["authorization"] = "Bearer of one"
    assert "authorization" not in patched(BODY).headers


def test_the_gateways_own_fields_stay_here() -> None:
    own = {name: True for name in GATEWAY_FIELDS if name != "provider"} | {"provider": {}}
    assert set(sent({**own, "unknown": 1})) == {"model", "messages", "unknown"}


@pytest.mark.parametrize(
    "options", [{}, {"stream_options": None}, {"stream_options": {"include_usage": False}}]
)
def test_a_stream_is_always_asked_for_its_usage(options: dict[str, Any]) -> None:
    assert sent({"stream": True, **options})["stream_options"] == {"include_usage": True}
    assert "stream_options" not in sent({"stream": False})


def test_other_stream_options_are_kept_and_asking_already_is_not_touched() -> None:
    assert sent({"stream": True, "stream_options": {"include_obfuscation": False}})["stream_options"] == {
        "include_obfuscation": False,
        "include_usage": True,
    }
    body = BODY.replace(b"1.50", b'1.5,"stream":true,"stream_options":{ "include_usage" : true }')
    assert b'{ "include_usage" : true }' in patched(body).body


def test_an_upstream_that_knows_no_usage_event_is_not_asked() -> None:
    assert "stream_options" not in sent({"stream": True}, stream_usage=False)


def test_the_limit_that_the_hold_pays_for_replaces_those_of_the_client() -> None:
    found = sent({"max_tokens": 900, "max_completion_tokens": 800}, output_limit=50)
    assert (found["max_tokens"], found["max_completion_tokens"]) == (50, 50)


def test_without_a_limit_of_the_clients_the_providers_field_is_added() -> None:
    found = sent({}, output_limit=50, output_limit_field="max_completion_tokens")
    assert found["max_completion_tokens"] == 50
    assert "max_tokens" not in found


def test_the_gateways_own_name_for_the_limit_becomes_the_providers() -> None:
    assert sent({"max_output_tokens": 70})["max_tokens"] == 70
    assert "max_output_tokens" not in sent({"max_output_tokens": 70})
    both = sent({"max_output_tokens": 70, "max_tokens": 60})
    assert both["max_tokens"] == 60
    assert "max_output_tokens" not in both


def test_a_system_field_becomes_the_first_message() -> None:
    found = sent({"system": 'Be "brief".'})
    assert found["messages"] == [
        {"role": "system", "content": 'Be "brief".'},
        {"role": "user", "content": "x"},
    ]
    assert "system" not in found


def test_a_model_name_that_needs_escaping_is_escaped() -> None:
    assert sent({}, model='up"\\1')["model"] == 'up"\\1'
