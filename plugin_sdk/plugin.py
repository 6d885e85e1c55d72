"""The base of every plugin: a name, a config, and whichever hooks it implements."""

from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from plugin_sdk.version import API


class PluginConfig(BaseModel):
    """A plugin's block of gateway.yaml. Unknown keys are errors, values are frozen, secrets are SecretStr."""

    model_config = ConfigDict(extra="forbid", frozen=True)


C = TypeVar("C", bound=PluginConfig)


class Plugin(Generic[C]):
    """Built by the host from its validated config; `name` is its name in the YAML file."""

    Config: ClassVar[type[Any]] = PluginConfig
    requires_api: ClassVar[int] = API

    def __init__(self, name: str, config: C) -> None:
        self.name = name
        self.config = config
