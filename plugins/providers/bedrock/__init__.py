"""Amazon Bedrock: the models of many vendors behind one API, with a key of Bedrock's or signed requests."""

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field, SecretStr, model_validator
from typing_extensions import override

from plugin_sdk.errors import UpstreamError
from plugin_sdk.protocol import UpstreamRequest
from plugin_sdk.provider import SHORTEST_SECRET, Provider, ProviderConfig
from plugins.providers.bedrock.signing import Signer

# The service's words for failures whose status says something else to us.
_STATUSES: Final[Mapping[str, int]] = {
    "ExpiredTokenException": 403,
    "IncompleteSignature": 403,
    "IncompleteSignatureException": 403,
    "InvalidSignatureException": 403,
    "MissingAuthenticationToken": 403,
    "MissingAuthenticationTokenException": 403,
    "ModelNotReadyException": 429,
    "ServiceQuotaExceededException": 429,  # our account's, whose place another endpoint can take
    "ThrottlingException": 429,
    "UnrecognizedClientException": 403,
}
_TOLD: Final = re.compile(rb'"__type"\s*:\s*"([^"\\]{1,200})"')
_ACCOUNTS: Final = re.compile(r"(?<!\d)\d{12}(?!\d)")  # the number of an account, in an ARN or alone


class BedrockConfig(ProviderConfig):
    """The `bedrock:` block: an `api_key`, or an access key with which requests are signed."""

    region: str = Field(
        default="us-east-1", pattern=r"^[a-z0-9-]{1,40}$", description="the region that is asked"
    )
    access_key_id: SecretStr | None = Field(
        default=None, description="to sign requests with, where there is no `api_key`"
    )
    secret_access_key: SecretStr | None = Field(default=None, description="its secret")
    session_token: SecretStr | None = Field(default=None, description="that of temporary credentials")

    @model_validator(mode="before")
    @classmethod
    def _where_the_region_is(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or given.get("base_url") is not None:
            return given
        region = given.get("region", cls.model_fields["region"].default)
        return {**given, "base_url": f"https://bedrock-runtime.{region}.amazonaws.com"}

    @model_validator(mode="after")
    def _one_credential(self) -> "BedrockConfig":
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("give access_key_id and secret_access_key together")
        if self.access_key_id is None and self.session_token is not None:
            raise ValueError("a session_token needs access_key_id and secret_access_key")
        if self.access_key_id is not None and self.api_key is not None:
            raise ValueError("give api_key, or access_key_id and secret_access_key, not both")
        return self


class Bedrock(Provider[BedrockConfig]):
    """Speaks Converse; a model is asked by its id, by an inference profile or by an ARN (`upstream:`)."""

    Config = BedrockConfig
    speaks = {"text.generate": "bedrock.converse"}

    def __init__(self, name: str, config: BedrockConfig) -> None:
        super().__init__(name, config)
        self._signer: Signer | None = None
        if config.access_key_id is not None and config.secret_access_key is not None:
            self._signer = Signer(
                config.access_key_id, config.secret_access_key, config.session_token, config.region
            )

    @override
    def keyed(self, key: SecretStr) -> "Bedrock":
        """With an API key of Bedrock's in the place of whatever the block has."""
        none = dict.fromkeys(("access_key_id", "secret_access_key", "session_token"))
        return Bedrock(self.name, self.config.model_copy(update={**none, "api_key": key}))

    @override
    def sign(self, request: UpstreamRequest) -> UpstreamRequest:
        """With the API key, or with a signature over the request as it is sent."""
        return super().sign(request) if self._signer is None else self._signer.sign(request)

    @override
    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """By the service's own word, which stands in a header; numbers of accounts are nobody's business."""
        word = _word(headers, body)
        error = super().classify(_STATUSES.get(word, status), headers, self._hidden(body))
        error.message = _ACCOUNTS.sub("[redacted]", error.message)
        error.args = (error.message,)
        error.upstream_status = status
        error.upstream_code = word or error.upstream_code
        return error

    def _hidden(self, body: bytes) -> bytes:
        """The body without the credentials, whatever they look like."""
        config = self.config
        for secret in (config.access_key_id, config.secret_access_key, config.session_token):
            text = b"" if secret is None else secret.get_secret_value().encode()
            if len(text) >= SHORTEST_SECRET:
                body = body.replace(text, b"[redacted]")
        return body


def _word(headers: Mapping[str, str], body: bytes) -> str:
    """`ValidationException`, out of `ValidationException:http://...` or `com.amazon#ValidationException`."""
    told = _TOLD.search(body[:65_536])
    word = headers.get("x-amzn-errortype") or (told[1].decode("ascii", "replace") if told else "")
    plain = word.partition(":")[0].rpartition("#")[2].strip()
    return plain if plain.isidentifier() and plain.isascii() and len(plain) <= 100 else ""
