"""A whole gateway in this process, asked as an outside ASGI server would: any disconnect, at any message."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import yaml

from gateway_core.app import Gateway
from gateway_core.db.stores import Stores
from gateway_core.host.dispatch import HookCall
from gateway_core.http.application import application
from plugin_sdk import keys
from plugin_sdk.money import Nanos
from tests.core.ledger.databases import sqlite

PEPPER = "a pepper for tests"
PRICE = {"input_text_tokens": "2.50", "output_text_tokens": "10.00"}


class Answer(msgspec.Struct, kw_only=True):
    """What the client got before the end, or before it left."""

    status: int | None = None
    headers: dict[str, str] = {}
    body: bytes = b""
    whole: bool = False

    @property
    def generation_id(self) -> str:
        return self.headers["x-generation-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Driver:
    """Asks the application; `ask` may leave after some messages, or be cancelled by its caller."""

    def __init__(self, app: Any, key: str, database: Path) -> None:
        self.app = app
        self.key = key
        self.database = database
        self.answers: list[Answer] = []  # as far as each has come

    async def ask(
        self,
        body: Any,
        *,
        key: str | None = None,
        path: str = "/v1/chat/completions",
        leave_after: int | None = None,
        leave_when: Callable[[], Awaitable[None]] | None = None,
        **headers: str,
    ) -> Answer:
        """POST to a generation route; the client is gone after so many body messages, or at a time."""
        answer = Answer()
        self.answers.append(answer)
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = 0
        left = asyncio.Event()
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if not asked and not left.is_set():
                asked = True
                if leave_after == 0:
                    left.set()
                return {"type": "http.request", "body": raw, "more_body": False}
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            nonlocal sent
            if left.is_set():
                raise OSError("the client is gone")
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
                return
            answer.body += message.get("body", b"")
            answer.whole = not message.get("more_body")
            sent += 1
            if sent == leave_after:
                left.set()
                await asyncio.sleep(0)

        found = [(b"authorization", f"Bearer {key or self.key}".encode())]
        found += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "method": "POST", "scheme": "http", "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": found,
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1), "extensions": {},
        }  # fmt: skip
        leaving = asyncio.ensure_future(_leave(left, leave_when))
        try:
            await self.app(scope, receive, send)
        finally:
            leaving.cancel()
        return answer

    def rows(self, query: str) -> list[sqlite3.Row]:
        """What the database says."""
        connection = sqlite3.connect(self.database)
        connection.row_factory = sqlite3.Row
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def settled(self) -> list[sqlite3.Row]:
        """Each generation with its settlement, once money is seen to be conserved and nothing held twice."""
        assert self.rows("SELECT SUM(amount) AS total FROM ledger_entries")[0]["total"] == 0
        wallet = self.rows("SELECT * FROM wallets")[0]
        entries = self.rows(
            f"SELECT SUM(amount) AS total FROM ledger_entries WHERE account = 'wallet:{wallet['id']}'"
        )
        assert entries[0]["total"] == wallet["balance"]
        return self.rows(
            "SELECT g.*, s.outcome, s.charge, s.hold, s.lost, s.delivered_at, s.upstream_finished_at "
            "FROM generations g LEFT JOIN settlements s ON s.generation_id = g.id ORDER BY g.id"
        )


async def _leave(left: asyncio.Event, when: Callable[[], Awaitable[None]] | None) -> None:
    if when is not None:
        await when()
        left.set()


@contextlib.asynccontextmanager
async def driver(
    folder: Path, plugins: dict[str, Any], *, usd: int = 10, **hooks: HookCall
) -> AsyncIterator[Driver]:
    """A gateway with one rich team, in `folder`; `hooks` stand where those of one more plugin would."""
    url = sqlite(folder)
    stores = await Stores.open(url)
    team = await stores.create_team("rich")
    key, parts = keys.mint("live")
    await stores.create_key(team.id, "live", "k", parts.kid, keys.hashed(parts.secret, PEPPER.encode()))
    await stores.top_up(team.id, "live", Nanos(usd * 1_000_000_000), "manual")
    await stores.close()
    path = folder / "gateway.yaml"
    (folder / "gateway.db.pepper").write_text(PEPPER)
    path.write_text(yaml.safe_dump({"include": "standard", "gateway": {"database": url}, "plugins": plugins}))
    made = Gateway(path)
    more = {name: (*getattr(made._snapshot.hooks, name), call) for name, call in hooks.items()}
    made._snapshot = msgspec.structs.replace(
        made._snapshot, hooks=msgspec.structs.replace(made._snapshot.hooks, **more)
    )
    app = application(made.start, made.stop)
    async with app.test_app():
        yield Driver(app, key, folder / "gateway.db")
