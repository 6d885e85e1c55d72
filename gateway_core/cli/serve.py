"""`gateway serve`: a checked configuration, a migrated database, the server; on a first start a key."""

import asyncio
import json
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

import click

from gateway_core import __version__
from gateway_core.cli.group import Options, Refused
from gateway_core.cli.values import Listen, usd
from gateway_core.config.model import GatewayBlock, is_loopback, split_listen
from plugin_sdk.money import NANOS_PER_USD, Nanos

if TYPE_CHECKING:
    from gateway_core.host.snapshot import Snapshot

FIRST_TEAM: Final = "default"
FIRST_CREDIT: Final = Nanos(10 * NANOS_PER_USD)


@click.command()
@click.option("--listen", type=Listen(), help="Where to listen, instead of the configuration's `listen`.")
@click.option("--workers", type=click.IntRange(1, 256), help="Worker processes, instead of `workers`.")
@click.option("--watch", is_flag=True, help="Reload whenever the configuration changes; SIGHUP always does.")
@click.pass_obj
def serve(options: Options, listen: str | None, workers: int | None, watch: bool) -> None:  # noqa: FBT001  # click
    """Serve until SIGTERM or SIGINT. Creates the tables of an empty database.

    On SQLite and a loopback address the first start makes a team with simulated credit and prints its key.
    """
    from gateway_core.cli.database import check_folder, migrated
    from gateway_core.host.snapshot import build
    from gateway_core.observe.log import configure

    snapshot = build(options.config)
    gateway = snapshot.config.gateway
    configure(gateway.log_level, gateway.log_format)
    check_folder(gateway.database_file)
    pepper = snapshot.config.pepper()
    asyncio.run(migrated(gateway))
    for warning in snapshot.warnings:
        click.echo(f"warning: {warning}", err=True)

    from gateway_core.server import CannotServe
    from gateway_core.server import serve as run

    address = listen or gateway.listen
    greeting = _Greeting(options, snapshot, pepper, local=is_loopback(split_listen(address)[0]))
    try:
        run(
            snapshot.config.path,
            listen=address,
            workers=workers or gateway.workers,
            watch=watch or gateway.watch,
            on_ready=greeting.ready,
        )
    except CannotServe as error:
        raise Refused(str(error)) from error


class _Greeting:
    """What is printed once the server is ready; on a first start that is a key, which is made only now."""

    def __init__(self, options: Options, snapshot: "Snapshot", pepper: bytes, *, local: bool) -> None:
        self._options = options
        self._snapshot = snapshot
        self._pepper = pepper
        self._local = local
        self._task: asyncio.Task[None] | None = None

    def ready(self, url: str) -> None:
        """Called from the server's loop."""
        self._task = asyncio.get_running_loop().create_task(self._greet(url))

    async def _greet(self, url: str) -> None:
        found: dict[str, Any] = {"url": url}
        text = f"gateway {__version__} listens on {url}"
        gateway = self._snapshot.config.gateway
        if self._local and gateway.database_file is not None:
            try:
                first = await first_key(gateway, self._snapshot.key_prefix, self._pepper)
            except Exception as error:  # noqa: BLE001  # the server runs; without this key it still serves others
                click.echo(f"error: no first key could be made: {type(error).__name__}: {error}", err=True)
                first = None
            if first is not None:
                found |= {"team": FIRST_TEAM, "key": first}
                text += "\n\n" + _welcome(url, first, self._snapshot.trial_model)
        self._options.say(found, text)


async def first_key(gateway: GatewayBlock, prefix: str, pepper: bytes) -> str | None:
    """A key for the team `default` with simulated credit, where nobody has a key yet; else None."""
    from gateway_core.cli.accounts import mint
    from gateway_core.cli.database import is_unused, joined

    async with joined(gateway) as stores:
        if not await is_unused(FIRST_TEAM):
            return None
        team = await stores.team_by_name(FIRST_TEAM) or await stores.create_team(FIRST_TEAM)
        if await stores.show_wallet(team.id, "test") is None:
            await stores.top_up(team.id, "test", FIRST_CREDIT, "simulated")
        made = await mint(stores, team.id, "live", "first key", prefix, pepper)
        return made["key"]


def _welcome(url: str, key: str, model: str | None) -> str:
    """The key, and a line that works as pasted."""
    text = (
        f"A first key, for the team `{FIRST_TEAM}` with {usd(FIRST_CREDIT)} of simulated credit. "
        f"It is shown this once:\n\n  {key}\n"
    )
    if model is None:
        return text
    asked = {
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": "Hello"}],
    }
    body = json.dumps(asked, ensure_ascii=True)
    return (
        f"{text}\nTry it:\n\n"
        f"  curl -N {url}/v1/chat/completions \\\n"
        f'    -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\\n'
        f"    -d {quote(body)}\n"
    )
