"""YAML 1.2 as a tree that remembers where everything stood. No tags, no merge keys, no key twice."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from gateway_core.config.problems import NOWHERE, Path, Place, Problems

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML without libyaml
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

_TAG: Final = "tag:yaml.org,2002:"


class Tree:
    """A mapping of trees, a list of trees or a scalar, and its place: that of its key where it has one."""

    __slots__ = ("place", "value")

    def __init__(self, value: Any, place: Place) -> None:
        self.value = value
        self.place = place

    def plain(self) -> Any:
        """The same without places: dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {name: part.plain() for name, part in self.value.items()}
        if isinstance(self.value, list):
            return [part.plain() for part in self.value]
        return self.value

    def find(self, path: Sequence[Any]) -> tuple["Tree", Path]:
        """The deepest part that exists on this path, and the path so far."""
        at: Tree = self
        walked: Path = ()
        for step in path:
            inside = at.value
            listed = isinstance(inside, list) and isinstance(step, int) and 0 <= step < len(inside)
            if listed or (isinstance(inside, dict) and step in inside):
                at = inside[step]
                walked = (*walked, step)
            # else it is a word of a validator's own, such as the branch of a union
        return at, walked


class _Yaml12(_Loader):
    """The core schema of YAML 1.2: `no` is a word, `012` is twelve, a date is text."""


_Yaml12.yaml_implicit_resolvers = {}
for _name, _pattern, _starts in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _Yaml12.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), _starts)


def parse(text: str, file: str, problems: Problems) -> Tree | None:
    """The tree of a YAML text; None, with the problems noted, where it is none."""
    try:
        root = yaml.compose(text, _Yaml12)
        if root is None:
            return Tree({}, Place(file, 1))
        return _Reader(file, problems).read(root, Place(file, 1), ())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        problems.add(Place(file, line), (), f"not YAML: {error.problem or error.context}")
    except yaml.YAMLError as error:
        problems.add(Place(file, 1), (), f"not YAML: {str(error).splitlines()[0]}")
    except RecursionError:
        problems.add(Place(file, 1), (), "nested too deeply, or within itself")
    return None


def from_mapping(value: Any, place: Place = NOWHERE) -> Tree:
    """A tree of plain values, for a configuration that did not come from a file."""
    if isinstance(value, Mapping):
        return Tree({str(name): from_mapping(part, place) for name, part in value.items()}, place)
    if isinstance(value, list | tuple):
        return Tree([from_mapping(part, place) for part in value], place)
    return Tree(value, place)


class _Reader:
    """Turns composed nodes into trees. An anchor's node is read once, however often it is used."""

    def __init__(self, file: str, problems: Problems) -> None:
        self._file = file
        self._problems = problems
        self._known: dict[yaml.Node, Any] = {}

    def read(self, node: yaml.Node, place: Place, path: Path) -> Tree:
        if node not in self._known:
            if isinstance(node, yaml.MappingNode):
                self._known[node] = self._mapping(node, path)
            elif isinstance(node, yaml.SequenceNode):
                parts = enumerate(node.value)
                self._known[node] = [self.read(part, self._at(part), (*path, at)) for at, part in parts]
            else:
                self._known[node] = self._scalar(node, place, path)
        return Tree(self._known[node], place)

    def _at(self, node: yaml.Node) -> Place:
        return Place(self._file, node.start_mark.line + 1)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Tree]:
        parts: dict[str, Tree] = {}
        for key, value in node.value:
            place = self._at(key)
            if not isinstance(key, yaml.ScalarNode):
                self._problems.add(place, path, "a key must be a word, not a list or a mapping")
                continue
            if key.value in parts:
                before = parts[key.value].place.line
                self._problems.add(
                    place, (*path, key.value), f"written twice (first on line {before}); keep one"
                )
                continue
            parts[key.value] = self.read(value, place, (*path, key.value))
        return parts

    def _scalar(self, node: yaml.Node, place: Place, path: Path) -> Any:
        text = str(node.value)
        kind = node.tag.removeprefix(_TAG)
        try:
            if kind in _SCALARS:
                return _SCALARS[kind](text)
        except ValueError:
            pass
        self._problems.add(place, path, f"cannot be read as {node.tag}; leave the tag out")
        return None


def _int(text: str) -> int:
    return int(text, 8 if text.startswith("0o") else 16 if text.startswith("0x") else 10)


def _float(text: str) -> float:
    return float(text.replace(".inf", "inf").replace(".nan", "nan") if text[-1:].isalpha() else text)


def _bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


_SCALARS: Final[Mapping[str, Any]] = {
    "str": str,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "null": lambda _: None,
}
