"""A gateway at whose end everything happens: every ending, two providers of different prices, two teams."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.gateway.process import command
from tests.gateway.upstream import Received, Script, Upstream
from tests.pipeline.driver import Answer, Driver, driver
from tests.pipeline.test_endings import ANSWER, USAGE, chunk, request, stream, usage_event, whole

FIRST = {"input_text_tokens": "3", "output_text_tokens": "7"}
SECOND = {"input_text_tokens": "11", "output_text_tokens": "13"}
# 10 tokens in and 4 out at each, and what a team pays with a fifth on top.
COST_FIRST, COST_SECOND = 10 * 3_000 + 4 * 7_000, 10 * 11_000 + 4 * 13_000
ERROR = {"error": {"message": "It is broken.", "code": "broken"}}
BILLED_ERROR = {**ERROR, "usage": USAGE}
SILENCE = {"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}
EMPTY = {
    **ANSWER, "choices": [SILENCE],
    "usage": {"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 10},
}  # fmt: skip
HUGE = {**ANSWER, "usage": {"prompt_tokens": 10, "completion_tokens": 1_000_000, "total_tokens": 1_000_010}}


def pay(cost: int) -> int:
    """With the markup."""
    return cost * 6 // 5


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What the upstreams do, and what of it is booked: None where an estimate decides."""

    first: Callable[[], Script]
    second: Callable[[], Script] | None = None
    stream: bool = False
    leave_after: int | None = None
    poor: bool = False
    bound: str | None = None  # the client's own, in dollars
    charge: int | None = 0
    price: int | None = None  # where it is more than the charge
    costs: dict[str, int] | None = None
    lost: bool = False  # the costs are a loss


def _failed_stream() -> Script:
    return stream(BILLED_ERROR, done=False)


