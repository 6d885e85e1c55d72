"""Any upstream that speaks OpenAI's chat completions, from YAML alone: base_url, api_key, models."""

from pydantic import Field

from plugin_sdk.provider import Provider, ProviderConfig


class OpenAICompatibleConfig(ProviderConfig):
    """The block of one such upstream; `speaks: [protocol id, ...]` names what it speaks besides."""

    base_url: str = Field(min_length=1, description="where it is, as its own SDK would be told")


class OpenAICompatible(Provider[OpenAICompatibleConfig]):
    """Declares nothing but the protocol that all of them share."""

    Config = OpenAICompatibleConfig
    speaks = {"text.generate": "openai.chat"}
