"""`check_provider`: the rules that every provider keeps, as assertions."""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec
import yaml
from pydantic import SecretStr

from plugin_sdk.catalogue import Catalogue, ModelEntry
from plugin_sdk.errors import UpstreamError
from plugin_sdk.modality import Operation
from plugin_sdk.money import PriceCard, charge
from plugin_sdk.protocol import UpstreamRequest
from plugin_sdk.provider import Provider, ProviderConfig
from plugin_sdk.testing.rules import rule

KEY: Final = "sk-conformance-0123456789abcdef"
_SHAPES: Final[tuple[Any, ...]] = (
    {"error": {"message": "words {key}", "type": "t", "code": "{key}", "param": "{key}"}},
    {"error": "words {key}"},
    {"message": "words {key}"},
    {"detail": [{"msg": "words {key}"}]},
    [{"error": {"message": "words {key}", "status": "S"}}],
    "words {key}",
    {},
)
_SHOWN: Final = frozenset({400, 404, 409, 413, 422, 429, 502, 504})


def check_provider(
    provider_class: type[Provider[Any]],
    config: Mapping[str, Any] | None = None,
    *,
    operations: Sequence[Operation] = (),
) -> None:
    """Raise ConformanceError at the first rule that the provider breaks.

    `config` is its block of gateway.yaml; a key of the kit's own is put in where it has none. With
    `operations`, a model must have a price for each meter that the operations it is offered for need.
    """
    block = {"api_key": KEY, **(config or {})}
    settings = provider_class.Config.model_validate(block)
    rule(isinstance(settings, ProviderConfig), f"{provider_class.__name__}.Config must extend ProviderConfig")
    provider = provider_class("conformance", settings)
    key = settings.api_key.get_secret_value() if settings.api_key else KEY
    _check_declaration(provider)
    _check_secrecy(provider, key)
    if provider.transport() is None:
        _check_signing(provider, key)
    _check_classification(provider, key)
    _check_models(provider, models_of(provider_class) + settings.models, operations)


def models_of(provider_class: type[Provider[Any]]) -> tuple[ModelEntry, ...]:
    """The models of the catalogue beside the provider's own module; none where there is no such file."""
    file = Path(inspect.getfile(provider_class)).parent / provider_class.catalogue
    return Catalogue.model_validate(yaml.safe_load(file.read_text("utf-8"))).models if file.is_file() else ()


def _check_declaration(provider: Provider[Any]) -> None:
    rule(provider.speaks, "`speaks` is empty: say which protocol serves which operation")
    for operation, protocol in provider.speaks.items():
        rule(operation and protocol, f"`speaks` has an empty name: {operation!r}: {protocol!r}")
    transport = provider.transport()
    rule(
        transport is None or isinstance(transport, httpx.AsyncBaseTransport),
        "`transport()` must give None or an httpx.AsyncBaseTransport",
    )
    url = provider.config.base_url or provider.base_url or ""
    parts = urlsplit(url)
    rule(
        parts.scheme in ("http", "https") and parts.netloc,
        f"`base_url` is not an absolute http(s) URL: {url!r}",
    )
    rule(not parts.query and not parts.fragment, f"`base_url` has a query or a fragment: {url!r}")


def _check_secrecy(provider: Provider[Any], key: str) -> None:
    for shown in (
        repr(provider),
        repr(provider.config),
        str(provider.config),
        provider.config.model_dump_json(),
    ):
        rule(
            key not in shown, "the API key is shown by repr, str or model_dump_json: declare it as SecretStr"
        )


def _check_signing(provider: Provider[Any], key: str) -> None:
    unsigned = UpstreamRequest(
        method="POST",
        url=f"{provider.config.base_url or provider.base_url}/x",
        headers={"content-type": "application/json"},
        body=b'{"model":"m"}',
    )
    before = msgspec.structs.astuple(unsigned), dict(unsigned.headers)
    signed = provider.sign(unsigned)
    rule(isinstance(signed, UpstreamRequest), "`sign` must return an UpstreamRequest")
    rule(
        (msgspec.structs.astuple(unsigned), dict(unsigned.headers)) == before,
        "`sign` changed the request that it was given",
    )
    rule(
        all(name == name.lower() for name in signed.headers),
        "`sign` set a header whose name is not lower case",
    )
    rule(
        urlsplit(signed.url).netloc == urlsplit(unsigned.url).netloc,
        "`sign` sends the request, and the credential with it, to another host",
    )
    rule(key in ("", "none") or signed != unsigned, "`sign` added no credential")
    keyed = provider.keyed(SecretStr("a-key-that-a-team-brings")).sign(unsigned)
    rule(keyed not in (unsigned, signed), "`keyed` does not sign with the key that it is given")
    sent = f"{keyed.url} {dict(keyed.headers)} {keyed.body!r}"
    rule(key in ("", "none") or key not in sent, "`keyed` sends our own key in the place of a team's")


def _check_classification(provider: Provider[Any], key: str) -> None:
    bodies = [msgspec.json.encode(shape).replace(b"{key}", key.encode()) for shape in _SHAPES]
    for status in (*range(300, 309), *range(400, 600)):
        for body in (*bodies, b"", b"<html>", b"\xff", b"[" * 10_000):
            error = provider.classify(status, {"retry-after": "1"}, body)
            said = f"a {status} with the body {body[:60]!r}"
            rule(isinstance(error, UpstreamError), f"`classify` must return an UpstreamError for {said}")
            rule(error.message, f"`classify` gives no message for {said}")
            rule(error.provider == provider.name, f"`classify` does not name the provider for {said}")
            rule(error.upstream_status == status, f"`classify` loses the status of {said}")
            rule(error.status in _SHOWN, f"`classify` shows the client a {error.status} for {said}")
            shown = (
                f"{error.message} {error.upstream_code} {error.param} {error.reason} {error.extra} {error!r}"
            )
            rule(key not in shown, f"`classify` shows the client our API key for {said}")
        if status in (401, 403):
            rule(
                error.status >= 500, f"a {status} of the provider is our credential's fault, not the client's"
            )
        if status == 429 or status >= 500:
            rule(error.retryable, f"another endpoint may be tried after a {status}")


def _check_models(
    provider: Provider[Any], models: Sequence[ModelEntry], operations: Sequence[Operation]
) -> None:
    by_name = {operation.name: operation for operation in operations}
    refused = provider.config.unpriced != "allow"
    for model in models:
        card = PriceCard(id="conformance", prices=model.prices, free=model.free)
        rule(
            card.free or card.prices or not refused,
            f"{model.id} has no price: say `price: free` if it costs nothing",
        )
        for name in model.operations or tuple(provider.speaks):
            rule(
                name in provider.speaks,
                f"{model.id} is offered for {name}, which the provider does not speak",
            )
            if (operation := by_name.get(name)) and card.prices:
                _check_price(model.id, card, operation)


def _check_price(model: str, card: PriceCard, operation: Operation) -> None:
    unknown = {price.meter for price in card.prices} - operation.meters
    rule(not unknown, f"{model} has a price for {sorted(unknown)}, which {operation.name} does not meter")
    missing = charge(dict.fromkeys(sorted(operation.needs), 1), card).unpriced
    rule(not missing, f"{model} has no price for {', '.join(missing)}, which {operation.name} needs")
