"""A file on top of its base."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway_core.config.merge import merged
from gateway_core.config.problems import Problems
from gateway_core.config.tree import from_mapping

OPTIONS = st.dictionaries(
    st.sampled_from("pqrs"),
    st.integers() | st.lists(st.integers()) | st.dictionaries(st.sampled_from("uv"), st.integers()),
)
PLUGINS = st.dictionaries(st.sampled_from("abcdef"), OPTIONS)


def of(base: Any, top: Any) -> Any:
    problems = Problems()
    found = merged(from_mapping(base), from_mapping(top), problems)
    problems.raise_if_any()
    return found.plain()


def test_mappings_merge_and_everything_else_is_replaced() -> None:
    base = {"plugins": {"a": {"k": {"x": 1, "y": 2}, "list": [1, 2], "only": 1}}}
    top = {"plugins": {"a": {"k": {"y": 3}, "list": [9]}}}
    assert of(base, top) == {"plugins": {"a": {"k": {"x": 1, "y": 3}, "list": [9], "only": 1}}}


def test_a_name_alone_leaves_the_options_of_the_base() -> None:
    assert of({"plugins": {"a": {"k": 1}}}, {"plugins": {"a": None}}) == {"plugins": {"a": {"k": 1}}}


@given(PLUGINS, PLUGINS)
def test_the_base_comes_first_in_its_order_and_new_names_after_in_theirs(
    base: dict[str, Any], top: dict[str, Any]
) -> None:
    found = of({"plugins": base}, {"plugins": top})["plugins"]
    assert list(found) == [*base, *(name for name in top if name not in base)]


@given(PLUGINS, PLUGINS)
def test_every_option_of_the_top_wins_and_no_other_of_the_base_is_lost(
    base: dict[str, Any], top: dict[str, Any]
) -> None:
    found = of({"plugins": base}, {"plugins": top})["plugins"]
    for name, options in found.items():
        below, above = base.get(name, {}), top.get(name, {})
        assert set(options) == set(below) | set(above)
        for key, value in options.items():
            if key in above and not (isinstance(above[key], dict) and isinstance(below.get(key), dict)):
                assert value == above[key]
            elif key not in above:
                assert value == below[key]


@given(PLUGINS, st.sets(st.sampled_from("abcdef")))
def test_false_removes_and_leaves_the_others_alone(base: dict[str, Any], removed: set[str]) -> None:
    top = {name: False for name in base if name in removed}
    assert of({"plugins": base}, {"plugins": top}) == {
        "plugins": {name: options for name, options in base.items() if name not in removed}
    }


@given(PLUGINS)
def test_merging_a_file_with_itself_changes_nothing(base: dict[str, Any]) -> None:
    assert of({"plugins": base}, {"plugins": base}) == {"plugins": base}


@given(PLUGINS)
def test_an_empty_file_on_top_changes_nothing(base: dict[str, Any]) -> None:
    assert of({"plugins": base}, {}) == {"plugins": base}
