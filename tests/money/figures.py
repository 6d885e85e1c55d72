"""What a provider counted, worked out from its own words alone: disjoint meters of its own total."""

from collections.abc import Callable, Mapping
from typing import Any

from tests.money.recordings import Recording
from tests.plugins.bedrock_converse.service import parsed

Meters = dict[str, int]


def counted(recording: Recording) -> Meters | None:
    """The token meters above 0; None where the answer carries no usage at all."""
    usage = _USAGE[recording.protocol](recording)
    if not usage:
        return None
    return {meter: count for meter, count in _METERS[recording.protocol](usage).items() if count}


def contradicts(meters: Mapping[str, int]) -> bool:
    """Whether the provider's figures exclude each other: a part that is more than its whole."""
    return min(meters.values(), default=0) < 0


# Where the usage stands


def _of_chat(recording: Recording) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for value in recording.values:
        _merge(merged, value.get("usage") if isinstance(value, dict) else None)
    return merged


def _of_responses(recording: Recording) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for value in recording.values:
        answer = value.get("response", value) if isinstance(value, dict) else None
        _merge(merged, answer.get("usage") if isinstance(answer, dict) else None)
    return merged


def _of_messages(recording: Recording) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for value in recording.values:
        if isinstance(value, dict):
            _merge(merged, (value.get("message") or value).get("usage") or value.get("usage"))
    return merged


def _of_google(recording: Recording) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for value in recording.values:
        if isinstance(value, dict):
            _merge(merged, value.get("usageMetadata"))
    merged.pop("trafficType", None)
    return merged


def _of_bedrock(recording: Recording) -> dict[str, Any]:
    return dict(parsed(recording.body, streamed=recording.stream).get("usage") or {})


def _of_cohere(recording: Recording) -> dict[str, Any]:
    for value in reversed(recording.values):
        if not isinstance(value, dict):
            continue
        found = value.get("usage") or (value.get("delta") or {}).get("usage")
        if found:
            return dict(found)
    return {}


def _of_ollama(recording: Recording) -> dict[str, Any]:
    last = recording.values[-1] if recording.values else {}
    return {name: last[name] for name in ("prompt_eval_count", "eval_count") if name in last}


def _merge(into: dict[str, Any], found: Any) -> None:
    """Field by field: one that is there replaces, one that is not keeps (money.md 7)."""
    for name, value in found.items() if isinstance(found, dict) else ():
        if isinstance(value, dict):
            into[name] = {**(into.get(name) or {}), **{k: v for k, v in value.items() if v is not None}}
        elif value is not None:
            into[name] = value


# What it means


