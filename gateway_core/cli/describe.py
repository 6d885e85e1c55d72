"""`gateway check`, `schema` and `plugins`: what the file says, what it may say, what is installed."""

import json

import click

from gateway_core.cli.group import Options
from gateway_core.cli.values import columns


@click.command()
@click.pass_obj
def check(options: Options) -> None:
    """Read the configuration and load its plugins; say everything that is wrong, and stop."""
    from gateway_core.host.snapshot import build

    snapshot = build(options.config)
    for warning in snapshot.warnings:
        click.echo(f"warning: {warning}", err=True)
    where = snapshot.config.path
    found = {
        "ok": True,
        "config": None if where is None else str(where),
        "plugins": [plugin.name for plugin in snapshot.plugins],
        "models": len(snapshot.models),
        "warnings": list(snapshot.warnings),
    }
    counted = f"{len(snapshot.plugins)} plugins, {len(snapshot.models)} models"
    options.say(found, f"{where or 'the built-in configuration'}: {counted}")


@click.command()
@click.pass_obj
def schema(options: Options) -> None:
    """Print a JSON Schema of the configuration file, with the options of every installed plugin."""
    from gateway_core.config.schema import schema as composed
    from gateway_core.host.discover import discover, offers

    found = discover([offer.name for offer in offers()])
    for name, why in sorted(found.failures.items()):
        click.echo(f"warning: {name}: {why}", err=True)
    made = composed({name: kind.Config for name, kind in found.classes.items()})
    options.say(made, json.dumps(made, indent=2, ensure_ascii=False))


@click.command()
@click.pass_obj
def plugins(options: Options) -> None:
    """List the installed plugins: their distribution, its version, and where they are enabled."""
    from gateway_core.config.load import load
    from gateway_core.host.discover import offers

    config = load(options.config)
    enabled: dict[str, list[str]] = {}
    for block in config.plugins:
        enabled.setdefault(block.plugin, []).append(block.name)
    rows = [
        {
            "name": offer.name,
            "enabled": offer.name in enabled,
            "instances": enabled.get(offer.name, []),
            "distribution": offer.distribution,
            "version": offer.version,
            "value": offer.value,
        }
        for offer in offers()
    ]
    options.say(rows, _table(rows))


def _table(rows: list[dict[str, object]]) -> str:
    lines = [("plugin", "enabled as", "distribution", "version")]
    for row in rows:
        instances = row["instances"]
        shown = ", ".join(map(str, instances)) if isinstance(instances, list) and instances else "-"
        lines.append((str(row["name"]), shown, str(row["distribution"]), str(row["version"])))
    return columns(lines)
