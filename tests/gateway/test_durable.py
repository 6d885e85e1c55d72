"""The end of an answer waits for its settlement; a database that is away is an error, never a free answer."""

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.gateway import load
from tests.gateway.books import books
from tests.gateway.conftest import Start
from tests.gateway.database import POSTGRES, Database, Template
from tests.gateway.process import Gateway, running
from tests.gateway.upstream import Upstream
from tests.gateway.waiting import until

LEASES = "the ledger's leases cannot be looked after"
KEYS = "no key can be looked up"
SOON = 0.4  # seconds in which an answer that did not wait would have come


@pytest.fixture(scope="module")
def steady(starter: Callable[[ExitStack], Start], upstream: Upstream) -> Iterator[Gateway]:
    """A gateway on SQLite."""
    with ExitStack() as stack:
        yield starter(stack)(load.plugins(upstream))


@contextlib.contextmanager
def _locked(database: Database) -> Iterator[sqlite3.Connection]:
    """Another process writes, and takes its time: nothing can be committed until `rollback`."""
    assert database.sqlite is not None
    with contextlib.closing(sqlite3.connect(database.sqlite, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


@pytest.mark.parametrize("stream", [False, True])
async def test_the_end_of_an_answer_leaves_only_after_its_settlement_is_committed(
    steady: Gateway, upstream: Upstream, stream: bool
) -> None:
    script = load.play(upstream, f"durable-{stream}", events=3, pace=0)
    async with steady.client() as client:
        await client.chat(
            load.body(script, f"warm-{stream}", stream=False)
        )  # takes a lease: holds are free now
        connection = client.stream(load.body(script, f"durable-{stream}", stream=stream))
        with _locked(steady.database) as lock:
            entered = asyncio.create_task(connection.__aenter__())

            async def answered() -> bool:
                return f"durable-{stream}" in upstream.finished

            await until(answered, "the upstream has said all")
            reading = await entered if stream else None
            seen = await reading.until(3) if reading is not None else b""
            waiting: asyncio.Task[Any] = (
                asyncio.create_task(reading.rest()) if reading is not None else entered
            )
            done, _ = await asyncio.wait([waiting], timeout=SOON)
            assert not done, "the end came before the commit"
            assert b"[DONE]" not in seen
            lock.rollback()
        reading = reading or await entered
        end, complete = await (waiting if stream else reading.rest())
        await connection.__aexit__(None, None, None)
    assert complete
    assert end.endswith(b"data: [DONE]\n\n") if stream else end.startswith(b"{")
    assert reading.headers["x-generation-id"] in (await books(steady.database)).charged


async def test_a_database_that_is_busy_for_a_moment_only_delays(steady: Gateway, upstream: Upstream) -> None:
    script = load.play(upstream, "busy", events=3, pace=0)
    async with steady.client() as client:
        with _locked(steady.database) as lock:
            asked = [
                asyncio.create_task(client.chat(load.body(script, f"busy-{number}", stream=number % 2 == 0)))
                for number in range(6)
            ]
            assert (await client.get("/v1/health")).status == 200
            lock.rollback()
        answers = await asyncio.gather(*asked)
    assert [(one.status, one.complete) for one in answers] == [(200, True)] * 6


async def test_a_request_that_needs_credit_while_the_database_is_busy_is_told_to_ask_again(
    start: Start, upstream: Upstream
) -> None:
    gateway = start(load.plugins(upstream))
    script = load.play(upstream, "needy", events=3, pace=0)
    async with gateway.client() as client:
        with _locked(gateway.database) as lock:
            asked = asyncio.create_task(client.chat(load.body(script, "needy", stream=True)))

            async def refused() -> bool:
                return "no credit can be leased" in gateway.log_text()

            await until(refused, "the hold is given up")
            lock.rollback()
        answer = await asked
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        record = await client.generation(answer.generation_id)
        assert (record["status_code"], record["cost_nanos"]) == (503, 0)
        assert (await client.chat(load.body(script, "calm", stream=True))).status == 200
    assert "Traceback" not in gateway.log_text()
    assert [call.json["x_tag"] for call in upstream.calls(script)] == ["calm"]


async def test_a_key_with_a_limit_is_told_to_ask_again_while_the_database_is_busy(
    start: Start, upstream: Upstream
) -> None:
    gateway = start(load.plugins(upstream))
    made = gateway.cli("keys", "create", "--team", "rich")
    gateway.cli("keys", "limit", made["kid"], "--daily-requests", "2")
    script = load.play(upstream, "limited", events=3, pace=0)
    async with gateway.client(made["key"]) as client:
        # takes a lease: the limit is what the next one waits for
        assert (await client.chat(load.body(script, "first", stream=True))).status == 200

        async def counted() -> bool:
            return await gateway.database.rows("SELECT * FROM limit_reservations") == [[]]

        await until(counted, "the first is counted")
        with _locked(gateway.database) as lock:
            asked = asyncio.create_task(client.chat(load.body(script, "busy", stream=True)))

            async def refused() -> bool:
                return "limits cannot be counted" in gateway.log_text()

            await until(refused, "the limit is given up")
            lock.rollback()
        answer = await asked
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert "db_error" in answer.body.decode()
        assert (await client.chat(load.body(script, "second", stream=True))).status == 200
        assert (await client.chat(load.body(script, "third", stream=True))).status == 429
    assert "Traceback" not in gateway.log_text()
    assert [call.json["x_tag"] for call in upstream.calls(script)] == ["first", "second"]
    gateway.stop()
    assert await counted()


class Line:
    """A line to PostgreSQL that can be cut."""

    def __init__(self) -> None:
        self._open = True
        self._ends: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator[int]:
        """The port at this end, for as long as the block lasts."""
        server = self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            self.cut()

    def cut(self) -> None:
        """Break every connection, and every one that comes."""
        self._open = False
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    def mend(self) -> None:
        """Let connections through again."""
        self._open = True

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        host, _, port = POSTGRES.rpartition("@")[2].partition(":")
        back, forth = await asyncio.open_connection(host, int(port))
        self._ends |= {writer, forth}
        await asyncio.gather(_pipe(reader, forth), _pipe(back, writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def _behind_a_line(
    folder: Path, direct: Database, upstream: Upstream, **more: Any
) -> AsyncIterator[tuple[Gateway, Line]]:
    """A gateway that reaches its PostgreSQL by a line; whole again when the gateway stops."""
    line = Line()
    async with line.laid() as port:
        host = POSTGRES.rpartition("@")[2]
        through = Database(direct.url.replace(host, f"127.0.0.1:{port}"), direct.keys)
        process = running(folder, through, {**load.plugins(upstream), **more})
        gateway = await asyncio.to_thread(process.__enter__)
        try:
            yield gateway, line
        finally:
            line.mend()
            await asyncio.to_thread(process.__exit__, None, None, None)


@pytest.mark.slow
async def test_while_postgresql_is_away_nothing_is_given_and_nothing_is_lost(
    template: Callable[[str], Template], upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("outage")
    script = load.play(upstream, "outage", events=3, pace=0)
    direct = await asyncio.to_thread(lambda: template("postgres").copy(folder))
    async with _behind_a_line(folder, direct, upstream) as (gateway, line), gateway.client() as client:
        assert (await client.chat(load.body(script, "before", stream=False))).status == 200
        line.cut()
        bodies = [load.body(script, f"away-{number}", stream=number % 2 == 0) for number in range(6)]
        away = await asyncio.gather(*(client.chat(body) for body in bodies))
        assert (await client.get("/v1/health")).status == 200
        line.mend()

        async def served() -> bool:
            return (await client.chat(load.body(script, "after", stream=False))).status == 200

        await until(served, "the gateway serves again")
    found = await books(direct)
    assert list(found.problems()) == []
    # Whole answers are errors; streams that had begun end in an error event. Who is charged got it all.
    for one in away:
        ended = one.status == 200 and (one.body.startswith(b"{") or b"[DONE]" in one.body)
        assert one.complete
        assert ended == (one.generation_id in found.charged), one.body[-300:]
    assert Counter(one.status for one in away)[500] >= 3
    assert (found.leases, found.holds) == ([], [])


@pytest.mark.slow
async def test_postgresql_that_is_away_is_a_503_to_ask_again_and_one_line_for_each_thing_that_fails(
    template: Callable[[str], Template], upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("silence")
    script = load.play(upstream, "silence", events=3, pace=0)
    direct = await asyncio.to_thread(lambda: template("postgres").copy(folder))
    async with (
        _behind_a_line(folder, direct, upstream) as (gateway, line),
        gateway.client() as known,
        gateway.client(gateway.poor_key) as unknown,
    ):
        assert (await known.chat(load.body(script, "before", stream=False))).status == 200
        line.cut()
        for number in range(3):
            answer = await unknown.chat(load.body(script, f"away-{number}", stream=False))
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert "db_error" in answer.body.decode()
            shown = await unknown.get("/v1/generations?id=any")
            assert (shown.status, shown.headers["retry-after"]) == (503, "1")
        keyed = {"idempotency-key": "once"}
        answer = await known.chat(load.body(script, "keyed", stream=False), **keyed)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        line.mend()

        async def over() -> bool:
            log = gateway.log_text(1 << 20)
            return all(f"over: {what}" in log for what in (LEASES, KEYS))

        await unknown.chat(load.body(script, "after", stream=False))
        await until(over, "the log says that it is over")
    log = gateway.log_text(1 << 20)
    for what in (LEASES, KEYS):
        told = [one for one in log.splitlines() if what in one]
        assert " warning " in told[0]
        assert "over: " in told[-1]
        assert int(told[-1].rpartition("(")[2].split()[0]) > len(told), told
    assert [call.json["x_tag"] for call in upstream.calls(script)][:1] == ["before"]


@pytest.mark.slow
async def test_books_and_keys_of_a_database_that_is_busy_can_be_read_and_are_a_503_to_write(
    steady: Gateway,
) -> None:
    made = partial(steady.cli, "keys", "create", "--team", "rich")
    boss = (await asyncio.to_thread(made, "--management"))["key"]
    operator = (await asyncio.to_thread(made, "--operator"))["key"]
    wanted = {"generation": "G-1", "reason": "busy"}
    async with steady.client(boss) as client, steady.client(operator) as office:
        assert (await client.get("/v1/keys")).status == 200
        assert (await office.send("POST", "/v1/ledger/refunds", wanted)).status == 404
        with _locked(steady.database):
            read = [await client.get(f"/v1/{path}") for path in ("credits", "keys")]
            told = await asyncio.gather(
                client.send("POST", "/v1/keys", {"name": "never"}),
                office.send("POST", "/v1/ledger/refunds", wanted),
            )
        names = [key["name"] for key in (await client.get("/v1/keys")).json["keys"]]
    assert [one.status for one in read] == [200, 200]
    assert [(one.status, one.json["reason"]) for one in told] == [(503, "db_error")] * 2
    assert "never" not in names


@pytest.mark.slow
async def test_while_postgresql_is_away_books_and_keys_are_a_503_to_ask_again(
    template: Callable[[str], Template], upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("unread")
    direct = await asyncio.to_thread(lambda: template("postgres").copy(folder))
    refund = {"generation": "G-1", "reason": "unread"}
    asked: list[tuple[str, str, Any]] = [
        ("GET", "credits", None),
        ("GET", "activity", None),
        ("GET", "ledger", None),
        ("GET", "keys", None),
        ("GET", "keys/any", None),
        ("GET", "provider-keys", None),
        ("POST", "keys", {"name": "never"}),
        ("PATCH", "keys/any", {"name": "never"}),
        ("DELETE", "keys/any", None),
        ("POST", "provider-keys", {"provider": "loaded", "key": "sk-never-0123456789"}),
    ]
    async with _behind_a_line(folder, direct, upstream, byok={}) as (gateway, line):
        made = partial(gateway.cli, "keys", "create", "--team", "rich")
        boss = (await asyncio.to_thread(made, "--management"))["key"]
        operator = (await asyncio.to_thread(made, "--operator"))["key"]
        clients = (gateway.client(boss), gateway.client(operator), gateway.client())
        async with clients[0] as client, clients[1] as office, clients[2] as team:
            assert (await client.get("/v1/keys")).status == 200  # and from now on both are known
            assert (await office.send("POST", "/v1/ledger/refunds", refund)).status == 404
            assert (await team.get("/v1/key")).status == 200
            line.cut()
            told = [await client.send(method, f"/v1/{path}", body) for method, path, body in asked]
            told += [await office.send("POST", "/v1/ledger/refunds", refund), await team.get("/v1/key")]
            line.mend()
            found = (await client.get("/v1/keys")).json["keys"]
            assert (await client.get("/v1/credits")).status == 200
    assert [(one.status, one.headers.get("retry-after")) for one in told] == [(503, "1")] * len(told)
    assert {one.json["reason"] for one in told} == {"db_error"}
    assert "never" not in [key["name"] for key in found]
    log = gateway.log_text(1 << 20)
    assert [log.count(f"over: {what} cannot be") for what in ("the books", "keys")] == [1, 1]
