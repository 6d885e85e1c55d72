"""`gateway teams`, `keys` and `wallet`: who may call, and what they may spend."""

import asyncio
from collections.abc import Sequence
from typing import Any

import click

from gateway_core.cli.group import Options, Refused
from gateway_core.cli.values import Usd, usd
from plugin_sdk.context import LEDGER_WRITE, KeyMode
from plugin_sdk.money import Nanos

_LONGEST_NAME = 200
_team = click.option("--team", required=True, metavar="NAME", help="The team.")


@click.group()
def teams() -> None:
    """Teams: who pays."""


@click.group()
def keys() -> None:
    """API keys."""


@click.group()
def wallet() -> None:
    """Wallets: where a team's credit is."""


@teams.command("create")
@click.argument("name")
@click.pass_obj
def create_team(options: Options, name: str) -> None:
    """Create a team. It can pay once its wallet was topped up."""
    if not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise click.UsageError(f"a team's name is 1 to {_LONGEST_NAME} printable characters")
    asyncio.run(_create_team(options, name))


@keys.command("create")
@_team
@click.option("--name", default="", metavar="TEXT", help="A name for people to know it by.")
@click.option("--test", is_flag=True, help="A key for simulated models only, paid with simulated credit.")
@click.option("--management", is_flag=True, help="A key for management routes; it cannot run models.")
@click.option("--operator", is_flag=True, help="A management key that may move the credit of every team.")
@click.pass_obj
def create_key(
    options: Options,
    team: str,
    name: str,
    test: bool,  # noqa: FBT001  # click's way
    management: bool,  # noqa: FBT001
    operator: bool,  # noqa: FBT001
) -> None:
    """Create a key and print it, this once: only a hash of it is kept."""
    if test and (management or operator):
        raise click.UsageError("a test key is for simulated models only: give --test alone")
    if len(name) > _LONGEST_NAME:
        raise click.UsageError(f"a key's name has at most {_LONGEST_NAME} characters")
    mode: KeyMode = "test" if test else "management" if management or operator else "live"
    asyncio.run(_create_key(options, team, name, mode, [LEDGER_WRITE] if operator else []))


@keys.command("revoke")
@click.argument("key")
@click.pass_obj
def revoke_key(options: Options, key: str) -> None:
    """Revoke a key for good, by its kid or its whole text. It stops working within a second or two."""
    asyncio.run(_revoke_key(options, key))


@wallet.command("top-up")
@_team
@click.option("--usd", "nanos", type=Usd(), required=True, help="How much, as 10 or 10.50.")
@click.option("--reference", metavar="TEXT", help="Booked once only; without one, every call books anew.")
@click.option("--test", is_flag=True, help="The team's simulated credit.")
@click.pass_obj
def top_up(options: Options, team: str, nanos: Nanos, reference: str | None, test: bool) -> None:  # noqa: FBT001  # click's way
    """Add credit to a team's wallet; the first top-up makes it."""
    asyncio.run(_top_up(options, team, nanos, reference, "test" if test else "live"))


@wallet.command("show")
@_team
@click.option("--test", is_flag=True, help="The team's simulated credit.")
@click.pass_obj
def show(options: Options, team: str, test: bool) -> None:  # noqa: FBT001  # click's way
    """Show what a team's wallet holds, and how much of it is not set aside."""
    asyncio.run(_show(options, team, "test" if test else "live"))


async def _create_team(options: Options, name: str) -> None:
    from gateway_core.cli.database import opened

    async with opened(gateway_of(options)) as stores:
        if await stores.team_by_name(name) is not None:
            raise Refused(f"there is a team called {name!r} already")
        team = await stores.create_team(name)
    options.say({"id": team.id, "name": team.name}, f"created team {team.name} ({team.id})")


async def _create_key(
    options: Options, team_name: str, name: str, mode: KeyMode, scopes: Sequence[str]
) -> None:
    from gateway_core.cli.database import opened, team
    from gateway_core.host.snapshot import build

    snapshot = build(options.config)
    async with opened(snapshot.config.gateway) as stores:
        owner = await team(stores, team_name)
        pepper = snapshot.config.pepper()
        made = await mint(stores, owner.id, mode, name, snapshot.key_prefix, pepper, scopes)
    found = {**made, "scopes": list(scopes), "team": owner.name, "team_id": owner.id}
    options.say(found, f"{made['key']}\n\nThis is the only time it is shown. Its kid is {made['kid']}.")


