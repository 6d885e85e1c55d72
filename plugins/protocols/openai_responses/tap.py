"""What an answer says about itself: how it ends, what it used, whether it holds anything."""

from collections.abc import Mapping
from typing import Any, Final

from plugin_sdk.estimate import output_tokens
from plugin_sdk.protocol import Facts
from plugin_sdk.text import Finish
from plugins.protocols.openai_responses.errors import failure_of
from plugins.protocols.openai_responses.usage import meters

ENDS: Final = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}
)
# What the client is to do, and to answer.
CALLS: Final = frozenset(
    {
        "function_call", "custom_tool_call", "computer_call", "local_shell_call", "apply_patch_call",
        "mcp_approval_request",
    }
)  # fmt: skip
_TALK: Final = frozenset({"message", "reasoning"})
_INCOMPLETE: Final[Mapping[str, Finish]] = {
    "max_output_tokens": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}
_UNFINISHED: Final = frozenset({"queued", "in_progress", "cancelled"})


class Tap:
    """Reads response objects and the sizes of deltas into Facts."""

    __slots__ = ("_size", "facts")

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._size = 0

    def sized(self, size: int) -> None:
        """So many bytes of text, arguments or thinking."""
        if size:
            self._size += size
            self.facts.output = True
            self.facts.output_estimate = output_tokens(self._size)

    def begun(self, response: Mapping[str, Any]) -> None:
        """An answer that is not over: its id, its tier."""
        facts = self.facts
        facts.started = facts.started or failure_of(response) is None
        native = response.get("id")
        if facts.native_id is None and isinstance(native, str) and native:
            facts.native_id = native
        if isinstance(tier := response.get("service_tier"), str):
            facts.service_tier = tier

    def over(self, response: Mapping[str, Any]) -> None:
        """The answer as it is at its end."""
        facts = self.facts
        failed = failure_of(response)
        if failed is not None:
            facts.error = facts.error or failed
        self.begun(response)
        if isinstance(usage := response.get("usage"), Mapping) and (found := meters(usage)) is not None:
            facts.usage = {**found, **_searches(response)}
        output = response.get("output")
        items = [item for item in output if isinstance(item, Mapping)] if isinstance(output, list) else []
        if any(_size(item) or str(item.get("type")) not in _TALK for item in items):
            facts.output = True
        if not self._size:
            facts.output_estimate = output_tokens(sum(_size(item) for item in items))
        if failed is None:
            facts.finish = _finish(response, items)
            facts.complete = True


def _finish(response: Mapping[str, Any], items: list[Mapping[str, Any]]) -> Finish:
    status = response.get("status")
    if status == "incomplete":
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, Mapping) else None
        return _INCOMPLETE.get(str(reason), "other")
    if isinstance(status, str) and status in _UNFINISHED:
        return "other"
    return "tool_calls" if any(str(item.get("type")) in CALLS for item in items) else "stop"


def _searches(response: Mapping[str, Any]) -> dict[str, int]:
    """Web searches, each of which some providers charge for."""
    output = response.get("output")
    found = 0
    for item in output if isinstance(output, list) else ():
        if isinstance(item, Mapping) and item.get("type") == "web_search_call":
            action = item.get("action")
            kind = action.get("type") if isinstance(action, Mapping) else "search"
            found += kind in ("search", None)
    return {"native_web_search_requests": found} if found else {}


def _size(item: Mapping[str, Any]) -> int:
    """The bytes of text, thinking or arguments in an item."""
    parts = [
        part
        for field in ("content", "summary")
        if isinstance(found := item.get(field), list)
        for part in found
        if isinstance(part, Mapping)
    ]
    texts = [part.get(field) for part in parts for field in ("text", "refusal")]
    texts += [item.get("arguments"), item.get("input")]
    return sum(len(text.encode("utf-8", "replace")) for text in texts if isinstance(text, str))
