"""`${NAME}` and `${NAME:-default}` in values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_core.config.environment import substituted
from gateway_core.config.problems import Problems
from gateway_core.config.tree import from_mapping

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
PLAIN = st.text(st.characters(exclude_characters="$", codec="utf-8"))


def of(value: Any, **environ: str) -> Any:
    problems = Problems()
    found = substituted(from_mapping(value), environ, problems)
    problems.raise_if_any()
    return found.plain()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "1"), ("x${A}y${A}z", "x1y1z"), ("${GONE:-d}", "d"), ("${EMPTY:-d}", "d"), ("${EMPTY}", ""),
        ("${A:-d}", "1"), ("${GONE:-}", ""), ("${GONE:-a:-b}", "a:-b"), ("$${A}", "${A}"),
        ("$A", "$A"), ("$", "$"),
        ("$$", "$$"), ("{A}", "{A}"), ("${GONE:-postgres://u:p@h/d?x=1}", "postgres://u:p@h/d?x=1"),
        ("${NEST}", "${A}"),
    ],
)  # fmt: skip
def test_references_are_replaced(text: str, value: str) -> None:
    assert of(text, A="1", EMPTY="", NEST="${A}") == value


@pytest.mark.parametrize("text", ["${}", "${A", "${1A}", "${A-b}", "${A:b}", "${ A }", "x${"])
def test_what_is_no_reference_is_refused(text: str) -> None:
    problems = Problems()
    substituted(from_mapping({"k": text}), {"A": "1"}, problems)
    (error,) = problems
    assert error.startswith("k: write ${NAME} or ${NAME:-default}")


@given(PLAIN, NAMES, st.text(), PLAIN)
def test_a_value_stands_in_the_text_exactly_as_it_is(before: str, name: str, value: str, after: str) -> None:
    assert of(f"{before}${{{name}}}{after}", **{name: value}) == before + value + after


@given(PLAIN, NAMES, st.text(st.characters(exclude_characters="}")))
def test_a_default_stands_in_for_a_variable_that_is_missing(before: str, name: str, default: str) -> None:
    assert of(f"{before}${{{name}:-{default}}}") == before + default


@given(
    st.recursive(
        PLAIN | st.integers() | st.booleans() | st.none(),
        lambda part: st.lists(part) | st.dictionaries(PLAIN, part),
    )
)
def test_what_has_no_reference_stays_what_it_is(value: Any) -> None:
    assert of(value) == value


@given(st.dictionaries(PLAIN, st.sampled_from(["${A}", 1, None, ["${A}", {"k": "${A}"}]])))
def test_the_shape_never_changes(value: dict[str, Any]) -> None:
    found = of(value, A="{x: [1, 2]}")
    assert list(found) == list(value)
    assert str(found) == str(value).replace("${A}", "{x: [1, 2]}")
