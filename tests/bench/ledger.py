"""What the ledger costs a request: `python -m tests.bench.ledger [sqlite|postgres ...] [options]`.

So many clients at once hold, begin, settle and note the delivery, for so many requests. Printed are the
microseconds of CPU for one request: of the event loop's thread, of all other threads, of PostgreSQL's own
process, and of the clients alone (no ledger), which are to be taken off the first.
"""

import argparse
import asyncio
import contextlib
import cProfile
import gc
import pstats
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import asyncpg
import msgspec
import uvloop

from gateway_core.db.connect import migrate
from gateway_core.db.session import Durability
from gateway_core.ids import Ids, wall_clock
from gateway_core.ledger import AttemptRecord, Begun, GenerationRecord, Ledger, Settlement, verify
from plugin_sdk.money import Hold, Nanos
from tests.core.ledger.books import CARD, TEAM, USD, fund
from tests.core.ledger.databases import postgres

HOLD = Nanos(50_000_000)
CHARGE = Nanos(1_234_500)
MINIMUM = Nanos(USD)
_LINE = (
    b'{"dimension":"%s","quantity":812,"billable_units":0.000812,"unit_size":1000000,'
    b'"unit_price_usd":"10.000000000","line_cost_usd":"0.000617250","line_nanos":617250}'
)
_LINES = (msgspec.Raw(_LINE % b"input_text_tokens"), msgspec.Raw(_LINE % b"output_text_tokens"))


class Figures(msgspec.Struct):
    """Microseconds of CPU for one request, and how many requests a transaction had."""

    loop: float
    others: float
    server: float
    batch: float

    @property
    def total(self) -> float:
        return self.loop + self.others


