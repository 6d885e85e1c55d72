"""An upstream that does as it is told: an httpx transport with a script, which keeps what it was sent."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal

import httpx
import msgspec
from typing_extensions import override

End = Literal["end", "cut", "stall"]


class Scripted(msgspec.Struct, frozen=True, kw_only=True):
    """One answer: its body in pieces as they would come from a socket, and how it ends.

    `cut` breaks the connection after the last piece; `stall` keeps it open and sends nothing more.
    """

    status: int = 200
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    pieces: tuple[bytes, ...] = ()
    end: End = "end"


def answer(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Scripted:
    """A JSON answer."""
    given = {"content-type": "application/json", **(headers or {})}
    return Scripted(status=status, headers=given, pieces=(msgspec.json.encode(value),))


def stream(*events: object, end: End = "end", size: int | None = None) -> Scripted:
    """A stream of events, each an object or the text `[DONE]`; in pieces of `size` bytes, else by events."""
    written = [
        b"data: " + (e.encode() if isinstance(e, str) else msgspec.json.encode(e)) + b"\n\n" for e in events
    ]
    pieces = cut(b"".join(written), size) if size else written
    return Scripted(headers={"content-type": "text/event-stream"}, pieces=tuple(pieces), end=end)


def cut(body: bytes, size: int) -> list[bytes]:
    """The bytes in pieces of one size."""
    return [body[at : at + size] for at in range(0, len(body), size)]


class ScriptedUpstream(httpx.AsyncBaseTransport):
    """Gives its answers in order, the last one for ever; `requests` is what it was sent, bodies read."""

    def __init__(self, *answers: Scripted | Exception) -> None:
        self._answers: Sequence[Scripted | Exception] = answers or (answer({}),)
        self.requests: list[httpx.Request] = []

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The next answer of the script; an exception in it is raised, as a connection that fails would."""
        await request.aread()
        chosen = self._answers[min(len(self.requests), len(self._answers) - 1)]
        self.requests.append(request)
        if isinstance(chosen, Exception):
            raise chosen
        return httpx.Response(chosen.status, headers=dict(chosen.headers), stream=_Body(chosen))

    def sent(self, place: int = -1) -> Any:
        """The decoded JSON of one request's body, the last by default."""
        return msgspec.json.decode(self.requests[place].content)


class _Body(httpx.AsyncByteStream):
    def __init__(self, script: Scripted) -> None:
        self._script = script

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._script.pieces:
            await asyncio.sleep(0)
            yield piece
        if self._script.end == "cut":
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")
        if self._script.end == "stall":
            await asyncio.Event().wait()
