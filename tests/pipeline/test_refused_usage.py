"""A stranger's protocol that reports what are no quantities: served, and billed by an estimate."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.core.conftest import Install, install
from tests.gateway.upstream import Script, Upstream
from tests.pipeline.driver import PRICE, Driver, driver
from tests.pipeline.test_endings import ANSWER, chunk, stream, usage_event, whole

__all__ = ["install"]

ODD = """
import json
from decimal import Decimal

from plugin_sdk.modality import Modality, Route
from plugin_sdk.protocol import Decoder, Facts, Price, ResponseStream, UpstreamProtocol, UpstreamRequest
from plugin_sdk.text import Finished, Started, TextDelta, UsageDelta
from plugins.protocols.openai_chat import OpenAIChat


class Lines(Decoder):
    def __init__(self, numbers):
        self.facts = Facts()
        self._numbers = numbers
        self._rest = b""

    def feed(self, data):
        *lines, self._rest = (self._rest + data).split(b"\\n")
        return [delta for line in lines for delta in self._read(line)]

    def close(self):
        return []

    def _read(self, line):
        said = json.loads(line, parse_float=self._numbers, parse_constant=self._numbers)
        facts = self.facts
        if "text" in said:
            facts.started = facts.output = True
            facts.output_estimate = 7
            return [Started(origin="odd.lines"), TextDelta(text=said["text"])]
        facts.usage, facts.finish, facts.complete = said["usage"], "stop", True
        return [UsageDelta(usage=said["usage"]), Finished(reason="stop")]


class OddLines(UpstreamProtocol):
    operation = "text.generate"

    def __init__(self, id, numbers):
        self.id = id
        self._numbers = numbers

    def build(self, request, target):
        return UpstreamRequest(method="POST", url=target.base_url)

    def decoder(self, *, stream):
        return Lines(self._numbers)


class Spoiled(ResponseStream):
    def __init__(self, inner):
        self._inner = inner
        self.facts = inner.facts

    def feed(self, data):
        return self._spoiled(self._inner.feed(data))

    def close(self):
        return self._spoiled(self._inner.close())

    def _spoiled(self, pieces):
        if self.facts.usage is not None:
            self.facts.usage = {"output_text_tokens": Decimal("NaN")}
        return [
            Price(self.facts.usage, piece.key, piece.empty) if isinstance(piece, Price) else piece
            for piece in pieces
        ]


class OddChat(OpenAIChat):
    id = "odd.chat"

    def splice(self, answer):
        return Spoiled(super().splice(answer))


class Protocols(Plugin[PluginConfig]):
    @hookimpl
    def register_protocols(self):
        return [OddLines("odd.lines", float), OddLines("odd.decimals", Decimal), OddChat()]

    @hookimpl
    def register_modalities(self):
        route = Route(
            name="odd", method="POST", path="/odd/chat", protocol="odd.chat", operation="text.generate"
        )
        return [Modality(name="odd", operations=(), routes=(route,))]


class Floats(Provider):
    speaks = {"text.generate": "odd.lines"}


class Decimals(Provider):
    speaks = {"text.generate": "odd.decimals"}


class Spliced(Provider):
    speaks = {"text.generate": "odd.chat"}
