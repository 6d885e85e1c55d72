"""Whatever two processes do in whatever order: no nano is made, lost, or held twice."""

import asyncio
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from gateway_core.ledger import Ledger, verify
from plugin_sdk.errors import InsufficientFunds
from plugin_sdk.money import Hold, Nanos
from tests.core.ledger.books import accounts, fund, held, opened, settlement, wallet
from tests.core.ledger.databases import sqlite

CREDIT = 1_000
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("hold"), st.integers(0, 1), st.integers(0, 700)),
        st.tuples(st.just("cover"), st.integers(0, 9), st.integers(0, 900)),
        st.tuples(st.just("settle"), st.integers(0, 9), st.integers(0, 900)),
        st.tuples(st.just("release"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("tend"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("top up"), st.just(0), st.integers(1, 300)),
    ),
    max_size=30,
)


class Books:
    """Two ledgers on one file, what is open in them, and what should have happened to the wallet."""

    def __init__(self, url: str, ledgers: list[Ledger]) -> None:
        self.url = url
        self.ledgers = ledgers
        self.open: list[tuple[Ledger, Hold]] = []
        self.credit = CREDIT
        self.charged = 0
        self.waiting: list[asyncio.Future[None]] = []

    async def step(self, what: str, which: int, amount: int) -> None:
        match what:
            case "hold":
                try:
                    hold = await held(self.ledgers[which], amount)
                except InsufficientFunds:
                    return
                assert hold.amount <= amount
                self.open.append((self.ledgers[which], hold))
            case "cover" if self.open:
                at = which % len(self.open)
                ledger, hold = self.open[at]
                grown = await ledger.cover(hold, Nanos(amount))
                assert hold.amount <= grown.amount <= max(hold.amount, amount)
                self.open[at] = (ledger, grown)
            case "settle" | "release" if self.open:
                ledger, hold = self.open.pop(which % len(self.open))
                charge = min(amount, hold.amount)
                self.charged += charge
                self.waiting.append(ledger.settle(settlement(hold, charge, price=amount, cost=amount // 2)))
            case "tend":
                await self.ledgers[which]._pool.tend()
            case "top up":
                await fund(self.url, amount)
                self.credit += amount
            case _:
                pass

    def check(self) -> None:
        balance, leased, held_by_jobs = wallet(self.url)
        assert 0 <= leased + held_by_jobs <= balance
        assert sum(hold.amount for _, hold in self.open) <= self.credit - self.charged


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_credit_is_conserved_by_any_interleaving_of_two_processes(
    steps: list[tuple[str, int, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_run(sqlite(Path(folder)), steps))


async def _run(url: str, steps: list[tuple[str, int, int]]) -> None:
    await fund(url, CREDIT)
    books = Books(url, [await opened(url), await opened(url)])
    try:
        for step in steps:
            await books.step(*step)
            books.check()
        await asyncio.gather(*books.waiting)
        left = wallet(url)[0]
        assert left == books.credit - books.charged
        assert sum(accounts(url).values()) == 0
        for ledger, hold in books.open:
            await ledger.settle(settlement(hold))
    finally:
        for ledger in books.ledgers:
            await ledger.close()
    assert wallet(url) == (left, 0, 0)
    assert await verify(url) == []
