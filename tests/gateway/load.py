"""Chat requests by the hundred: each with a tag that its upstream answers with, so no two are confused."""

import asyncio
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from tests.gateway.conftest import provider
from tests.gateway.samples import ASK, USAGE, answer, chunk, usage_event
from tests.gateway.upstream import Received, Script, Upstream, sse
from tests.gateway.wire import Client

MODEL = "test/load"
BROKEN = (OSError, asyncio.IncompleteReadError, TimeoutError)
MOST = 40  # tokens of an answer
PRICE = {"input_text_tokens": "10", "output_text_tokens": "10000"}  # USD a million: a cent for each of output


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a client saw of one request. `complete`: the last byte came. `left`: it went away on purpose."""

    tag: str
    generation_id: str | None = None
    complete: bool = False
    left: bool = False


def tokens(tag: str) -> int:
    """How many tokens the answer of this tag has: nothing but its upstream says so."""
    return 1 + crc32(tag.encode()) % MOST


def cost(output: int) -> int:
    """The nanos of a whole answer that has so many tokens."""
    return USAGE["prompt_tokens"] * 10_000 + output * 10_000_000


COST = cost(USAGE["completion_tokens"])


def plugins(upstream: Upstream, **more: Any) -> dict[str, Any]:
    """The provider that the load goes to."""
    model = {"id": MODEL, "max_output": MOST, "price": PRICE}
    return {"loaded": provider(upstream.base_url("loaded"), model, **more)}


def play(upstream: Upstream, name: str, *, events: int, pace: float) -> str:
    """A script that answers with the tag as its id: a stream of so many paced events, or a whole answer."""

    def choose(request: Received) -> Script:
        tag, stream = request.json["x_tag"], request.json.get("stream")
        said = tokens(tag)
        figures = {"completion_tokens": said, "total_tokens": USAGE["prompt_tokens"] + said}
        if not stream:
            body = sse(answer(id=tag, usage={**USAGE, **figures}), done=False)[6:-2]
            return Script(pieces=(body[:100], body[100:]), framing="length", pace=pace)
        parts = [sse(chunk(f" {number}", id=tag), done=False) for number in range(events)]
        last = sse(chunk(None, "stop", id=tag), {**usage_event(**figures), "id": tag})
        return Script(pieces=(*parts, last), pace=pace, content_type="text/event-stream")

    return upstream.play(name, choose)


def body(script: str, tag: str, *, stream: bool) -> dict[str, Any]:
    """The request with this tag."""
    return {"model": MODEL, "messages": ASK, "stream": stream, "x_script": script, "x_tag": tag}


async def ask(
    client: Client, script: str, tag: str, *, stream: bool = True, leave_after: int | None = None
) -> Outcome:
    """One request: read to its end, or left after so many events, or broken by the gateway's death."""
    generation_id = None
    try:
        async with client.stream(body(script, tag, stream=stream)) as reading:
            assert reading.status == 200, reading
            generation_id = reading.headers["x-generation-id"]
            if leave_after is not None:
                if leave_after:
                    await reading.until(leave_after)
                return Outcome(tag=tag, generation_id=generation_id, left=True)
            _, complete = await reading.rest()
    except BROKEN:
        return Outcome(tag=tag, generation_id=generation_id)
    return Outcome(tag=tag, generation_id=generation_id, complete=complete)
