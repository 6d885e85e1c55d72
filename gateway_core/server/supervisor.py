"""Several workers: spawned processes that share the listening sockets, kept alive, led by a line each."""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from gateway_core.server.errors import CannotServe
from gateway_core.server.settings import Settings

READY: Final = b"ready\n"
RELOAD: Final = b"reload\n"
STOP: Final = b"stop\n"
KILL: Final = b"kill\n"
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 15.0
_STEADY_SECONDS: Final = 30.0
_MOST_FAILURES: Final = 10


class Order(msgspec.Struct, frozen=True):
    """What a worker process is started with, as JSON on its command line."""

    settings: Settings
    path: list[str]
    sockets: list[int]
    control: int


class Slot:
    """One worker and, when it dies, the next one in its place."""

    def __init__(self, supervisor: "Supervisor", number: int) -> None:
        self.ready = False
        self.failures = 0
        self._supervisor = supervisor
        self._number = number
        self._control: asyncio.StreamWriter | None = None

    def tell(self, line: bytes) -> None:
        """Send the worker a line; one that is just starting reads it as soon as it can."""
        if self._control is not None and not self._control.is_closing():
            self._control.write(line)

    async def keep(self) -> None:
        """Run workers one after another until the supervisor stops."""
        pause = _FIRST_PAUSE
        loop = asyncio.get_running_loop()
        while not self._supervisor.stopping:
            started = loop.time()
            status = await self._run_one()
            if self._supervisor.stopping:
                return
            if loop.time() - started > _STEADY_SECONDS:
                pause, self.failures = _FIRST_PAUSE, 0
            self.failures += 1
            self._supervisor.worker_died(self._number, status)
            await asyncio.wait({self._supervisor.stopped}, timeout=pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _run_one(self) -> int:
        ours, theirs = socket.socketpair()
        reader, self._control = await asyncio.open_connection(sock=ours)
        try:
            with theirs:
                if self._supervisor.stopping:  # and its sockets are closed
                    return 0
                process = await self._supervisor.spawn(theirs)
            if await reader.readline() == READY:
                self.ready = True
                self._supervisor.worker_ready()
            return await process.wait()
        finally:
            self.ready = False
            self._control.close()
            self._control = None


class Supervisor:
    """Keeps `count` workers on `sockets` until it is told to stop, or until none of them will start."""

    def __init__(
        self, settings: Settings, sockets: Sequence[socket.socket], count: int, ready: Callable[[], None]
    ) -> None:
        self.stopping = False
        self.stopped: asyncio.Future[None]
        self._settings = settings
        self._sockets = sockets
        self._slots = [Slot(self, number) for number in range(1, count + 1)]
        self._ready: Callable[[], None] | None = ready
        self._failure: str | None = None

    async def run(self) -> None:
        """Keep the workers; raise CannotServe if they do not start."""
        loop = asyncio.get_running_loop()
        self.stopped = loop.create_future()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        loop.add_signal_handler(signal.SIGINT, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        await asyncio.gather(*(slot.keep() for slot in self._slots))
        if self._failure is not None:
            raise CannotServe(self._failure)

    def stop(self) -> None:
        """Have every worker drain and stop; at the second call, stop at once."""
        self._tell(KILL if self.stopping else STOP)
        self.stopping = True
        for sock in self._sockets:  # or clients would still connect, and wait for nobody
            sock.close()
        if not self.stopped.done():
            self.stopped.set_result(None)

    def reload(self) -> None:
        """Have every worker reload."""
        self._tell(RELOAD)

    async def spawn(self, control: socket.socket) -> asyncio.subprocess.Process:
        """A fresh interpreter: nothing of this process but the sockets and the module path."""
        listening = [sock.fileno() for sock in self._sockets]
        order = Order(self._settings, sys.path, listening, control.fileno())
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the working directory must not shadow a package of ours
            "-m",
            "gateway_core.server",
            msgspec.json.encode(order).decode(),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=[*listening, control.fileno()],
        )

    def worker_ready(self) -> None:
        """The first time that all workers are ready, say so."""
        if self._ready is not None and not self.stopping and all(slot.ready for slot in self._slots):
            ready, self._ready = self._ready, None
            ready()

    def worker_died(self, number: int, status: int) -> None:
        """Give up if it never started, or if no worker has for a long time; else it is replaced."""
        if self._ready is not None:
            self._give_up(f"worker {number} did not start (status {status})")
        elif all(slot.failures >= _MOST_FAILURES and not slot.ready for slot in self._slots):
            self._give_up(f"no worker starts any more (the last status was {status})")
        else:
            print(f"worker {number} ended with status {status}; starting another", file=sys.stderr)  # noqa: T201

    def _give_up(self, why: str) -> None:
        self._failure = why
        self.stop()

    def _tell(self, line: bytes) -> None:
        for slot in self._slots:
            slot.tell(line)
