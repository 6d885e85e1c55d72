"""Exchanges to replay: recorded ones from beside the repository, in one form with the hand-written."""

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A request that a client made, and what its provider answered."""

    id: str
    provider: str
    request: Mapping[str, Any]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes

    @property
    def stream(self) -> bool:
        return self.request.get("stream") is True

    @property
    def asked_for_usage(self) -> bool:
        """The client's own wish for a usage event (architecture 14.2)."""
        options = self.request.get("stream_options") or {}
        return bool(options.get("include_usage") or self.request.get("usage") or self.request.get("meta"))

    @property
    def whole(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def events(self) -> list[Any]:
        """The JSON values of the data lines, `[DONE]` as text; what is not JSON is left out."""
        found: list[Any] = []
        for line in self.body.split(b"\n"):
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == b"[DONE]":
                found.append("[DONE]")
                continue
            try:
                found.append(json.loads(data))
            except ValueError:
                continue
        return found


def recorded(shared: Path) -> list[Exchange]:
    """Every recorded chat completion that was asked for in JSON, successes and errors."""
    spec = importlib.util.spec_from_file_location("recorded_traffic", shared / "traffic" / "traffic.py")
    if spec is None or spec.loader is None:
        raise RuntimeError("traffic.py cannot be loaded")
    traffic = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(traffic)
    return [
        Exchange(
            id=one["id"],
            provider=one["provider"],
            request=one["request"]["json"],
            status=one["response"]["status"],
            headers=one["response"]["headers"],
            body=traffic.response_body(one),
        )
        for one in traffic.exchanges(endpoint="chat.completions")
        if isinstance(one["request"].get("json"), dict)
    ]
