"""The database as commands find it: migrated or refused, and its stores."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from tortoise.context import get_current_context

from gateway_core.cli.group import Refused
from gateway_core.config.model import GatewayBlock
from gateway_core.db import models
from gateway_core.db.connect import is_empty, migrate, pending
from gateway_core.db.stores import Stores, TeamRecord


@asynccontextmanager
async def opened(gateway: GatewayBlock) -> AsyncIterator[Stores]:
    """The stores; an empty database is migrated first, one with data that lacks migrations is Refused."""
    await migrated(gateway)
    stores = await Stores.open(gateway.database)
    try:
        yield stores
    finally:
        await stores.close()


@asynccontextmanager
async def joined(gateway: GatewayBlock) -> AsyncIterator[Stores]:
    """The stores of a serving process: over the application's own connection, if it runs in this process."""
    context = get_current_context()
    if context is None:
        stores = await Stores.open(gateway.database)
    else:
        stores = Stores(gateway.database, AsyncExitStack(), context)
    try:
        yield stores
    finally:
        await stores.close()


async def migrated(gateway: GatewayBlock) -> None:
    """Migrate an empty database; Refused for one that has data and lacks migrations."""
    check_folder(gateway.database_file)
    with answering(gateway):
        missing = await pending(gateway.database)
        if not missing:
            return
        if not await is_empty(gateway.database):
            raise Refused(f"the database has data and lacks {_listed(missing)}; run `gateway migrate`")
        await migrate(gateway.database)


async def is_unused(team_name: str) -> bool:
    """Whether nobody has a key yet, nor a team but for this one; asked within `opened` or `joined`."""
    return not await models.Key.exists() and not await models.Team.exclude(name=team_name).exists()


async def team(stores: Stores, name: str) -> TeamRecord:
    """The team of this name, or Refused."""
    found = await stores.team_by_name(name)
    if found is None:
        raise Refused(f"there is no team called {name!r}; `gateway teams create` makes one")
    return found


@contextmanager
def answering(gateway: GatewayBlock) -> Iterator[None]:
    """Refused, with the database's address and without its password, where it does not answer."""
    try:
        yield
    except OSError as error:
        where = gateway.database.partition("://")[2].rpartition("@")[2].partition("?")[0]
        raise Refused(f"the database {where} does not answer: {error.strerror or error}") from error


def check_folder(file: Path | None) -> None:
    """Refused where a SQLite file could not be made."""
    if file is not None and not file.parent.is_dir():
        raise Refused(f"the folder of the database {file} does not exist; create it")


def _listed(migrations: Sequence[str]) -> str:
    return f"the migration{'s' if len(migrations) > 1 else ''} {', '.join(migrations)}"
