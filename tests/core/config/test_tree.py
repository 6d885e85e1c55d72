"""YAML 1.2 with lines: what a scalar is, and what is refused."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway_core.config.problems import Place, Problems
from gateway_core.config.tree import from_mapping, parse


def read(text: str) -> Any:
    problems = Problems()
    tree = parse(text, "f.yaml", problems)
    problems.raise_if_any()
    assert tree is not None
    return tree.plain()


def complaints(text: str) -> list[str]:
    problems = Problems()
    parse(text, "f.yaml", problems)
    return list(problems)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("on", "on"), ("yes", "yes"), ("true", True), ("False", False), ("null", None),
        ("~", None),
        ("", None), ("012", 12), ("0o17", 15), ("0x1F", 31), ("-7", -7), ("1e3", 1000.0), (".5", 0.5),
        ("1_000", "1_000"),
        ("2026-01-02", "2026-01-02"), ("12:30:45", "12:30:45"), ("'12'", "12"), ("<<", "<<"), ("=", "="),
        ("none", "none"),
        ("-.inf", float("-inf")), ("1.", 1.0), ("+3", 3), ("!!str 12", "12"), (".", "."), ("-", "-"),
    ],
)  # fmt: skip
def test_a_scalar_is_what_yaml_1_2_says(text: str, value: Any) -> None:
    found = read(f"k: {text}\n" if text != "-" else 'k: "-"\n')
    assert found == {"k": value}
    assert type(found["k"]) is type(value)


def test_every_part_knows_the_line_of_its_key() -> None:
    problems = Problems()
    tree = parse("a:\n  b: 1\n\n  c:\n    - x\n    - y\n", "f.yaml", problems)
    assert tree is not None
    assert tree.find(("a", "b"))[0].place == Place("f.yaml", 2)
    assert tree.find(("a", "c"))[0].place == Place("f.yaml", 4)
    assert tree.find(("a", "c", 1))[0].place == Place("f.yaml", 6)


def test_a_path_that_leads_nowhere_ends_at_the_deepest_part_there_is() -> None:
    tree = from_mapping({"a": {"b": [1, 2]}})
    assert tree.find(("a", "tag of a union", "b", 1, "gone"))[1] == ("a", "b", 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "f.yaml:4: b.c: written twice (first on line 3); keep one"),
        ("a: 1\n'a': 2\n", "f.yaml:2: a: written twice (first on line 1); keep one"),
        ("a: !!python/object:os.system x\n", "leave the tag out"),
        ("a: !mine x\n", "leave the tag out"),
        ("a: !!int x\n", "leave the tag out"),
        ("? [a]\n: b\n", "f.yaml:1: a key must be a word, not a list or a mapping"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2: not YAML: "),
        ("a: [\n", "f.yaml:2: not YAML: "),
        ("a: *b\n", "f.yaml:1: not YAML: "),
        ("a: \x00\n", "f.yaml:1: not YAML: "),
        ("a: &x [*x]\n", "nested too deeply, or within itself"),
        ("a: " + "[" * 3000 + "\n", "f.yaml:"),
    ],
)
def test_what_is_refused_is_refused_with_its_line(text: str, said: str) -> None:
    (found,) = complaints(text)
    assert said in found


def test_an_anchor_is_read_once_however_often_it_is_used() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    assert complaints(text) == []


def test_a_duplicate_inside_an_anchor_is_said_once() -> None:
    assert len(complaints("a: &x {k: 1, k: 2}\nb: *x\n")) == 1


_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz"), inner, max_size=4),
    max_leaves=12,
)


class _Quoting(yaml.SafeDumper):
    """Quotes every text: what a YAML 1.1 library leaves bare may be a number in 1.2."""


_Quoting.add_representer(str, lambda to, text: to.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


@given(st.dictionaries(st.text("abcxyz", min_size=1), _VALUES, max_size=5))
def test_what_a_yaml_library_writes_is_read_back(value: dict[str, Any]) -> None:
    assert read(yaml.dump(value, Dumper=_Quoting)) == value
