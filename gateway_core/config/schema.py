"""One JSON Schema of the configuration file, with the options of plugins: an editor completes them."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from gateway_core.config.model import GatewayBlock

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE: Final = {"$ref": "#/$defs/environment"}
_SWITCH: Final = [{"type": "boolean"}, {"type": "null"}]
_MODE: Final[Literal["validation"]] = "validation"
_ABOUT: Final = ("title", "description", "default")


class _Quiet(GenerateJsonSchema):
    """A default that is no JSON is left out, without a warning: it is no mistake of the operator's."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}


def schema(plugins: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """The schema for these plugins' `Config` classes, by the plugins' names."""
    blocks, definitions = _blocks(plugins)
    gateway = blocks.pop("")
    named = [
        {
            "if": {"properties": {"plugin": {"const": name}}, "required": ["plugin"]},
            "then": {"$ref": f"#/$defs/plugin:{name}"},
        }
        for name in blocks
    ]
    definitions.update({f"plugin:{name}": block for name, block in blocks.items()})
    definitions["instance"] = {
        "description": "an instance of the plugin that `plugin` names",
        "type": "object",
        "properties": {"plugin": {"enum": sorted(blocks)}},
        "allOf": named,
    }
    definitions["environment"] = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}
    return {
        "$schema": DIALECT,
        "title": "The configuration of a gateway",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "include": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
            "gateway": gateway,
            "plugins": {
                "type": "object",
                "description": "what is switched on, in the order in which hooks are called",
                "properties": {name: _entry(name) for name in blocks},
                "additionalProperties": {"anyOf": [*_SWITCH, {"$ref": "#/$defs/instance"}]},
            },
        },
        "$defs": definitions,
    }


def _entry(name: str) -> dict[str, Any]:
    """A block under a plugin's own name: its options, or another plugin's where `plugin` says so."""
    own = {
        "if": {"type": "object", "required": ["plugin"]},
        "then": {"$ref": "#/$defs/instance"},
        "else": {"$ref": f"#/$defs/plugin:{name}"},
    }
    return {"anyOf": [*_SWITCH, own]}


def _blocks(plugins: Mapping[str, type[BaseModel]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the block of each plugin, "" for the gateway's own; what they refer to)."""
    models: dict[str, type[BaseModel]] = {
        "": GatewayBlock,
        **{name: kind for name, kind in plugins.items() if _has_schema(kind)},
    }
    wanted = [(kind, _MODE) for kind in dict.fromkeys(models.values())]
    found, whole = models_json_schema(wanted, ref_template="#/$defs/{model}", schema_generator=_Quiet)
    definitions = {name: _open(part) for name, part in whole.get("$defs", {}).items()}
    blocks: dict[str, Any] = {}
    for name, kind in models.items():
        reference = found[kind, _MODE]["$ref"].rpartition("/")[2]
        block = dict(definitions[reference])
        block.pop("required", None)  # the base of an `include` may have set it
        if name:
            block["properties"] = {**block.get("properties", {}), "plugin": {"type": "string"}}
        blocks[name] = block
    for name in plugins:
        blocks.setdefault(name, {"type": "object"})
    return blocks, definitions


def _has_schema(kind: type[BaseModel]) -> bool:
    try:
        kind.model_json_schema(schema_generator=_Quiet)
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, PydanticUserError):
        return False
    return True


def _open(part: Any) -> Any:
    """The same schema, with `${NAME}` allowed wherever a scalar of some form is wanted."""
    if isinstance(part, list):
        return [_open(each) for each in part]
    if not isinstance(part, dict):
        return part
    if part.get("type") in ("integer", "number", "boolean", "string") or {"enum", "const"} & part.keys():
        if (
            part.get("type") == "string"
            and not {"pattern", "enum", "const", "format", "minLength"} & part.keys()
        ):
            return part
        about = {name: part[name] for name in _ABOUT if name in part}
        inner = {name: value for name, value in part.items() if name not in _ABOUT}
        return {**about, "anyOf": [inner, _REFERENCE]}
    return {
        name: {key: _open(value) for key, value in inside.items()}
        if name in ("properties", "$defs") and isinstance(inside, dict)
        else inside
        if name in _ABOUT
        else _open(inside)
        for name, inside in part.items()
    }
