"""The same ledger on PostgreSQL."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from gateway_core.db.connect import is_empty, pending
from gateway_core.ledger import LedgerCorrupt, verify
from plugin_sdk.errors import InsufficientFunds
from tests.core.ledger.books import USD, fund, held, new_id, opened, settlement
from tests.core.ledger.databases import fetch, postgres

ROOT = Path(__file__).parents[3]


@pytest.fixture
async def pg_url() -> AsyncIterator[str]:
    async with postgres() as url:
        yield url


async def balance(url: str) -> tuple[int, int, int]:
    found: tuple[int, int, int] = (await fetch(url, "SELECT balance, leased, held FROM wallets"))[0]
    return found


async def test_a_migrated_database_lacks_nothing(pg_url: str) -> None:
    assert await pending(pg_url) == []
    assert not await is_empty(pg_url)


async def test_two_processes_share_a_wallet_and_settle_each_once(pg_url: str) -> None:
    await fund(pg_url, 10 * USD)
    ledgers = [await opened(pg_url, durability="full"), await opened(pg_url)]
    settled = [settlement(await held(ledger, 500), 10, cost=5) for ledger in ledgers * 40]
    pairs = zip(ledgers * 40, settled, strict=True)
    await asyncio.gather(*[ledger.settle(item) for ledger, item in pairs])
    await asyncio.gather(*[ledgers[0].settle(item) for item in settled[:5]])
    assert (await balance(pg_url))[0] == 10 * USD - 800
    for ledger in ledgers:
        await ledger.close()
    assert await balance(pg_url) == (10 * USD - 800, 0, 0)
    assert await verify(pg_url) == []


async def test_holds_are_exact_near_zero_across_processes(pg_url: str) -> None:
    await fund(pg_url, 1_000)
    one, two = await opened(pg_url), await opened(pg_url)
    found = await asyncio.gather(
        *[held(x, 300) for _ in range(3) for x in (one, two)], return_exceptions=True
    )
    assert sum(hold.amount for hold in found if not isinstance(hold, BaseException)) == 1_000
    assert any(isinstance(hold, InsufficientFunds) for hold in found)
    await one.close()
    await two.close()


async def test_a_process_gives_back_what_another_needs(pg_url: str) -> None:
    await fund(pg_url, 1_000)
    one, two = await opened(pg_url), await opened(pg_url)
    kept, spare = await held(one, 100), await held(one, 800)
    await one.settle(settlement(spare))
    assert (await held(two, 900)).amount == 900
    await one.settle(settlement(kept, 100))
    await one.close()
    await two.close()
    assert await verify(pg_url) == []


async def test_a_row_that_cannot_be_written_fails_alone(pg_url: str) -> None:
    await fund(pg_url, 10 * USD)
    ledger = await opened(pg_url)
    bad = settlement(await held(ledger, 500), 10, generation_ms=2**70)
    worse = settlement(await held(ledger, 500), 10, cost=1, lost=2)
    odd = settlement(await held(ledger, 500), 10, app_title="nul \0 and half \ud800")
    good = settlement(await held(ledger, 500), 10)
    results = await asyncio.gather(
        *[ledger.settle(x) for x in (bad, worse, odd, good)], return_exceptions=True
    )
    assert [type(result) for result in results] == [LedgerCorrupt, LedgerCorrupt, type(None), type(None)]
    assert await fetch(pg_url, "SELECT app_title FROM generations WHERE app_title IS NOT NULL") == [
        ("nul  and half ?",)
    ]
    await ledger.close()
    assert (await balance(pg_url)) == (10 * USD - 20, 0, 0)


async def test_a_connection_that_is_cut_under_load_costs_no_charge_and_makes_none_twice(pg_url: str) -> None:
    await fund(pg_url, 10 * USD)
    ledger = await opened(pg_url)
    admin = await asyncpg.connect(pg_url)
    settled = []
    for round_ in range(6):
        settled += [ledger.settle(settlement(await held(ledger, 500), 10)) for _ in range(20)]
        if round_ % 2:
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'gateway ledger' AND datname = current_database()"
            )
    await asyncio.gather(*settled)
    await admin.close()
    await ledger.close()
    assert await balance(pg_url) == (10 * USD - 1_200, 0, 0)
    assert await verify(pg_url) == []


async def test_durability_is_the_servers_setting(pg_url: str) -> None:
    for durability, setting in (("full", "on"), ("normal", "off")):
        ledger = await opened(pg_url, durability=durability)
        found = await ledger._store.read(lambda session: session.fetch("SHOW synchronous_commit"))
        assert found[0][0] == setting
        await ledger.close()


async def test_a_delivery_time_comes_later(pg_url: str) -> None:
    ledger = await opened(pg_url)
    generation_id = new_id()
    await ledger.settle(settlement(None, generation_id=generation_id))
    ledger.delivered(generation_id, 99)
    await ledger.close()
    assert await fetch(pg_url, "SELECT delivered_at FROM settlements") == [(99,)]


STORES = """
import asyncio, sys
from gateway_core.db.stores import Stores
from plugin_sdk.money import Nanos

async def main(url):
    stores = await Stores.open(url)
    team = await stores.create_team("acme")
    assert await stores.team_by_name("acme") == team
    key = await stores.create_key(team.id, "test", "first", "abcdefghijkl", "h" * 64)
    assert await stores.keys.find("abcdefghijkl") == key
    assert await stores.revoke_key("abcdefghijkl")
    wallet = await stores.top_up(team.id, "test", Nanos(5), "simulated")
    assert (wallet.balance, wallet.available) == (5, 5)
    assert await stores.generations.get(team.id, "G-none") is None
    assert await stores.verify() == []
    await stores.close()

asyncio.run(main(sys.argv[1]))
"""


async def test_the_stores_work_too(pg_url: str) -> None:
    # In a process of its own: Tortoise keeps an INSERT per model, and SQLite's is not PostgreSQL's.
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", STORES, pg_url, cwd=ROOT)
    assert await process.wait() == 0
