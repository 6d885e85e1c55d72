"""Death and its heirs: what a process that is gone had leased is released, and nothing else."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from gateway_core.ids import wall_clock
from gateway_core.ledger import Begun, verify
from gateway_core.ledger.instance import Process, this_host, this_process
from plugin_sdk.money import Nanos
from tests.core.ledger.books import (
    TEAM,
    USD,
    accounts,
    fund,
    held,
    new_id,
    opened,
    rows,
    settlement,
    tamper,
    wallet,
)


def ended_process() -> int:
    """The pid of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def make_dead(url: str, instance_id: str) -> None:
    """Let an instance look as if its process, on this host, were gone."""
    tamper(url, "UPDATE instances SET pid = ? WHERE id = ?", ended_process(), instance_id)


def make_silent(url: str, instance_id: str) -> None:
    """Let an instance of another host look as if it had stopped 31 s ago."""
    sql = "UPDATE instances SET host = 'elsewhere', heartbeat_at = ? WHERE id = ?"
    tamper(url, sql, wall_clock() - 31_000, instance_id)


def test_a_process_that_runs_is_not_gone() -> None:
    assert not this_process().is_gone(this_host())


def test_a_process_that_ended_is_gone() -> None:
    assert Process(this_host(), ended_process(), 1).is_gone(this_host())


def test_a_process_whose_pid_was_taken_by_another_is_gone() -> None:
    assert Process(this_host(), os.getpid(), this_process().started - 1).is_gone(this_host())


def test_a_process_that_died_and_was_not_waited_for_is_gone() -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        started = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
        seen = Process(this_host(), process.pid, started)
        assert not seen.is_gone(this_host())
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert seen.is_gone(this_host())
    finally:
        process.kill()
        process.wait()


def test_nothing_is_known_of_a_process_on_another_host() -> None:
    assert not Process("elsewhere", ended_process(), 1).is_gone(this_host())


async def test_opening_recovers_the_lease_of_a_process_that_was_killed(url: str) -> None:
    await fund(url, 10 * USD)
    dead = await opened(url)
    await held(dead, 4 * USD)
    (leased,) = rows(url, "SELECT amount FROM leases")[0]
    make_dead(url, dead.instance_id)
    ledger = await opened(url)
    assert wallet(url) == (10 * USD, 0, 0)
    ((kind, instance, amount, details),) = rows(
        url, "SELECT kind, instance_id, amount, details FROM recoveries"
    )
    assert (kind, instance, amount) == ("lease_recovered", dead.instance_id, leased)
    assert json.loads(details) == {TEAM: leased}
    await ledger.close()
    await dead.close()


async def test_the_lease_of_an_instance_that_is_silent_for_too_long_is_recovered(url: str) -> None:
    await fund(url, 10 * USD)
    dead = await opened(url)
    await held(dead, 4 * USD)
    make_silent(url, dead.instance_id)
    ledger = await opened(url)
    assert wallet(url) == (10 * USD, 0, 0)
    await ledger.close()
    await dead.close()


async def test_a_living_sibling_keeps_its_lease(url: str) -> None:
    await fund(url, 10 * USD)
    dead, living = await opened(url), await opened(url)
    await held(dead, USD)
    hold = await held(living, USD)
    make_dead(url, dead.instance_id)
    ledger = await opened(url)
    assert rows(url, "SELECT DISTINCT instance_id FROM leases") == [(living.instance_id,)]
    await living.settle(settlement(hold, USD))
    assert wallet(url)[0] == 9 * USD
    for one in (ledger, living, dead):
        await one.close()


async def test_a_sibling_that_is_short_takes_over_from_a_dead_one_at_once(url: str) -> None:
    await fund(url, 10 * USD)
    living, dead = await opened(url), await opened(url)
    await held(dead, 10 * USD)
    make_dead(url, dead.instance_id)
    assert (await held(living, 10 * USD)).amount == 10 * USD
    await living.close()
    await dead.close()


