"""A connected TCP socket for a host: every address of both families gets its chance (RFC 8305)."""

import asyncio
import itertools
import socket
from typing import Any, Final

STAGGER: Final = 0.25  # seconds that an address has before the next one is tried beside it

_Info = tuple[int, int, int, str, Any]


async def dial(loop: asyncio.AbstractEventLoop, host: str, port: int) -> socket.socket:
    """The first address that answers; raises the first address's OSError where none does."""
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    infos = _alternating([(int(info[0]), int(info[1]), info[2], info[3], info[4]) for info in found])
    if len(infos) == 1:
        return await _try(loop, infos[0])
    return await _race(loop, infos)


def _alternating(infos: list[_Info]) -> list[_Info]:
    """The resolver's order with the families in turn: one that leads nowhere is only every second try."""
    if not infos:
        raise OSError("the name has no address")
    first = [info for info in infos if info[0] == infos[0][0]]
    others = [info for info in infos if info[0] != infos[0][0]]
    return [info for pair in itertools.zip_longest(first, others) for info in pair if info is not None]


async def _race(loop: asyncio.AbstractEventLoop, infos: list[_Info]) -> socket.socket:
    pending: set[asyncio.Task[socket.socket]] = set()
    errors: list[BaseException] = []
    try:
        for index, info in enumerate(infos):
            pending.add(loop.create_task(_try(loop, info)))
            last = index == len(infos) - 1
            while pending:
                done, pending = await asyncio.wait(
                    pending, timeout=None if last else STAGGER, return_when=asyncio.FIRST_COMPLETED
                )
                if (winner := _winner(done, errors)) is not None:
                    return winner
                if not last:
                    break
    finally:
        for task in pending:
            task.cancel()
            task.add_done_callback(_close_late)
    raise errors[0]


def _winner(done: set[asyncio.Task[socket.socket]], errors: list[BaseException]) -> socket.socket | None:
    winner: socket.socket | None = None
    for task in done:
        error = task.exception()
        if error is not None:
            errors.append(error)
        elif winner is None:
            winner = task.result()
        else:
            task.result().close()
    return winner


def _close_late(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _try(loop: asyncio.AbstractEventLoop, info: _Info) -> socket.socket:
    sock = socket.socket(info[0], info[1], info[2])
    try:
        sock.setblocking(False)  # noqa: FBT003 - the socket's own signature
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(sock, info[4])
    except BaseException:
        sock.close()
        raise
    return sock