ENDINGS: dict[str, Ending] = {
    "whole": Ending(first=lambda: whole(ANSWER), charge=pay(COST_FIRST), costs={"first": COST_FIRST}),
    "streamed": Ending(
        first=lambda: stream(chunk("Hi"), chunk(finish="stop"), usage_event()), stream=True,
        charge=pay(COST_FIRST), costs={"first": COST_FIRST},
    ),
    "a failover that was billed": Ending(
        first=lambda: whole(BILLED_ERROR), second=lambda: whole(ANSWER), charge=pay(COST_SECOND),
        costs={"first": COST_FIRST, "second": COST_SECOND},
    ),
    "a streamed failover that was billed": Ending(
        first=_failed_stream, second=lambda: stream(chunk("Hi"), chunk(finish="stop"), usage_event()),
        stream=True, charge=pay(COST_SECOND), costs={"first": COST_FIRST, "second": COST_SECOND},
    ),
    "a failover that was not": Ending(
        first=lambda: whole(ERROR, 500), second=lambda: whole(ANSWER), charge=pay(COST_SECOND),
        costs={"second": COST_SECOND},
    ),
    "nobody answered, both billed": Ending(
        first=lambda: whole(BILLED_ERROR), second=lambda: whole(BILLED_ERROR),
        costs={"first": COST_FIRST, "second": COST_SECOND}, lost=True,
    ),
    "nobody answered": Ending(
        first=lambda: whole(ERROR, 500), second=lambda: whole(ERROR, 503), costs={}, lost=True
    ),
    "cut behind its usage": Ending(
        first=lambda: stream(chunk("Hi"), usage_event(), done=False, then="cut"), stream=True,
        costs={"first": COST_FIRST}, lost=True,
    ),
    "cut": Ending(first=lambda: stream(chunk("Hi"), done=False, then="cut"), stream=True, lost=True),
    "failed midway, billed": Ending(
        first=lambda: stream(chunk("Hi"), BILLED_ERROR, done=False), stream=True,
        costs={"first": COST_FIRST}, lost=True,
    ),
    "failed over, then cut": Ending(
        first=_failed_stream,
        second=lambda: stream(chunk("Hi"), usage_event(), done=False, then="cut"), stream=True,
        costs={"first": COST_FIRST, "second": COST_SECOND}, lost=True,
    ),
    "left, and read to its end": Ending(
        first=lambda: stream(*[chunk("Hi")] * 5, chunk(finish="stop"), usage_event()), stream=True,
        leave_after=1, charge=pay(COST_FIRST), costs={"first": COST_FIRST},
    ),
    "failed over, then left": Ending(
        first=_failed_stream,
        second=lambda: stream(*[chunk("Hi")] * 5, chunk(finish="stop"), usage_event()), stream=True,
        leave_after=1, charge=pay(COST_SECOND), costs={"first": COST_FIRST, "second": COST_SECOND},
    ),
    "left, and never ended": Ending(
        first=lambda: stream(chunk("Hi"), done=False, then="stall"), stream=True, leave_after=1, charge=None
    ),
    "nothing in it": Ending(first=lambda: whole(EMPTY), costs={"first": 30_000}, lost=True),
    "stopped at its bound": Ending(
        first=lambda: stream(*[chunk("word " * 40)] * 200, chunk(finish="stop"), usage_event()), stream=True,
        bound="0.003", charge=None,
    ),
    "dearer than its wallet": Ending(
        first=lambda: whole(HUGE), poor=True, charge=1_100_000_000, price=pay(7_000_030_000),
        costs={"first": 7_000_030_000},
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Busy:
    """What was asked, in a gateway that runs; `config` is its file."""

    driver: Driver
    config: Path
    answers: dict[str, Answer]

    def rows(self, query: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self.driver.rows(query)]

    def cli(self, *arguments: str) -> Any:
        """What a command says as JSON."""
        return json.loads(command(self.config, *arguments, "--json"))

    @property
    def generations(self) -> dict[str, str]:
        """Each ending's generation."""
        return {name: answer.generation_id for name, answer in self.answers.items()}


@asynccontextmanager
async def busy(folder: Path, upstream: Upstream) -> AsyncIterator[Busy]:
    """The gateway, after every ending."""
    shared = {"plugin": "openai_compatible", "api_key": "none", "drain_seconds": 0.5}
    plugins = {
        "markup": {"rules": [{"percent": "20"}]},
        "first": {
            **shared, "base_url": upstream.base_url("first"), "models": [{"id": "m", "price": FIRST}],
        },
        "second": {
            **shared, "base_url": upstream.base_url("second"),
            "models": [{"id": "m", "price": SECOND, "weight": 0}],
        },
    }  # fmt: skip
    async with driver(folder, plugins) as asker:
        made = Busy(driver=asker, config=folder / "gateway.yaml", answers={})
        poor = await asyncio.to_thread(_poor, made)
        for number, (name, ending) in enumerate(ENDINGS.items()):
            script = upstream.play(f"{folder.name}-{number}", _by_provider(ending))
            body = request(script, stream=ending.stream, max_tokens=None if ending.poor else 500)
            made.answers[name] = await asker.ask(
                body,
                key=poor if ending.poor else None,
                leave_after=ending.leave_after,
                **({} if ending.bound is None else {"x_gateway_max_cost": ending.bound}),  # type: ignore[arg-type]
            )
        await settled(made)
        yield made


def _poor(made: Busy) -> str:
    """A team with $1.10, and its key."""
    made.cli("teams", "create", "poor")
    made.cli("wallet", "top-up", "--team", "poor", "--usd", "1.10")
    found: str = made.cli("keys", "create", "--team", "poor")["key"]
    return found


def _by_provider(ending: Ending) -> Callable[[Received], Script]:
    second = ending.second or (lambda: Script(status=500))
    return lambda received: ending.first() if received.prefix == "first" else second()


async def settled(made: Busy) -> None:
    """Every generation has its settlement."""
    wanted = set(made.generations.values())
    async with asyncio.timeout(20):
        while wanted - {row["generation_id"] for row in made.rows("SELECT * FROM settlements")}:
            await asyncio.sleep(0.01)
