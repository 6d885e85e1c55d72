"""Credit: holds in memory inside leases, exact near zero, shared between processes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway_core.ledger import Ledger
from plugin_sdk.errors import InsufficientFunds, Unavailable
from plugin_sdk.money import Nanos
from tests.core.ledger.books import TEAM, USD, fund, held, locked, opened, rows, settlement, wallet


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[Ledger]:
    await fund(url, 10 * USD)
    found = await opened(url)
    yield found
    await found.close()


async def test_a_hold_takes_what_it_wants(ledger: Ledger) -> None:
    hold = await held(ledger, 5_000)
    assert (hold.amount, hold.wallet_id, hold.instance_id) == (5_000, TEAM, ledger.instance_id)


async def test_the_second_hold_is_taken_without_waiting_and_without_the_database(
    ledger: Ledger, url: str
) -> None:
    await held(ledger, 5_000)
    before = rows(url, "SELECT * FROM leases")
    hot = ledger.hold(TEAM, Nanos(5_000), minimum_balance=Nanos(USD))
    with pytest.raises(StopIteration) as ended:
        hot.send(None)  # a coroutine that suspends would give something here
    assert ended.value.value.amount == 5_000
    assert rows(url, "SELECT * FROM leases") == before


async def test_a_hold_larger_than_the_wallet_gets_all_of_it_to_the_nano(ledger: Ledger) -> None:
    assert (await held(ledger, 50 * USD)).amount == 10 * USD


async def test_holds_near_zero_share_the_wallet_to_the_nano(ledger: Ledger) -> None:
    first = await held(ledger, 10 * USD - 7)
    assert (await held(ledger, 100)).amount == 7
    with pytest.raises(InsufficientFunds) as refused:
        await held(ledger, 1)
    assert refused.value.reason == "insufficient_funds"
    assert first.amount == 10 * USD - 7


async def test_a_released_hold_can_be_held_again_at_once(ledger: Ledger) -> None:
    hold = await held(ledger, 50 * USD)
    done = ledger.settle(settlement(hold))
    assert (await held(ledger, 50 * USD)).amount == 10 * USD
    await done


async def test_a_database_that_stays_locked_is_a_503_to_ask_again_and_no_credit_is_lost(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_core.db.sqlite.LOCK_WAIT", 0.05)
    with locked(url), pytest.raises(Unavailable) as refused:
        await held(ledger, 500)
    assert (refused.value.status, refused.value.retry_after) == (503, "1")
    assert "locked" not in str(refused.value)  # the database's own words are for the log
    assert (await held(ledger, 50 * USD)).amount == 10 * USD


async def test_a_team_without_a_wallet_is_told_so(ledger: Ledger) -> None:
    with pytest.raises(InsufficientFunds) as refused:
        await held(ledger, 1, wallet="01NOBODY")
    assert refused.value.reason == "wallet_missing"


async def test_the_balance_decides_about_the_minimum_not_what_is_available(ledger: Ledger) -> None:
    await held(ledger, 9 * USD + 1)
    assert (await held(ledger, USD, minimum=10 * USD)).amount == USD - 1


async def test_a_balance_below_the_minimum_is_refused_from_the_very_next_request_on(ledger: Ledger) -> None:
    hold = await held(ledger, USD, minimum=10 * USD)
    await ledger.settle(settlement(hold, 1))
    with pytest.raises(InsufficientFunds):
        await held(ledger, USD, minimum=10 * USD)


async def test_a_charge_by_another_process_counts_for_the_minimum_at_once(ledger: Ledger, url: str) -> None:
    other = await opened(url)
    await held(ledger, 10, minimum=10 * USD)
    hold = await held(other, 10, minimum=10 * USD)
    await other.settle(settlement(hold, 1))
    with pytest.raises(InsufficientFunds):
        await held(ledger, 10, minimum=10 * USD)
    await other.close()


async def test_a_top_up_is_seen_by_the_next_request(ledger: Ledger, url: str) -> None:
    await held(ledger, 10 * USD)
    with pytest.raises(InsufficientFunds):
        await held(ledger, 1)
    await fund(url, USD)
    assert (await held(ledger, 2 * USD)).amount == USD


async def test_a_hold_grows_where_credit_allows(ledger: Ledger) -> None:
    hold = await held(ledger, 10)
    grown = await ledger.cover(hold, Nanos(USD))
    assert (grown.id, grown.amount) == (hold.id, USD)


async def test_a_hold_grows_as_far_as_credit_goes_and_does_not_raise(ledger: Ledger) -> None:
    hold = await held(ledger, 10)
    await held(ledger, 4 * USD)
    assert (await ledger.cover(hold, Nanos(9 * USD))).amount == 6 * USD
    assert (await ledger.cover(hold, Nanos(9 * USD))).amount == 6 * USD


async def test_covering_less_than_is_held_changes_nothing(ledger: Ledger) -> None:
    hold = await held(ledger, 10)
    assert await ledger.cover(hold, Nanos(5)) is hold


async def test_two_hundred_requests_at_once_get_the_whole_wallet_and_no_nano_more(ledger: Ledger) -> None:
    each = USD // 10
    found = await asyncio.gather(*[held(ledger, each) for _ in range(200)], return_exceptions=True)
    amounts = [hold.amount for hold in found if not isinstance(hold, BaseException)]
    assert amounts == [each] * 100
    assert all(isinstance(error, InsufficientFunds) for error in found[100:])


async def test_two_processes_never_hold_more_than_the_wallet_together(ledger: Ledger, url: str) -> None:
    other = await opened(url)
    wishes = [held(one, USD // 3) for _ in range(25) for one in (ledger, other)]
    found = await asyncio.gather(*wishes, return_exceptions=True)
    total = sum(hold.amount for hold in found if not isinstance(hold, BaseException))
    assert total == 10 * USD
    await other.close()


async def test_a_process_gives_back_what_it_does_not_use_when_another_is_short(
    ledger: Ledger, url: str
) -> None:
    other = await opened(url)
    kept = await held(ledger, 2 * USD)
    spare = await held(ledger, 7 * USD)
    await ledger.settle(settlement(spare))
    assert (await held(other, 8 * USD)).amount == 8 * USD
    assert wallet(url) == (10 * USD, 10 * USD, 0)
    await ledger.settle(settlement(kept, 2 * USD))
    await other.close()


async def test_a_lease_without_holds_is_given_back_whole(ledger: Ledger, url: str) -> None:
    other = await opened(url)
    await ledger.settle(settlement(await held(ledger, 9 * USD)))
    assert (await held(other, 10 * USD)).amount == 10 * USD
    assert rows(url, "SELECT DISTINCT instance_id FROM leases") == [(other.instance_id,)]
    await other.close()


async def test_a_request_that_is_cancelled_while_it_waits_holds_nothing(ledger: Ledger) -> None:
    waiting = asyncio.create_task(held(ledger, 10 * USD))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await held(ledger, 10 * USD)).amount == 10 * USD


async def test_closing_returns_every_lease(url: str) -> None:
    await fund(url, 10 * USD)
    ledger = await opened(url)
    await held(ledger, USD)
    await ledger.close()
    assert wallet(url) == (10 * USD, 0, 0)
    assert rows(url, "SELECT COUNT(*) FROM leases") == [(0,)]


async def test_a_request_for_nothing_is_held_even_from_an_empty_wallet(ledger: Ledger) -> None:
    await held(ledger, 10 * USD)
    assert (await held(ledger, 0)).amount == 0
