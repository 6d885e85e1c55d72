"""What is measured, running: our gateway in front of the bench's upstream, and the least application."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.bench.machine import OURS, on_core
from tests.bench.native import HERE, Target, upstream
from tests.gateway.database import Template, postgres_answers
from tests.gateway.process import PROGRAM, Gateway, free_port, running

PRICE: Final = {"input_text_tokens": "2.50", "cached_read_text_tokens": "0.25", "output_text_tokens": "15.00"}
# What the models do is said by their names: see upstream.c.
BEHAVIOURS: Final = (
    "d0", "d50", "d200", "n50", "n500", "i10", "i20n100", "i1000n40", "i500n30", "e400", "e429", "e500",
)  # fmt: skip


class Rig:
    """An upstream, and databases for as many gateways as are wanted."""

    def __init__(self, folder: Path, provider: Target) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._templates: dict[str, Template] = {}
        self.upstream = provider

    def plugins(self) -> dict[str, Any]:
        """Two providers: one that speaks what the client does, and one that does not (`messages/...`)."""
        root = f"http://127.0.0.1:{self.upstream.port}"

        def block(plugin: str, base_url: str, prefix: str) -> dict[str, Any]:
            models = [
                {"id": f"{prefix}/{name}", "upstream": f"mock-{name}", "price": PRICE, "max_output": 1_000}
                for name in BEHAVIOURS
            ]
            return {"plugin": plugin, "base_url": base_url, "api_key": "none", "models": models}

        return {
            "bench_chat": block("openai_compatible", f"{root}/v1", "chat"),
            "bench_messages": block("anthropic", root, "messages"),
        }

    @contextlib.contextmanager
    def gateway(
        self,
        *,
        durability: str = "full",
        database: str = "sqlite",
        workers: int = 1,
        program: Sequence[str] = PROGRAM,
        files: Mapping[str, str] = {},
        **plugins: Any,
    ) -> Iterator[Gateway]:
        """A gateway on its core: a new database, the standard plugins and these; `files` go in its folder."""
        if database not in self._templates:
            self._templates[database] = Template(database, self._folder / f"seed-{database}")
        number = len(list(self._folder.iterdir()))
        folder = self._folder / f"gateway-{number}"
        copy = self._templates[database].copy(folder)
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        made = running(
            folder, copy, {**self.plugins(), **plugins},
            gateway={"durability": durability}, workers=workers, program=program,
        )  # fmt: skip
        with contextlib.ExitStack() as stack:
            with on_core(OURS):
                gateway = stack.enter_context(made)
            yield gateway

    def databases(self) -> list[str]:
        """The kinds that can be had here."""
        return ["sqlite", "postgres"] if postgres_answers() else ["sqlite"]

    def end(self) -> None:
        """Drop what was made."""
        for one in self._templates.values():
            one.drop()


@contextlib.contextmanager
def rig(folder: Path) -> Iterator[Rig]:
    """A rig for as long as the block lasts."""
    with upstream() as provider:
        found = Rig(folder, provider)
        try:
            yield found
        finally:
            found.end()


def target(gateway: Gateway) -> Target:
    """Where a load for a gateway goes."""
    headers = {"authorization": f"Bearer {gateway.key}"}
    return Target(port=gateway.port, headers=headers, pid=gateway.process.pid)


@contextlib.contextmanager
def hello(before: Sequence[str] = ()) -> Iterator[Target]:
    """The least application, on its core; `before` are words before its command."""
    port = free_port()
    with on_core(OURS):
        process = subprocess.Popen(
            [*before, sys.executable, "-m", "tests.bench.hello", str(port)],
            stdout=subprocess.PIPE,
            cwd=HERE.parents[1],
        )
    assert process.stdout is not None
    try:
        if not process.stdout.readline():
            raise RuntimeError("the least application did not start")
        yield Target(port=port, pid=process.pid)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
