"""Stores: what policies, routes and the command line read and write."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tortoise.exceptions import IntegrityError

from gateway_core.db import stores as storing
from gateway_core.db.stores import Stores
from gateway_core.ledger import AttemptRecord, verify
from plugin_sdk.money import Nanos
from tests.core.ledger.books import TEAM, USD, fund, held, opened, rows, settlement


@pytest.fixture
async def stores(url: str) -> AsyncIterator[Stores]:
    found = await Stores.open(url)
    yield found
    await found.close()


async def test_a_team_is_found_by_its_name(stores: Stores) -> None:
    team = await stores.create_team("acme")
    assert await stores.team_by_name("acme") == team
    assert await stores.team_by_name("other") is None


async def test_a_teams_name_is_taken_once(stores: Stores) -> None:
    await stores.create_team("acme")
    with pytest.raises(IntegrityError):
        await stores.create_team("acme")


async def test_a_key_is_found_by_its_kid(stores: Stores) -> None:
    made = await stores.create_key("T", "live", "first", "abcdefghijkl", "h" * 64)
    found = await stores.keys.find("abcdefghijkl")
    assert found == made
    assert (made.team_id, made.mode, made.status, made.name) == ("T", "live", "active", "first")
    assert await stores.keys.find("nobody") is None


async def test_a_revoked_key_says_so(stores: Stores) -> None:
    await stores.create_key("T", "live", "first", "abcdefghijkl", "h" * 64)
    assert await stores.revoke_key("abcdefghijkl")
    found = await stores.keys.find("abcdefghijkl")
    assert found is not None
    assert found.status == "revoked"
    assert not await stores.revoke_key("nobody")


async def test_a_changed_key_is_told_to_this_process_at_once(stores: Stores) -> None:
    told: list[str] = []
    stores.keys.on_change(lambda: told.append("changed"))
    await stores.create_key("T", "live", "first", "abcdefghijkl", "h" * 64)
    assert told == ["changed"]


async def test_who_listens_no_more_is_not_told(stores: Stores) -> None:
    told: list[str] = []
    unheard = [stores.keys.on_change(lambda name=name: told.append(name)) for name in ("old", "new")]
    unheard[0]()
    await stores.create_key("T", "live", "first", "abcdefghijkl", "h" * 64)
    assert told == ["new"]


async def test_a_key_changed_by_another_process_is_noticed(
    stores: Stores, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "REVISION_SECONDS", 0.01)
    await stores.create_key("T", "live", "first", "abcdefghijkl", "h" * 64)
    told = asyncio.Event()
    stores.keys.on_change(told.set)
    await stores.keys.look()
    assert not told.is_set()
    fund_free = "UPDATE revisions SET value = value + 1 WHERE name = 'keys'"
    rows(url, fund_free)
    await told.wait()


async def test_the_last_use_of_a_key_is_written_once_a_minute_for_all_that_were_used(
    stores: Stores, url: str
) -> None:
    for kid in ("abcdefghijkl", "bbcdefghijkl", "cbcdefghijkl"):
        await stores.create_key("T", "live", kid, kid, kid[0] * 64)
    at = "SELECT last_used_at FROM keys ORDER BY kid"

    def last() -> list[int | None]:
        return [row[0] for row in rows(url, at)]

    for _ in range(3):
        stores.keys.used("abcdefghijkl")
    await stores.keys.note_uses(1_000_000)
    assert last() == [1_000_000, None, None]
    stores.keys.used("abcdefghijkl")
    stores.keys.used("bbcdefghijkl")
    await stores.keys.note_uses(1_030_000)
    assert last() == [1_000_000, 1_030_000, None]
    await stores.keys.note_uses(1_060_000)
    assert last() == [1_060_000, 1_030_000, None]
    await stores.keys.note_uses(1_200_000)
    assert last() == [1_060_000, 1_030_000, None]


async def test_a_clock_that_goes_back_takes_no_last_use_back(stores: Stores, url: str) -> None:
    await stores.create_key("T", "live", "k", "abcdefghijkl", "a" * 64)
    for now in (9_000_000, 1_000_000):
        stores.keys.used("abcdefghijkl")
        await stores.keys.note_uses(now)
    assert [row[0] for row in rows(url, "SELECT last_used_at FROM keys")] == [9_000_000]


async def test_the_first_top_up_makes_the_wallet_and_each_adds_to_it(stores: Stores, url: str) -> None:
    assert await stores.show_wallet("T") is None
    await stores.top_up("T", "live", Nanos(5), "card")
    found = await stores.top_up("T", "live", Nanos(7), "card")
    assert (found.id, found.kind, found.balance, found.available) == ("T", "live", 12, 12)
    assert await stores.verify() == []
    assert rows(url, "SELECT account, SUM(amount) FROM ledger_entries GROUP BY account ORDER BY 1") == [
        ("top_up:card", -12),
        ("wallet:T", 12),
    ]


async def test_simulated_credit_is_a_wallet_of_its_own(stores: Stores) -> None:
    await stores.top_up("T", "test", Nanos(5), "simulated")
    assert await stores.show_wallet("T", "live") is None
    found = await stores.show_wallet("T", "test")
    assert found is not None
    assert found.id == "T:test"


@pytest.mark.parametrize("nanos", [0, -1])
async def test_a_top_up_must_add_something(stores: Stores, nanos: int) -> None:
    with pytest.raises(ValueError, match="above 0"):
        await stores.top_up("T", "live", Nanos(nanos), "card")


async def test_policies_find_a_wallet_as_soon_as_it_appears(stores: Stores, url: str) -> None:
    ledger = await opened(url)
    wallets = stores.wallets(ledger)
    assert await wallets.wallet_for("T", "live") is None
    await stores.top_up("T", "live", Nanos(USD), "card")
    found = await wallets.wallet_for("T", "live")
    assert found is not None
    assert (found.id, found.balance) == ("T", USD)
    hold = await wallets.hold("T", Nanos(5), minimum_balance=Nanos(0))
    assert hold.amount == 5
    await ledger.close()


async def test_what_is_leased_is_not_available(stores: Stores, url: str) -> None:
    await stores.top_up("T", "live", Nanos(USD), "card")
    ledger = await opened(url)
    await held(ledger, USD, wallet="T")
    found = await stores.show_wallet("T")
    assert found is not None
    assert (found.balance, found.available) == (USD, 0)
    await ledger.close()


async def test_a_generation_has_the_contracts_record(stores: Stores, url: str) -> None:
    await fund(url, USD)
    ledger = await opened(url)
    settled = settlement(await held(ledger, 500), 300, cost=120, created_at=1_700_000_000_123)
    await ledger.settle(settled)
    found = await stores.generations.get(TEAM, settled.generation.id)
    assert found is not None
    wanted = {
        "id": settled.generation.id, "request_id": settled.generation.id, "team_id": TEAM, "app_id": None,
        "created_at": "2023-11-14T22:13:20.123Z", "endpoint": "chat.completions", "model_id": "acme/m",
        "provider": "upstream",
        "native_response_id": "native-1", "stream": False, "byok": False, "status_code": 200, "success": True,
        "error_code": None, "error_message": None, "latency_ms": 5, "generation_ms": 1000,
        "usage": {"output_text_tokens": 7}, "cost_nanos": 300, "currency": "USD",
        "pricing_lines": list(settled.generation.lines), "key_id": "kid_k1", "throughput": 7.0,
        "finish_reason": "stop", "location": None, "outcome": "charged",
    }  # fmt: skip
    assert {name: found[name] for name in wanted} == wanted
    assert [(attempt["provider"], attempt["cost_nanos"]) for attempt in found["attempts"]] == [
        ("upstream", 120)
    ]
    await ledger.close()


async def test_every_attempt_is_in_the_record_in_order(stores: Stores, url: str) -> None:
    ledger = await opened(url)
    attempts = tuple(
        AttemptRecord(number=number, provider=f"p{number}", upstream_model="m", started_at=number)
        for number in (1, 2)
    )
    settled = settlement(None, attempts=attempts)
    await ledger.settle(settled)
    found = await stores.generations.get(TEAM, settled.generation.id)
    assert found is not None
    assert [attempt["provider"] for attempt in found["attempts"]] == ["p1", "p2"]
    await ledger.close()
    assert await verify(url) == []


async def test_a_generation_of_another_team_is_not_there(stores: Stores, url: str) -> None:
    ledger = await opened(url)
    settled = settlement(None)
    await ledger.settle(settled)
    assert await stores.generations.get("01OTHER", settled.generation.id) is None
    assert await stores.generations.get(TEAM, "G-nothing") is None
    await ledger.close()
