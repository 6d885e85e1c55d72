"""The plugin SDK: the only import of a plugin."""

from plugin_sdk.version import API

__all__ = ["API"]
