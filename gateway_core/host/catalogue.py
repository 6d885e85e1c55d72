"""Models and prices: what ships beside a provider's plugin, with the operator's own entries on top."""

import sys
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from gateway_core.config.load import validated
from gateway_core.config.problems import Problems
from gateway_core.config.tree import parse
from gateway_core.config.words import nearest
from gateway_core.db.cards import card_id
from gateway_core.host.manager import Loaded
from plugin_sdk.catalogue import Catalogue, ModelEntry, check_names
from plugin_sdk.money import PriceCard
from plugin_sdk.provider import Provider


def entries(
    provider: Provider[Any], loaded: Loaded, problems: Problems, note: Callable[[str], None]
) -> tuple[tuple[ModelEntry, str], ...]:
    """(model, place): what the provider ships, with what the operator changed, then the operator's own."""
    shipped, file = _shipped(provider, problems)
    models = {entry.id: (entry, file) for entry in _kept(shipped, provider, loaded, problems)}
    own: Sequence[ModelEntry] = provider.config.models
    try:
        check_names(own)
        for at, entry in enumerate(own):
            base = models.get(entry.id)
            merged = entry if base is None else _over(base[0], entry)
            models[entry.id] = merged, str(loaded.place(provider.name, ("models", at)))
        for entry in _amended(provider, [entry for entry, _ in models.values()], loaded, problems, note):
            place = models[entry.id][1] if entry.id in models else ""
            said = next((one for one in own if one.id == entry.id), None)
            models[entry.id] = (entry if said is None else _over(entry, said)), place
        check_names([entry for entry, _ in models.values()])
    except ValueError as error:
        loaded.complain(problems, provider.name, ("models",), str(error))
        return ()
    return tuple(models.values())


def price_card(entry: ModelEntry, at: int) -> PriceCard:
    """The card of an entry, without the rules that are over for good.

    Its id is a hash of its content: the same card has the same id everywhere.
    """
    left = [price for price in entry.prices if price.until is None or at < price.until]
    prices = tuple(sorted(left, key=lambda price: (price.meter, price.plan, -price.priority)))
    return PriceCard(id=card_id(prices, free=entry.free), prices=prices, free=entry.free)


def _over(base: ModelEntry, entry: ModelEntry) -> ModelEntry:
    """The shipped entry with the fields that the operator wrote; a price of theirs is the whole price."""
    said = {name: getattr(entry, name) for name in entry.model_fields_set}
    return base.model_copy(update=({"plans": {}} if "price" in said else {}) | said)


def _amended(
    provider: Provider[Any],
    models: Sequence[ModelEntry],
    loaded: Loaded,
    problems: Problems,
    note: Callable[[str], None],
) -> Sequence[ModelEntry]:
    """The models as the plugins leave them that have something to say about models."""
    for impl in reversed(loaded.manager.hook.register_models.get_hookimpls()):
        given: dict[str, Any] = {
            "provider": provider,
            "models": models,
            "note": partial(_noted, impl.plugin_name, note),
        }
        try:
            found: Any = impl.function(**{name: given[name] for name in impl.argnames})
            models = models if found is None else [_entry(one) for one in found]
        except Exception as error:  # noqa: BLE001  # a plugin's own failure is an operator's message, not our crash
            what = f"register_models failed: {type(error).__name__}: {error}"
            loaded.complain(problems, impl.plugin_name, (), what)
    return models


def _noted(plugin: str, note: Callable[[str], None], what: str) -> None:
    note(f"plugins.{plugin}: {what}")


def _entry(found: object) -> ModelEntry:
    if not isinstance(found, ModelEntry):
        raise TypeError(f"it returned {type(found).__name__} where a ModelEntry was wanted")
    return found


def _kept(
    shipped: Sequence[ModelEntry], provider: Provider[Any], loaded: Loaded, problems: Problems
) -> list[ModelEntry]:
    """Without those that the operator leaves out."""
    left = list(shipped)
    for at, pattern in enumerate(provider.config.without):
        kept = [entry for entry in left if not fnmatchcase(entry.id, pattern)]
        if len(kept) == len(left):
            what = f"no model it ships is called `{pattern}`{nearest(pattern, [one.id for one in shipped])}"
            loaded.complain(problems, provider.name, ("without", at), what)
        left = kept
    return left


def _shipped(provider: Provider[Any], problems: Problems) -> tuple[tuple[ModelEntry, ...], str]:
    """The catalogue beside the plugin's own module, and its file's name; nothing where there is none."""
    kind = type(provider)
    found = _beside(kind.__module__, kind.catalogue)
    if found is None:
        return (), ""
    text, name = found
    tree = parse(text, name, problems)
    catalogue = None if tree is None else validated(Catalogue, tree, (), problems)
    return (catalogue.models if isinstance(catalogue, Catalogue) else ()), name


def _beside(module: str, name: str) -> tuple[str, str] | None:
    """(text, a name for messages) of a file beside a module."""
    package = sys.modules[module].__package__
    if package:
        resource = files(package).joinpath(name)
        if not resource.is_file():
            return None
        return resource.read_text(encoding="utf-8"), f"{package.replace('.', '/')}/{name}"
    file = sys.modules[module].__file__  # a distribution of one module has no package
    if file is None or not (path := Path(file).with_name(name)).is_file():
        return None
    return path.read_text(encoding="utf-8"), str(path)
