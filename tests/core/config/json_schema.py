"""As much of JSON Schema as `gateway schema` uses: enough to check a file against it."""

import re
from typing import Any

_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}
_KNOWN = {
    "$defs", "$ref", "$schema", "additionalProperties", "allOf", "anyOf", "const", "default",
    "description", "else", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "if", "items",
    "maxLength", "maximum", "minLength", "minimum", "pattern", "patternProperties", "properties",
    "propertyNames", "required", "then", "title", "type", "writeOnly",
}  # fmt: skip


def fits(value: Any, schema: Any, root: dict[str, Any]) -> bool:
    """Whether a value is what the schema describes."""
    if isinstance(schema, bool):
        return schema
    unknown = set(schema) - _KNOWN
    if unknown:
        raise NotImplementedError(f"this checker does not know {unknown}")
    return all(
        (
            "$ref" not in schema or fits(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root),
            "type" not in schema or _is(value, schema["type"]),
            "enum" not in schema or value in schema["enum"],
            "const" not in schema or value == schema["const"],
            "anyOf" not in schema or any(fits(value, part, root) for part in schema["anyOf"]),
            all(fits(value, part, root) for part in schema.get("allOf", ())),
            "if" not in schema
            or fits(value, schema.get("then" if fits(value, schema["if"], root) else "else", True), root),
            _bounded(value, schema),
            not isinstance(value, dict) or _object(value, schema, root),
            not isinstance(value, list) or all(fits(part, schema.get("items", True), root) for part in value),
        )
    )


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool) and name != "boolean":
        return False
    return isinstance(value, _TYPES[name])


def _bounded(value: Any, schema: dict[str, Any]) -> bool:
    if isinstance(value, str):
        return (
            len(value) >= schema.get("minLength", 0)
            and len(value) <= schema.get("maxLength", len(value))
            and ("pattern" not in schema or re.search(schema["pattern"], value) is not None)
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (
            value >= schema.get("minimum", value)
            and value <= schema.get("maximum", value)
            and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
            and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])
        )
    return True


def _object(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any]) -> bool:
    return (
        all(name in value for name in schema.get("required", ()))
        and all(fits(name, schema.get("propertyNames", True), root) for name in value)
        and all(fits(part, _property(name, schema), root) for name, part in value.items())
    )


def _property(name: str, schema: dict[str, Any]) -> Any:
    """What describes a property: by its name, by a pattern, or else as the others."""
    if name in schema.get("properties", {}):
        return schema["properties"][name]
    patterns = schema.get("patternProperties", {})
    found = [part for pattern, part in patterns.items() if re.search(pattern, name)]
    return {"allOf": found} if found else schema.get("additionalProperties", True)
