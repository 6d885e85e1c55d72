"""The generated tables of the documentation.

A page holds `<!-- generated: NAME -->` ... `<!-- end -->`; what stands between is made here, from the code.
`python -m tests.contract.reference` writes it (`make docs`); a test compares.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import click
import yaml
from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

import gateway_core.cli
from gateway_core.config.model import GatewayBlock
from plugin_sdk import errors
from plugin_sdk.catalogue import ModelEntry
from plugin_sdk.fidelity import ANSWER, REQUEST
from plugin_sdk.plugin import PluginConfig
from plugin_sdk.protocol import Protocol, UpstreamProtocol
from plugin_sdk.provider import Provider, ProviderConfig
from tests.bench import instructions
from tests.bench import table as bench
from tests.bench.results import recorded
from tests.contract.repository import ROOT

OPTION_HEAD = ("option", "value", "default", "meaning")
PROVIDER_OPTIONS = "../operate/configuration.md#providers"
KINDS = {"modalities": "modality", "policies": "policy", "protocols": "protocol", "providers": "provider"}
_REGION = re.compile(
    r"(?P<open><!-- generated: (?P<name>[a-z_]+) -->\n).*?(?P<close><!-- end -->)", re.DOTALL
)


def first_line(thing: Any) -> str:
    """The first line of a docstring, or nothing."""
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]] | list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


# errors


def error_classes(
    base: type[errors.GatewayError] = errors.GatewayError,
) -> Iterator[type[errors.GatewayError]]:
    """Every class of the hierarchy that the SDK declares, depth first, in the order of the file."""
    yield base
    for kind in base.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield from error_classes(kind)


def error_table() -> str:
    """One row a class that can be raised as it is."""
    rows = []
    for kind in error_classes():
        if kind in (errors.GatewayError, errors.ClientError, errors.ServerError):
            continue
        statuses, codes = [str(kind.status)], [kind.code]
        if kind is errors.UpstreamRejected:
            statuses, codes = (
                map(str, errors.UpstreamRejected.CODES),
                list(errors.UpstreamRejected.CODES.values()),
            )
        status = ", ".join(statuses)
        rows.append(
            (status, ", ".join(f"`{code}`" for code in codes), f"`{kind.__name__}`", first_line(kind))
        )
    return table(("status", "code", "class", "meaning"), rows)


# options of a pydantic model


def type_name(annotation: Any) -> str:
    """A type as an operator would write its value."""
    if annotation is SecretStr:
        return "secret"
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(type_name(part) for part in parts if part is not type(None))
    if str(origin) == "typing.Literal":
        return " or ".join(f"`{part}`" for part in parts)
    if origin in (tuple, list, frozenset, set):
        return "list of " + type_name(parts[0])
    if origin is not None and str(origin).startswith("typing.Annotated"):
        return type_name(parts[0])
    if annotation is ModelEntry:
        return "[models](#models)"
    if annotation is Decimal:
        return "decimal, in quotes"
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return names.get(annotation) or getattr(annotation, "__name__", str(annotation)).lower()


def options(
    model: type[BaseModel], *, beyond: type[BaseModel] | None = None, at: str = ""
) -> list[tuple[str, ...]]:
    """(option, value, default, meaning) of every field, nested blocks with dotted names."""
    known = beyond.model_fields if beyond else {}
    rows: list[tuple[str, ...]] = []
    for name, field in model.model_fields.items():
        if (
            name in known
            and known[name].annotation is field.annotation
            and known[name].default == field.default
        ):
            continue
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            rows += options(field.annotation, at=f"{at}{name}.")
            continue
        default = (
            field.get_default(call_default_factory=True) if not field.is_required() else PydanticUndefined
        )
        shown = "required" if default is PydanticUndefined else _default(default)
        rows.append((f"`{at}{name}`", type_name(field.annotation), shown, field.description or ""))
    return rows


def _default(value: Any) -> str:
    if value is None or value in ((), [], {}, frozenset()):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def gateway_options() -> str:
    """The `gateway:` block."""
    return table(OPTION_HEAD, options(GatewayBlock))


def provider_options() -> str:
    """What every provider's block takes."""
    return table(OPTION_HEAD, options(ProviderConfig))


# plugins


def shipped() -> list[EntryPoint]:
    """Our own plugins, by folder and name."""
    ours = [point for point in entry_points(group="gateway.plugins") if point.value.startswith("plugins.")]
    return sorted(ours, key=lambda point: (point.value.split(".")[1], point.name))


def plugin_sections() -> str:
    """A section a plugin: what it is, what its block takes."""
    return "\n".join(_plugin_section(point) for point in shipped())


