"""The commands that plugins add to the command line."""

from collections.abc import Mapping
from pathlib import Path

import click

from gateway_core.config.load import load
from gateway_core.config.problems import Problems
from gateway_core.host.manager import load_plugins


def plugin_commands(path: Path | None) -> Mapping[str, click.Command]:
    """By name, the first plugin in the file first; ConfigError where the file cannot be used."""
    problems = Problems()
    loaded = load_plugins(load(path), problems)
    problems.raise_if_any()
    found: dict[str, click.Command] = {}
    for impl in reversed(loaded.manager.hook.register_commands.get_hookimpls()):
        group = click.Group("gateway")
        try:
            impl.function(group)
        except Exception as error:  # noqa: BLE001  # a plugin's failure is told, not shown as ours
            what = f"register_commands failed: {type(error).__name__}: {error}"
            loaded.complain(problems, impl.plugin_name, (), what)
            continue
        for name, command in group.commands.items():
            found.setdefault(name, command)
    problems.raise_if_any()
    return found
