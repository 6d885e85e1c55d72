"""A provider: where it is, what it speaks, how a request is signed, what its failures mean."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal, Self, TypeVar

import httpx
import msgspec
from pydantic import Field, SecretStr

from plugin_sdk.catalogue import ModelEntry
from plugin_sdk.errors import UpstreamError
from plugin_sdk.fidelity import Report
from plugin_sdk.plugin import Plugin, PluginConfig
from plugin_sdk.protocol import UpstreamRequest
from plugin_sdk.quirks import NONE as NO_QUIRKS
from plugin_sdk.quirks import Quirks
from plugin_sdk.upstream_errors import classify

SHORTEST_SECRET: Final = 6  # characters; `none` and its like are words, not keys


class Deadlines(PluginConfig):
    """Seconds; 0 means none. `first_event` ends at the first data, comments aside; `total` is for all."""

    connect: float = Field(default=10.0, ge=0, description="seconds until a connection stands; 0 is no limit")
    first_event: float = Field(
        default=300.0,
        ge=0,
        description="seconds to the first event of a stream, or to the end of a whole answer",
    )
    between_events: float = Field(default=60.0, ge=0, description="seconds between two events")
    total: float = Field(default=1800.0, ge=0, description="seconds for all of it")


class ProviderConfig(PluginConfig):
    """What every provider's block takes. `base_url` is what the provider's own SDK calls so."""

    base_url: str | None = Field(default=None, description="where it is, instead of where the plugin says")
    api_key: SecretStr | None = Field(default=None, description="its key; `none` where it wants none")
    models: tuple[ModelEntry, ...] = Field(
        default=(), description="models beside those that it comes with, or instead of one of the same id"
    )
    without: tuple[str, ...] = Field(
        default=(),
        description="models that it comes with and that are not offered, each a pattern as `acme/*`",
    )
    speaks: tuple[str, ...] = Field(
        default=(),
        description="protocol ids; each replaces what the plugin speaks for the operation of that protocol",
    )
    deadlines: Deadlines = Deadlines()
    on_disconnect: Literal["drain", "abort"] = Field(
        default="drain", description="whether an answer is read on for its usage after its client has left"
    )
    drain_seconds: float = Field(default=60.0, ge=0, description="for how many seconds at most")
    unpriced: Literal["refuse", "allow"] = Field(
        default="refuse", description="what becomes of a model without the prices that its operation needs"
    )
    charge_partial: bool = Field(
        default=False, description="charge for what came of a stream that the provider cut off"
    )
    verify_tls: bool = Field(default=True, description="check the certificate of an https address")


C = TypeVar("C", bound=ProviderConfig)


class Provider(Plugin[C]):
    """Declares; the core does the rest. Override a method where the provider differs.

    For each attempt, in this order: `adapt`, `refresh`, `sign`; after an answer that is no 2xx: `classify`.
    """

    Config: ClassVar[type[Any]] = ProviderConfig
    base_url: ClassVar[str | None] = None
    # Operation -> protocol id, or several: a client of one of them is passed through, others get the first.
    speaks: ClassVar[Mapping[str, str | tuple[str, ...]]] = {}
    simulated: ClassVar[bool] = False  # costs nothing real: simulated credit and test keys may use it
    output_limit_field: ClassVar[str] = "max_tokens"
    quirks: ClassVar[Quirks] = NO_QUIRKS
    catalogue: ClassVar[str] = "models.yaml"  # beside the plugin's own module; absent is fine

    def adapt(self, request: UpstreamRequest, report: Report) -> UpstreamRequest:
        """The request as this provider wants it: by its `quirks`. `report` takes what is lost by it."""
        if self.quirks is NO_QUIRKS:
            return request
        body = self.quirks.apply(request.body, report)
        return request if body is request.body else msgspec.structs.replace(request, body=body)

    async def refresh(self) -> None:
        """Renew what `sign` needs and what runs out, such as an OAuth token; nothing to do by default."""

    def sign(self, request: UpstreamRequest) -> UpstreamRequest:
        """The request with this provider's credential: a Bearer token, or nothing for `api_key: none`."""
        key = self.config.api_key
        secret = "none" if key is None else key.get_secret_value()
        if secret in ("", "none"):
            return request
        headers = {**request.headers, "authorization": f"Bearer {secret}"}
        return msgspec.structs.replace(request, headers=headers)

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """What a failed answer means; the default reads every shape of error object seen in the wild."""
        key = self.config.api_key
        if key is not None and len(secret := key.get_secret_value().encode()) >= SHORTEST_SECRET:
            body = body.replace(secret, b"[redacted]")  # whatever it looks like
        return classify(status, headers, body, provider=self.name)

    def keyed(self, key: SecretStr) -> Self:
        """The same provider with another key: for one attempt, that of the team that brings its own."""
        return type(self)(self.name, self.config.model_copy(update={"api_key": key}))

    def transport(self) -> httpx.AsyncBaseTransport | None:
        """An upstream of the provider's own (embedded, or a test's); None: HTTP."""
        return None
