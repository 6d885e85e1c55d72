"""Every recorded answer passed through, cut at random places, in both modes; its usage in disjoint meters."""

import hashlib
import json
from collections import Counter
from typing import Any

from plugin_sdk.protocol import Facts
from plugins.protocols.openai_chat.usage import meter
from tests.plugins.openai_chat.recorded import body, chats, chunks, needs_recordings, request
from tests.plugins.openai_chat.wire import CHAT, GENERATION, PRICING, answer, events, filled, through

pytestmark = needs_recordings

# What is not a complete answer, and why (architecture 14.3): the only exceptions.
EXCEPTIONS = {"an error in a 200": 4, "an empty answer": 3, "cut short by the recording": 5}
# Figures that contradict themselves, by the field at fault (money.md 7): clamped, never negative.
CONTRADICTIONS = {
    ("cached_read_text_tokens",): 22,
    ("output_reasoning_tokens",): 4,
    ("total_tokens",): 2,
    ("cached_write_text_tokens",): 1,
    ("output_audio_tokens",): 1,
}


def test_the_clients_bytes_are_the_upstreams_in_exact_mode() -> None:
    seen: Counter[str] = Counter()
    for number, exchange in enumerate(chats(answered=True)):
        stream = CHAT.splice(answer(stream=bool(request(exchange).get("stream")), exact=True))
        got = filled(through(stream, chunks(exchange, seed=number)))
        sort = _sort(exchange, stream.facts)
        seen[sort] += 1
        if sort == "fine" or stream.facts.started:
            assert hashlib.sha256(got).digest() == hashlib.sha256(body(exchange)).digest(), exchange["id"]
    assert seen.pop("fine") >= 1_700
    assert seen == EXCEPTIONS


def test_the_clients_json_is_the_upstreams_but_for_the_splices() -> None:
    seen: Counter[str] = Counter()
    for number, exchange in enumerate(chats(answered=True)):
        stream = bool(request(exchange).get("stream"))
        passing = CHAT.splice(answer(stream=stream, meta=True))
        got = filled(through(passing, chunks(exchange, seed=number)), meta=True)
        sort = _sort(exchange, passing.facts)
        seen[sort] += 1
        if sort != "fine":
            continue
        theirs = [one for one in _objects(body(exchange), stream=stream) if one != "[DONE]"]
        ours = [one for one in _objects(got, stream=stream) if one != "[DONE]"]
        assert [_without_splices(one) for one in ours] == [_without_id(one) for one in theirs], exchange["id"]
        assert not stream or got.rstrip().endswith(b"[DONE]")
    assert seen.pop("fine") >= 1_700
    assert seen == EXCEPTIONS


def test_the_usage_is_the_providers_own_in_disjoint_meters() -> None:
    contradictions: Counter[tuple[str, ...]] = Counter()
    checked = 0
    for number, exchange in enumerate(chats(answered=True)):
        passing = CHAT.splice(answer(stream=bool(request(exchange).get("stream"))))
        through(passing, chunks(exchange, seed=number))
        usage = _last_usage(body(exchange))
        if usage is None or passing.facts.usage is None:
            assert usage is None
            assert passing.facts.usage is None
            continue
        checked += 1
        metered = meter(usage)
        assert passing.facts.usage == metered.meters
        tokens = {name: n for name, n in metered.meters.items() if name.endswith("_tokens")}
        assert min(tokens.values()) >= 0
        assert sum(tokens.values()) == usage["total_tokens"], exchange["id"]
        if metered.contradictions:
            contradictions[metered.contradictions] += 1
    assert checked >= 1_550
    assert contradictions == CONTRADICTIONS


def test_few_providers_send_a_usage_event_that_nobody_asked_for() -> None:
    unasked = 0
    for exchange in chats(answered=True):
        options = request(exchange).get("stream_options") or {}
        if not request(exchange).get("stream") or options.get("include_usage"):
            continue
        found = [one for one in events(body(exchange)) if isinstance(one, dict)]
        unasked += any(one.get("choices") == [] and isinstance(one.get("usage"), dict) for one in found)
    assert unasked == 3


def _sort(exchange: dict[str, Any], facts: Facts) -> str:
    if facts.error is not None:
        return "an error in a 200" if body(exchange).strip() else "an empty answer"
    if facts.complete:
        return "fine"
    return "cut short by the recording" if body(exchange).strip() else "an empty answer"


def _objects(raw: bytes, *, stream: bool) -> list[Any]:
    return events(raw) if stream else [json.loads(raw)]


def _without_id(one: Any) -> Any:
    return {name: value for name, value in one.items() if name != "id"} if isinstance(one, dict) else one


def _without_splices(one: Any) -> Any:
    if not isinstance(one, dict):
        return one
    assert one.pop("id") == GENERATION
    one.pop("nativeResponseId", None)
    one.pop("meta", None)
    if isinstance(one.get("usage"), dict):
        assert one["usage"].pop("pricing") == PRICING
    return one


def _last_usage(raw: bytes) -> dict[str, Any] | None:
    """The provider's usage: fields of later objects replace those of earlier ones."""
    try:
        found = [json.loads(raw)]
    except ValueError:
        found = [one for one in events(raw) if isinstance(one, dict)]
    merged: dict[str, Any] = {}
    for one in found:
        merged.update(one.get("usage") or {} if isinstance(one, dict) else {})
    return merged or None
