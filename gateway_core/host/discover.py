"""Find and import the plugins that a configuration names, and no others."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final

import msgspec
from stevedore import NamedExtensionManager
from typing_extensions import override

from plugin_sdk.plugin import Plugin
from plugin_sdk.version import API

GROUP: Final = "gateway.plugins"
OURS: Final = "plugins"  # our top-level package of plugins, which a folder of that name could shadow


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin that a distribution offers, imported or not."""

    name: str
    value: str
    distribution: str
    version: str

    @override
    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".strip()


class Discovery(msgspec.Struct, frozen=True, kw_only=True):
    """The classes that were asked for, by name, and why the others are missing."""

    classes: Mapping[str, type[Plugin[Any]]]
    failures: Mapping[str, str]


class _Loader(NamedExtensionManager[Any]):
    """Stevedore without its on-disk cache: what is installed now, with its distribution."""

    @override
    def list_entry_points(self) -> list[EntryPoint]:
        return list(entry_points(group=self.namespace))


def offers() -> tuple[Offer, ...]:
    """Everything installed, sorted by name; nothing is imported. One name may be there more than once."""
    found = {_offer(point) for point in entry_points(group=GROUP)}
    return tuple(sorted(found, key=lambda offer: (offer.name, offer.distribution)))


def discover(names: Sequence[str]) -> Discovery:
    """Import the plugins of these names."""
    failures: dict[str, str] = {}
    installed = offers()
    wanted = []
    for name in dict.fromkeys(names):
        who = [str(offer) for offer in installed if offer.name == name]
        if len(who) > 1:
            failures[name] = f"offered by {' and '.join(who)}; uninstall one of them"
        elif not who:
            failures[name] = "no installed distribution offers it"
        else:
            wanted.append(name)

    def failed(_: Any, point: EntryPoint, error: BaseException) -> None:
        failures[point.name] = f"{_offer(point)} offers it, but it cannot be imported: {_reason(error)}"

    loader = _Loader(
        GROUP, wanted, on_load_failure_callback=failed, on_missing_entrypoints_callback=None, name_order=False
    )
    classes = {}
    for extension in loader.extensions:
        if what := _unfit(extension.plugin):
            failures[extension.name] = f"{_offer(extension.entry_point)} offers it, but {what}"
        else:
            classes[extension.name] = extension.plugin
    return Discovery(classes=classes, failures=failures)


def shadowed() -> str | None:
    """What to do if a folder of the working directory hides our own package of plugins; None if none does."""
    ours = [offer for offer in offers() if offer.value.partition(":")[0].startswith(OURS + ".")]
    if not ours:
        return None
    try:
        found = __import__(OURS)
    except ImportError:
        return f"the package `{OURS}` of {ours[0]} is not importable; install {ours[0].distribution} again"
    beside = Path(__file__).resolve().parents[2] / OURS
    where = [Path(place).resolve() for place in found.__path__]
    if where == [beside] and found.__file__ is not None:
        return None
    shown = ", ".join(str(place) for place in where) or "nowhere"
    return f"a package `{OURS}` in {shown} hides ours in {beside}; rename it, or start `gateway` elsewhere"


def _offer(point: EntryPoint) -> Offer:
    name, version = (point.dist.name, point.dist.version) if point.dist else ("an unknown distribution", "")
    return Offer(name=point.name, value=point.value, distribution=name, version=version)


def _unfit(found: Any) -> str | None:
    """Why a loaded object is not a plugin class; None if it is."""
    if not (isinstance(found, type) and issubclass(found, Plugin)):
        return f"{found!r} is not a class derived from plugin_sdk.plugin.Plugin"
    if found.requires_api != API:
        return (
            f"it was written for version {found.requires_api} of the plugin API, and this gateway has {API}"
        )
    return None


def _reason(error: BaseException) -> str:
    lines: Iterable[str] = str(error).strip().splitlines()
    return f"{type(error).__name__}: {next(iter(lines), '')}".rstrip(": ")
