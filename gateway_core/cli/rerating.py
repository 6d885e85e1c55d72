"""`gateway ledger rerate`: past charges by another card, shown first, booked where that is asked for."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import click
import msgspec

from gateway_core.cli.books import ledger
from gateway_core.cli.group import Options, Refused
from gateway_core.cli.values import Moment, usd

_SHOWN: Final = 50  # differences that are shown one by one as text; as JSON, all


@ledger.command()
@click.option("--since", type=Moment(), required=True, metavar="ISO", help="From this moment on.")
@click.option("--until", type=Moment(), metavar="ISO", help="Before this moment.")
@click.option("--model", metavar="ID", help="Charges of this model only.")
@click.option("--team", metavar="NAME", help="Charges of this team only.")
@click.option(
    "--card",
    metavar="ID",
    default="current",
    show_default=True,
    help="By which card: `current`, the catalogue's now; `stored`, the one of the charge; or the id of one.",
)
@click.option("--book", is_flag=True, help="Book the differences; without it they are only shown.")
@click.pass_obj
def rerate(  # an option each
    options: Options,
    since: int,
    until: int | None,
    model: str | None,
    team: str | None,
    card: str,
    book: bool,  # noqa: FBT001  # click's way
) -> None:
    """Price past charges again, by the card of today or any other, and show what would change.

    With --book each difference is a correction of its own, once: a second run finds nothing to do. What was
    not charged stays so, and nobody pays more than what was held for the request.
    """
    if card not in ("current", "stored") and model is None:
        raise click.UsageError("a card is of one model: give --model with --card ID")
    asyncio.run(_rerate(options, {"since": since, "until": until, "model": model}, team, card, book=book))


async def _rerate(
    options: Options, asked: Mapping[str, Any], team_name: str | None, card: str, *, book: bool
) -> None:
    from gateway_core.cli.database import opened, team
    from gateway_core.db.url import open_store
    from gateway_core.host.snapshot import build
    from gateway_core.rerating.book import run
    from gateway_core.rerating.cards import chosen
    from gateway_core.rerating.survey import Wanted

    snapshot = build(options.config)
    gateway = snapshot.config.gateway
    async with opened(gateway) as stores:
        owner = None if team_name is None else (await team(stores, team_name)).id
    wanted = Wanted(**{name: value for name, value in asked.items() if value is not None}, team_id=owner)
    store = open_store(gateway.database, "full", patience=None)
    try:
        choice = await chosen(card, snapshot, store)
        if choice is None:
            raise Refused(f"no charge was made by a card {card!r}, and no model has it now")
        found = await run(store, wanted, choice, book=book)
    finally:
        await store.close()
    options.say(msgspec.to_builtins(found), _text(found, book=book))
    if found.unpaid:
        raise Refused(f"{len(found.unpaid)} charges were not raised: their wallets lack the credit")


def _text(found: Any, *, book: bool) -> str:
    lines = [
        f"{one.charged.generation} {one.charged.model} at {one.charged.provider}:"
        f" {usd(one.charged.paid)} -> {usd(one.target)} ({_signed(one.nanos)})"
        for one in found.differences[:_SHOWN]
    ]
    if (more := len(found.differences) - _SHOWN) > 0:
        lines.append(f"... and {more} more; --json shows all")
    lines += [f"{line.old} -> {line.new}: {line.generations}, {_signed(line.nanos)}" for line in found.cards]
    passed = Counter(one.why for one in found.passed)
    lines += [f"passed over {count}: {why}" for why, count in passed.items()]
    lines.append(
        f"{found.compared} charges priced again, {len(found.differences)} differ: {usd(found.paid)} would be"
        f" {usd(found.target)} ({_signed(found.nanos)})"
    )
    lines.append(f"booked {found.booked}" if book else "nothing was booked; --book does it")
    return "\n".join(lines)


def _signed(nanos: int) -> str:
    return f"{'+' if nanos > 0 else ''}{usd(nanos)}"
