"""Where a database is, by its URL, and the raw store over it."""

from pathlib import Path
from typing import Final

from gateway_core.db.session import Durability, Store

_POSTGRES: Final = ("postgres://", "postgresql://", "asyncpg://")
_SQLITE: Final = "sqlite://"


class DatabaseUrlError(ValueError):
    """The URL is of no kind that the gateway can use."""


def sqlite_path(url: str) -> Path | None:
    """The file of `sqlite://gateway.db` or `sqlite:////var/lib/gateway.db`; None for PostgreSQL."""
    if url.startswith(_POSTGRES):
        return None
    path = url.removeprefix(_SQLITE).partition("?")[0]
    if not url.startswith(_SQLITE) or not path or path == ":memory:":
        raise DatabaseUrlError(
            "gateway.database: write sqlite://<file> or postgresql://<user>:<password>@<host>:<port>/<database>"
        )
    return Path(path[1:] if path.startswith("//") else path)


def postgres_url(url: str) -> str:
    """The URL as asyncpg wants it."""
    return "postgresql://" + url.partition("://")[2]


def open_store(url: str, durability: Durability, *, patience: float | None = 5.0) -> Store:
    """The raw store of this database; it connects at its first use.

    `patience` is what one statement may take on a server, in seconds; None: as long as it needs.
    """
    path = sqlite_path(url)
    if path is None:
        from gateway_core.db.postgres import PostgresStore  # no driver is loaded that is not used

        return PostgresStore(postgres_url(url), durability, patience)
    from gateway_core.db.sqlite import SqliteStore

    return SqliteStore(path, durability)
