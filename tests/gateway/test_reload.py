"""A changed configuration is taken in without dropping a request; a bad one is refused and said."""

import signal
from typing import Any

import pytest
import yaml

from tests.gateway.conftest import PRICE, Start, provider
from tests.gateway.process import Gateway
from tests.gateway.samples import ASK, END, USAGE, answer, chunk, usage_event
from tests.gateway.upstream import Script, Upstream, sse
from tests.gateway.waiting import until

DEARER = {name: str(float(usd) * 10) for name, usd in PRICE.items()}


def _write(gateway: Gateway, plugins: dict[str, Any]) -> None:
    """Swap the file as an editor does: whole."""
    content = yaml.safe_load(gateway.config.read_text())
    content["plugins"] = {"simulator": {}, **plugins}
    fresh = gateway.config.with_suffix(".new")
    fresh.write_text(yaml.safe_dump(content, sort_keys=False))
    fresh.replace(gateway.config)


async def _serves(gateway: Gateway, model: str) -> bool:
    async with gateway.client() as client:
        return model in [one["id"] for one in (await client.get("/v1/models")).json["data"]]


def _upstreams(upstream: Upstream, *models: str, price: Any = PRICE) -> dict[str, Any]:
    return {
        "scripted": provider(upstream.base_url("scripted"), *({"id": one, "price": price} for one in models))
    }


@pytest.mark.parametrize("how", ["SIGHUP", "watch"])
async def test_a_new_file_is_served_and_a_request_in_flight_finishes_on_the_old_one(
    start: Start, upstream: Upstream, how: str
) -> None:
    gateway = start(_upstreams(upstream, "test/old"), arguments=["--watch"] if how == "watch" else [])
    pieces = (sse(chunk(), done=False), sse(*END, usage_event()))
    script = Script(pieces=pieces, content_type="text/event-stream", hold_at=1)
    name = upstream.play(f"in-flight-{how}", script)
    body = {"model": "test/old", "messages": ASK, "stream": True, "x_script": name}
    async with gateway.client() as client, client.stream(body) as reading:
        seen = await reading.until(1)
        _write(gateway, _upstreams(upstream, "test/new", price=DEARER))
        if how == "SIGHUP":
            gateway.process.send_signal(signal.SIGHUP)
        await until(lambda: _serves(gateway, "test/new"), "the new model is served")
        assert not await _serves(gateway, "test/old")
        assert (await client.chat({**body, "stream": False})).status == 404
        script.release()
        rest, complete = await reading.rest()
        assert complete
        assert (seen + rest).endswith(b"data: [DONE]\n\n")
        old = await client.generation(reading.headers["x-generation-id"])
        whole = upstream.play(f"whole-{how}", Script(pieces=(sse(answer(), done=False)[6:-2],)))
        fresh = await client.chat({"model": "test/new", "messages": ASK, "x_script": whole})
    cost = USAGE["prompt_tokens"] * 2_500 + USAGE["completion_tokens"] * 15_000
    assert (old["success"], old["cost_nanos"]) == (True, cost)
    assert fresh.json["usage"]["pricing"]["total_nanos"] == 10 * cost


@pytest.mark.parametrize("how", ["SIGHUP", "watch"])
async def test_a_bad_file_keeps_the_old_one_and_says_why(start: Start, upstream: Upstream, how: str) -> None:
    gateway = start(_upstreams(upstream, "test/old"), arguments=["--watch"] if how == "watch" else [])
    _write(gateway, {"scripted": {**provider("http://127.0.0.1:1/v1"), "api_kee": "typo"}})
    if how == "SIGHUP":
        gateway.process.send_signal(signal.SIGHUP)

    async def said() -> bool:
        return "api_kee" in gateway.log_text()

    await until(said, "the log names the field")
    assert f"{gateway.config.name}:" in gateway.log_text()
    assert await _serves(gateway, "test/old")
    _write(gateway, _upstreams(upstream, "test/mended"))
    if how == "SIGHUP":
        gateway.process.send_signal(signal.SIGHUP)
    await until(lambda: _serves(gateway, "test/mended"), "the mended file is served")


async def test_every_worker_takes_the_new_file_in(start: Start, upstream: Upstream) -> None:
    gateway = start(_upstreams(upstream, "test/old"), workers=2)
    workers = gateway.workers()
    _write(gateway, _upstreams(upstream, "test/new"))
    gateway.process.send_signal(signal.SIGHUP)

    async def everywhere() -> bool:
        return all([await _serves(gateway, "test/new") for _ in range(12)])

    await until(everywhere, "no connection meets the old file")
    assert gateway.workers() == workers
