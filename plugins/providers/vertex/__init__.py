"""Vertex AI: the Gemini models in a project of Google Cloud, with a service account or an access token."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from pydantic import Field, SecretStr, model_validator
from typing_extensions import override

from plugin_sdk.errors import UpstreamError
from plugin_sdk.fidelity import Report
from plugin_sdk.protocol import UpstreamRequest
from plugin_sdk.provider import SHORTEST_SECRET, Provider, ProviderConfig
from plugin_sdk.quirks import Quirks
from plugins.providers.vertex.account import ServiceAccount, described

GLOBAL: Final = "global"
_PARTS: Final = ("us", "eu")  # locations that are several regions
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


class VertexConfig(ProviderConfig):
    """The `vertex:` block: a project, and either a service account or an access token."""

    api_key: SecretStr | None = Field(
        default=None, description="an OAuth access token, in the place of `service_account`"
    )
    service_account: SecretStr | None = Field(
        default=None, description="the JSON key of a service account, or the path of its file"
    )
    project: str = Field(
        min_length=1, pattern=r"^[a-z0-9.:-]{1,63}$",
        description="the project that is billed; by default the service account's own",
    )  # fmt: skip
    location: str = Field(default=GLOBAL, pattern=r"^[a-z0-9-]{1,40}$", description="where the models run")

    @model_validator(mode="before")
    @classmethod
    def _where_it_is(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        found = dict(given)
        if found.get("service_account") is not None and found.get("api_key") is not None:
            raise ValueError("give service_account or api_key, not both")
        if found.get("service_account") is not None:
            account = described(found["service_account"])
            found["service_account"] = SecretStr(_encode(account).decode())
            if "project_id" in account:
                found.setdefault("project", account["project_id"])
        location = found.get("location", GLOBAL)
        if found.get("base_url") is None and isinstance(location, str):
            found["base_url"] = _host(location)
        return found


class Vertex(Provider[VertexConfig]):
    """Speaks the same protocol as AI Studio; the project and the location stand in the URL."""

    Config = VertexConfig
    speaks = {"text.generate": "google.generate_content"}
    output_limit_field = "maxOutputTokens"
    quirks = Quirks(drops=frozenset({"serviceTier"}))

    def __init__(self, name: str, config: VertexConfig) -> None:
        super().__init__(name, config)
        self._account: ServiceAccount | None = None
        if config.service_account is not None:
            key = _decode(config.service_account.get_secret_value())
            self._account = ServiceAccount(key, name, verify_tls=config.verify_tls)

    @override
    def keyed(self, key: SecretStr) -> "Vertex":
        """With a token in the place of the service account."""
        return Vertex(self.name, self.config.model_copy(update={"service_account": None, "api_key": key}))

    @override
    def adapt(self, request: UpstreamRequest, report: Report) -> UpstreamRequest:
        """At the project's address; calls have no ids here, their order says which is which."""
        request = super().adapt(request, report)
        base, version, path = request.url.partition("/v1beta/")
        if not version:
            return request  # another protocol's
        if path.startswith("models/"):
            path = f"publishers/google/{path}"
        place = f"projects/{self.config.project}/locations/{self.config.location}"
        return msgspec.structs.replace(
            request, url=f"{base}/v1/{place}/{path}", body=_without_ids(request.body)
        )

    @override
    async def refresh(self) -> None:
        """A token of the service account's, where the last one is about to run out."""
        if self._account is not None:
            await self._account.refresh()

    @override
    def sign(self, request: UpstreamRequest) -> UpstreamRequest:
        """With the account's token, or the one that was given."""
        token = None if self._account is None else self._account.token
        if token is None:
            return super().sign(request)
        headers = {**request.headers, "authorization": f"Bearer {token}"}
        return msgspec.structs.replace(request, headers=headers)

    @override
    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """Without our project's name, wherever it stands."""
        for secret in (self.config.project, None if self._account is None else self._account.token):
            if secret is not None and len(secret) >= SHORTEST_SECRET:
                body = body.replace(secret.encode(), b"[redacted]")
        return super().classify(status, headers, body)


def _host(location: str) -> str:
    if location == GLOBAL:
        return "https://aiplatform.googleapis.com"
    if location in _PARTS:
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


def _without_ids(body: bytes) -> bytes:
    """The body without the ids of functions' calls and results."""
    if b'"id"' not in body:
        return body
    fields = _decode(body)
    for content in fields["contents"]:
        for part in content["parts"]:
            for name in ("functionCall", "functionResponse"):
                part.get(name, {}).pop("id", None)
    return _encode(fields)
