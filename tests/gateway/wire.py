"""A raw HTTP/1.1 client: what came, byte for byte, and whether it came to its end."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

TIMEOUT = 60.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A response. `complete` says that its body came to the end that HTTP promised."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def generation_id(self) -> str:
        return self.headers["x-generation-id"]

    @property
    def events(self) -> list[Any]:
        """The JSON values of a stream's data lines, and the text `[DONE]`."""
        return events(self.body)


def events(body: bytes) -> list[Any]:
    """The JSON values of the data lines of an event stream, and the text `[DONE]`."""
    lines = (line[5:].strip() for line in body.split(b"\n") if line.startswith(b"data:"))
    return ["[DONE]" if line == b"[DONE]" else json.loads(line) for line in lines]


class Connection:
    """One connection to the gateway, kept alive from request to request."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send one request and read its whole answer."""
        async with asyncio.timeout(TIMEOUT):
            status, found = await self.begin(method, path, headers=headers, body=body)
            if status in (204, 304):  # has no body, and says nothing of its length
                return Answer(status=status, headers=found, body=b"", complete=True)
            body, complete = await Reading(status=status, headers=found, pieces=self.body(found)).rest()
            if not complete or found.get("connection") == "close":
                self.close()
            return Answer(status=status, headers=found, body=body, complete=complete)

    async def begin(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, Mapping[str, str]]:
        """Send one request and read the status and the headers of its answer."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        sent = {"host": f"127.0.0.1:{self._port}", **(headers or {})}
        if "transfer-encoding" not in sent:
            sent["content-length"] = str(len(body))
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
        return await self._head()

    async def body(self, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
        """The pieces of the body as they come; IncompleteReadError where it stops short of its end."""
        reader = self._open_reader()
        if headers.get("transfer-encoding") == "chunked":
            while size := int(await _line(reader), 16):
                yield await reader.readexactly(size)
                await reader.readexactly(2)
            await _line(reader)
        elif "content-length" in headers:
            yield await reader.readexactly(int(headers["content-length"]))
        else:
            while data := await reader.read(1 << 16):
                yield data
            self.close()

    @property
    def own_port(self) -> int:
        """The port of this end."""
        return 0 if self._writer is None else int(self._writer.get_extra_info("sockname")[1])

    @property
    def stale(self) -> bool:
        """The gateway has closed its end in the meantime."""
        return self._reader is not None and self._reader.at_eof()

    def close(self) -> None:
        """Leave, whatever is under way."""
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    async def _head(self) -> tuple[int, Mapping[str, str]]:
        reader = self._open_reader()
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")[:-2]
            status = int(first.split(" ")[1])
            if status != 100:
                break
        pairs = (line.partition(":") for line in lines)
        return status, {name.strip().lower(): value.strip() for name, _, value in pairs}

    def _open_reader(self) -> asyncio.StreamReader:
        if self._reader is None:
            raise RuntimeError("not connected")
        return self._reader


class Client:
    """A team's client: its key on every request, a connection for each task that asks at the same time."""

    def __init__(self, port: int, key: str | None) -> None:
        self._port = port
        self._headers = {"content-type": "application/json"}
        if key is not None:
            self._headers["authorization"] = f"Bearer {key}"
        self._idle: list[Connection] = []

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._idle:
            connection.close()
        await asyncio.sleep(0)

    async def get(self, path: str) -> Answer:
        """GET a path."""
        return await self.send("GET", path)

    async def chat(self, body: Any, **headers: str) -> Answer:
        """POST a chat completion, given as a JSON value or as bytes; header names with `_` for `-`."""
        return await self.send("POST", "/v1/chat/completions", body, **headers)

    async def generation(self, generation_id: str) -> Any:
        """The record of a generation."""
        return (await self.get(f"/v1/generations?id={generation_id}")).json

    async def send(self, method: str, path: str, body: Any = b"", **headers: str) -> Answer:
        """Send one request on a connection of its own for as long as it takes."""
        connection = self._idle.pop() if self._idle else Connection(self._port)
        if connection.stale:
            connection.close()
        try:
            answer = await connection.request(
                method, path, headers=self.headers(**headers), body=encoded(body)
            )
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return answer

    @asynccontextmanager
    async def stream(self, body: Any, **headers: str) -> AsyncIterator["Reading"]:
        """A chat stream in the course of being read; leaving the block leaves the gateway."""
        connection = Connection(self._port)
        try:
            async with asyncio.timeout(TIMEOUT):
                status, found = await connection.begin(
                    "POST", "/v1/chat/completions", headers=self.headers(**headers), body=encoded(body)
                )
                pieces = connection.body(found)
                yield Reading(status=status, headers=found, pieces=pieces, port=connection.own_port)
        finally:
            connection.close()

    def headers(self, **more: str) -> dict[str, str]:
        """The headers that every request of this client carries."""
        return {**self._headers, **{name.replace("_", "-"): value for name, value in more.items()}}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A stream that has begun."""

    status: int
    headers: Mapping[str, str]
    pieces: AsyncIterator[bytes]
    port: int = 0  # the client's own end

    async def until(self, number: int) -> bytes:
        """What came until `number` events were whole, or until the end."""
        seen = b""
        async for piece in self.pieces:
            seen += piece
            if seen.count(b"\n\n") >= number:
                break
        return seen

    async def rest(self) -> tuple[bytes, bool]:
        """What still comes, and whether it came to the body's end."""
        seen = bytearray()
        try:
            async for piece in self.pieces:
                seen += piece
        except (asyncio.IncompleteReadError, ConnectionError):
            return bytes(seen), False
        return bytes(seen), True


def encoded(body: Any) -> bytes:
    """A body as bytes."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()


async def _line(reader: asyncio.StreamReader) -> bytes:
    """One line, or IncompleteReadError: `readline` would give half of one without a word."""
    return (await reader.readuntil(b"\r\n"))[:-2]
