"""`gateway provider-keys`: the keys that a team brings for providers; stored sealed, never shown."""

import asyncio
import sys

import click

from gateway_core.cli.group import Options, Refused
from plugin_sdk.keys import PROVIDER_KEY

_team = click.option("--team", required=True, metavar="NAME", help="The team.")
_provider = click.option(
    "--provider", required=True, metavar="NAME", help="The provider, by its name in the configuration."
)


@click.group("provider-keys")
def provider_keys() -> None:
    """Keys that teams bring for providers (the policy `byok`)."""


@provider_keys.command("set")
@_team
@_provider
@click.option("--always-use", is_flag=True, help="Never the gateway's own key in its place.")
@click.pass_obj
def set_key(
    options: Options,
    team: str,
    provider: str,
    always_use: bool,  # noqa: FBT001  # click's way
) -> None:
    """Store a key, which is read from the standard input, in the place of one that the team had."""
    typed = sys.stdin.isatty()
    key = click.prompt("Key", hide_input=True) if typed else sys.stdin.readline().strip()
    if not PROVIDER_KEY.fullmatch(key):
        raise click.UsageError("a key has 8 to 4000 printable characters, no space; send it on stdin")
    asyncio.run(_set(options, team, provider, key, always_use=always_use))


@provider_keys.command("list")
@_team
@click.pass_obj
def list_keys(options: Options, team: str) -> None:
    """List a team's keys by their providers, each with its last characters."""
    asyncio.run(_list(options, team))


@provider_keys.command("delete")
@_team
@_provider
@click.pass_obj
def delete_key(options: Options, team: str, provider: str) -> None:
    """Forget a key; requests go out with the gateway's own again within a second or two."""
    asyncio.run(_delete(options, team, provider))


async def _set(options: Options, team_name: str, provider: str, key: str, *, always_use: bool) -> None:
    from gateway_core.cli.database import opened, team
    from gateway_core.db.provider_keys import ProviderKeys
    from gateway_core.host.snapshot import build

    snapshot = build(options.config)
    if provider not in snapshot.providers:
        raise Refused(f"there is no provider {provider!r}; there are {', '.join(sorted(snapshot.providers))}")
    pepper = snapshot.config.pepper()
    if not pepper:
        raise Refused("there is no pepper to seal the key with; set KEY_PEPPER")
    async with opened(snapshot.config.gateway) as stores:
        owner = await team(stores, team_name)
        made = await ProviderKeys(stores.keys, pepper).put(owner.id, provider, key, always_use=always_use)
    options.say(
        {"team": owner.name, "provider": provider, "hint": made.hint, "always_use": always_use},
        f"{owner.name} has a key of its own for {provider}",
    )


async def _list(options: Options, team_name: str) -> None:
    from gateway_core.cli.database import opened, team
    from gateway_core.config.load import load
    from gateway_core.db.provider_keys import ProviderKeys
    from plugin_sdk.routes import iso

    async with opened(load(options.config).gateway) as stores:
        owner = await team(stores, team_name)
        keys = await ProviderKeys(stores.keys, b"").of(owner.id)
    found = [
        {
            "provider": key.provider,
            "hint": key.hint,
            "always_use": key.always_use,
            "created_at": iso(key.created_at),
        }
        for key in keys
    ]
    lines = [f"{key.provider}: ...{key.hint}{', always used' if key.always_use else ''}" for key in keys]
    options.say(found, "\n".join(lines) or f"{owner.name} has no keys of its own")


async def _delete(options: Options, team_name: str, provider: str) -> None:
    from gateway_core.cli.database import opened, team
    from gateway_core.config.load import load
    from gateway_core.db.provider_keys import ProviderKeys

    async with opened(load(options.config).gateway) as stores:
        owner = await team(stores, team_name)
        if not await ProviderKeys(stores.keys, b"").delete(owner.id, provider):
            raise Refused(f"{owner.name} has no key of its own for {provider}")
    options.say({"team": owner.name, "provider": provider}, f"the key of {owner.name} for {provider} is gone")