"""
PLUGINS = {f"odd_{name}": f"t_odd:{name.title()}" for name in ("protocols", "floats", "decimals", "spliced")}
ASK = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
NO_QUANTITIES = (
    "NaN", "Infinity", "-Infinity", "-1", "1.5", "1e400", "-0.5", '"12"', "true", "null", "[1]", str(1 << 70),
)  # fmt: skip


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as found:
        yield found


def configured(install: Install, upstream: Upstream, provider: str) -> dict[str, Any]:
    install("odd", PLUGINS, {"t_odd.py": ODD})
    block = {"base_url": upstream.base_url("odd"), "models": [{"id": "m", "price": PRICE}]}
    return {"odd_protocols": {}, f"odd_{provider}": block}


def strict(text: str | bytes) -> Any:
    """JSON and nothing beyond it."""

    def refused(word: str) -> NoReturn:
        raise ValueError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refused)


async def record(gateway: Driver, generation_id: str) -> Any:
    headers = {"authorization": f"Bearer {gateway.key}"}
    path = f"/v1/generations?id={generation_id}"
    answer = await gateway.app.test_client().get(path, headers=headers)
    assert answer.status_code == 200
    return strict(await answer.get_data())


def check_estimated(gateway: Driver) -> int:
    """One settlement by the estimate, flagged, its JSON sound; what it took."""
    (row,) = gateway.settled()
    usage = strict(row["usage"])
    assert usage["output_text_tokens"] > 0
    price = usage["input_text_tokens"] * 2_500 + usage["output_text_tokens"] * 10_000
    assert (row["outcome"], row["estimated"], row["success"], row["charge"]) == ("charged", 1, 1, price)
    assert row["suppressed"] is None
    (attempt,) = gateway.rows("SELECT * FROM attempts")
    assert (attempt["usage"], attempt["cost_nanos"]) == (None, price)
    return price


@pytest.mark.parametrize("provider", ["floats", "decimals"])
@pytest.mark.parametrize("count", NO_QUANTITIES)
@pytest.mark.parametrize("streamed", [False, True])
async def test_no_quantity_of_a_translated_answer_is_believed_or_stored(
    upstream: Upstream, tmp_path: Path, install: Install, provider: str, count: str, streamed: bool
) -> None:
    lines = (b'{"text": "Hello"}\n', b'{"usage": {"input_text_tokens": 3, "output_text_tokens": %b}}\n')
    pieces = lines[0], lines[1] % count.encode()
    upstream.play("odd", Script(pieces=pieces))
    async with driver(tmp_path, configured(install, upstream, provider)) as gateway:
        answer = await gateway.ask({**ASK, "stream": streamed, "stream_options": {"include_usage": True}})
        assert (answer.status, answer.whole) == (200, True)
        assert b"Hello" in answer.body
        if streamed:
            assert answer.body.endswith(b"data: [DONE]\n\n")
        else:
            assert strict(answer.body)["choices"][0]["message"]["content"] == "Hello"
        shown = await record(gateway, answer.generation_id)
    assert check_estimated(gateway) > 7 * 10_000
    assert '"estimated": true' in json.dumps(shown)


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_price_that_is_spliced_in_is_the_one_that_is_paid(
    upstream: Upstream, tmp_path: Path, install: Install, streamed: bool
) -> None:
    streams = stream(chunk("Hello"), chunk(finish="stop"), usage_event())
    upstream.play("odd", streams if streamed else whole(ANSWER))
    async with driver(tmp_path, configured(install, upstream, "spliced")) as gateway:
        body = {**ASK, "stream": streamed, "stream_options": {"include_usage": True}, "meta": True}
        answer = await gateway.ask(body, path="/v1/odd/chat")
        assert (answer.status, answer.whole) == (200, True)
    price = check_estimated(gateway)
    if streamed:
        *_, event, done = (part[6:] for part in answer.body.split(b"\n\n") if part)
        assert done == b"[DONE]"
    else:
        event = answer.body
    assert strict(event)["usage"]["pricing"]["total_nanos"] == price


async def test_a_decimal_of_what_is_not_whole_is_a_quantity_and_kept_digit_by_digit(
    upstream: Upstream, tmp_path: Path, install: Install
) -> None:
    usage = b'{"usage": {"input_text_tokens": 3, "output_text_tokens": 2, "input_audio_seconds": 12.345}}\n'
    upstream.play("odd", Script(pieces=(b'{"text": "Hello"}\n', usage)))
    plugins = configured(install, upstream, "decimals")
    plugins["odd_decimals"]["models"][0]["price"] = {**PRICE, "output_text_tokens": "20"}
    async with driver(tmp_path, plugins) as gateway:
        assert (await gateway.ask(ASK)).status == 200
    (row,) = gateway.settled()
    assert (row["estimated"], row["charge"]) == (0, 3 * 2_500 + 2 * 20_000)
    assert '"input_audio_seconds":12.345' in row["usage"]
