"""What a configuration file says, checked: the `gateway:` block and the list of plugins."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gateway_core.config.pepper import pepper
from gateway_core.config.problems import Place
from gateway_core.config.tree import Tree

SQLITE = "sqlite://"
POSTGRES = ("postgres://", "postgresql://")
MEBIBYTE = 1 << 20
_LISTEN = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<host>[A-Za-z0-9_.-]+)):(?P<port>[0-9]{1,5})")


class GatewayBlock(BaseModel):
    """The gateway's own options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: str = Field(default="127.0.0.1:8080", description="host:port to listen on; `[::1]:8080` for IPv6")
    database: str = Field(
        default="sqlite://gateway.db", description="`sqlite://FILE` or `postgres://user:password@host/name`"
    )
    durability: Literal["full", "normal"] = Field(
        default="full", description="what a commit survives: power loss, or the death of the process only"
    )
    workers: int = Field(default=1, ge=1, le=256, description="worker processes")
    watch: bool = Field(default=False, description="reload whenever the file changes")
    body_limit: int = Field(
        default=16 * MEBIBYTE, ge=1024, description="bytes of a request's body; a longer one is a 413"
    )
    pepper_env: str = Field(
        default="KEY_PEPPER",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="the environment variable that holds the secret with which API keys are hashed",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least severe event that is logged"
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="a line for people, or for machines"
    )

    @field_validator("listen")
    @classmethod
    def _listen(cls, value: str) -> str:
        split_listen(value)
        return value

    @field_validator("database")
    @classmethod
    def _database(cls, value: str) -> str:
        if value.startswith(POSTGRES):
            return value
        if not value.startswith(SQLITE):
            raise ValueError("write `sqlite://FILE` or `postgres://user:password@host/name`")
        if value.removeprefix(SQLITE).partition("?")[0] in ("", ":memory:", "/"):
            raise ValueError("name a file, as `sqlite://gateway.db`; processes share no memory")
        return value

    @property
    def address(self) -> tuple[str, int]:
        """(host, port) of `listen`."""
        return split_listen(self.listen)

    @property
    def database_file(self) -> Path | None:
        """The file of a SQLite database; None on a server."""
        if not self.database.startswith(SQLITE):
            return None
        path = self.database.removeprefix(SQLITE).partition("?")[0]
        return Path(path[1:] if path.startswith("//") else path)


class PluginBlock(BaseModel):
    """One plugin to switch on: its name in the file, which plugin it is, its options as they were written."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    name: str
    plugin: str
    options: Tree

    @property
    def place(self) -> Place:
        """Where its name stands."""
        return self.options.place

    def values(self) -> dict[str, Any]:
        """The options as plain values."""
        plain: dict[str, Any] = self.options.plain()
        return plain


class GatewayConfig(BaseModel):
    """A whole configuration; the plugins' own options are checked when they are loaded."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    gateway: GatewayBlock
    plugins: tuple[PluginBlock, ...]
    path: Path | None = None  # None: not from a file
    environ: Mapping[str, str] = Field(default_factory=dict, repr=False)

    def pepper(self) -> bytes:
        """The secret with which API keys are hashed; ConfigError where there is none and none may be made."""
        return pepper(self.environ, self.gateway.pepper_env, self.gateway.database_file)


def split_listen(value: str) -> tuple[str, int]:
    """(host, port) of `host:port` or `[v6]:port`; ValueError says what is wrong."""
    found = _LISTEN.fullmatch(value)
    if found is None or int(found["port"]) > 65_535:
        raise ValueError("write it as host:port, for example 127.0.0.1:8080 or [::1]:8080")
    return found["v6"] or found["host"], int(found["port"])


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a listener on that host."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
