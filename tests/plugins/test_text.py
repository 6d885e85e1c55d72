"""The `text` modality."""

from plugin_sdk.money import ROLL_UP
from plugin_sdk.plugin import PluginConfig
from plugins.modalities.text import Text


def test_it_asks_for_text_at_chat_completions() -> None:
    (modality,) = Text("text", PluginConfig()).register_modalities()
    (operation,) = modality.operations
    (route,) = modality.routes
    assert (operation.name, operation.lifecycle) == ("text.generate", "stream")
    assert operation.needs == {"input_text_tokens", "output_text_tokens"}
    assert (route.method, route.path, route.operation) == ("POST", "/chat/completions", "text.generate")
    assert (route.protocol, route.name) == ("openai.chat", "chat.completions")


def test_its_meters_hold_what_it_needs_and_every_meter_that_one_of_them_rolls_up_to() -> None:
    (operation,) = Text("text", PluginConfig()).register_modalities()[0].operations
    assert operation.needs <= operation.meters
    for meter in operation.meters & set(ROLL_UP):
        assert ROLL_UP[meter] in operation.meters
