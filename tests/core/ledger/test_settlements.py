"""Settling: once, whole, balanced, durable before the future is done."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator

import pytest

from gateway_core.ledger import Begun, Ledger, LedgerCorrupt, LedgerOverloaded, LedgerUnavailable, verify
from gateway_core.ledger import writer as writing
from plugin_sdk.money import Nanos
from tests.core.ledger.books import (
    CARD,
    TEAM,
    USD,
    accounts,
    changed,
    commits,
    fund,
    held,
    locked,
    new_id,
    opened,
    rows,
    settlement,
    tamper,
    wallet,
)


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[Ledger]:
    await fund(url, 10 * USD)
    found = await opened(url)
    yield found
    await found.close()
    assert await verify(url) == []


def begun(generation_id: str) -> Begun:
    return Begun(
        generation_id=generation_id, team_id=TEAM, kid="k1", wallet_id=TEAM, hold=Nanos(5), model="acme/m",
        operation="text.generate", created_at=1,
    )  # fmt: skip


async def test_a_charge_moves_from_the_wallet_to_revenue_and_its_cost_to_the_provider(
    ledger: Ledger, url: str
) -> None:
    await ledger.settle(settlement(await held(ledger, 500), 300, cost=120))
    assert accounts(url) == {
        f"wallet:{TEAM}": 10 * USD - 300,
        "top_up:test": -10 * USD,
        "revenue": 300,
        "cost_of_sales": -120,
        "provider:upstream": 120,
    }
    assert wallet(url)[0] == 10 * USD - 300


async def test_what_a_price_is_above_its_hold_is_booked_to_loss(ledger: Ledger, url: str) -> None:
    await ledger.settle(settlement(await held(ledger, 100), 100, price=120))
    found = accounts(url)
    assert (found["revenue"], found["loss"], found[f"wallet:{TEAM}"]) == (120, -20, 10 * USD - 100)


async def test_the_cost_of_an_answer_that_nobody_pays_for_is_a_loss(ledger: Ledger, url: str) -> None:
    await ledger.settle(settlement(await held(ledger, 100), cost=40, lost=40))
    found = accounts(url)
    assert (found["loss"], found["provider:upstream"]) == (-40, 40)
    assert "revenue" not in found
    assert wallet(url)[0] == 10 * USD


async def test_a_release_moves_nothing_and_is_settled(ledger: Ledger, url: str) -> None:
    settled = settlement(await held(ledger, 100))
    await ledger.settle(settled)
    found = rows(url, "SELECT generation_id, outcome, charge, transaction_id FROM settlements")
    assert found == [(settled.generation.id, "released", 0, None)]


async def test_a_request_without_a_hold_is_recorded(ledger: Ledger, url: str) -> None:
    await ledger.settle(settlement(None, status_code=404, success=False, error_code="user:model_not_found"))
    assert rows(url, "SELECT state, status_code, error_code FROM generations") == [
        ("finished", 404, "user:model_not_found")
    ]


async def test_settling_the_same_generation_at_once_and_later_charges_it_once(
    ledger: Ledger, url: str
) -> None:
    settled = settlement(await held(ledger, 500), 300)
    await asyncio.gather(ledger.settle(settled), ledger.settle(settled))
    await ledger.settle(settled)
    assert wallet(url)[0] == 10 * USD - 300
    assert rows(url, "SELECT COUNT(*) FROM settlements") == [(1,)]


async def test_a_replay_does_not_keep_the_others_of_its_batch_from_being_settled(
    ledger: Ledger, url: str
) -> None:
    old = settlement(await held(ledger, 500), 300)
    await ledger.settle(old)
    fresh = [settlement(await held(ledger, 500), 10) for _ in range(5)]
    await asyncio.gather(*[ledger.settle(item) for item in (*fresh, old)])
    assert wallet(url)[0] == 10 * USD - 350


async def test_another_process_that_settles_the_same_generation_changes_nothing(
    ledger: Ledger, url: str
) -> None:
    other = await opened(url)
    generation_id = new_id()
    await ledger.settle(settlement(await held(ledger, 500), 300, generation_id=generation_id))
    await other.settle(settlement(await held(other, 500), 200, generation_id=generation_id))
    assert wallet(url)[0] == 10 * USD - 300
    await other.close()


async def test_when_the_future_is_done_another_connection_sees_the_charge(ledger: Ledger, url: str) -> None:
    future = ledger.settle(settlement(await held(ledger, 500), 300))
    seen: list[int] = []
    future.add_done_callback(lambda _: seen.append(wallet(url)[0]))
    await future
    await asyncio.sleep(0)
    assert seen == [10 * USD - 300]


async def test_a_charge_above_its_hold_takes_the_hold_and_loses_the_rest(ledger: Ledger, url: str) -> None:
    settled = settlement(await held(ledger, 100), 150)
    await ledger.settle(settled)
    assert wallet(url)[0] == 10 * USD - 100
    (lines,) = rows(url, "SELECT pricing_lines FROM generations")[0]
    assert [(line["dimension"], line["line_nanos"]) for line in json.loads(lines)] == [
        ("output_text_tokens", 150),
        ("over_hold", -50),
    ]


async def test_a_row_that_cannot_be_written_fails_alone(ledger: Ledger, url: str) -> None:
    good = [settlement(await held(ledger, 500), 10) for _ in range(3)]
    bad = settlement(await held(ledger, 500), 10, cost=5, lost=6)
    results = await asyncio.gather(*[ledger.settle(item) for item in (*good, bad)], return_exceptions=True)
    assert [type(result) for result in results] == [type(None)] * 3 + [LedgerCorrupt]
    assert wallet(url)[0] == 10 * USD - 30


async def test_a_number_too_large_for_the_database_fails_alone(ledger: Ledger, url: str) -> None:
    bad = settlement(await held(ledger, 500), 10, generation_ms=2**70)
    good = settlement(await held(ledger, 500), 10)
    results = await asyncio.gather(ledger.settle(bad), ledger.settle(good), return_exceptions=True)
    assert [type(result) for result in results] == [LedgerCorrupt, type(None)]
    assert wallet(url)[0] == 10 * USD - 10


async def test_the_credit_of_a_row_that_failed_is_free_again(ledger: Ledger) -> None:
    bad = settlement(await held(ledger, 10 * USD), 10 * USD, cost=5, lost=6)
    with pytest.raises(LedgerCorrupt):
        await ledger.settle(bad)
    assert (await held(ledger, 10 * USD)).amount == 10 * USD


async def test_text_that_no_database_takes_is_made_harmless_and_charged(ledger: Ledger, url: str) -> None:
    settled = settlement(await held(ledger, 500), 10, app_title="a\ud800b", error_message="\udfff")
    await ledger.settle(settled)
    assert rows(url, "SELECT app_title FROM generations") == [("a?b",)]
    assert wallet(url)[0] == 10 * USD - 10


async def test_the_price_card_of_a_charge_is_stored_once(ledger: Ledger, url: str) -> None:
    for _ in range(3):
        await ledger.settle(settlement(await held(ledger, 500), 10))
    ((found,),) = rows(url, "SELECT card FROM price_cards")
    assert json.loads(found) == {
        "id": CARD.id,
        "prices": [{"meter": "output_text_tokens", "usd": "10", "per": 1_000_000}],
        "free": False,
    }


async def test_a_quick_settlement_merges_its_begin_row_away(ledger: Ledger, url: str) -> None:
    settled = settlement(await held(ledger, 500), 10)
    ledger.begin(begun(settled.generation.id))
    await ledger.settle(settled)
    assert rows(url, "SELECT id, state FROM generations") == [(settled.generation.id, "finished")]


async def test_a_begun_request_gets_its_row_and_the_settlement_replaces_it(ledger: Ledger, url: str) -> None:
    settled = settlement(await held(ledger, 500), 10)
    ledger.begin(begun(settled.generation.id))
    while not rows(url, "SELECT id FROM generations"):
        await asyncio.sleep(0.01)
    assert rows(url, "SELECT state, hold_nanos FROM generations") == [("begun", 5)]
    await ledger.settle(settled)
    assert rows(url, "SELECT state, hold_nanos FROM generations") == [("finished", 500)]


async def test_a_begin_row_that_comes_after_its_settlement_is_dropped(ledger: Ledger, url: str) -> None:
    settled = settlement(await held(ledger, 500), 10)
    await ledger.settle(settled)
    ledger.begin(begun(settled.generation.id))
    await ledger.close()
    assert rows(url, "SELECT state FROM generations") == [("finished",)]


async def test_the_time_of_delivery_comes_in_a_later_batch(ledger: Ledger, url: str) -> None:
    settled = settlement(await held(ledger, 500), 10)
    await ledger.settle(settled)
    assert rows(url, "SELECT delivered_at FROM settlements") == [(None,)]
    ledger.delivered(settled.generation.id, 1234)
    await ledger.close()
    assert rows(url, "SELECT delivered_at FROM settlements") == [(1234,)]


async def test_closing_commits_what_is_queued(ledger: Ledger, url: str) -> None:
    futures = [ledger.settle(settlement(await held(ledger, 500), 10)) for _ in range(20)]
    await ledger.close()
    assert all(future.done() for future in futures)
    assert wallet(url)[0] == 10 * USD - 200


async def test_a_locked_database_is_waited_for(ledger: Ledger, url: str) -> None:
    hold = await held(ledger, 500)
    with locked(url):
        future = ledger.settle(settlement(hold, 10))
        await asyncio.wait([future], timeout=0.05)
        assert not future.done()
    await future
    assert wallet(url)[0] == 10 * USD - 10


async def test_a_database_that_stays_locked_fails_the_settlement_with_a_clear_error(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr("gateway_core.db.sqlite.LOCK_WAIT", 0.05)
    hold = await held(ledger, 500)
    with locked(url), pytest.raises(LedgerUnavailable, match="locked"):
        await ledger.settle(settlement(hold, 10))
    await ledger.settle(settlement(await held(ledger, 500), 10))
    assert wallet(url)[0] == 10 * USD - 10


async def test_what_could_not_be_charged_is_on_record_once_the_database_answers(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr("gateway_core.db.sqlite.LOCK_WAIT", 0.05)
    given = settlement(await held(ledger, 500), 10, cost=4)
    left = settlement(await held(ledger, 500), 20, cost=5, success=False, status_code=499)
    refused = settlement(None, success=False, status_code=402, error_code="user:insufficient_funds")
    with locked(url):
        for one in (given, left, refused):
            with pytest.raises(LedgerUnavailable):
                await ledger.settle(one)
    await ledger.close()
    found = {
        row[0]: row[1:]
        for row in rows(
            url,
            "SELECT g.id, g.status_code, g.success, g.cost_nanos, g.pricing_lines, g.suppressed, s.outcome,"
            " s.price, s.lost FROM generations g JOIN settlements s ON s.generation_id = g.id",
        )
    }
    assert found == {
        given.generation.id: (500, 0, 0, "[]", "settlement_failed", "released", 0, 4),
        left.generation.id: (499, 0, 0, "[]", "settlement_failed", "released", 0, 5),
        refused.generation.id: (402, 0, 0, "[]", None, "released", 0, 0),
    }
    assert wallet(url) == (10 * USD, 0, 0)
    assert await verify(url) == []


async def test_a_database_that_never_answers_again_does_not_keep_the_ledger_from_closing(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr("gateway_core.db.sqlite.LOCK_WAIT", 0.05)
    settling = ledger.settle(settlement(await held(ledger, 500), 10))
    with locked(url), pytest.raises(sqlite3.OperationalError, match="locked"):
        await ledger.close()
    with pytest.raises(LedgerUnavailable):
        await settling
    assert rows(url, "SELECT * FROM settlements") == []


async def test_under_load_those_that_end_one_after_the_other_share_a_commit(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_GATHERING", 60.0)
    holds = [await held(ledger, 10) for _ in range(16)]
    await asyncio.gather(*(ledger.settle(settlement(hold, 10)) for hold in holds[:8]))
    before = commits(url)
    settled = []
    for hold in holds[8:]:
        settled.append(asyncio.ensure_future(ledger.settle(settlement(hold, 10))))
        await asyncio.sleep(0)
    await asyncio.gather(*settled)
    assert commits(url) == before + 1


async def test_a_full_queue_refuses_at_once_and_frees_the_hold(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = await held(ledger, 10 * USD)
    monkeypatch.setattr(writing, "QUEUE", 0)
    with pytest.raises(LedgerOverloaded, match="too many"):
        await ledger.settle(settlement(hold, 10))
    assert (await held(ledger, 10 * USD)).amount == 10 * USD


async def test_what_a_full_queue_refused_is_on_record_uncharged_and_what_found_no_room_is_counted(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writing, "QUEUE", 0)
    monkeypatch.setattr(writing, "LATE", 2)
    refused = [settlement(await held(ledger, 500), 10, cost=4) for _ in range(5)]
    futures = [ledger.settle(one) for one in refused]
    found = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(one) for one in found] == [LedgerOverloaded] * 5
    await ledger.close()
    kept = {one.generation.id for one in refused[:2]}
    assert {row[0] for row in rows(url, "SELECT id FROM generations")} == kept
    assert rows(url, "SELECT outcome, charge, lost FROM settlements") == [("released", 0, 4)] * 2
    assert rows(url, "SELECT DISTINCT success, suppressed FROM generations") == [(0, "settlement_failed")]
    assert wallet(url) == (10 * USD, 0, 0)
    told = [message for message in caplog.messages if "end without a record" in message]
    assert [line.partition(" in ")[0] for line in told] == [
        "requests end without a record, uncharged (1",
        "over: requests end without a record, uncharged (3",
    ]


async def test_what_comes_while_the_ledger_closes_is_on_record_uncharged_and_after_it_is_counted(
    ledger: Ledger, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    in_time = settlement(await held(ledger, 500), 10)
    late = settlement(await held(ledger, 500), 20)
    with locked(url):
        first = ledger.settle(in_time)
        closing = asyncio.create_task(ledger.close())
        while not ledger._writer._closing:
            await asyncio.sleep(0)
        with pytest.raises(LedgerOverloaded):
            await ledger.settle(late)
    await asyncio.gather(first, closing)
    with pytest.raises(LedgerOverloaded):
        await ledger.settle(settlement(None))
    assert dict(rows(url, "SELECT generation_id, charge FROM settlements")) == {
        in_time.generation.id: 10,
        late.generation.id: 0,
    }
    assert [one for one in caplog.messages if "end without a record, uncharged (1 in 0 s)" in one]


async def test_a_settlement_whose_lease_is_gone_takes_what_is_available_and_loses_the_rest(
    ledger: Ledger, url: str
) -> None:
    hold = await held(ledger, 8 * USD)
    tamper(url, "DELETE FROM leases")
    tamper(url, "UPDATE wallets SET leased = 0, held = ?", 7 * USD)
    tamper(url, "INSERT INTO holds VALUES ('h', ?, NULL, 'job', NULL, ?, 1)", TEAM, 7 * USD)
    await ledger.settle(settlement(hold, 5 * USD))
    assert wallet(url) == (7 * USD, 0, 7 * USD)
    found = accounts(url)
    assert (found["revenue"], found["loss"]) == (5 * USD, -2 * USD)
    assert rows(url, "SELECT cost_nanos FROM generations") == [(3 * USD,)]


async def test_the_wallets_transactions_are_numbered_without_a_gap(ledger: Ledger, url: str) -> None:
    await asyncio.gather(*[ledger.settle(settlement(await held(ledger, 500), 10)) for _ in range(30)])
    numbers = [
        number for (number,) in rows(url, "SELECT sequence FROM ledger_transactions ORDER BY sequence")
    ]
    assert numbers == list(range(1, 32))


async def test_negative_charges_are_refused(ledger: Ledger) -> None:
    settled = changed(settlement(await held(ledger, 500), 10), charge=Nanos(-1))
    with pytest.raises(LedgerCorrupt, match="negative"):
        await ledger.settle(settled)