async def mint(  # whose, of which kind, and how it is made
    stores: Any,
    team_id: str,
    mode: KeyMode,
    name: str,
    prefix: str,
    pepper: bytes,
    scopes: Sequence[str] = (),
) -> dict[str, str]:
    """A new key, stored; what there is to say of it, its text included."""
    from plugin_sdk import keys as form

    text, parts = form.mint(mode, prefix)
    digest = form.hashed(parts.secret, pepper)
    record = await stores.create_key(team_id, mode, name, parts.kid, digest, scopes)
    return {"key": text, "id": record.id, "kid": parts.kid, "mode": mode, "name": name}


def kid_of(options: Options, given: str) -> str:
    """The kid of a key that is given by it, or by its whole text; Refused for what is neither."""
    from gateway_core.host.snapshot import build
    from plugin_sdk import keys as form

    if "_" not in given:
        return given
    parsed = form.parse(given, build(options.config).key_prefix)
    if parsed is None:
        raise Refused("that has not the form of a key; give its kid, or its whole text")
    return parsed.kid


async def _revoke_key(options: Options, given: str) -> None:
    from gateway_core.cli.database import opened

    kid = kid_of(options, given)
    async with opened(gateway_of(options)) as stores:
        if not await stores.revoke_key(kid):
            raise Refused(f"there is no key with the kid {kid}")
    options.say({"kid": kid, "status": "revoked"}, f"revoked {kid}")


async def _top_up(options: Options, team_name: str, nanos: Nanos, reference: str | None, kind: str) -> None:
    from gateway_core.cli.database import opened, team
    from gateway_core.ids import Ids
    from plugin_sdk.errors import GatewayError

    async with opened(gateway_of(options)) as stores:
        owner = await team(stores, team_name)
        source = "simulated" if kind == "test" else "operator"
        try:
            made = await stores.payments.credit(
                owner.id, source=source, reference=reference or Ids().new(), nanos=nanos, kind=kind,
                reason="top-up",
            )  # fmt: skip
        except GatewayError as error:
            raise Refused(error.message) from error
        found = await stores.show_wallet(owner.id, kind)
    shown = {
        "team": owner.name,
        "wallet": made["wallet"],
        "added_nanos": nanos if made["booked"] else 0,
        "balance_nanos": made["balance_nanos"],
        "available_nanos": 0 if found is None else found.available,
        "transaction": made["transaction"],
        "reference": made["reference"],
        "booked": made["booked"],
    }
    done = f"added {usd(nanos)}" if made["booked"] else "this was booked before; nothing was added now"
    options.say(shown, f"{done}; {owner.name} has {usd(made['balance_nanos'])}")


async def _show(options: Options, team_name: str, kind: str) -> None:
    from gateway_core.cli.database import opened, team

    async with opened(gateway_of(options)) as stores:
        owner = await team(stores, team_name)
        found = await stores.show_wallet(owner.id, kind)
        if found is None and kind == "live":  # simulated credit pays until there is a live wallet
            found = await stores.show_wallet(owner.id, "test")
    balance, available = (found.balance, found.available) if found is not None else (0, 0)
    shown = {
        "team": owner.name,
        "wallet": None if found is None else found.id,
        "kind": kind if found is None else found.kind,
        "balance_nanos": balance,
        "available_nanos": available,
        "currency": "USD",
    }
    simulated = " of simulated credit" if found is not None and found.kind == "test" else ""
    text = f"{owner.name}: {usd(balance)}{simulated}, of which {usd(available)} is not set aside"
    options.say(shown, f"{owner.name} has no {kind} wallet yet" if found is None else text)


def gateway_of(options: Options) -> Any:
    """The `gateway:` block of the configuration."""
    from gateway_core.config.load import load

    return load(options.config).gateway
