"""Text: generating it, and the routes that ask for it."""

from collections.abc import Sequence

from plugin_sdk.hooks import hookimpl
from plugin_sdk.modality import Modality, Operation, Route
from plugin_sdk.plugin import Plugin, PluginConfig

GENERATE = Operation(
    name="text.generate",
    lifecycle="stream",
    needs=frozenset({"input_text_tokens", "output_text_tokens"}),
    meters=frozenset(
        {
            "input_text_tokens",
            "input_image_tokens",
            "input_audio_tokens",
            "input_video_tokens",
            "cached_read_text_tokens",
            "cached_read_image_tokens",
            "cached_read_audio_tokens",
            "cached_read_video_tokens",
            "cached_write_text_tokens",
            "cached_write_text_tokens_5m",
            "cached_write_text_tokens_1h",
            "output_text_tokens",
            "output_reasoning_tokens",
            "output_image_tokens",
            "output_audio_tokens",
            "output_image",
            "native_web_search_requests",
            "requests",
            "total_tokens",
        }
    ),
)
CHAT = Route(
    method="POST",
    path="/chat/completions",
    operation=GENERATE.name,
    protocol="openai.chat",
    name="chat.completions",
)


class Text(Plugin[PluginConfig]):
    """One operation, one client route; further text protocols bring their routes along with them."""

    @hookimpl
    def register_modalities(self) -> Sequence[Modality]:
        """Text."""
        return [Modality(name="text", operations=(GENERATE,), routes=(CHAT,))]
