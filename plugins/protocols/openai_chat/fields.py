"""The top-level fields of a request that the protocol's clients send, and their types."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec

from plugin_sdk.protocol import GATEWAY_FIELDS

# The first that is present wins (contract 1.1). The last is the gateway's own word: no upstream of this
# protocol knows it.
LIMITS: Final = ("max_completion_tokens", "max_tokens", "max_output_tokens")
OWN_LIMIT: Final = "max_output_tokens"

_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Object = dict[str, msgspec.Raw]

# Types only: ranges and the contents of messages are the upstream's to judge, unless we translate.
TYPES: Final[Mapping[str, Any]] = {
    "model": _Text,
    "stream": bool,
    "n": _Positive,
    "max_completion_tokens": _Positive,
    "max_tokens": _Positive,
    "max_output_tokens": _Positive,
    "stream_options": dict[str, Any],
    "temperature": float,
    "top_p": float,
    "min_p": float,
    "top_k": float,  # some SDKs send 40.0
    "frequency_penalty": float,
    "presence_penalty": float,
    "seed": int,
    "stop": str | list[str],
    "logit_bias": _Object,
    "logprobs": bool,
    "top_logprobs": int,
    "tools": list[_Object],
    "tool_choice": str | _Object,
    "parallel_tool_calls": bool,
    "max_tool_calls": int,
    "functions": list[_Object],
    "function_call": str | _Object,
    "response_format": str | _Object,
    "modalities": list[str],
    "response_modalities": list[str],
    "audio": _Object,
    "image_config": _Object,
    "prediction": _Object,
    "reasoning": _Object,
    "reasoning_effort": str,
    "thinking": _Object,
    "system": str,
    "service_tier": str,
    "metadata": _Object,
    "store": bool,
    "user": str,
    "safety_identifier": str,
    "prompt_cache_key": str,
    "session_id": str,
    "web_search_options": _Object,
    "verbosity": str,
    "models": list[str],
    "plugins": list[Any],
}
# Known, and of any type.
_ANY: Final = frozenset(
    {"messages", "prompt_cache_retention", "prompt_cache_options", "moderation", "speed", "route", "trace"}
)
KNOWN: Final = _ANY | GATEWAY_FIELDS | set(TYPES)

DECODERS: Final[Mapping[str, Callable[[msgspec.Raw], Any]]] = {
    name: msgspec.json.Decoder(kind).decode for name, kind in TYPES.items()
}
_WORDS: Final[Mapping[Any, str]] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
    _Positive: "a positive integer",
    _Text: "a non-empty string",
    _Object: "an object",
    str | _Object: "a string or an object",
    str | list[str]: "a string or a list of strings",
    list[str]: "a list of strings",
    list[_Object]: "a list of objects",
    list[Any]: "a list",
    dict[str, Any]: "an object",
}


def detail(name: str, error: msgspec.ValidationError) -> dict[str, Any]:
    """What is wrong with a field, as the contract's `details` have it."""
    words = _WORDS[TYPES[name]]
    low = ">= 1" in str(error)
    return {
        "message": f"`{name}` must be {words}.",
        "path": [name],
        "keyword": "minimum" if low else "type",
        "params": {"limit": 1} if low else {"expected": words},
    }
