"""The command `gateway`, but for one thing: it is killed by its own hand when it has passed a step so often.

    python launch.py STEP NUMBER --config FILE serve ...

The steps are seams of the gateway, wrapped from outside before it starts: it knows nothing of them.
"""

import functools
import inspect
import itertools
import os
import signal
import sys
from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any, Final, Literal

STEPS: Final[dict[str, tuple[Literal["before", "after"], str]]] = {
    "hold: leased, not committed": ("after", "gateway_core.ledger.leases:grow"),
    "hold: taken": ("after", "gateway_core.ledger.ledger:Ledger.hold"),
    "dispatch: to be sent": ("before", "gateway_core.upstream.client:Upstream.send"),
    "dispatch: answered": ("after", "gateway_core.upstream.client:Upstream.send"),
    "first byte: read": ("after", "gateway_core.pipeline.lane:first_pieces"),
    "first byte: sent": ("after", "gateway_core.pipeline.client:Client.write"),
    "last byte: read": ("before", "gateway_core.ledger.ledger:Ledger.settle"),
    "settle: queued": ("after", "gateway_core.ledger.ledger:Ledger.settle"),
    "settle: written, not committed": ("after", "gateway_core.ledger.writer:settle"),
    "commit: done, nobody told": ("before", "gateway_core.ledger.writer:Writer._resolve"),
    "commit: the end sent": ("before", "gateway_core.pipeline.relay:_delivered"),
    "recovery: not committed": ("after", "gateway_core.ledger.recovery:recover"),
}


def killed_at(step: str) -> str:
    """What stands last in the log of one that died so."""
    return f"killed at {step}\n"


def arm(step: str, number: int) -> None:
    """Die at the `number`th passage of a step."""
    when, name = STEPS[step]
    passages = itertools.count(1)

    def passed() -> None:
        if next(passages) == number:
            os.write(sys.stderr.fileno(), killed_at(step).encode())
            os.kill(os.getpid(), signal.SIGKILL)

    owner, attribute = name.rsplit("." if "." in name.partition(":")[2] else ":", 1)
    seam = resolve_name(name)
    setattr(resolve_name(owner), attribute, (_before if when == "before" else _after)(seam, passed))


def _before(seam: Callable[..., Any], passed: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(seam)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        passed()
        return seam(*arguments, **options)

    return wrapped


def _after(seam: Callable[..., Any], passed: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(seam)
    def plain(*arguments: Any, **options: Any) -> Any:
        result = seam(*arguments, **options)
        passed()
        return result

    @functools.wraps(seam)
    async def waiting(*arguments: Any, **options: Any) -> Any:
        result = await seam(*arguments, **options)
        passed()
        return result

    return waiting if inspect.iscoroutinefunction(seam) else plain


if __name__ == "__main__":
    from gateway_core.cli import main

    _, step, number, *arguments = sys.argv
    arm(step, int(number))
    main(arguments, prog_name="gateway")
