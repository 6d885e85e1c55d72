"""Acme: an upstream that speaks a protocol which the gateway knows already."""

from collections.abc import Mapping

import msgspec
from typing_extensions import override

from plugin_sdk.errors import UpstreamError, UpstreamRateLimited
from plugin_sdk.protocol import UpstreamRequest
from plugin_sdk.provider import Provider, ProviderConfig


class AcmeConfig(ProviderConfig):
    """The `acme:` block of gateway.yaml: what every provider takes, and the region to be billed in."""

    region: str = "eu"


class Acme(Provider[AcmeConfig]):
    """Declares where it is and what it speaks; the gateway does the rest."""

    Config = AcmeConfig
    base_url = "https://api.acme.example/v1"
    speaks = {"text.generate": "openai.chat"}

    @override
    def sign(self, request: UpstreamRequest) -> UpstreamRequest:
        """A bearer token, and the region that Acme bills in."""
        signed = super().sign(request)
        return msgspec.structs.replace(signed, headers={**signed.headers, "acme-region": self.config.region})

    @override
    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """Acme says 498 when it is out of capacity: another endpoint may have room."""
        if status == 498:
            return UpstreamRateLimited("Acme has no capacity.", upstream_status=status, provider=self.name)
        return super().classify(status, headers, body)
