"""A value that is valid for a JSON schema, with names and numbers taken from the prompt where it has them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from plugins.providers.simulator.patterns import matching

_PROPER: Final = re.compile(r"(?:[A-Z][\w'-]+)(?: (?:of |de |la )?[A-Z][\w'-]+)*")
_NUMBER: Final = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
_NOT_NAMES: Final = frozenset(
    re.findall(
        r"\w+",
        """
        What Which Where When Who Whom Why How Is Are Am Was Were Do Does Did Can Could Will Would
        Should May Might Use Call Tell Give Get Find Show Extract Return Reply Respond Answer Please
        The A An In On At Of For To From By With And Or But If Then This That These Those It He She
        They We You I My Your His Her Their JSON Weather Say Make Create Write Describe List Name
        Hello Hi
        """,
    )
)
_FORMATS: Final = {
    "date": "2026-01-31", "time": "12:30:00Z", "date-time": "2026-01-31T12:30:00Z", "duration": "PT1H",
    "email": "alice@example.com", "idn-email": "alice@example.com", "hostname": "example.com",
    "idn-hostname": "example.com", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "uri": "https://example.com/",
    "uri-reference": "https://example.com/", "iri": "https://example.com/", "json-pointer": "/a",
    "regex": "a", "uuid": "00000000-0000-4000-8000-000000000001",
}  # fmt: skip
_DEEPEST: Final = 8  # from here on whatever may be left out is left out: schemas may refer to themselves
_MOST: Final = 200  # items of an array or letters of padding, whatever the schema asks for


def value_for(schema: Any, prompt: str) -> Any:
    """The value: every property is there, save where a schema that refers to itself would not end."""
    return _Filler(schema, prompt).value(schema, "", 0)


def names_in(prompt: str) -> list[str]:
    """The proper names of a text, in their order, each once."""
    found: dict[str, None] = {}
    for match in _PROPER.finditer(prompt):
        words = match[0].split()
        while words and words[0] in _NOT_NAMES:
            words = words[1:]
        if words:
            found[" ".join(words).removesuffix("'s")] = None
    return list(found)


def keys_in(prompt: str) -> list[str]:
    """The keys that a text asks for: `a JSON object with keys name and age`."""
    found = re.search(
        r"(?i)\b(?:keys?|fields?|properties)[: ]+((?:[\"'`]?\w+[\"'`]?(?:, and | and |, ?)?)+)", prompt
    )
    if not found:
        return []
    return [key for key in re.findall(r"\w+", found[1]) if key.lower() not in ("and", "only", "set", "to")]


def object_for(prompt: str) -> dict[str, Any]:
    """An object for `json_object` mode, which has no schema: with the keys that the prompt names."""
    keys = keys_in(prompt)
    filler = _Filler({}, prompt)
    return {key: filler.guess(key) for key in keys} if keys else {"answer": " ".join(prompt.split()[:12])}


class _Filler:
    """One walk over a schema; names and numbers of the prompt are used up in their order."""

    def __init__(self, root: Any, prompt: str) -> None:
        self._root = root
        self._prompt = prompt
        self._names = iter(names_in(prompt))
        self._numbers: Iterator[str] = iter(_NUMBER.findall(prompt))

    def value(self, schema: Any, name: str, depth: int) -> Any:
        """A value for a schema, under the name of its property."""
        if not isinstance(schema, Mapping):
            return True
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if options := schema.get("enum"):
            said = self._prompt.lower()
            return next((option for option in options if str(option).lower() in said), options[0])
        for word in ("anyOf", "oneOf"):
            if options := schema.get(word):
                rest = {key: value for key, value in schema.items() if key != word}
                return self.value(_merged([rest, self._chosen(options, depth)]), name, depth)
        return getattr(self, f"_{_type_of(schema)}")(schema, name, depth)

    def guess(self, name: str) -> Any:
        """A value for a key of which nothing but the name is known."""
        if (stated := self._stated(name)) is not None:
            return int(stated) if re.fullmatch(r"-?\d{1,15}", stated) else stated
        if name.lower() in ("name", "city", "person", "country", "location", "title"):
            return next(self._names, "example")
        if name.lower() in ("age", "number", "count", "year", "temperature", "temp"):
            return int(float(next(self._numbers, "1")))
        return True

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema with its references followed and its `allOf` merged in."""
        for _ in range(_DEEPEST):
            if isinstance(reference := schema.get("$ref"), str):
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                schema = _merged([self._referred(reference), rest])
            elif parts := schema.get("allOf"):
                rest = {key: value for key, value in schema.items() if key != "allOf"}
                schema = _merged([rest, *(self._resolved(part) for part in parts)])
            else:
                break
        return schema

    def _referred(self, reference: str) -> Mapping[str, Any]:
        found: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            if step and isinstance(found, Mapping):
                found = found.get(step.replace("~1", "/").replace("~0", "~"), {})
        return found if isinstance(found, Mapping) else {}

    def _chosen(self, options: Sequence[Any], depth: int) -> Mapping[str, Any]:
        """The first option that is not null; the null one where it is time to end."""
        resolved = [self._resolved(option) for option in options if isinstance(option, Mapping)]
        nothing = [option for option in resolved if option.get("type") == "null"]
        something = [option for option in resolved if option.get("type") != "null"]
        if depth >= _DEEPEST and nothing:
            return nothing[0]
        return (something or nothing or [{}])[0]

    def _object(self, schema: Mapping[str, Any], name: str, depth: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        required = schema.get("required") or []
        wanted = [key for key in properties if key in required or depth < _DEEPEST]
        filled = {key: self.value(properties[key], key, depth + 1) for key in wanted}
        more = schema.get("additionalProperties", True)
        for key in required:
            if key not in filled:
                filled[key] = self.value(
                    more if isinstance(more, Mapping) else {"type": "string"}, key, depth + 1
                )
        return filled

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        least, most = int(schema.get("minItems") or 0), int(schema.get("maxItems", _MOST))
        first = [self.value(item, name, depth + 1) for item in schema.get("prefixItems") or []][:most]
        number = max(least, 0 if depth >= _DEEPEST else len(first) or 1)
        items = schema.get("items", {"type": "string"})
        rest = [self.value(items, name, depth + 1) for _ in range(min(number, most, _MOST) - len(first))]
        values = first + rest
        return _distinct(values) if schema.get("uniqueItems") else values

    def _string(self, schema: Mapping[str, Any], name: str, depth: int) -> str:
        if pattern := schema.get("pattern"):
            return matching(str(pattern))
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        text = self._stated(name) or next(self._names, None) or name or "text"
        least, most = int(schema.get("minLength") or 0), schema.get("maxLength")
        text = text.ljust(min(least, 10_000), ".")
        return text if most is None else text[: int(most)]

    def _integer(self, schema: Mapping[str, Any], name: str, depth: int) -> int:
        said = self._stated(name) or next(self._numbers, "1")
        number = int(float(said)) if _NUMBER.fullmatch(said) else 1
        step = int(schema.get("multipleOf") or 1) or 1
        lowest, highest = _bounds(schema, 1)
        if lowest is not None and number < lowest:
            number = -int(-lowest // 1)
        if highest is not None and number > highest:
            number = int(highest // 1)
        rounded = number // step * step
        return rounded + step if lowest is not None and rounded < lowest else rounded

    def _number(self, schema: Mapping[str, Any], name: str, depth: int) -> float:
        if schema.get("multipleOf"):
            return self._integer({**schema, "multipleOf": 1}, name, depth) * float(schema["multipleOf"])
        said = self._stated(name) or next(self._numbers, "1.5")
        number = float(said) if _NUMBER.fullmatch(said) else 1.5
        lowest, highest = _bounds(schema, 0.001)
        return float(
            min(max(number, number if lowest is None else lowest), number if highest is None else highest)
        )

    def _boolean(self, schema: Mapping[str, Any], name: str, depth: int) -> bool:
        return not re.search(r"(?i)\b(?:not|no|never|false)\b", self._prompt)

    def _null(self, schema: Mapping[str, Any], name: str, depth: int) -> None:
        return None

    def _stated(self, name: str) -> str | None:
        """What the prompt says of a name in so many words: `age: 30`, `"city" is Paris`."""
        words = re.escape(name).replace("_", "[ _]")
        found = (
            re.search(rf"(?i)\b{words}[\"'`]?(?: ?[:=] ?| is )[\"'`]?([\w.@+-]+)", self._prompt)
            if name
            else None
        )
        return found[1].rstrip(".") if found else None


def _type_of(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind in ("object", "array", "string", "integer", "number", "boolean", "null"):
        return str(kind)
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _bounds(schema: Mapping[str, Any], step: float) -> tuple[Any, Any]:
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    if isinstance(above := schema.get("exclusiveMinimum"), int | float) and not isinstance(above, bool):
        lowest = above + step
    if isinstance(below := schema.get("exclusiveMaximum"), int | float) and not isinstance(below, bool):
        highest = below - step
    return lowest, highest


def _merged(schemas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for schema in schemas:
        for key, value in schema.items():
            if key == "properties":
                merged[key] = {**merged.get(key, {}), **value}
            elif key == "required":
                merged[key] = [*merged.get(key, []), *value]
            else:
                merged[key] = value
    return merged


def _distinct(values: list[Any]) -> list[Any]:
    seen: list[Any] = []
    for place, value in enumerate(values):
        if value not in seen:
            seen.append(value)
        elif isinstance(value, str):
            seen.append(f"{value} {place + 1}")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            seen.append(value + place)
    return seen
