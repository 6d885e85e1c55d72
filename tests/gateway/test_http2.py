"""The gateway over HTTP/2, in its own server and in stock Hypercorn, which serves the same application."""

import asyncio
import json
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.gateway import load
from tests.gateway.books import books
from tests.gateway.conftest import Start
from tests.gateway.database import Template
from tests.gateway.http2 import Http2, http2
from tests.gateway.process import PROGRAM, Gateway, free_port, running
from tests.gateway.samples import chunk, usage_event
from tests.gateway.upstream import Script, Upstream, sse
from tests.gateway.waiting import until

EVENTS: Any = {"content_type": "text/event-stream"}
BEGUN = sse(chunk("I am"), done=False)
LAST = sse(chunk(None, "stop"), usage_event())
INTERNAL_ERROR = 2


class Server:
    """A gateway, and how to reach it by HTTP/2."""

    def __init__(self, gateway: Gateway, port: int, tls: ssl.SSLContext | None) -> None:
        self.gateway = gateway
        self.name = "stock" if tls else "ours"
        self._port, self._tls = port, tls

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Http2]:
        async with http2(self._port, self._tls) as found:
            yield found

    async def chat(self, client: Http2, script: str, tag: str, *, stream: bool = True, **headers: str) -> int:
        body = json.dumps(load.body(script, tag, stream=stream)).encode()
        sent = {"authorization": f"Bearer {self.gateway.key}", "content-type": "application/json", **headers}
        fields = {name.replace("_", "-"): value for name, value in sent.items()}
        return await client.ask("POST", "/v1/chat/completions", fields, body)

    async def settled(self, generation_id: str) -> Any:
        async def done() -> bool:
            return generation_id in (await books(self.gateway.database)).settlements

        await until(done, "the request is settled")
        async with self.gateway.client() as client:
            return await client.generation(generation_id)


def certificate(folder: Path) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate, and is not installed")
    made, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", str(key), "-out", str(made)],
        check=True, capture_output=True,
    )  # fmt: skip
    return made, key


