"""`gateway ledger export`, `refund`, `adjust` and `margin`: what an accountant needs of the books."""

import asyncio
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click
import msgspec

from gateway_core.cli.books import ledger
from gateway_core.cli.group import Options, Refused
from gateway_core.cli.values import Moment, SignedUsd, usd
from plugin_sdk.money import Nanos

_since = click.option("--since", type=Moment(), metavar="ISO", help="From this moment on; UTC if no zone.")
_until = click.option("--until", type=Moment(), metavar="ISO", help="Before this moment.")
_reason = click.option("--reason", required=True, metavar="TEXT", help="Why, for the record.")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # how a text begins that a spreadsheet would run
_MONEY: Final = ("paid", "revenue", "cost_of_sales", "loss", "margin")


@ledger.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "jsonl"]),
    default="csv",
    show_default=True,
    help="A table, or a JSON object a line.",
)
@click.option("--team", metavar="NAME", help="One team's entries only.")
@_since
@_until
@click.pass_obj
def export(options: Options, form: str, team: str | None, since: int | None, until: int | None) -> None:
    """Write every ledger entry to the standard output, a row each, in the order they were booked."""
    asyncio.run(_export(options, form, team, since, until))


@ledger.command()
@click.option("--generation", required=True, metavar="ID", help="Whose charge is given back.")
@click.option("--nanos", type=click.IntRange(min=1), help="How much; else the whole of what is left.")
@click.option("--whole", is_flag=True, help="The whole of what is left; so it is without --nanos.")
@_reason
@click.option("--reference", metavar="TEXT", help="Booked once only; by default `refund:` and the id.")
@click.pass_obj
def refund(  # an option each
    options: Options,
    generation: str,
    nanos: int | None,
    whole: bool,  # noqa: FBT001  # click's way
    reason: str,
    reference: str | None,
) -> None:
    """Give a charge back, or a part of it; never more than is left of it.

    A second refund of one generation needs a reference of its own.
    """
    if whole and nanos is not None:
        raise click.UsageError("give --nanos or --whole, not both")
    asyncio.run(_refund(options, generation, nanos, reason, reference))


@ledger.command()
@click.option("--team", required=True, metavar="NAME", help="The team.")
@click.option("--usd", "nanos", type=SignedUsd(), required=True, help="How much, as 5 or -0.25.")
@_reason
@click.option("--reference", metavar="TEXT", help="Booked once only; without one, every call books anew.")
@click.option("--test", is_flag=True, help="The team's simulated credit.")
@click.pass_obj
def adjust(  # an option each
    options: Options,
    team: str,
    nanos: Nanos,
    reason: str,
    reference: str | None,
    test: bool,  # noqa: FBT001  # click's way
) -> None:
    """Add credit to a wallet, or take it, never more than is available, with a reason on record."""
    asyncio.run(_adjust(options, team, nanos, reason, reference, "test" if test else "live"))


@ledger.command()
@click.option(
    "--by",
    type=click.Choice(["model", "provider", "team"]),
    default="model",
    show_default=True,
    help="A row for each.",
)
@_since
@_until
@click.pass_obj
def margin(options: Options, by: Any, since: int | None, until: int | None) -> None:
    """What is left of the revenue: less the cost of sales, less losses. Simulated credit does not count."""
    asyncio.run(_margin(options, by, since, until))


async def _export(
    options: Options, form: str, team_name: str | None, since: int | None, until: int | None
) -> None:
    from gateway_core.cli.database import opened, team
    from gateway_core.db.export import COLUMNS, Wanted, export

    gateway = _gateway(options)
    async with opened(gateway) as stores:
        owner = None if team_name is None else (await team(stores, team_name)).id
    wanted = Wanted(team_id=owner, since=since, until=until)
    out = sys.stdout
    table = csv.DictWriter(out, COLUMNS, lineterminator="\n")

    def write(rows: Sequence[dict[str, Any]]) -> None:
        if form == "csv":
            table.writerows([_cells(row) for row in rows])
        else:
            out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)

    if form == "csv":
        table.writeheader()
    await export(gateway.database, wanted, write)
    out.flush()


def _cells(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with every text harmless to a spreadsheet: names and reasons are other people's words."""
    return {
        name: "'" + value
        if isinstance(value, str) and value.startswith(_FORMULA) and name != "amount_usd"
        else value
        for name, value in row.items()
    }


async def _refund(
    options: Options, generation: str, nanos: int | None, reason: str, reference: str | None
) -> None:
    from gateway_core.cli.database import opened
    from plugin_sdk.errors import GatewayError

    async with opened(_gateway(options)) as stores:
        try:
            made = await stores.books.refund(
                None, generation, nanos=nanos, reason=reason, reference=reference
            )
        except GatewayError as error:
            raise Refused(error.message) from error
    _say(options, made, f"refunded {usd(made['amount_nanos'])} of {generation}")


async def _adjust(  # an option each
    options: Options, team_name: str, nanos: int, reason: str, reference: str | None, kind: str
) -> None:
    from gateway_core.cli.database import opened, team
    from plugin_sdk.errors import GatewayError

    async with opened(_gateway(options)) as stores:
        owner = await team(stores, team_name)
        try:
            made = await stores.books.adjust(
                owner.id, nanos=nanos, reason=reason, reference=reference, kind=kind
            )
        except GatewayError as error:
            raise Refused(error.message) from error
    _say(options, made, f"adjusted the wallet of {owner.name} by {usd(made['amount_nanos'])}")


def _say(options: Options, made: Mapping[str, Any], what: str) -> None:
    again = "" if made["booked"] else " before; nothing was booked now"
    text = f"{what}{again}; the balance is {usd(made['balance_nanos'])} ({made['transaction']})"
    options.say(made, text)


async def _margin(options: Options, by: Any, since: int | None, until: int | None) -> None:
    from gateway_core.cli.database import migrated
    from gateway_core.db.margin import END_OF_TIME, margins

    gateway = _gateway(options)
    await migrated(gateway)
    found = await margins(gateway.database, by, since or 0, END_OF_TIME if until is None else until)
    rows = [{by: line.name, **msgspec.structs.asdict(line), "margin": line.margin} for line in found]
    for row in rows:
        del row["name"]
    total = {name: sum(row[name] for row in rows) for name in _MONEY}
    shown = [
        f"{row[by]}: {', '.join(f'{name} {usd(row[name])}' for name in _MONEY)}"
        for row in (*rows, {by: "total", **total})
    ]
    since_text = None if since is None else datetime.fromtimestamp(since / 1000, UTC).isoformat()
    options.say({"by": by, "since": since_text, "lines": rows, "total": total}, "\n".join(shown))


def _gateway(options: Options) -> Any:
    from gateway_core.config.load import load

    return load(options.config).gateway