class Nothing:
    """A ledger that does nothing: what is measured with it is the clients'."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def hold(self, wallet_id: str, wanted: Nanos, *, minimum_balance: Nanos) -> Hold:
        del minimum_balance
        return Hold(id="1.1", wallet_id=wallet_id, amount=wanted, instance_id="1")

    def begin(self, begun: Begun) -> None:
        pass

    def settle(self, settlement: Settlement) -> "asyncio.Future[None]":
        del settlement
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._done)
        future = loop.create_future()
        self._waiting.append(future)
        return future

    def delivered(self, generation_id: str, at: int) -> None:
        pass

    def _done(self) -> None:
        for future in self._waiting:
            future.set_result(None)
        self._waiting = []


def record(generation_id: str, now: int, wallet: str) -> GenerationRecord:
    """The record of a chat completion, as the pipeline makes it."""
    usage = {"input_text_tokens": 812, "output_text_tokens": 97, "cached_read_text_tokens": 64}
    attempt = AttemptRecord(
        number=1, provider="acme", upstream_model="acme-large-2026", status=200, started_at=now,
        latency_ms=412, native_id="chatcmpl-9sKQd1v2cXz8yT0bLmN4pRw6", cost=CHARGE, usage=usage,
    )  # fmt: skip
    return GenerationRecord(
        id=generation_id, created_at=now, team_id=wallet, kid="abcdefghijkl", endpoint="chat.completions",
        operation="text.generate", protocol="openai.chat", model="acme/large-2026", status_code=200,
        success=True, provider="acme", upstream_model="acme-large-2026", finish_reason="stop",
        native_id="chatcmpl-9sKQd1v2cXz8yT0bLmN4pRw6", latency_ms=412, generation_ms=2_301, usage=usage,
        lines=_LINES, charge=CHARGE, card_id=CARD.id, attempts=(attempt,), fidelity="passthrough",
    )  # fmt: skip


async def client(ledger: Ledger, wallets: Iterator[str], ids: Ids, think: float) -> None:
    """One request after the other, for as long as there are wallets to pay."""
    for wallet in wallets:
        found = record(ids.generation(), wall_clock(), wallet)
        hold = await ledger.hold(found.team_id, HOLD, minimum_balance=MINIMUM)
        ledger.begin(
            Begun(
                generation_id=found.id, team_id=found.team_id, kid=found.kid, wallet_id=found.team_id,
                hold=hold.amount, model=found.model, operation=found.operation, created_at=found.created_at,
            )
        )  # fmt: skip
        if think:
            await asyncio.sleep(think)
        await ledger.settle(
            Settlement(
                generation=found, outcome="charged", hold=hold, price=CHARGE, costs=(("acme", CHARGE),),
                upstream_finished_at=found.created_at, card=CARD, settled_at=found.created_at,
            )
        )  # fmt: skip
        ledger.delivered(found.id, found.created_at)


async def drive(ledger: Ledger, options: argparse.Namespace, backend: int | None = None) -> Figures:
    """The figures of so many requests, after some that only warm up."""
    wallets = [TEAM if number == 0 else f"{TEAM}{number}" for number in range(options.wallets)]
    ids = Ids()
    commits = _count(ledger)

    async def requests(count: int) -> None:
        payers = iter([wallets[number % len(wallets)] for number in range(count)])
        think = options.think / 1000
        await asyncio.gather(*[client(ledger, payers, ids, think) for _ in range(options.tasks)])

    gc.set_threshold(20_000, 20, 100)  # as the gateway's workers have it
    await requests(options.tasks * 8)
    await asyncio.sleep(0.15)  # the begin rows and the deliveries of these are written
    commits.clear()
    server = _cpu_of(backend)
    all_, loop = time.process_time(), time.thread_time()
    with _profiled(options.profile):
        await requests(options.requests)
        await asyncio.sleep(0.15)
    loop = time.thread_time() - loop
    all_ = time.process_time() - all_
    each = 1e6 / options.requests
    return Figures(
        loop * each,
        (all_ - loop) * each,
        (_cpu_of(backend) - server) * each,
        options.requests / max(1, len(commits)),
    )


def _count(ledger: Ledger) -> list[None]:
    """A list that grows by one with each transaction."""
    commits: list[None] = []
    store = getattr(ledger, "_store", None)
    if store is not None:
        write: Callable[[Any], Any] = store.write

        def counted(work: Any) -> Any:
            commits.append(None)
            return write(work)

        store.write = counted
    return commits


def _cpu_of(pid: int | None) -> float:
    """Seconds of CPU of a process that need not be ours."""
    if pid is None:
        return 0.0
    return time.clock_gettime(~pid << 3 | 2)  # the kernel's clock id of a process's CPU time


@contextlib.contextmanager
def _profiled(lines: int) -> Iterator[None]:
    """With `lines`, print so many of the functions that took most on the event loop."""
    if not lines:
        yield
        return
    profile = cProfile.Profile(time.thread_time)
    profile.enable()
    yield
    profile.disable()
    pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(lines)


@contextlib.asynccontextmanager
async def database(kind: str) -> AsyncIterator[str]:
    """A new database of that kind, gone at the end."""
    if kind == "postgres":
        async with postgres() as url:
            yield url
        return
    folder = await asyncio.to_thread(tempfile.mkdtemp)
    try:
        url = f"sqlite:///{Path(folder) / 'bench.db'}"
        await migrate(url)
        yield url
    finally:
        await asyncio.to_thread(shutil.rmtree, folder)


async def measure(kind: str, durability: Durability, options: argparse.Namespace) -> Figures:
    """One run over a database of its own; the ledger must be provable after it."""
    async with database(kind) as url:
        for number in range(options.wallets):
            await fund(url, 1_000_000 * USD, TEAM if number == 0 else f"{TEAM}{number}")
        ledger = await Ledger.open(url, durability=durability, clock=wall_clock)
        try:
            figures = await drive(ledger, options, await _backend(url) if kind == "postgres" else None)
        finally:
            await ledger.close()
        if options.verify and (findings := await verify(url)):
            raise RuntimeError(str(findings[0]))
    return figures


async def _backend(url: str) -> int:
    """The process of PostgreSQL that serves the ledger."""
    connection = await asyncpg.connect(url)
    try:
        pid: int = await connection.fetchval(
            "SELECT pid FROM pg_stat_activity"
            " WHERE application_name = 'gateway ledger' AND datname = current_database()"
        )
    finally:
        await connection.close()
    return pid


def main() -> None:
    """Measure what the command line names, as often as it says, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("databases", nargs="*", default=["sqlite"])
    parser.add_argument("--durability", choices=["full", "normal", "both"], default="both")
    parser.add_argument("--tasks", type=int, default=64)
    parser.add_argument("--requests", type=int, default=6_400)
    parser.add_argument("--wallets", type=int, default=1)
    parser.add_argument("--think", type=float, default=0, help="ms that the upstream takes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", type=int, default=0, metavar="LINES")
    parser.add_argument("--verify", action="store_true")
    options = parser.parse_args()
    durabilities: list[Durability] = ["full", "normal"]
    if options.durability != "both":
        durabilities = [options.durability]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runs = [runner.run(drive(cast("Ledger", Nothing()), options)) for _ in range(options.rounds)]
        clients = statistics.median([one.loop for one in runs])
        print(f"{'':16}   us/request   loop  others  server  requests a transaction")
        print(f"{'the clients':16} {clients:12.1f} {clients:6.1f}")
        for kind in options.databases:
            for durability in durabilities:
                runs = [runner.run(measure(kind, durability, options)) for _ in range(options.rounds)]
                found = sorted(runs, key=lambda one: one.total)[len(runs) // 2]
                print(
                    f"{kind + ' ' + durability:16} {found.total - clients:12.1f} {found.loop - clients:6.1f}"
                    f" {found.others:7.1f} {found.server:7.1f} {found.batch:8.1f}"
                )


if __name__ == "__main__":
    main()
