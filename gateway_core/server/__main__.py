"""A worker process: started by the supervisor with its order as JSON, led by lines on a socket."""

import asyncio
import signal
import socket
import sys

import msgspec

from gateway_core.server.errors import CannotServe
from gateway_core.server.supervisor import KILL, READY, RELOAD, STOP, Order
from gateway_core.server.worker import Worker, run


async def _serve(order: Order) -> None:
    loop = asyncio.get_running_loop()
    sockets = [socket.socket(fileno=number) for number in order.sockets]
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=order.control))
    worker = Worker(order.settings, sockets)
    loop.add_signal_handler(signal.SIGTERM, worker.stop)
    following = loop.create_task(_follow(worker, reader))
    await worker.run(lambda: writer.write(READY))
    following.cancel()
    writer.close()


async def _follow(worker: Worker, reader: asyncio.StreamReader) -> None:
    """Do as told; a supervisor that is gone (its end of the socket closes with it) means stop.

    Whoever stops a whole process group tells its workers too: only the supervisor knows of a second time.
    """
    while True:
        line = await reader.readline()
        if line == RELOAD:
            worker.reload()
        elif line == STOP:
            worker.stop()
        elif line == KILL:
            worker.kill()
        elif not line:
            worker.stop()
            return


def main() -> int:
    """The worker's exit status: 0 when it was told to stop, 3 when it could not start."""
    # A terminal's signals reach the whole process group: the supervisor decides what they mean.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    order = msgspec.json.decode(sys.argv[1], type=Order)
    sys.path[:] = order.path
    try:
        run(_serve(order))
    except CannotServe as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
