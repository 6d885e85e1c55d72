"""The top-level fields of a JSON request: types checked, the few that are needed decoded, and no more.

Every protocol's `index` is made of these. Ranges, and what messages hold, are for the upstream to judge, or
for `parse` where the request is translated.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec

from plugin_sdk.errors import InvalidRequest, ModelRequired
from plugin_sdk.json_object import JsonObject
from plugin_sdk.protocol import GATEWAY_FIELDS

Positive = Annotated[int, msgspec.Meta(ge=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Object = dict[str, msgspec.Raw]

_WORDS: Final[Mapping[Any, str]] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
    Positive: "a positive integer",
    Count: "an integer, 0 or more",
    Text: "a non-empty string",
    Object: "an object",
    dict[str, Any]: "an object",
    str | Object: "a string or an object",
    str | list[str]: "a string or a list of strings",
    str | list[Any]: "a string or a list",
    list[str]: "a list of strings",
    list[Object]: "a list of objects",
    list[Any]: "a list",
}
_any = msgspec.json.Decoder().decode
_LIST: Final = re.compile(rb"\[(\s*\])?")

Problem = dict[str, Any]  # one of an error's `details`


class RequestFields:
    """What a protocol's clients may send at the top level.

    types  a type for each field; a null is an absent field
    known  further fields, of any type
    read   those of `types` whose values `checked` gives back
    """

    __slots__ = ("_decoders", "_known", "_read", "_types")

    def __init__(self, types: Mapping[str, Any], *, known: Iterable[str] = (), read: Iterable[str]) -> None:
        self._types = types
        self._decoders = {name: msgspec.json.Decoder(kind).decode for name, kind in types.items()}
        self._known = frozenset(known) | GATEWAY_FIELDS | set(types)
        self._read = frozenset(read)

    def checked(
        self, top: JsonObject, problems: Sequence[Problem] = ()
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """(the values to read, the names nobody knows). InvalidRequest with every wrong field at once."""
        found: dict[str, Any] = {}
        unknown: list[str] = []
        wrong = list(problems)
        decoders, read = self._decoders, self._read
        for name, value in top.values.items():
            if (decode := decoders.get(name)) is None:
                if name not in self._known:
                    unknown.append(name)
                continue
            try:
                decoded = decode(value)
            except msgspec.ValidationError as error:
                if bytes(value) != b"null":
                    wrong.append(self._detail(name, error))
                continue
            if name in read:
                found[name] = decoded
        if wrong:
            raise invalid(wrong)
        return found, tuple(unknown)

    def _detail(self, name: str, error: msgspec.ValidationError) -> Problem:
        words = _WORDS.get(self._types[name], "of another type")
        for limit in (0, 1):
            if f">= {limit}" in str(error):
                return problem(name, f"must be {words}", "minimum", {"limit": limit})
        return problem(name, f"must be {words}", "type", {"expected": words})


def model_of(fields: Mapping[str, Any]) -> str:
    """The model; ModelRequired where none is named."""
    model = fields.get("model")
    if model is None:
        raise ModelRequired("The request names no model: set `model`.", param="model")
    return str(model)


def flag(top: JsonObject, name: str) -> bool:
    """Whether a field of the gateway's own says yes: `true`, or `{"include": true}`."""
    raw = top.values.get(name)
    if raw is None:
        return False
    value = _any(raw)
    return value is True or (isinstance(value, dict) and value.get("include") is True)


def preferences(top: JsonObject) -> dict[str, Any] | None:
    """The `provider` object of the contract, section 6.2."""
    raw = top.values.get("provider")
    value = None if raw is None else _any(raw)
    if value is not None and not isinstance(value, dict):
        raise invalid([problem("provider", "must be an object", "type", {"expected": "an object"})])
    return value


def filled_list(top: JsonObject, name: str, what: str) -> list[Problem]:
    """What is wrong with a field that must be a list of at least one; its contents are not looked at."""
    value = top.values.get(name)
    if value is None:
        return [problem(name, "is required", "required", {"missingProperty": name})]
    found = _LIST.match(value)  # of a long list nothing is copied
    if found is None:
        return [problem(name, "must be a list", "type", {"expected": "a list"})]
    if found[1] is not None:
        return [problem(name, f"must hold at least one {what}", "minItems", {"limit": 1})]
    return []


def problem(name: str, said: str, keyword: str, params: Mapping[str, Any]) -> Problem:
    """One of an error's `details` (contract, section 0.1)."""
    return {"message": f"`{name}` {said}.", "path": [name], "keyword": keyword, "params": dict(params)}


def invalid(wrong: Sequence[Problem]) -> InvalidRequest:
    """The error that says all that is wrong; its message is that of the first."""
    return InvalidRequest(wrong[0]["message"], param=wrong[0]["path"][0], details=list(wrong))
