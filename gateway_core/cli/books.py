"""`gateway migrate` and `gateway ledger verify`."""

import asyncio

import click

from gateway_core.cli.group import Options, Refused


@click.group()
def ledger() -> None:
    """The ledger: every charge, provable."""


@click.command()
@click.pass_obj
def migrate(options: Options) -> None:
    """Bring the database's tables up to date; an empty one gets them all."""
    asyncio.run(_migrate(options))


@ledger.command()
@click.pass_obj
def verify(options: Options) -> None:
    """Recompute the books: transactions sum to zero, wallets equal their entries, settlements exist once.

    It only reads. The status is 1 if anything is wrong.
    """
    if not asyncio.run(_verify(options)):
        raise click.exceptions.Exit(1)


async def _migrate(options: Options) -> None:
    from gateway_core.cli.database import answering, check_folder
    from gateway_core.config.load import load
    from gateway_core.db.connect import migrate as apply

    gateway = load(options.config).gateway
    check_folder(gateway.database_file)
    with answering(gateway):
        applied = list(await apply(gateway.database))
    options.say({"applied": applied}, "\n".join(f"applied {name}" for name in applied) or "nothing to do")


async def _verify(options: Options) -> bool:
    from gateway_core.cli.database import opened
    from gateway_core.config.load import load

    gateway = load(options.config).gateway
    if gateway.database_file is not None and not gateway.database_file.exists():
        raise Refused(f"there is no database {gateway.database_file}")
    async with opened(gateway) as stores:
        found = await stores.verify()
    wrong = list(found)
    text = "\n".join(map(str, wrong)) or "the books are right"
    options.say({"ok": not wrong, "problems": [str(each) for each in wrong]}, text)
    return not wrong
