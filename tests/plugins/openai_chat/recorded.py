"""The recorded exchanges of this protocol, where they are at hand: what real providers answered."""

import importlib.util
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

_READER = Path(__file__).parents[4] / "shared" / "traffic" / "traffic.py"
needs_recordings = pytest.mark.skipif(not _READER.exists(), reason="the recorded traffic is not at hand")


@cache
def reader() -> Any:
    """The recordings' own reader."""
    spec = importlib.util.spec_from_file_location("recorded_traffic", _READER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def chats(*, answered: bool | None = None) -> Iterator[dict[str, Any]]:
    """The chat completions with a JSON request; `answered`: those with a 2xx, or without one."""
    for exchange in reader().exchanges(endpoint="chat.completions"):
        fine = exchange["response"]["status"] // 100 == 2
        if isinstance(exchange["request"].get("json"), dict) and answered in (None, fine):
            yield exchange


def request(exchange: dict[str, Any]) -> dict[str, Any]:
    """The request's body. Where the model stands in the URL, it is put in."""
    body: dict[str, Any] = exchange["request"]["json"]
    return body if body.get("model") else {**body, "model": "in-the-url"}


def request_bytes(exchange: dict[str, Any]) -> bytes:
    return json.dumps(request(exchange), ensure_ascii=False).encode()


def body(exchange: dict[str, Any]) -> bytes:
    found: bytes = reader().response_body(exchange)
    return found


def chunks(exchange: dict[str, Any], seed: int) -> list[bytes]:
    return list(reader().chunks(exchange, seed=seed))
