"""What a provider counted, and what the gateway made of it: disjoint meters of the same total."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.gateway.exchanges import Exchange


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A provider's figures. `contradictory`: more cached than prompt, or more reasoning than output."""

    prompt: int
    total: int
    cached: int
    reasoning: int
    audio_in: int
    contradictory: bool


def counted(exchange: Exchange) -> Counted | None:
    """The usage that an answer carried, merged field by field over a stream; None where it carried none."""
    merged: dict[str, Any] = {}
    for answer in exchange.events if exchange.stream else [exchange.whole]:
        usage = answer.get("usage") if isinstance(answer, dict) else None
        merged.update({name: value for name, value in (usage or {}).items() if value is not None})
    if not merged:
        return None
    into, out = (merged.get(f"{side}_tokens_details") or {} for side in ("prompt", "completion"))
    prompt, completion = merged.get("prompt_tokens") or 0, merged.get("completion_tokens") or 0
    total = merged.get("total_tokens") or prompt + completion
    hit = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens")
    cached = into.get("cached_tokens") or next((merged[name] for name in hit if merged.get(name)), 0)
    reasoning = out.get("reasoning_tokens") or merged.get("reasoning_tokens") or 0
    audio = into.get("audio_tokens") or 0
    prompt += audio if total == prompt + completion + audio else 0
    # A total above its parts, with no word of why: the model thought in silence, and that is output too.
    reasoning = reasoning or max(0, total - prompt - completion)
    return Counted(
        prompt=prompt, total=total, cached=cached, reasoning=reasoning, audio_in=audio,
        contradictory=cached > prompt or reasoning > total - prompt,
    )  # fmt: skip


def disagreements(usage: Mapping[str, Any], said: Counted) -> Iterator[str]:
    """How the meters of a record fail to say what the provider counted."""
    meters = {name: int(value) for name, value in usage.items() if name.endswith("_tokens")}
    if negative := {name: value for name, value in meters.items() if value < 0}:
        yield f"negative: {negative}"
    if sum(meters.values()) != said.total:
        yield f"{meters} add up to {sum(meters.values())}, the provider counted {said.total}"
    read = sum(value for name, value in meters.items() if name.startswith("cached_read_"))
    reasoning = meters.get("output_reasoning_tokens", 0)
    if said.contradictory:
        if read > said.cached or reasoning > said.reasoning:
            yield f"{meters} is more than the provider's own contradiction: {said}"
        return
    if read != said.cached:
        yield f"{read} cached, the provider counted {said.cached}"
    if reasoning != said.reasoning:
        yield f"{reasoning} of reasoning, the provider counted {said.reasoning}"
    if meters.get("input_audio_tokens", 0) != said.audio_in:
        yield f"{meters.get('input_audio_tokens', 0)} of audio, the provider counted {said.audio_in}"
    into = sum(value for name, value in meters.items() if name.startswith(("input_", "cached_")))
    if into != said.prompt:
        yield f"{meters} has {into} of input, the provider counted {said.prompt}"
