"""From plugin blocks to live plugins: found, options validated, hooks checked, registered in order."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from pluggy import PluginManager, PluginValidationError

from gateway_core.config.load import validated
from gateway_core.config.model import GatewayConfig, PluginBlock
from gateway_core.config.problems import NOWHERE, Path, Place, Problems
from gateway_core.config.words import nearest
from gateway_core.host.discover import Discovery, discover, offers, shadowed
from gateway_core.host.dispatch import REGISTRATION, Hooks, check_kind
from plugin_sdk import hookspecs
from plugin_sdk.hooks import PROJECT
from plugin_sdk.plugin import Plugin

_HOOKS: Final = (*REGISTRATION, *Hooks.__struct_fields__)


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """The plugins of one configuration, built and registered."""

    manager: PluginManager
    plugins: tuple[Plugin[Any], ...]
    blocks: Mapping[str, PluginBlock]

    def place(self, name: str, inside: Path = ()) -> Place:
        """Where a plugin's name stands in the file, or one of its options."""
        if (block := self.blocks.get(name)) is None:
            return NOWHERE  # a provider that another plugin brought
        return block.options.find(inside)[0].place if inside else block.place

    def complain(self, problems: Problems, name: str, inside: Path, what: str) -> None:
        """Note a problem with one of a plugin's options, at its line."""
        if (block := self.blocks.get(name)) is None:
            problems.add(NOWHERE, ("plugins", name, *inside), what)  # a provider that another plugin brought
        else:
            tree, walked = block.options.find(inside)
            problems.add(tree.place, ("plugins", name, *walked), what)


def load_plugins(config: GatewayConfig, problems: Problems) -> Loaded:
    """Build every plugin that can be built; what cannot is in `problems`, all of it."""
    if what := shadowed():
        problems.add(NOWHERE, (), what)
    found = discover([block.plugin for block in config.plugins])
    plugins = [plugin for block in config.plugins if (plugin := _built(block, found, problems)) is not None]
    blocks = {block.name: block for block in config.plugins}
    return Loaded(manager=_registered(plugins, blocks, problems), plugins=tuple(plugins), blocks=blocks)


def registered(loaded: Loaded, hook: str, problems: Problems) -> list[tuple[str, Any]]:
    """(plugin name, what it returned) of a registration hook, in YAML order."""
    answers = []
    for impl in reversed(getattr(loaded.manager.hook, hook).get_hookimpls()):
        try:
            answer = impl.function()
            things = list(answer) if answer is not None else []
        except Exception as error:  # noqa: BLE001  # a plugin's own failure is an operator's message, not our crash
            what = f"{hook} failed: {type(error).__name__}: {error}"
            problems.add(loaded.place(impl.plugin_name), ("plugins", impl.plugin_name), what)
            continue
        answers += [(impl.plugin_name, thing) for thing in things]
    return answers


def _built(block: PluginBlock, found: Discovery, problems: Problems) -> Plugin[Any] | None:
    path = ("plugins", block.name)
    if block.plugin in found.failures:
        what = found.failures[block.plugin]
        if block.plugin != block.name:
            what = f"`{block.plugin}`: {what}"
        known = sorted({offer.name for offer in offers()})
        if block.plugin not in known:
            what += f"{nearest(block.plugin, known)}; installed are {', '.join(known) or 'none'}"
        problems.add(block.place, path, what)
        return None
    kind = found.classes[block.plugin]
    config = validated(kind.Config, block.options, path, problems)
    if config is None:
        return None
    try:
        return kind(block.name, config)
    except Exception as error:  # noqa: BLE001  # as above
        problems.add(block.place, path, f"cannot be made: {type(error).__name__}: {error}")
        return None


def _registered(
    plugins: Sequence[Plugin[Any]], blocks: Mapping[str, PluginBlock], problems: Problems
) -> PluginManager:
    """A manager of these plugins. Pluggy calls the last registered first: they go in backwards."""
    manager = PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    for plugin in reversed(plugins):
        try:
            manager.register(plugin, plugin.name)
            _check(manager, plugin)
        except (PluginValidationError, TypeError) as error:
            what = " ".join(str(error).split())
            problems.add(blocks[plugin.name].place, ("plugins", plugin.name), what)
            if manager.has_plugin(plugin.name):
                manager.unregister(name=plugin.name)
    return manager


def _check(manager: PluginManager, plugin: Plugin[Any]) -> None:
    for caller in manager.get_hookcallers(plugin) or ():
        if caller.name not in _HOOKS:
            raise TypeError(f"there is no hook called {caller.name}{nearest(caller.name, _HOOKS)}")
        for impl in caller.get_hookimpls():
            if impl.plugin is plugin:
                check_kind(impl, caller.name)