@pytest.fixture(scope="module", params=["ours", "stock"])
def server(
    request: pytest.FixtureRequest,
    upstream: Upstream,
    template: Callable[[str], Template],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """Ours by prior knowledge; stock Hypercorn over TLS, where ALPN chooses."""
    folder = tmp_path_factory.mktemp("http2")
    program, tls, port = PROGRAM, None, 0
    if request.param == "stock":
        cert, key = certificate(folder)
        port = free_port()
        script = str(Path(__file__).with_name("stock_server.py"))
        program = (sys.executable, script, str(cert), str(key), str(port))
        tls = ssl.create_default_context(cafile=cert)
        tls.set_alpn_protocols(["h2", "http/1.1"])
    copy = template("sqlite").copy(folder)
    with running(folder, copy, load.plugins(upstream), program=program) as gateway:
        yield Server(gateway, port or gateway.port, tls)


async def test_an_answer_is_whole_and_charged(server: Server, upstream: Upstream) -> None:
    script = load.play(upstream, f"h2-whole-{server.name}", events=3, pace=0)
    async with server.client() as client:
        for stream in (True, False):
            tag = f"h2-{stream}-{server.name}"
            number = await server.chat(client, script, tag, stream=stream)
            await client.read(number)
            answer = client.streams[number]
            assert (answer.status, answer.ended) == (200, True)
            assert (b"[DONE]" in answer.body) == stream
            key = answer.headers["x-generation-id"]
            record = await server.settled(key)
            assert (record["success"], record["cost_nanos"]) == (True, load.cost(load.tokens(tag)))

            async def delivered(key: str = key) -> bool:
                return (await server.settled(key))["delivered_at"] is not None

            await until(delivered, "the answer is delivered")


async def test_streams_of_one_connection_are_served_side_by_side(server: Server, upstream: Upstream) -> None:
    script = load.play(upstream, f"h2-many-{server.name}", events=20, pace=0.01)
    async with server.client() as client:
        numbers = [await server.chat(client, script, f"h2-{n}-{server.name}") for n in range(30)]
        await asyncio.gather(*(client.read(number) for number in numbers))
        for place, number in enumerate(numbers):
            answer = client.streams[number]
            assert answer.ended
            assert answer.body.count(f'"h2-{place}-{server.name}"'.encode()) == answer.body.count(b"data: {")
    found = await books(server.gateway.database)
    assert found.charged >= {client.streams[number].headers["x-generation-id"] for number in numbers}
    assert list(found.problems()) == []


async def test_a_stream_that_is_left_is_settled_and_the_others_go_on(
    server: Server, upstream: Upstream
) -> None:
    held = Script(pieces=(BEGUN, BEGUN, LAST), hold_at=1, **EVENTS)
    name = upstream.play(f"h2-left-{server.name}", held)
    async with server.client() as client:
        left, stays = [await server.chat(client, name, f"h2-left-{n}-{server.name}") for n in range(2)]
        for number in (left, stays):
            await client.until(lambda number=number: client.streams[number].body)
        key = client.streams[left].headers["x-generation-id"]
        await client.leave(left)
        held.release()
        await client.read(stays)
        assert client.streams[stays].ended
    record = await server.settled(key)
    assert (record["cost_nanos"], record["estimated"]) == (load.COST, False)


async def test_a_connection_that_is_left_settles_all_its_streams(server: Server, upstream: Upstream) -> None:
    held = Script(pieces=(BEGUN, BEGUN, LAST), hold_at=1, **EVENTS)
    name = upstream.play(f"h2-gone-{server.name}", held)
    async with server.client() as client:
        numbers = [await server.chat(client, name, f"h2-gone-{n}-{server.name}") for n in range(5)]
        for number in numbers:
            await client.until(lambda number=number: client.streams[number].body)
        keys = [client.streams[number].headers["x-generation-id"] for number in numbers]
    held.release()
    for key in keys:
        assert (await server.settled(key))["cost_nanos"] == load.COST


async def test_a_client_that_opens_no_window_holds_its_upstream_back(
    server: Server, upstream: Upstream
) -> None:
    piece = sse(chunk("x" * 100_000), done=False)
    script = Script(pieces=(piece,) * 200 + (LAST,), **EVENTS)
    name = upstream.play(f"h2-slow-{server.name}", script)
    tag = f"h2-slow-{server.name}"
    async with server.client() as client:
        number = await server.chat(client, name, tag)
        await client.until(lambda: len(client.streams[number].body) >= 60_000)
        quick = load.play(upstream, f"{name}-other", events=2, pace=0)
        other = await server.chat(client, quick, f"{tag}-other")
        await client.until(lambda: client.streams[other].headers)
        assert tag not in upstream.finished  # 20 MB, of which 64 KB were wanted
        await client.read(number)
        assert client.streams[number].ended
        assert len(client.streams[number].body) > 20_000_000


async def test_a_refusal_before_the_body_is_read_leaves_the_connection_well(server: Server) -> None:
    if server.name == "stock":
        pytest.skip("stock Hypercorn ends the connection where data comes behind an answer")
    async with server.client() as client:
        for _ in range(3):
            number = await client.ask("POST", "/v1/chat/completions", {"authorization": "Bearer none"}, None)
            for _ in range(200):
                await client.send(number, b"x", end=False)
            await client.send(number, b"x" * 3_000_000, end=True)
            await client.read(number)
            assert client.streams[number].status == 401
        number = await client.ask("GET", "/v1/health", {})
        await client.read(number)
        assert client.streams[number].status == 200


async def test_in_exact_mode_a_broken_stream_is_reset(server: Server, upstream: Upstream) -> None:
    if server.name == "stock":
        pytest.skip("stock Hypercorn leaves such a stream open; an application cannot tell it to reset one")
    name = upstream.play("h2-broken", Script(pieces=(BEGUN,), then="cut", **EVENTS))
    async with server.client() as client:
        number = await server.chat(client, name, "h2-broken", x_gateway_passthrough="exact")
        await client.read(number)
        answer = client.streams[number]
        assert (bytes(answer.body), answer.ended, answer.reset) == (BEGUN, False, INTERNAL_ERROR)


async def test_a_stop_lets_streams_finish_and_begins_no_more(start: Start, upstream: Upstream) -> None:
    gateway = start(load.plugins(upstream))
    server = Server(gateway, gateway.port, None)
    held = Script(pieces=(BEGUN, LAST), hold_at=1, **EVENTS)
    name = upstream.play("h2-stop", held)
    async with server.client() as client:
        number = await server.chat(client, name, "h2-stop")
        await client.until(lambda: client.streams[number].body)
        gateway.process.send_signal(signal.SIGTERM)

        async def refused() -> bool:
            late = await server.chat(client, name, "h2-late")
            await client.until(lambda: client.streams[late].reset is not None or client.streams[late].headers)
            return client.streams[late].reset is not None

        await until(refused, "no new stream is begun")
        held.release()
        await client.read(number)
        assert client.streams[number].ended
    assert await asyncio.to_thread(gateway.process.wait, 30) == 0
    assert list((await books(gateway.database)).problems()) == []
