"""Random bytes, random JSON, damaged requests: whatever comes, never a 500, never a dropped connection."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.process import Gateway
from tests.gateway.samples import ASK
from tests.gateway.wire import Answer, Client

FUZZ = settings(
    max_examples=120, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
# What a client may be told. 502: the request was well formed, and the upstream knows no such script.
ANSWERS = {400, 402, 404, 413, 422, 502}
FIELDS = (
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "temperature",
    "tools",
    "tool_choice",
    "stop",
    "response_format",
    "logprobs",
    "seed",
    "user",
    "metadata",
    "usage",
    "meta",
    "provider",
    "debug",
    "reasoning",
    "service_tier",
    "x",
)
VALID = json.dumps({"model": "test/chat", "messages": ASK, "stream": True, "max_tokens": 5}).encode()

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
)
objects = st.dictionaries(st.sampled_from(FIELDS), values, max_size=8)
latin = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80)
damage = st.lists(st.tuples(st.integers(0, len(VALID)), st.integers(0, 3), st.binary(max_size=3)), max_size=6)


class Asker:
    """A client with a loop of its own: hypothesis calls plain functions."""

    def __init__(self, gateway: Gateway) -> None:
        self._runner = asyncio.Runner()
        self._client = gateway.client()

    def chat(self, body: bytes, **headers: str) -> Answer:
        """One request, one answer."""
        return self._runner.run(self._client.chat(body, **headers))

    def close(self) -> None:
        """Let go of the connection and the loop."""
        self._runner.run(_leave(self._client))
        self._runner.close()


async def _leave(client: Client) -> None:
    async with client:
        pass


@pytest.fixture
def asker(gateway: Gateway) -> Iterator[Asker]:
    """Asks the shared gateway."""
    found = Asker(gateway)
    yield found
    found.close()


def _status(answer: Answer) -> int:
    """Of a whole answer that says what is wrong."""
    assert answer.complete
    assert answer.json["error"]["message"], answer.body[:300]
    return answer.status


@FUZZ
@given(body=st.binary(max_size=200))
def test_random_bytes_are_refused(asker: Asker, body: bytes) -> None:
    assert _status(asker.chat(body)) in ANSWERS


@FUZZ
@given(fields=objects, known=st.booleans())
def test_random_json_never_breaks_the_gateway(asker: Asker, fields: dict[str, Any], known: bool) -> None:
    body = {**fields, "model": "test/chat", "messages": ASK} if known else fields
    assert _status(asker.chat(json.dumps(body).encode())) in ANSWERS


@FUZZ
@given(blows=damage)
def test_a_damaged_request_never_breaks_the_gateway(
    asker: Asker, blows: list[tuple[int, int, bytes]]
) -> None:
    body = VALID
    for at, gone, put in blows:
        body = body[:at] + put + body[at + gone :]
    assert _status(asker.chat(body)) in ANSWERS


@FUZZ
@given(
    authorization=latin,
    mode=st.sampled_from(["exact", "EXACT", "", "strict", "x" * 300]),
)
def test_random_headers_never_break_the_gateway(asker: Asker, authorization: str, mode: str) -> None:
    answer = asker.chat(
        VALID,
        authorization=authorization,
        x_gateway_passthrough=mode,
        x_gateway_fidelity=mode,
        x_title=authorization,
    )
    assert answer.status == 401
