"""The group behind `gateway`: options that may stand anywhere, commands of plugins, errors as one line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec
from typing_extensions import override

from gateway_core import __version__
from gateway_core.config.problems import ConfigError
from gateway_core.observe.log import redacted

_WITH_VALUE = "--config"
_FLAG = "--json"
# The libraries below us whose errors are about a database, not about a bug.
_DATABASE = ("tortoise", "asyncpg", "sqlite3", "aiosqlite")


class Options(msgspec.Struct, frozen=True):
    """What every command takes."""

    config: Path | None = None
    json: bool = False

    def say(self, found: Mapping[str, Any] | list[Any], text: str) -> None:
        """Print a result: one line of JSON where that was asked for, else the text."""
        click.echo(json.dumps(found, ensure_ascii=False, default=str) if self.json else text)


class Refused(click.ClickException):
    """What the operator asked for cannot be done; the message says why and what to do."""

    exit_code = 1

    @override
    def show(self, file: Any = None) -> None:
        click.echo(f"error: {self.message}", err=True)


class BadConfig(click.ClickException):
    """The configuration cannot be used; every problem is a line of its own."""

    exit_code = 2

    @override
    def show(self, file: Any = None) -> None:
        click.echo(self.message, err=True)


class GatewayGroup(click.Group):
    """Takes `--config` and `--json` before and after a command, and the commands that plugins bring."""

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, hoisted(args))

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._of_plugins(ctx)})

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or self._of_plugins(ctx).get(cmd_name)

    @override
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001  # told apart there; a bug of ours keeps its traceback
            _explain(error)

    def _of_plugins(self, ctx: click.Context) -> Mapping[str, click.Command]:
        """The commands of the configured plugins; none, with a word about it, where the file has errors."""
        found: Mapping[str, click.Command] | None = ctx.meta.get(__name__)
        if found is None:
            from gateway_core.host.commands import plugin_commands  # imports the plugins

            try:
                found = plugin_commands(ctx.params.get("config"))
            except ConfigError:
                click.echo("note: plugins' commands are unknown, see `gateway check`", err=True)
                found = {}
            ctx.meta[__name__] = found
        return found


@click.group(cls=GatewayGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration file; else GATEWAY_CONFIG, gateway.yaml or config/gateway.yaml.",
)
@click.option("--json", "as_json", is_flag=True, help="Print results as one line of JSON.")
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def main(ctx: click.Context, config: Path | None, as_json: bool) -> None:  # noqa: FBT001  # click's way
    """One /v1 API in front of every AI provider.

    --config and --json may stand before or after the command.
    """
    ctx.obj = Options(config, as_json)


def hoisted(arguments: list[str]) -> list[str]:
    """The arguments with `--config FILE` and `--json` in front, wherever they stood before a `--`."""
    front: list[str] = []
    rest: list[str] = []
    left = iter(arguments)
    for word in left:
        if word == "--":
            rest += [word, *left]
        elif word == _FLAG or word.startswith(_WITH_VALUE + "="):
            front.append(word)
        elif word == _WITH_VALUE:
            value = next(left, None)
            if value is None:
                raise click.BadOptionUsage(word, f"option {word} needs a file")
            front += [word, value]
        else:
            rest.append(word)
    return front + rest


def _explain(error: Exception) -> NoReturn:
    """Raise what tells an operator of it in one line, or the error itself where it is ours."""
    if isinstance(error, ConfigError):
        raise BadConfig("\n".join(error.errors)) from error
    text = redacted(" ".join(str(error).split())) or type(error).__name__
    if type(error).__module__.partition(".")[0] in _DATABASE:
        raise Refused(f"the database: {text}") from error
    if isinstance(error, OSError):
        raise Refused(text) from error
    if getattr(error, "for_operator", False):
        raise Refused(text) from error
    raise error
