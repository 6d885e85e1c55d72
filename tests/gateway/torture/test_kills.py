"""kill -9 at every step of a request: what a client saw whole is charged once, of the rest what had ended."""

from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from tests.gateway import load
from tests.gateway.books import books
from tests.gateway.conftest import Start
from tests.gateway.torture.conftest import PROPERTY
from tests.gateway.torture.killing import PLAN, Torture
from tests.gateway.upstream import Upstream

KILLS = 20  # at each step, where all of it is wanted


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A step is a test of its own where it is repeated; else all of them happen to one gateway."""
    if "plan" in metafunc.fixturenames:
        whole = metafunc.config.getoption("--whole")
        plans = {step: (step,) * KILLS for step in PLAN} if whole else {"every step": PLAN}
        metafunc.parametrize("plan", plans.values(), ids=plans)
        metafunc.parametrize("database", ["sqlite", "postgres"])


@pytest.mark.slow
async def test_whenever_it_is_killed_the_books_agree_with_what_the_clients_saw(
    start: Start,
    upstream: Upstream,
    record_property: Callable[[str, object], None],
    plan: Sequence[str],
    database: str,
) -> None:
    gateway = start(load.plugins(upstream), database=database)
    torture = Torture(gateway, upstream, f"{plan[0]}-{len(plan)}-{database}")
    found = await torture.run(plan)
    for step, kills in Counter(plan).items():
        record_property(PROPERTY, (step, database, kills, sum(where == step for where, _ in found)))
    assert found == []
    gateway.cli("ledger", "verify")
    gateway.stop()
    after = await books(gateway.database)
    assert list(after.problems()) == []
    assert (after.leases, after.holds) == ([], [])
