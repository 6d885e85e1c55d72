"""Applications for worker processes, made from a file that says what to do."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from tests.http.front.serving import Message, Receive, Send, reply, with_lifespan


class Toy:
    """Says who it is, notes its reloads beside its configuration, waits or dies when asked to."""

    def __init__(self, config_path: str) -> None:
        self._path = Path(config_path)
        self._app = with_lifespan(self._serve)

    def note(self, what: str) -> None:
        with (self._path.parent / "notes").open("a") as notes:
            notes.write(f"{what} {os.getpid()}\n")

    def notes_first(self) -> bool:
        """Whether another worker was first."""
        try:
            (self._path.parent / "first").touch(exist_ok=False)
        except FileExistsError:
            return True
        return False

    def files(self) -> list[Path]:
        return [self._path, self._path.parent / "included"]

    async def reload(self) -> list[str]:
        self.note("reloaded")
        return []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def _serve(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] == "/wait":
            self.note("waiting")
            while not (self._path.parent / "release").exists():
                await asyncio.sleep(0.01)
        if scope["path"] == "/die":
            os.kill(os.getpid(), signal.SIGKILL)
        await reply(send, str(os.getpid()).encode())


def make(config_path: str) -> Any:
    return Toy(config_path)


def one_by_one(config_path: str) -> Any:
    """The first worker starts at once, every other one when it may."""
    toy = Toy(config_path)
    folder = Path(config_path).parent
    if not toy.notes_first():
        return toy

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        while scope["type"] == "lifespan" and not (folder / "start").exists():
            await asyncio.sleep(0.01)
        await toy(scope, receive, send)

    return app


def fail(config_path: str) -> Any:
    raise ValueError("the application cannot be made")


def refuse(config_path: str) -> Any:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "the database is on fire"})

    return app
