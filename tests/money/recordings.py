"""Recorded answers of text as an upstream can play them again, whichever protocol they are in."""

import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

SHARED = Path(__file__).resolve().parents[3] / "shared"
EVENT_STREAM = "application/vnd.amazon.eventstream"

# The recordings' endpoint -> the protocol that is spoken there.
PROTOCOLS = {
    "chat.completions": "openai.chat",
    "responses": "openai.responses",
    "messages": "anthropic.messages",
    "generateContent": "google.generate_content",
    "converse": "bedrock.converse",
    "chat": "cohere.chat",
}


@dataclass(frozen=True)
class Recording:
    """What a provider answered with a 2xx, and to what it was asked as."""

    id: str
    provider: str
    model: str
    protocol: str
    stream: bool
    content_type: str
    body: bytes

    @cached_property
    def values(self) -> list[Any]:
        """The JSON values of the answer: one, or those of its events or lines, read without our code."""
        text = self.body.decode("utf-8", "replace")
        if self.stream and re.search(r"^data:", text, re.MULTILINE):
            lines = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
        elif self.protocol == "ollama.chat":
            lines = [line for line in text.splitlines() if line.strip()]
        else:
            lines = [text]
        found = [value for line in lines if (value := _json(line)) is not None]
        return found[0] if len(found) == 1 and isinstance(found[0], list) else found


def recordings() -> list[Recording]:
    """Every answer with a 2xx of a protocol of text; none where the recordings are not at hand."""
    path = SHARED / "traffic" / "traffic.py"
    if not path.exists():
        return []
    spec = importlib.util.spec_from_file_location("recorded_traffic", path)
    assert spec is not None
    assert spec.loader is not None
    traffic = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(traffic)
    return list(_read(traffic))


def _read(traffic: Any) -> Iterator[Recording]:
    for exchange in traffic.exchanges():
        protocol = PROTOCOLS.get(exchange["endpoint"])
        if protocol is None or exchange["response"]["status"] // 100 != 2 or traffic.damaged(exchange):
            continue
        if exchange["endpoint"] == "chat":
            if exchange["provider"] == "ollama":
                protocol = "ollama.chat"
            elif "/v2/" not in exchange["url"]:
                continue  # version 1, and another provider's own protocol: nothing here speaks them
        asked = exchange["request"].get("json")
        body = traffic.response_body(exchange)
        stream = _streams(exchange, asked if isinstance(asked, dict) else {}, body)
        kind = exchange["response"]["headers"].get("content-type", "")
        yield Recording(
            exchange["id"],
            exchange["provider"],
            exchange.get("model") or "",
            protocol,
            stream,
            kind or ("text/event-stream" if stream else "application/json"),
            body,
        )


def _streams(exchange: Any, asked: dict[str, Any], body: bytes) -> bool:
    if exchange["endpoint"] == "generateContent":
        return ":streamGenerateContent" in exchange["url"]
    if exchange["endpoint"] == "converse":
        return bool(exchange["url"].endswith("/converse-stream"))
    if exchange["provider"] == "ollama" and exchange["endpoint"] == "chat":
        return bool(asked.get("stream", True))
    return asked.get("stream") is True


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