def _chat(usage: Mapping[str, Any]) -> Meters:
    into, out = (usage.get(f"{side}_tokens_details") or {} for side in ("prompt", "completion"))
    prompt, completion = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    cached = into.get("cached_tokens") or next(
        (usage[n] for n in ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens") if usage.get(n)),
        0,
    )
    reasoning = out.get("reasoning_tokens") or usage.get("reasoning_tokens") or 0
    audio = into.get("audio_tokens") or 0
    more = (usage.get("total_tokens") or prompt + completion) - prompt - completion
    if more and more == audio != reasoning:
        prompt += more
    elif more > 0:  # beside the completion, or thought in silence: output either way
        completion += more
        reasoning = reasoning if more == reasoning else reasoning + more
    parts = {
        "cached_read_text_tokens": cached,
        "cached_write_text_tokens": into.get("cache_write_tokens") or 0,
        "input_audio_tokens": audio,
        "input_image_tokens": into.get("image_tokens") or 0,
        "input_video_tokens": into.get("video_tokens") or 0,
    }
    rest = {
        "output_reasoning_tokens": reasoning,
        "output_audio_tokens": out.get("audio_tokens") or 0,
        "output_image_tokens": out.get("image_tokens") or 0,
    }
    return _whole(prompt, parts, completion, rest)


def _responses(usage: Mapping[str, Any]) -> Meters:
    into, out = (usage.get(f"{side}_tokens_details") or {} for side in ("input", "output"))
    prompt, completion = usage.get("input_tokens") or 0, usage.get("output_tokens") or 0
    completion += (usage.get("total_tokens") or prompt + completion) - prompt - completion
    parts = {
        "cached_read_text_tokens": into.get("cached_tokens") or 0,
        "cached_write_text_tokens": into.get("cache_write_tokens") or 0,
    }
    rest = {"output_reasoning_tokens": out.get("reasoning_tokens") or 0}
    return _whole(prompt, parts, completion, rest)


def _messages(usage: Mapping[str, Any]) -> Meters:
    found: Meters = {}
    steps = [one for one in usage.get("iterations") or () if isinstance(one, dict)]
    beside = [one for one in steps if one.get("type") not in ("message", "fallback_message")]
    for one in (usage, *beside):
        written = one.get("cache_creation") or {}
        short, long = (written.get(f"ephemeral_{life}_input_tokens") or 0 for life in ("5m", "1h"))
        thought = (one.get("output_tokens_details") or {}).get("thinking_tokens") or 0
        counts = {
            "input_text_tokens": one.get("input_tokens") or 0,
            "cached_read_text_tokens": one.get("cache_read_input_tokens") or 0,
            "cached_write_text_tokens_5m": short,
            "cached_write_text_tokens_1h": long,
            "cached_write_text_tokens": (one.get("cache_creation_input_tokens") or 0) - short - long,
            "output_text_tokens": (one.get("output_tokens") or 0) - thought,
            "output_reasoning_tokens": thought,
        }
        for meter, count in counts.items():
            found[meter] = found.get(meter, 0) + count
    return found


def _google(usage: Mapping[str, Any]) -> Meters:
    prompt = (usage.get("promptTokenCount") or 0) + (usage.get("toolUsePromptTokenCount") or 0)
    completion = usage.get("candidatesTokenCount") or 0
    thought = usage.get("thoughtsTokenCount") or 0
    silent = max(0, (usage.get("totalTokenCount") or 0) - prompt - completion - thought)
    sides = {
        side: _by_modality(usage.get(f"{side}TokensDetails")) for side in ("prompt", "cache", "candidates")
    }
    read = usage.get("cachedContentTokenCount") or 0
    parts: Meters = {}
    for kind in ("image", "audio", "video"):
        cached = sides["cache"].get(kind, 0)
        parts[f"cached_read_{kind}_tokens"] = cached
        parts[f"input_{kind}_tokens"] = sides["prompt"].get(kind, 0) - cached
        read -= cached
    parts["cached_read_text_tokens"] = read
    rest = {f"output_{kind}_tokens": sides["candidates"].get(kind, 0) for kind in ("image", "audio")}
    return _whole(prompt, parts, completion, rest) | {"output_reasoning_tokens": thought + silent}


def _by_modality(details: Any) -> Meters:
    """Counts by modality, which some clients had told as the numbers of its enum."""
    numbers = {1: "text", 2: "image", 3: "video", 4: "audio", 5: "document"}
    named = [(one["modality"], one.get("tokenCount") or 0) for one in details or ()]
    return {numbers.get(kind) or kind.lower(): count for kind, count in named}


def _bedrock(usage: Mapping[str, Any]) -> Meters:
    lives = {one["ttl"]: one["inputTokens"] for one in usage.get("cacheDetails") or ()}
    written = usage.get("cacheWriteInputTokens") or 0
    return {
        "input_text_tokens": usage["inputTokens"],
        "cached_read_text_tokens": usage.get("cacheReadInputTokens") or 0,
        "cached_write_text_tokens": written - sum(lives.values()),
        **{f"cached_write_text_tokens_{life}": count for life, count in lives.items()},
        "output_text_tokens": usage["outputTokens"],
    }


def _cohere(usage: Mapping[str, Any]) -> Meters:
    billed, tokens = usage["billed_units"], usage.get("tokens") or {}
    parts = {"input_image_tokens": int(tokens.get("image_tokens") or 0)}
    rest = {"output_reasoning_tokens": int(tokens.get("reasoning_tokens") or 0)}
    return _whole(int(billed.get("input_tokens") or 0), parts, int(billed.get("output_tokens") or 0), rest)


def _ollama(usage: Mapping[str, Any]) -> Meters:
    return {
        "input_text_tokens": usage.get("prompt_eval_count", 0),
        "output_text_tokens": usage.get("eval_count", 0),
    }


def _whole(prompt: int, parts: Meters, completion: int, rest: Meters) -> Meters:
    """The parts of both sides, and what is left of each as text."""
    return {
        "input_text_tokens": prompt - sum(parts.values()),
        **parts,
        "output_text_tokens": completion - sum(rest.values()),
        **rest,
    }


_USAGE: dict[str, Callable[[Recording], dict[str, Any]]] = {
    "openai.chat": _of_chat,
    "openai.responses": _of_responses,
    "anthropic.messages": _of_messages,
    "google.generate_content": _of_google,
    "bedrock.converse": _of_bedrock,
    "cohere.chat": _of_cohere,
    "ollama.chat": _of_ollama,
}
_METERS: dict[str, Callable[[Mapping[str, Any]], Meters]] = {
    "openai.chat": _chat,
    "openai.responses": _responses,
    "anthropic.messages": _messages,
    "google.generate_content": _google,
    "bedrock.converse": _bedrock,
    "cohere.chat": _cohere,
    "ollama.chat": _ollama,
}