def _plugin_section(point: EntryPoint) -> str:
    plugin = point.load()
    module = sys.modules[plugin.__module__]
    kind = KINDS[point.value.split(".")[1]]
    parts = [f"## {point.name}\n\nA {kind}. {first_line(module)}\n\n{first_line(plugin)}\n"]
    base: type[BaseModel] = PluginConfig
    if issubclass(plugin, Provider):
        base = ProviderConfig
        speaks = ", ".join(f"`{operation}` in {_names(said)}" for operation, said in plugin.speaks.items())
        parts.append(f"\nSpeaks {speaks}; takes [every provider's options]({PROVIDER_OPTIONS}).\n")
        if models := _models(plugin):
            parts.append("\n" + table(("model", "name"), models))
    if rows := options(plugin.Config, beyond=base):
        parts.append("\n" + table(OPTION_HEAD, rows))
    return "".join(parts)


def _names(said: str | tuple[str, ...]) -> str:
    return " and ".join(f"`{name}`" for name in ([said] if isinstance(said, str) else said))


def _models(plugin: type[Provider[Any]]) -> list[tuple[str, ...]]:
    """(id, name) of the models that a provider comes with."""
    catalogue = Path(inspect.getfile(plugin)).with_name(plugin.catalogue)
    if not catalogue.exists():
        return []
    models = yaml.safe_load(catalogue.read_text())["models"]
    return [(f"`{model['id']}`", model.get("name", "")) for model in models]


# the command line


def commands(group: click.Group | None = None, path: str = "gateway") -> Iterator[tuple[str, click.Command]]:
    """(full name, command) of every leaf, sorted."""
    group = group or gateway_core.cli.main
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def command_sections() -> str:
    """A section a command: what it does, its arguments and options."""
    parts = []
    for path, command in commands():
        usage = " ".join([path, *command.collect_usage_pieces(click.Context(command, info_name=path))])
        parts.append(f"## {path}\n\n{(inspect.cleandoc(command.help or ''))}\n\n```text\n{usage}\n```\n")
        rows = []
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
                rows.append((names, parameter.help or ""))
        parts.append(("\n" + table(("option", "meaning"), rows) if rows else "") + "\n")
    return "\n" + "".join(parts)


# fidelity


def protocols() -> list[UpstreamProtocol]:
    """The text protocols of our own plugins, clients' ones first."""
    found: list[UpstreamProtocol] = []
    for point in shipped():
        if point.value.startswith("plugins.protocols."):
            plugin = point.load()(point.name, PluginConfig())
            found += [one for one in plugin.register_protocols() if one.carries is not None]
    return sorted(found, key=lambda one: (not isinstance(one, Protocol), one.id))


def request_fidelity() -> str:
    """Every feature of a request, by the protocol of the provider that it goes to."""
    return _fidelity(REQUEST, protocols(), "request")


def answer_fidelity() -> str:
    """Every feature of an answer, by the protocol of the client that it goes to."""
    return _fidelity(ANSWER, [one for one in protocols() if isinstance(one, Protocol)], "answer")


def _fidelity(features: Mapping[str, str], columns: Sequence[UpstreamProtocol], side: str) -> str:
    rows: list[tuple[str, ...]] = []
    notes: list[tuple[str, ...]] = []
    for feature, words in features.items():
        cells = []
        for one in columns:
            row = getattr(one.carries, side)[feature]
            cells.append("refused" if row.essential and row.carries == "impossible" else row.carries)
            if row.note and row.carries != "exact":
                notes.append((words, f"`{one.id}`", row.note))
        rows.append((words, *cells))
    head = ("", *(f"`{one.id}`" for one in columns))
    return table(head, rows) + "\n" + table(("", "protocol", "what becomes of it"), notes)


REGIONS: dict[str, Callable[[], str]] = {
    "errors": error_table,
    "gateway_options": gateway_options,
    "provider_options": provider_options,
    "plugins": plugin_sections,
    "commands": command_sections,
    "request_fidelity": request_fidelity,
    "answer_fidelity": answer_fidelity,
    "bench_targets": lambda: bench.targets(recorded()),
    "bench_figures": lambda: bench.figures(recorded()),
    "bench_instructions": lambda: instructions.render(instructions.recorded()),
    "bench_circumstances": lambda: bench.circumstances(recorded()),
}


def generated(text: str) -> str:
    """A page with its generated regions made anew."""
    return _REGION.sub(
        lambda found: found["open"] + "\n" + REGIONS[found["name"]]().strip("\n") + "\n\n" + found["close"],
        text,
    )


def generated_pages() -> list[Path]:
    """The pages that have such regions."""
    return [path for path in sorted((ROOT / "docs").rglob("*.md")) if _REGION.search(path.read_text())]


def write_pages() -> None:
    """Bring every generated region up to date."""
    for path in generated_pages():
        path.write_text(generated(path.read_text()))


if __name__ == "__main__":
    write_pages()
