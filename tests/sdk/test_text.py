"""The text vocabulary: values that nobody can change, and that say only what was said."""

import inspect
from typing import get_args

import msgspec
import pytest

from plugin_sdk import text
from plugin_sdk.text import Conversation, Delta, Message, TextDelta, TextPart, ToolCallDelta

TYPES = [
    found
    for _, found in inspect.getmembers(text, inspect.isclass)
    if issubclass(found, msgspec.Struct) and found.__module__ == text.__name__
]


@pytest.mark.parametrize("kind", TYPES)
def test_every_value_is_frozen_and_told_by_keyword(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.frozen
    assert all(one.kind is one.KEYWORD_ONLY for one in inspect.signature(kind).parameters.values())
    assert kind.__doc__


def test_a_value_cannot_be_changed_only_replaced() -> None:
    part = TextPart(text="a")
    with pytest.raises(AttributeError):
        part.text = "b"  # type: ignore[misc]
    assert msgspec.structs.replace(part, text="b") == TextPart(text="b")


def test_what_was_not_said_is_none() -> None:
    said = Conversation(model="m", messages=(Message(role="user", parts=()),), origin="p")
    options = {name: value for name, value in msgspec.structs.asdict(said).items() if value is not None}
    assert {name for name, value in options.items() if value} == {"model", "messages", "origin"}


def test_extras_are_nobodys_in_common() -> None:
    first, second = ToolCallDelta(), ToolCallDelta()
    assert first == second
    assert first.extra is not second.extra or not first.extra


def test_every_delta_that_belongs_to_a_choice_names_it() -> None:
    of_a_choice = [kind for kind in get_args(Delta) if "choice" in kind.__struct_fields__]
    assert {kind.__name__ for kind in get_args(Delta)} - {kind.__name__ for kind in of_a_choice} == {
        "Started",
        "UsageDelta",
        "Failed",
    }
    assert TextDelta(text="a").choice == 0
