"""The official SDK takes every answer that we write: of this protocol's providers, and of those of chat."""

import json
from typing import Any

import pytest

from plugin_sdk.protocol import Decoder, Translation
from plugins.protocols.openai_chat import OpenAIChat
from tests.plugins.anthropic_messages.folding import folded, legal
from tests.plugins.anthropic_messages.recorded import (
    body,
    chats,
    chunks,
    messages,
    needs_recordings,
    streams,
)
from tests.plugins.anthropic_messages.sdk import Accumulator, accept, accept_event, is_beta
from tests.plugins.anthropic_messages.wire import MESSAGES, answer, events, filled, through

pytestmark = needs_recordings
CHAT = OpenAIChat()


def translated(decoder: Decoder, exchange: dict[str, Any], seed: int, *, stream: bool) -> bytes | None:
    """Our answer; None where the upstream's failed or was cut."""
    way = Translation(decoder, MESSAGES.encoder(answer(stream=stream)), MESSAGES)
    got = filled(through(way, chunks(exchange, seed=seed)))
    return None if way.facts.error is not None or not way.facts.complete else got


def test_answers_of_this_protocol() -> None:
    accumulator = Accumulator()
    passed = 0
    for number, exchange in enumerate(messages(answered=True)):
        came = streams(exchange)
        at_once = translated(MESSAGES.decoder(stream=came), exchange, number, stream=False)
        streamed = translated(MESSAGES.decoder(stream=came), exchange, number, stream=True)
        assert at_once is not None
        assert streamed is not None
        message = json.loads(at_once)
        beta = is_beta(message)
        accept(message, beta=beta)
        for event in events(streamed):
            accept_event(event, beta=beta)
        final = accumulator.message(streamed, beta=beta)
        for theirs, ours in zip(message["content"], final["content"], strict=True):
            assert _said(theirs) == _said(ours), exchange["id"]
        assert final["stop_reason"] == message["stop_reason"]
        assert final["usage"]["output_tokens"] == message["usage"]["output_tokens"]
        passed += 1
    print(f"SDK, own answers: run {2 * passed}, passed {2 * passed}, failed 0")
    assert passed == 441


@pytest.mark.timeout(900)
def test_answers_of_chat() -> None:
    accumulator = Accumulator()
    passed = unfinished = 0
    for number, exchange in enumerate(chats()):
        came = streams(exchange)
        at_once = translated(CHAT.decoder(stream=came), exchange, number, stream=False)
        streamed = translated(CHAT.decoder(stream=came), exchange, number, stream=True)
        if at_once is None or streamed is None:
            unfinished += 1
            continue
        message = json.loads(at_once)
        accept(message)
        found = events(streamed)
        assert legal(found), exchange["id"]
        for event in found:
            accept_event(event)
        assert folded(found) == message, exchange["id"]
        final = accumulator.message(streamed)
        for theirs, ours in zip(message["content"], final["content"], strict=True):
            assert _said(theirs) == _said(ours), exchange["id"]
        _compare(json.loads(body(exchange)) if not came else None, message)
        passed += 1
    run = passed + unfinished  # each as a stream and as a whole
    print(f"SDK, answers of chat: run {2 * run}, passed {2 * passed}, unfinished {2 * unfinished}")
    assert unfinished == 12
    assert passed == 1_750


def _said(block: dict[str, Any]) -> Any:
    """What a block holds, without what the SDK adds (`caller`, `citations` of None ...)."""
    names = ("type", "text", "thinking", "signature", "data", "id", "name", "input", "tool_use_id")
    return {name: block[name] for name in names if name in block}


def _compare(chat: Any, message: dict[str, Any]) -> None:
    """A whole chat answer says what our message says: its text, and the calls of its tools."""
    if chat is None:
        return
    choice = next((one for one in chat["choices"] if one.get("index", 0) == 0), None)
    if choice is None or not isinstance(choice.get("message"), dict):
        return
    said = choice["message"]
    content = said.get("content")
    plain = isinstance(content, str) and "<think" not in content and "</think" not in content
    if plain and not said.get("refusal") and not said.get("audio"):
        assert "".join(one["text"] for one in message["content"] if one["type"] == "text") == content
    calls = [one["name"] for one in message["content"] if one["type"] == "tool_use"]
    wanted = [one.get("function", one.get("custom", {})).get("name") for one in said.get("tool_calls") or ()]
    assert calls == wanted or said.get("function_call")
