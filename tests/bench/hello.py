"""The least that an application can do behind our own front: `python -m tests.bench.hello PORT`.

What a request costs the gateway, divided by what it costs this one in the same run, can be compared between
machines.
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateway_core.server.serve import serve
from gateway_core.server.settings import Settings

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_BODY: Final = b'{"hello":"world"}'
_HEAD: Final = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]


async def _hello(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        for moment in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{moment}.complete"})
        return
    while (await receive()).get("more_body"):
        continue
    await send({"type": "http.response.start", "status": 200, "headers": _HEAD})
    await send({"type": "http.response.body", "body": _BODY})


def make(config_path: str | None) -> Any:
    """The application, as the server's factory."""
    del config_path
    return _hello


if __name__ == "__main__":
    serve(
        None,
        listen=f"127.0.0.1:{sys.argv[1]}",
        settings=Settings(factory="tests.bench.hello:make"),
        on_ready=lambda where: print(where, flush=True),
    )
