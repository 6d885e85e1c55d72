"""`gateway catalogue check`: what every model of the configuration costs."""

from typing import TYPE_CHECKING

import click
import msgspec

from gateway_core.cli.group import Options
from gateway_core.cli.values import columns, usd
from plugin_sdk.price_rules import STANDARD

if TYPE_CHECKING:
    from gateway_core.pipeline.canned import Priced


@click.group()
def catalogue() -> None:
    """Models and their prices."""


@catalogue.command()
@click.pass_context
def check(ctx: click.Context) -> None:
    """Price one canned usage at every endpoint, for every operation; exit with 1 where that cannot be done.

    The usage is 1000 tokens, or one unit, of each meter that the operation needs and that the model's input
    and output types imply.
    """
    from gateway_core.host.snapshot import build
    from gateway_core.ids import wall_clock
    from gateway_core.pipeline.canned import canned

    options: Options = ctx.obj
    snapshot = build(options.config)
    priced = list(canned(snapshot, wall_clock()))
    rows = [(one.provider, one.model, one.operation, _costs(one)) for one in priced]
    failed = any(one.problems for one in priced)
    found = {"ok": not failed, "offers": [msgspec.to_builtins(one) for one in priced]}
    options.say(found, columns([("provider", "model", "operation", "costs"), *rows]))
    for one in priced:
        where = ": ".join(
            part for part in (one.place, f"plugins.{one.provider}", f"model {one.model}") if part
        )
        for note in one.notes:
            click.echo(f"note: {where}: {note}", err=True)
        for problem in one.problems:
            click.echo(f"error: {where}: {problem}", err=True)
    if failed:
        ctx.exit(1)


def _costs(one: "Priced") -> str:
    """The standard plan's cost first, the others by their names."""
    plans = one.nanos.items()
    said = [usd(nanos) if plan == STANDARD else f"{plan} {usd(nanos)}" for plan, nanos in plans]
    return "free" if one.free else ", ".join(said)
