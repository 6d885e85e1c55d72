"""A client that speaks HTTP/2 by prior knowledge or over TLS, and opens its windows only when it reads."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.events
import h2.exceptions

PATIENCE = 30.0


class Stream:
    """One request's answer, as far as it has come."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.ended = False
        self.reset: int | None = None
        self.unread = 0


class Http2:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._connection.initiate_connection()
        self._changed = asyncio.Condition()
        self.streams: dict[int, Stream] = {}
        self.goodbye = False
        self.closed = False
        self._running = asyncio.ensure_future(self._read())

    async def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = b"") -> int:
        """Begin a request, with its whole body or, with None, before it; gives the stream's number."""
        number = self._connection.get_next_available_stream_id()
        self.streams[number] = Stream()
        pseudo = [(":method", method), (":path", path), (":scheme", "https"), (":authority", "x")]
        fields = [*pseudo, *((name.lower(), value) for name, value in headers.items())]
        self._connection.send_headers(number, fields, end_stream=body == b"")
        if body:
            await self.send(number, body, end=True)
        await self._flush()
        return number

    async def send(self, number: int, body: bytes, *, end: bool) -> None:
        """A piece of a request's body, as the server's window allows; a reset stream gets no more."""
        while body and self.streams[number].reset is None:
            room = self._connection.local_flow_control_window(number)
            if not room:
                await self.until(lambda: self._room(number) or self.streams[number].reset is not None)
                continue
            piece = body[: min(room, self._connection.max_outbound_frame_size)]
            body = body[len(piece) :]
            self._connection.send_data(number, piece, end_stream=end and not body)
            await self._flush()

    async def read(self, number: int) -> None:
        """Open the windows by what has come, again and again, until the stream ends or is reset."""
        stream = self.streams[number]
        while not stream.ended and stream.reset is None:
            await self.open(number)
            await self.until(lambda: stream.ended or stream.reset is not None or stream.unread or self.closed)
            if self.closed:
                return

    async def open(self, number: int) -> None:
        """Let the server send as much again as has come."""
        stream = self.streams[number]
        unread, stream.unread = stream.unread, 0
        if unread:
            self._connection.acknowledge_received_data(unread, number)
            await self._flush()

    async def leave(self, number: int) -> None:
        """Reset a stream."""
        self._connection.reset_stream(number, 8)
        await self._flush()

    async def until(self, condition: object) -> None:
        """Wait for what the server will do."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(condition)  # type: ignore[arg-type]

    def _room(self, number: int) -> bool:
        return self._connection.local_flow_control_window(number) > 0

    async def close(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        self._writer.transport.abort()  # no farewell to wait for, by TLS or by TCP
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _flush(self) -> None:
        self._writer.write(self._connection.data_to_send())
        await self._writer.drain()

    async def _read(self) -> None:
        while data := await self._reader.read(65536):
            events = self._connection.receive_data(data)
            async with self._changed:
                for event in events:
                    self._note(event)
                self._changed.notify_all()
            await self._flush()
        async with self._changed:
            self.closed = True
            self._changed.notify_all()

    def _note(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goodbye = True
        stream = self.streams.get(getattr(event, "stream_id", None) or 0)
        if stream is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            stream.headers = {_text(name): _text(value) for name, value in event.headers or ()}
            stream.status = int(stream.headers[":status"])
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data or b""
            stream.unread += event.flow_controlled_length or 0
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset):
            stream.reset = int(event.error_code or 0)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


@asynccontextmanager
async def http2(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Http2]:
    """A connection."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname="localhost" if tls else None
    )
    client = Http2(reader, writer)
    await client._flush()
    try:
        yield client
    finally:
        await client.close()
