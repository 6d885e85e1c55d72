"""What an answer says about itself, read on the side: how it ends, what it used, whether it holds anything."""

from collections.abc import Mapping
from typing import Any, Final

from plugin_sdk.estimate import output_tokens
from plugin_sdk.protocol import Facts
from plugins.protocols.openai_chat.usage import Counts

FINISHES: Final = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "error": "error",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "end_turn": "stop",
    "eos": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "safety": "content_filter",
    "recitation": "content_filter",
}
_TEXTS: Final = ("content", "reasoning_content", "reasoning", "refusal")
_LISTS: Final = ("tool_calls", "images")


class Tap:
    """Reads decoded chunks or a whole body into Facts."""

    __slots__ = ("_counts", "_size", "facts", "tools")

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.tools = False  # some choice calls a tool
        self._counts = Counts()
        self._size = 0

    def read(self, answer: Mapping[str, Any]) -> None:
        """One chunk, or a whole body."""
        facts = self.facts
        if facts.native_id is None and (native := answer.get("id")):
            facts.native_id = native if isinstance(native, str) else str(native)
        if facts.service_tier is None and isinstance(tier := answer.get("service_tier"), str):
            facts.service_tier = tier
        choices = answer.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._choice(choice)
        if isinstance(usage := answer.get("usage"), dict):
            facts.usage = self._counts.add(usage)

    def _choice(self, choice: dict[str, Any]) -> None:
        for side in ("delta", "message"):
            if isinstance(delta := choice.get(side), dict):
                self._content(delta)
        reason = choice.get("finish_reason")
        if reason is not None:
            self.facts.finish = self.finish(reason)
            self.facts.complete = True

    def finish(self, reason: object) -> str:
        """The contract's word. A `stop` beside tool calls is a call: some providers never say otherwise."""
        word = FINISHES.get(reason.lower(), "other") if isinstance(reason, str) else "other"
        return "tool_calls" if word == "stop" and self.tools else word

    def _content(self, delta: dict[str, Any]) -> None:
        size = 0
        for name in _TEXTS:
            value = delta.get(name)
            if not value:
                continue
            self.facts.output = True
            size = max(size, len(value) if isinstance(value, str) else len(str(value)))
        for name in _LISTS:
            if value := delta.get(name):
                self.facts.output = True
                self.tools = self.tools or name == "tool_calls"
                size += len(str(value)) if name == "tool_calls" else 0
        if delta.get("function_call"):
            self.facts.output = self.tools = True
            size += len(str(delta["function_call"]))
        if delta.get("audio"):
            self.facts.output = True
        if size:
            self.sized(size)

    def sized(self, size: int) -> None:
        """So many more bytes of output."""
        self._size += size
        self.facts.output_estimate = output_tokens(self._size)
