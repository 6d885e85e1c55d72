"""The version of the plugin API: compared with `Plugin.requires_api` when a plugin is loaded."""

API = 1
