"""A JSON object spliced over its own bytes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_sdk.errors import InvalidJson
from plugin_sdk.json_object import MAX_DEPTH, AnswerObject, JsonObject

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=5), VALUES, max_size=5)
SPACING = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t")])


def written(value: Any, spacing: tuple[str, str], *, ascii_only: bool) -> bytes:
    text = json.dumps(value, separators=spacing, ensure_ascii=ascii_only)
    return text.encode("utf-8", "surrogatepass")


@given(OBJECTS, SPACING, st.booleans())
def test_every_member_is_found_where_it_stands(
    value: dict[str, Any], spacing: tuple[str, str], ascii_only: bool
) -> None:
    body = b" \n" + written(value, spacing, ascii_only=ascii_only) + b"\t"
    for kind in (JsonObject, AnswerObject):
        top = kind(body)
        assert set(top.values) == set(value)
        for name, expected in value.items():
            span = top.span(name)
            assert span is not None
            assert json.loads(body[slice(*span)]) == json.loads(top.raw(name) or b"") == expected


@given(OBJECTS, OBJECTS, st.lists(st.text(), max_size=3), SPACING)
def test_an_edit_changes_adds_and_takes_out_members_and_nothing_else(
    value: dict[str, Any], changes: dict[str, Any], gone: list[str], spacing: tuple[str, str]
) -> None:
    body = written(value, spacing, ascii_only=False)
    raw = {name: written(change, spacing, ascii_only=True) for name, change in changes.items()}
    kept = {name: member for name, member in value.items() if name not in gone}
    assert json.loads(JsonObject(body).edited(raw, gone)) == {
        **kept,
        **{name: change for name, change in changes.items() if name not in gone or name not in value},
    }


def test_bytes_that_are_not_edited_stay_as_they_were_written() -> None:
    body = b'{ "a" : 1.50 , "model":"x","b":{"z":1,  "a":2e0},"u":"\\u00e9" }'
    assert JsonObject(body).edited({"model": b'"y"'}) == body.replace(b'"x"', b'"y"')
    assert JsonObject(b'{"a": 1 }').edited({"b": b"2"}) == b'{"a": 1,"b":2 }'
    assert JsonObject(b"{ }").edited({"b": b"2"}) == b'{"b":2 }'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b'{"a":1',
        b'{"a":1,}',
        b'{"a":1}}',
        b'{"a":1} x',
        b"{'a':1}",
        b'{"a":NaN}',
        b'{"a":01}',
        b'{"a":"\n"}',
        b'{"a":"\\x"}',
        b'{"a":"\xff"}',
        b"\xff\xfe{}",
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
    ],
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidJson):
        JsonObject(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}',
        b'{"model":"a","model":"a"}',
        b'{"model":"a","x":1,"model":"a"}',
        b'{"x":1,"x":1,"y":1}',
        b'{"a":1,"b":1,"a":1,"b":1}',
        b'{"model":"a","mod\\u0065l":"b"}',
        b'{"m":{"x":1},"m":{"x":1}}',
    ],
)
def test_a_name_given_twice_at_the_top_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidJson, match="twice"):
        JsonObject(body)


def test_a_name_given_twice_below_the_top_is_the_upstreams_affair() -> None:
    assert JsonObject(b'{"a":{"b":1,"b":2}}').raw("a") == b'{"b":1,"b":2}'


@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}"), (b'{"]\\"":', b"}")])
def test_nesting_is_counted_and_brackets_in_strings_are_not(pair: tuple[bytes, bytes]) -> None:
    noise = b'"\\\\\\"[[[[{{{{' + b"[" * 300 + b'"'
    for levels, fits in ((MAX_DEPTH - 1, True), (MAX_DEPTH, False)):
        deep = pair[0] * levels + b"1" + pair[1] * levels
        body = b'{"x":' + noise + b',"deep":' + deep + b"}"
        if fits:
            assert JsonObject(body).raw("deep") == deep
        else:
            with pytest.raises(InvalidJson, match="deeper"):
                JsonObject(body)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    body = b'{"a":[' + b",".join([b'{"b":[1]}'] * 5000) + b"]}"
    assert JsonObject(body).raw("a") == body[5:-1]


def test_an_answer_may_repeat_a_name_and_readers_take_the_last() -> None:
    body = b'{"id":"a", "usage":null,"id":"b","usage":{"x":[1,"}"]}}'
    top = AnswerObject(body)
    assert top.raw("id") == b'"b"'
    assert top.span("usage") == (body.index(b'{"x"'), len(body) - 1)
    assert top.edited({"id": b'"G"'}) == b'{"id":"G", "usage":null,"id":"G","usage":{"x":[1,"}"]}}'


def test_an_answer_may_hold_half_an_emoji() -> None:
    top = AnswerObject(b'{"id":"a","text":"\\ud83d","n":NaN,"b":"\xff"}')
    assert (top.raw("id"), top.raw("text"), top.raw("b")) == (b'"a"', b'"\\ud83d"', b'"\xff"')


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"x", b'{"a":}', b'{"a"', b'{"a":1 "b"', b'{"a":' + b"[" * 100_000]
)
def test_an_answer_that_is_no_object_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="not"):
        AnswerObject(body)
