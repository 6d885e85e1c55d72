"""One HTTP/1.1 client connection: answers in order, reads only what is wanted, parts so that it is heard."""

import asyncio
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

from typing_extensions import override

from gateway_core.server.heads import Refused, refusal
from gateway_core.server.intake import Intake, Upgrade
from gateway_core.server.turn import Turn

if TYPE_CHECKING:
    from gateway_core.server.front import Front

_NEVER: Final = float("inf")
_RESET: Final = struct.pack("ii", 1, 0)
_STOCK_PROTOCOLS: Final = (b"websocket", b"h2c")


class Connection(asyncio.Protocol):
    """What the event loop, a turn and the front each ask of a connection."""

    def __init__(self, front: "Front", transport: asyncio.Transport, scope: dict[str, Any]) -> None:
        self.app = front.app
        self.loop = front.loop
        self.transport = transport
        self.writable: asyncio.Future[None] | None = None
        self.closed: asyncio.Future[None] = front.loop.create_future()
        """Done when nothing of this connection runs here any more."""
        self.handover: bytes | None = None
        """With bytes, the stock server has to go on with the connection, and with these."""
        self._front = front
        self._limits = front.limits
        self._intake = Intake(self, front.limits, scope)
        self._turn: Turn | None = None
        self._waiting: deque[Turn] = deque()
        self._running: set[Turn] = set()
        self._refusal: Refused | None = None
        self._served = 0
        self._lost = False
        self._deaf = False  # nothing more is wanted from this client
        self._reading = True
        self._held = b""
        self._held_from = 0
        self._discarded = 0
        self._deadline = front.now + front.keep_alive
        self._write_deadline = _NEVER

    # What the loop calls.

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        if self.handover is not None:
            self.handover += data
        elif self._deaf:
            self._discard(len(data))
        elif self._held:
            self._hold(self._held[self._held_from :] + data, 0)
        else:
            self._take(data)

    @override
    def eof_received(self) -> bool:
        """A client that closes its sending side has left: it looks the same as one that goes away."""
        self._leave()
        return False

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._leave()
        self.resume_writing()
        self._close_if_over()

    @override
    def pause_writing(self) -> None:
        self.writable = self.loop.create_future()
        self._write_deadline = self._front.now + self._limits.write_seconds

    @override
    def resume_writing(self) -> None:
        writable, self.writable = self.writable, None
        self._write_deadline = _NEVER
        if writable is not None and not writable.done():
            writable.set_result(None)

    # What the intake calls.

    def arrived(self, turn: Turn) -> None:
        """A request's head is here."""
        self._deadline = self._front.now + self._limits.body_seconds if turn.more else _NEVER
        if self._turn is None:
            self._start(turn)
        else:
            self._waiting.append(turn)

    def arrived_whole(self, turn: Turn) -> None:
        """A request's body is here."""
        self._deadline = _NEVER
        self._deaf = not turn.keep

    # What a turn calls.

    @property
    def common(self) -> bytes:
        """Header lines that every answer has."""
        return self._front.common

    @property
    def draining(self) -> bool:
        """Whether the next answer is this connection's last."""
        return self._front.draining or self._served + 1 >= self._front.most_requests

    def consumed(self) -> None:
        """The application took what was buffered of a body."""
        if self._held or not self._reading:
            self._resume()

    def answered(self, turn: Turn) -> None:
        """An answer is complete: serve what waits, or wait for the client, or part from it."""
        self._turn = None
        self._served += 1
        if self._lost or self.transport.is_closing():
            return
        if not turn.keep or self._front.draining:
            self._part()
        elif self._waiting:
            self._start(self._waiting.popleft())
            self._resume()
        elif self._refusal is not None:
            self._refuse_now(self._refusal)
        else:
            wait = self._limits.head_seconds if self._intake.head else self._front.keep_alive
            self._deadline = self._front.now + wait
            self._resume()

    def ended(self, turn: Turn, error: BaseException | None) -> None:
        """The application returned or failed; an answer that is not complete must not look so."""
        self._running.discard(turn)
        if not turn.answered and not turn.gone:
            turn.gone = True
            if turn.sent or isinstance(error, asyncio.CancelledError):
                self.break_off(reset=turn.ends_by_close)
            else:
                self._turn = None
                self.transport.write(refusal(500, "The application failed.", self.common))
                self._part()
        self._close_if_over()

    def break_off(self, *, reset: bool) -> None:
        """Close without an end to the body; `reset` where a plain close would be one."""
        self._deaf = True
        self._turn = None
        self._waiting.clear()
        if reset:
            sock: socket.socket | None = self.transport.get_extra_info("socket")
            if sock is not None and sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()
        else:
            self.transport.close()

    def release(self) -> None:
        """It is over: hold no one who holds this."""
        self._turn = None
        self._intake.release()

    async def report(self, error: Exception) -> None:
        """Say that the application failed."""
        await self._front.report(error)

    # What the front calls.

    def sweep(self, now: float) -> None:
        """Part with a client that takes too long."""
        if self._write_deadline < now:
            self._drop()
        elif self._deadline < now:
            turn = self._intake.turn
            if self._deaf:
                self._drop()
            elif turn is not None and not turn.waits:
                self._deadline = now + self._limits.body_seconds
            elif turn is not None or self._intake.head:
                self._refuse(Refused(408, "The request took too long to arrive."))
            else:
                self.transport.close()

    def drain(self) -> None:
        """The server is stopping: an idle connection closes; a busy one does after its answer."""
        if self._turn is None and not self._deaf:
            self._deaf = True
            self.transport.close()

    def kill(self) -> "set[asyncio.Task[None]]":
        """Stop at once; gives the tasks that are being cancelled."""
        tasks = {turn.task for turn in self._running if turn.task is not None}
        for task in tasks:
            task.cancel()
        self._drop()
        return tasks

    # Reading, as far as it is wanted.

    def _take(self, data: bytes, start: int = 0) -> None:
        """Parse up to where the next byte is not wanted yet, and hold the rest."""
        intake = self._intake
        size = len(data)
        while start < size:
            if self._deaf:
                self._discard(size - start)
                return
            if self._is_full():
                self._hold(data, start)
                return
            if self._turn is None and not intake.head:
                self._deadline = self._front.now + self._limits.head_seconds
            end = intake.cut(data, start)
            piece = data[start:end]
            start = end
            try:
                intake.push(piece)
            except Refused as refused:
                self._refuse(refused)
                return
            except Upgrade as upgrade:
                self._upgrade(upgrade, data[start:])
                return

    def _is_full(self) -> bool:
        """Whether as much has been read ahead as may be: a request, or a buffer of body."""
        turn = self._intake.turn
        return bool(self._waiting) or (turn is not None and turn.buffered >= self._limits.body_buffer)

    def _hold(self, data: bytes, start: int) -> None:
        """Keep what is not wanted yet; a little does not stop the reading, which is how an end is noticed."""
        self._held, self._held_from = data, start
        if self._reading and self._holds_much() and not self.transport.is_closing():
            self._reading = False
            self.transport.pause_reading()

    def _resume(self) -> None:
        """Go on with what is held, then with the client."""
        if self._is_full() or self._lost:
            return
        if self._intake.turn is not None:
            self._deadline = self._front.now + self._limits.body_seconds
        held, self._held = self._held, b""
        if held:
            self._take(held, self._held_from)
        if not self._reading and not self._holds_much() and not self.transport.is_closing():
            self._reading = True
            self.transport.resume_reading()

    def _holds_much(self) -> bool:
        return len(self._held) - self._held_from >= self._limits.body_buffer

    def _upgrade(self, upgrade: Upgrade, rest: bytes) -> None:
        """Hypercorn's own server speaks websocket and h2c; where it cannot take over, the wish is ignored."""
        if self._turn is None and not upgrade.has_body and upgrade.protocol in _STOCK_PROTOCOLS:
            self.handover = upgrade.head + rest
            self.closed.set_result(None)
        else:
            self._intake.begin()
            self._take(upgrade.ignored() + rest)

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > self._limits.discard_bytes:
            self._drop()

    # Turns and ends.

    def _start(self, turn: Turn) -> None:
        self._turn = turn
        self._running.add(turn)
        turn.task = self.loop.create_task(turn.run())

    def _refuse(self, refused: Refused) -> None:
        """Nothing more is understood of this client: answer what came before, then say why, then close."""
        self._deaf = True
        turn, self._intake.turn = self._intake.turn, None
        if turn is not None and turn is self._turn:
            turn.lose()
            if turn.sent:
                self.break_off(reset=turn.ends_by_close)
            else:
                self._refuse_now(refused)
            return
        if turn is not None:
            self._waiting.remove(turn)
        if self._turn is None:
            self._refuse_now(refused)
        else:
            self._refusal = refused

    def _refuse_now(self, refused: Refused) -> None:
        self._turn = None
        self.transport.write(refusal(refused.status, refused.reason, self.common))
        self._linger()

    def _part(self) -> None:
        """Close after the last answer. A close on unread bytes would be a reset, and take the answer away."""
        unread = self._intake.turn is not None or self._intake.head or self._waiting
        if unread or self._held or self._discarded or not self._reading:
            self._linger()
        else:
            self._deaf = True
            self.transport.close()

    def _linger(self) -> None:
        """Close the sending side, and drop what the client still sends until it has seen that."""
        self._deaf = True
        self._held = b""
        self._waiting.clear()
        self._deadline = self._front.now + self._limits.discard_seconds
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if not self._reading:
            self._reading = True
            self.transport.resume_reading()

    def _leave(self) -> None:
        """The client is gone: its request learns of it; those behind it never begin."""
        self._deaf = True
        self._held = b""
        self._waiting.clear()
        if self._turn is not None:
            self._turn.lose()

    def _drop(self) -> None:
        self._leave()
        self.transport.abort()

    def _close_if_over(self) -> None:
        if self._lost and not self._running and not self.closed.done():
            self.closed.set_result(None)
