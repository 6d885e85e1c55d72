"""OpenAI itself."""

from plugin_sdk.provider import Provider, ProviderConfig


class OpenAI(Provider[ProviderConfig]):
    """Declares where it is; its models and prices are in models.yaml."""

    base_url = "https://api.openai.com/v1"
    speaks = {"text.generate": "openai.chat"}
    output_limit_field = "max_completion_tokens"  # `max_tokens` is refused by its reasoning models
