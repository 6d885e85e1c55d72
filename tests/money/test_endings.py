"""Whatever the ending: each attempt's cost is booked to its provider once, and somebody pays for it."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.upstream import Upstream
from tests.money.busy import ENDINGS, Busy, busy


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as found:
        yield found


@pytest.fixture
async def ran(upstream: Upstream, tmp_path: Path) -> AsyncIterator[Busy]:
    async with busy(tmp_path, upstream) as found:
        yield found


def _problems(ran: Busy, name: str, generation_id: str) -> Iterator[Any]:
    wanted = ENDINGS[name]
    booked = {
        row["account"]: row["amount"]
        for row in ran.rows(
            "SELECT CASE WHEN account LIKE 'wallet:%' THEN 'wallet' ELSE account END AS account,"
            f" SUM(amount) AS amount FROM ledger_entries WHERE transaction_id = '{generation_id}' GROUP BY 1"
        )
    }
    (row,) = ran.rows(f"SELECT * FROM settlements WHERE generation_id = '{generation_id}'")
    attempts = Counter[str]()
    for one in ran.rows(f"SELECT * FROM attempts WHERE generation_id = '{generation_id}'"):
        attempts[one["provider"]] += one["cost_nanos"]
    costs = {account.removeprefix("provider:"): n for account, n in booked.items() if ":" in account}
    total = sum(costs.values())
    if costs != {provider: cost for provider, cost in attempts.items() if cost}:
        yield f"the attempts cost {dict(attempts)}, booked is {costs}"
    if wanted.costs is not None and costs != wanted.costs:
        yield f"costs {costs} for {wanted.costs}"
    if wanted.costs is None and not total:
        yield "an estimate that costs nothing"
    if wanted.charge is not None and row["charge"] != wanted.charge:
        yield f"charge {row['charge']} for {wanted.charge}"
    if wanted.charge is None and not row["charge"]:
        yield "nothing is charged"
    price = row["price"] if wanted.charge is None else wanted.price or wanted.charge
    loss = price - row["charge"] + (total if wanted.lost else 0)
    expected = {
        "wallet": -row["charge"],
        "revenue": price,
        "cost_of_sales": 0 if wanted.lost else -total,
        "loss": -loss,
        **{f"provider:{provider}": cost for provider, cost in costs.items()},
    }
    if booked != {account: nanos for account, nanos in expected.items() if nanos}:
        yield f"booked {booked} for {expected}"


async def test_every_attempt_is_booked_once_and_every_cost_is_somebodys(ran: Busy) -> None:
    found = {
        name: problems
        for name, generation_id in ran.generations.items()
        if (problems := list(_problems(ran, name, generation_id)))
    }
    assert not found
    assert len(ran.generations) == len(set(ran.generations.values())) == len(ENDINGS)
