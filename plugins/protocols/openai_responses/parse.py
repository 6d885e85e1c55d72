"""A client's request as a Conversation. Nothing is lost: what no type models stays in an `extra`."""

from collections.abc import Mapping
from typing import Any, Final, Literal, cast

import msgspec

from plugin_sdk.artefacts import unseal
from plugin_sdk.errors import InvalidRequest
from plugin_sdk.protocol import GATEWAY_FIELDS, RequestView
from plugin_sdk.text import (
    Artefact,
    Conversation,
    Message,
    OpaquePart,
    Part,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from plugins.protocols.openai_responses.content import ENCRYPTED, ID, ITEM, RAW, read_content, read_reasoning
from plugins.protocols.openai_responses.fields import OWN_INPUT
from plugins.protocols.openai_responses.options import read_include, read_options

_ROLES: Final = frozenset({"system", "developer", "user", "assistant"})
_Kind = Literal["function", "custom"]
_CALLS: Final[Mapping[str, tuple[str, _Kind]]] = {
    "function_call": ("arguments", "function"),
    "custom_tool_call": ("input", "custom"),
}
# What tools of the provider's own did, call and result in one: of use to nobody else.
_SERVED: Final = frozenset(
    {
        "web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_call",
        "mcp_list_tools",
    }
)  # fmt: skip
_RESULTS: Final = {"function_call_output": "function", "custom_tool_call_output": "custom"}
_decode = msgspec.json.Decoder().decode


def parse(view: RequestView) -> Conversation:
    """The typed request. Raises InvalidRequest, naming the field, on what cannot be read."""
    body = _decode(view.body)
    rest = {name: value for name, value in body.items() if name not in GATEWAY_FIELDS and value is not None}
    nulls = tuple(name for name, value in body.items() if value is None and name not in GATEWAY_FIELDS)
    messages: list[Message] = []
    if isinstance(instructions := rest.get("instructions"), str):
        rest.pop("instructions")
        messages.append(Message(role="system", parts=(TextPart(text=instructions),), spelling="instructions"))
    given = rest.pop("input", None)
    alias = rest.pop(OWN_INPUT, None)
    messages += _Items().read(given if given is not None else alias)
    rest.pop("model")
    continues = rest.pop("previous_response_id", None)
    spellings = {"input": "absent"} if given is None and alias is None else {}
    fields = {**read_include(rest, spellings), **read_options(rest)}
    return Conversation(
        model=view.model,
        messages=tuple(messages),
        origin=ID,
        continues=continues,
        extra=rest,
        nulls=nulls,
        spellings=spellings,
        **fields,
    )


class _Items:
    """Input items to messages: what the assistant said in a row is one message."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._parts: list[Part] = []
        self._seals: dict[str, tuple[Artefact, ...]] = {}

    def read(self, given: Any) -> list[Message]:
        """The messages of `input`."""
        if isinstance(given, str):
            return [Message(role="user", parts=(TextPart(text=given),), spelling="input")]
        for at, item in enumerate(given or ()):
            path = f"input.{at}"
            if not isinstance(item, dict):
                raise InvalidRequest(f"`{path}` must be an object.", param=path)
            self._item(item, path)
        self._flush()
        return self.messages

    def _item(self, item: dict[str, Any], path: str) -> None:
        kind = str(item.get("type", "message"))
        if kind == "message":
            self._message(item, path)
        elif kind == "reasoning":
            self._reasoning(item)
        elif kind in _CALLS:
            self._call(item, kind, path)
        elif kind in _RESULTS:
            self._result(item, kind, path)
        else:
            call_id = str(item.get("id") or "") if kind in _SERVED else None
            self._parts.append(
                OpaquePart(kind=kind, value=item, call_id=call_id, extra={ITEM: {}, RAW: item})
            )

    def _message(self, item: dict[str, Any], path: str) -> None:
        rest = dict(item)
        role = rest.pop("role", None)
        if not isinstance(role, str) or role not in _ROLES:
            raise InvalidRequest(
                f"`{path}.role` must be one of {', '.join(sorted(_ROLES))}.", param=f"{path}.role"
            )
        parts = read_content(rest.pop("content", []), f"{path}.content")
        if role != "assistant":
            self._flush()
            self.messages.append(Message(role=cast("Role", role), parts=parts, extra=rest))
            return
        if not parts:
            parts = (TextPart(text="", spelling="none"),)
        first = msgspec.structs.replace(parts[0], extra={**parts[0].extra, ITEM: rest})
        self._parts += [first, *parts[1:]]

    def _reasoning(self, item: dict[str, Any]) -> None:
        sealed = item.get(ENCRYPTED)
        for one in (unseal(sealed) or ()) if isinstance(sealed, str) else ():
            if one.call_id is not None:
                self._seals[one.call_id] = (*self._seals.get(one.call_id, ()), one.artefact)
        self._parts += read_reasoning(item)

    def _call(self, item: dict[str, Any], kind: str, path: str) -> None:
        field, of = _CALLS[kind]
        rest = {name: value for name, value in item.items() if name not in ("type", "call_id", "name", field)}
        call_id, name, arguments = item.get("call_id"), item.get("name"), item.get(field)
        if not isinstance(call_id, str) or not isinstance(name, str) or not isinstance(arguments, str):
            raise InvalidRequest(f"`{path}` needs `call_id`, `name` and `{field}`.", param=path)
        self._parts.append(
            ToolCallPart(id=call_id, name=name, arguments=arguments, kind=of, extra={ITEM: rest})
        )

    def _result(self, item: dict[str, Any], kind: str, path: str) -> None:
        self._flush()
        rest = {name: value for name, value in item.items() if name not in ("type", "call_id", "output")}
        call_id = item.get("call_id")
        if not isinstance(call_id, str):
            raise InvalidRequest(f"`{path}` needs a `call_id`.", param=path)
        parts = read_content(item.get("output", ""), f"{path}.output")
        result = ToolResultPart(call_id=call_id, parts=parts, extra=rest, spelling=_RESULTS[kind])
        self.messages.append(Message(role="tool", parts=(result,)))

    def _flush(self) -> None:
        if self._parts:
            parts = tuple(
                msgspec.structs.replace(part, artefacts=self._seals[part.id])
                if isinstance(part, ToolCallPart) and part.id in self._seals
                else part
                for part in self._parts
            )
            self.messages.append(Message(role="assistant", parts=parts))
            self._parts = []
