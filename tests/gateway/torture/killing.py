"""Kill a gateway under load at one step after another, and compare its books with what the clients saw."""

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from gateway_core.ledger import verify
from tests.gateway import load
from tests.gateway.books import Books, books
from tests.gateway.process import PROGRAM, Gateway
from tests.gateway.torture.launch import STEPS, killed_at
from tests.gateway.upstream import Upstream

ANY = "any moment"
PLAN = (ANY, *STEPS)
CLIENTS = 24
REACHED = 60.0  # seconds in which a step must come
_LAUNCH = str(Path(__file__).with_name("launch.py"))
_PASSAGES = {  # at most so many before the kill; of what comes once for many requests, fewer
    "hold: leased, not committed": 3,
    "settle: written, not committed": 30,
    "recovery: not committed": 1,
}


class Torture:
    """A gateway on a database that remembers every kill. Each start recovers from the one before."""

    def __init__(self, gateway: Gateway, upstream: Upstream, name: str) -> None:
        self._gateway = gateway
        self._upstream = upstream
        self._script = load.play(upstream, name, events=12, pace=0.005)
        self._name = name
        self._die = random.Random(name)
        self._outcomes: list[load.Outcome] = []
        self._asked = self._answers = 0

    async def run(self, plan: Sequence[str]) -> list[tuple[str, str]]:
        """What was found after each kill, with its step; the gateway serves again at the end."""
        found: list[tuple[str, str]] = []
        self._gateway.kill()
        last = "before any"
        for step in plan:
            number = self._die.randint(1, _PASSAGES.get(step, 80))
            program = PROGRAM if step == ANY else (sys.executable, "-P", _LAUNCH, step, str(number))
            if await self._start(program):
                found += [(last, finding) async for finding in self.findings()]
                last_answer = self._answers + number if step == ANY else 0
                async with asyncio.timeout(REACHED):
                    await asyncio.gather(*(self._ask(last_answer) for _ in range(CLIENTS)))
            status, said = self._gateway.process.wait(5), self._gateway.log_text()
            if status != -signal.SIGKILL or (step != ANY and killed_at(step) not in said):
                raise AssertionError(f"did not die at {step!r}: {said}")
            last = step
        if not await self._start(PROGRAM):
            raise AssertionError(f"does not start any more: {self._gateway.log_text()}")
        return found + [(last, finding) async for finding in self.findings()]

    async def _start(self, program: Sequence[str]) -> bool:
        """Start again; False where it dies on the way."""
        self._gateway.program = program
        try:
            await asyncio.to_thread(self._gateway.restart)
        except RuntimeError:
            return False
        return True

    async def findings(self) -> AsyncIterator[str]:
        """What cannot be true of the books, by themselves and by what the clients saw."""
        for finding in await verify(self._gateway.database.url):
            yield f"verify: {finding}"
        found = await books(self._gateway.database)
        for problem in (*found.problems(), *self._seen(found), *self._charged(found), *_dead(found)):
            yield problem

    async def _ask(self, last: int) -> None:
        """Ask, in every way, until the gateway is dead: killed here at the answer number `last`, if any."""
        gateway = self._gateway
        async with gateway.client() as client:
            while gateway.process.poll() is None:
                self._asked += 1
                tag, die = f"{self._name}-{self._asked}", self._die
                leave = die.randrange(8) if die.random() < 0.2 else None
                stream = leave is not None or die.random() < 0.7
                one = await load.ask(client, self._script, tag, stream=stream, leave_after=leave)
                self._outcomes.append(one)
                self._answers += one.complete
                if 0 < last <= self._answers and gateway.process.poll() is None:
                    os.kill(gateway.process.pid, signal.SIGKILL)

    def _seen(self, found: Books) -> Iterator[str]:
        """Every answer that a client saw whole is charged."""
        for one in self._outcomes:
            if one.complete and one.generation_id not in found.charged:
                yield f"{one.tag} was seen whole, and {one.generation_id} is not charged"

    def _charged(self, found: Books) -> Iterator[str]:
        """Nothing else is, but what its upstream had finished; each once, for what the upstream says."""
        tags = Counter(found.generations[key]["native_response_id"] for key in found.charged)
        yield from (f"{tag} is charged {times} times" for tag, times in tags.items() if times > 1)
        seen = {one.generation_id for one in self._outcomes if one.complete}
        for key in found.charged:
            row, tag = found.settlements[key], found.generations[key]["native_response_id"]
            if row["charge"] != load.cost(load.tokens(tag)):
                yield f"{tag} is charged {row['charge']} for {load.tokens(tag)} tokens"
            finished = row["upstream_finished_at"] is not None and tag in self._upstream.finished
            if key not in seen and not finished:
                yield f"{tag} is charged, and its upstream had not finished"


def _dead(found: Books) -> Iterator[str]:
    """What the dead had is given back, once, and on record; only the living hold anything."""
    ended = {key for key, row in found.instances.items() if row["ended_at"] is not None}
    recovered = Counter(row["instance_id"] for row in found.recoveries)
    if recovered != Counter(ended):
        yield f"instances {ended} have ended, recovered are {recovered}"
    if len(found.instances) - len(ended) != 1:
        yield f"{len(found.instances) - len(ended)} instances live"
    yield from (f"{row} is held by the dead" for row in found.leases if row["instance_id"] in ended)
    for key, row in found.generations.items():
        if row["state"] == "begun" and row["instance_id"] in ended:
            yield f"{key} was begun by one that is dead, and is left so"
