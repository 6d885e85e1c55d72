"""From a YAML file to a GatewayConfig: includes, merging, the environment; every error collected.

The only module that reads the environment of the process.
"""

import os
from collections.abc import Mapping
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from gateway_core.config.environment import substituted
from gateway_core.config.merge import merged
from gateway_core.config.model import GatewayBlock, GatewayConfig, PluginBlock
from gateway_core.config.problems import ConfigError, Place, Problems
from gateway_core.config.tree import Tree, from_mapping, parse
from gateway_core.config.words import explained, nearest

__all__ = ["ConfigError", "environment", "find", "load", "validated"]

INCLUDES: Final = "gateway.includes"  # the entry-point group; a value is the package that holds <name>.yaml
BUILT_IN: Final[Mapping[str, Any]] = {"include": "default"}  # where there is no file at all
_KEYS: Final = ("include", "gateway", "plugins")


def environment() -> Mapping[str, str]:
    """The environment as it is now."""
    return MappingProxyType(dict(os.environ))  # noqa: TID251  # here, and nowhere else


def find(given: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: the one given, GATEWAY_CONFIG's, or one in its usual place; None if there is none."""
    if given is not None:
        return given
    if named := environ.get("GATEWAY_CONFIG"):
        return Path(named)
    usual = (Path("gateway.yaml"), Path("config/gateway.yaml"))
    return next((path for path in usual if path.is_file()), None)


def load(
    source: Path | Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> GatewayConfig:
    """The configuration of a file, a mapping, or the usual place; ConfigError says all that is wrong."""
    environ = environment() if environ is None else environ
    problems = Problems()
    path = None if isinstance(source, Mapping) else find(source, environ)
    if isinstance(source, Mapping) or path is None:
        tree: Tree | None = from_mapping(BUILT_IN if source is None else source)
    else:
        tree = _from_file(path, problems)
    whole = None if tree is None else _with_bases(tree, (), problems)
    if whole is None:
        raise ConfigError(tuple(problems))
    whole = substituted(whole, environ, problems)
    config = _config(whole, path, environ, problems)
    problems.raise_if_any()
    return config


def validated(
    model: type[BaseModel], options: Tree, path: tuple[str, ...], problems: Problems
) -> BaseModel | None:
    """The options as a model; None, with the problems noted at their lines, where they do not fit."""
    try:
        return model.model_validate(options.plain())
    except ValidationError as error:
        for inside, what in explained(error, model, options):
            problems.add(options.find(inside)[0].place, (*path, *inside), what)
        return None


def _from_file(path: Path, problems: Problems) -> Tree | None:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        problems.add(Place(str(path)), (), f"not UTF-8 (byte {error.start}); save it as UTF-8")
    except OSError as error:
        problems.add(Place(str(path)), (), f"cannot be read: {error.strerror}")
    else:
        return parse(text, str(path), problems)
    return None


def _with_bases(tree: Tree, within: tuple[str, ...], problems: Problems) -> Tree | None:
    """The tree on top of what it includes."""
    if not isinstance(tree.value, dict):
        problems.add(tree.place, (), f"a configuration is a mapping with the keys {', '.join(_KEYS)}")
        return None
    for name, part in tree.value.items():
        if name not in _KEYS:
            problems.add(
                part.place, (name,), f"unknown key{nearest(name, _KEYS)}; the keys are {', '.join(_KEYS)}"
            )
    bases: Tree | None = None
    for name, place in _included(tree, problems):
        if name in within:
            problems.add(place, ("include",), f"`{name}` includes itself")
            continue
        text = _base(name, place, problems)
        base = None if text is None else _with_bases(text, (*within, name), problems)
        if base is not None:
            bases = base if bases is None else merged(bases, base, problems)
    return merged(bases if bases is not None else Tree({}, tree.place), tree, problems)


def _included(tree: Tree, problems: Problems) -> list[tuple[str, Place]]:
    include = tree.value.get("include")
    if include is None or include.value is None:
        return []
    names = include.value if isinstance(include.value, list) else [include]
    if not all(isinstance(part.value, str) for part in names):
        problems.add(include.place, ("include",), "give a name, or a list of names")
        return []
    return [(part.value, part.place) for part in names]


def _base(name: str, place: Place, problems: Problems) -> Tree | None:
    """What an installed distribution offers under this name."""
    offered = {
        (point.value, point.dist.name if point.dist else "?")
        for point in entry_points(group=INCLUDES, name=name)
    }
    if len(offered) > 1:
        who = " and ".join(sorted(dist for _, dist in offered))
        problems.add(place, ("include",), f"`{name}` is offered by {who}; uninstall one of them")
        return None
    if not offered:
        known = sorted({point.name for point in entry_points(group=INCLUDES)})
        shown = ", ".join(known) or "nothing"
        problems.add(
            place,
            ("include",),
            f"nothing called `{name}` is installed{nearest(name, known)}; there is {shown}",
        )
        return None
    ((package, dist),) = offered
    try:
        text = files(package).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    except (ImportError, OSError, UnicodeDecodeError) as error:
        problems.add(place, ("include",), f"`{name}` of {dist} cannot be read: {error}")
        return None
    return parse(text, f"{package.replace('.', '/')}/{name}.yaml", problems)


def _config(tree: Tree, path: Path | None, environ: Mapping[str, str], problems: Problems) -> GatewayConfig:
    gateway = GatewayBlock()
    if (block := tree.value.get("gateway")) is not None and block.value is not None:
        if isinstance(block.value, dict):
            checked = validated(GatewayBlock, block, ("gateway",), problems)
            gateway = checked if isinstance(checked, GatewayBlock) else gateway
        else:
            problems.add(block.place, ("gateway",), "give its options as a mapping")
    plugins = tree.value.get("plugins")
    named = plugins.value if plugins is not None and isinstance(plugins.value, dict) else {}
    blocks = [_plugin(name, part, problems) for name, part in named.items()]
    return GatewayConfig(
        gateway=gateway,
        plugins=tuple(block for block in blocks if block is not None),
        path=path,
        environ=environ,
    )


def _plugin(name: str, part: Tree, problems: Problems) -> PluginBlock | None:
    options = dict(part.value)
    kind = options.pop("plugin", None)
    if kind is not None and not isinstance(kind.value, str):
        problems.add(kind.place, ("plugins", name, "plugin"), "give the name of an installed plugin")
        return None
    return PluginBlock(
        name=name, plugin=name if kind is None else kind.value, options=Tree(options, part.place)
    )
