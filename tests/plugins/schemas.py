"""Whether a value keeps a JSON schema: the keywords that the simulator fills, read a second time."""

import re
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float),
    "boolean": (bool,), "null": (type(None),),
}  # fmt: skip


def broken(value: Any, schema: Any, root: Any = None) -> str | None:
    """What a value breaks, or None."""
    root = schema if root is None else root
    if isinstance(schema, bool):
        return None if schema else "nothing is allowed here"
    if "$ref" in schema:
        found = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step] if step and step != "#" else found
        if problem := broken(value, found, root):
            return problem
    for check in (_kind, _choice, _object, _array, _text, _number):
        if problem := check(value, schema, root):
            return problem
    return None


def _kind(value: Any, schema: dict[str, Any], root: Any) -> str | None:
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    right = any(
        isinstance(value, _TYPES[one]) and (one == "boolean" or not isinstance(value, bool)) for one in kinds
    )
    return None if right or not kinds else f"{value!r} is not of type {kinds}"


def _choice(value: Any, schema: dict[str, Any], root: Any) -> str | None:
    if "const" in schema and value != schema["const"]:
        return f"{value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{value!r} is not one of {schema['enum']}"
    if "anyOf" in schema and all(broken(value, one, root) for one in schema["anyOf"]):
        return f"{value!r} fits no option"
    if "oneOf" in schema and sum(not broken(value, one, root) for one in schema["oneOf"]) != 1:
        return f"{value!r} does not fit exactly one option"
    return next((problem for one in schema.get("allOf", []) if (problem := broken(value, one, root))), None)


def _object(value: Any, schema: dict[str, Any], root: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    if missing := [name for name in schema.get("required", []) if name not in value]:
        return f"{missing} is missing"
    properties = schema.get("properties", {})
    if schema.get("additionalProperties") is False and (more := set(value) - set(properties)):
        return f"{more} is too much"
    inner = (broken(value[name], one, root) for name, one in properties.items() if name in value)
    return next((problem for problem in inner if problem), None)


def _array(value: Any, schema: dict[str, Any], root: Any) -> str | None:
    if not isinstance(value, list):
        return None
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 10**9):
        return f"{len(value)} items"
    if schema.get("uniqueItems") and any(value.count(one) > 1 for one in value):
        return "an item twice"
    first = schema.get("prefixItems", [])
    pairs = [
        *zip(value, first, strict=False),
        *((one, schema.get("items", True)) for one in value[len(first) :]),
    ]
    return next((problem for one, item in pairs if (problem := broken(one, item, root))), None)


def _text(value: Any, schema: dict[str, Any], root: Any) -> str | None:
    if not isinstance(value, str):
        return None
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**9):
        return f"{len(value)} letters"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return f"{value!r} does not match {schema['pattern']}"
    return None


def _number(value: Any, schema: dict[str, Any], root: Any) -> str | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    low, high = schema.get("minimum", -(10**30)), schema.get("maximum", 10**30)
    above, below = schema.get("exclusiveMinimum", -(10**30)), schema.get("exclusiveMaximum", 10**30)
    if not (low <= value <= high and above < value < below):
        return f"{value} is out of bounds"
    step = schema.get("multipleOf")
    return f"{value} is no multiple of {step}" if step and value % step else None