async def test_the_hold_of_a_job_survives_its_instance(url: str) -> None:
    await fund(url, 10 * USD)
    dead = await opened(url)
    row = "INSERT INTO holds VALUES (?, ?, ?, ?, NULL, ?, 1)"
    tamper(url, row, "h1", TEAM, dead.instance_id, "job1", 3 * USD)
    tamper(url, row, "h2", TEAM, dead.instance_id, None, 2 * USD)
    tamper(url, "UPDATE wallets SET held = ?", 5 * USD)
    make_dead(url, dead.instance_id)
    ledger = await opened(url)
    assert rows(url, "SELECT id FROM holds") == [("h1",)]
    assert wallet(url) == (10 * USD, 0, 3 * USD)
    await ledger.close()
    await dead.close()


async def test_what_a_dead_instance_had_begun_is_abandoned_and_costs_nothing(url: str) -> None:
    await fund(url, 10 * USD)
    dead = await opened(url)
    generation_id = new_id()
    hold = await held(dead, USD)
    dead.begin(
        Begun(
            generation_id=generation_id, team_id=TEAM, kid="k", wallet_id=TEAM, hold=hold.amount, model="m",
            operation="text.generate", created_at=1,
        )
    )  # fmt: skip
    while not rows(url, "SELECT id FROM generations"):
        await asyncio.sleep(0.01)
    make_dead(url, dead.instance_id)
    ledger = await opened(url)
    assert rows(url, "SELECT outcome, charge FROM settlements") == [("abandoned", 0)]
    found = rows(url, "SELECT state, success, finish_reason, error_code FROM generations")
    assert found == [("abandoned", 0, "error", "system:abandoned")]
    assert rows(url, "SELECT abandoned FROM recoveries") == [(1,)]
    assert await verify(url) == []
    await ledger.close()
    await dead.close()


async def test_one_that_was_taken_for_dead_still_settles_once_from_what_is_free(url: str) -> None:
    await fund(url, 10 * USD)
    stalled = await opened(url)
    hold = await held(stalled, USD)
    settled = settlement(hold, USD // 2)
    stalled.begin(
        Begun(
            generation_id=settled.generation.id, team_id=TEAM, kid="k", wallet_id=TEAM, hold=hold.amount,
            model="m", operation="text.generate", created_at=1,
        )
    )  # fmt: skip
    while not rows(url, "SELECT id FROM generations"):
        await asyncio.sleep(0.01)
    make_silent(url, stalled.instance_id)
    ledger = await opened(url)
    taken = await held(ledger, 9 * USD + 3 * USD // 4)
    balance, leased, _ = wallet(url)
    free = balance - leased
    assert 0 < free < USD // 2
    await stalled.settle(settled)
    assert wallet(url)[0] == 10 * USD - free
    assert accounts(url)["loss"] == free - USD // 2
    assert rows(url, "SELECT outcome, charge FROM settlements") == [("charged", free)]
    await ledger.settle(settlement(taken))
    assert await verify(url) == []
    await ledger.close()
    await stalled.close()


async def test_one_that_was_taken_for_dead_comes_back_with_a_new_epoch(url: str) -> None:
    await fund(url, 10 * USD)
    stalled = await opened(url)
    await held(stalled, USD)
    make_silent(url, stalled.instance_id)
    ledger = await opened(url)
    assert (await held(stalled, 2 * USD)).amount == 2 * USD
    assert rows(url, "SELECT epoch, ended_at FROM instances WHERE id = ?", stalled.instance_id) == [(2, None)]
    assert await verify(url) == []
    await ledger.close()
    await stalled.close()


async def test_each_dead_instance_is_recovered_once_however_many_look(url: str) -> None:
    await fund(url, 10 * USD)
    dead = await opened(url)
    await held(dead, USD)
    make_dead(url, dead.instance_id)
    ledgers = await asyncio.gather(*[opened(url) for _ in range(4)])
    assert rows(url, "SELECT COUNT(*) FROM recoveries") == [(1,)]
    assert wallet(url) == (10 * USD, 0, 0)
    for ledger in (*ledgers, dead):
        await ledger.close()


async def test_an_instance_that_closed_in_good_order_is_not_recovered(url: str) -> None:
    await fund(url, 10 * USD)
    first = await opened(url)
    await held(first, Nanos(USD))
    await first.close()
    second = await opened(url)
    assert rows(url, "SELECT COUNT(*) FROM recoveries") == [(0,)]
    await second.close()
