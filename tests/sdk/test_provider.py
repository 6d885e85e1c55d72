"""The base of every provider: signing, classification, and a key that is not shown."""

import msgspec
import pytest
from pydantic import ValidationError

from plugin_sdk.errors import UpstreamRejected
from plugin_sdk.protocol import UpstreamRequest
from plugin_sdk.provider import Provider, ProviderConfig

REQUEST = UpstreamRequest(method="POST", url="https://a.example/v1/x", headers={"a": "b"}, body=b"{}")


def provider(**config: object) -> Provider[ProviderConfig]:
    return Provider("acme", ProviderConfig.model_validate(config))


def test_a_key_becomes_a_bearer_token_and_the_request_that_was_given_stays_as_it_was() -> None:
    before = msgspec.structs.replace(REQUEST, headers=dict(REQUEST.headers))
    signed = provider(api_key="secret").sign(REQUEST)
    assert signed == msgspec.structs.replace(REQUEST, headers={"a": "b", "authorization": "Bearer secret"})
    assert before == REQUEST


@pytest.mark.parametrize("config", [{}, {"api_key": "none"}, {"api_key": ""}])
def test_without_a_key_nothing_is_added(config: dict[str, str]) -> None:
    assert provider(**config).sign(REQUEST) == REQUEST


def test_a_key_is_not_shown() -> None:
    made = provider(api_key="secret-key-1")
    for shown in (repr(made), repr(made.config), str(made.config), made.config.model_dump_json()):
        assert "secret-key-1" not in shown


def test_a_failure_names_the_provider_as_the_operator_calls_it() -> None:
    error = provider().classify(400, {}, b'{"error":{"message":"no"}}')
    assert isinstance(error, UpstreamRejected)
    assert (error.message, error.provider) == ("no", "acme")


def test_it_reaches_its_upstream_over_http_unless_it_says_otherwise() -> None:
    assert provider().transport() is None


@pytest.mark.parametrize(
    "config",
    [
        {"api_kee": "x"},
        {"deadlines": {"connect": -1}},
        {"deadlines": {"connects": 1}},
        {"on_disconnect": "ignore"},
        {"unpriced": "free"},
        {"models": [{"name": "without an id"}]},
    ],
)
def test_a_block_with_a_mistake_in_it_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ProviderConfig.model_validate(config)


def test_a_block_cannot_be_changed_once_it_is_read() -> None:
    with pytest.raises(ValidationError):
        ProviderConfig().base_url = "https://evil.example"  # type: ignore[misc]
