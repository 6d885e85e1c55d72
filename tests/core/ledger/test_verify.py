"""`ledger verify`: whatever is changed behind the ledger's back is found, with the first bad row named."""

import pytest

from gateway_core.ledger import verify
from tests.core.ledger.books import TEAM, USD, fund, held, opened, rows, settlement, tamper


@pytest.fixture
async def books(url: str) -> str:
    """A database with a little history, closed."""
    await fund(url, 10 * USD)
    await fund(url, 5 * USD, kind="test")
    ledger = await opened(url)
    for number in range(5):
        await ledger.settle(settlement(await held(ledger, 500), 100 + number, cost=50))
    await ledger.settle(settlement(await held(ledger, 500), cost=50, lost=50))
    await ledger.settle(settlement(await held(ledger, 500, wallet=f"{TEAM}:test"), 7))
    await ledger.settle(settlement(None))
    await ledger.close()
    assert await verify(url) == []
    return url


async def first(url: str) -> tuple[str, str]:
    """The check and the row of the first finding."""
    found = await verify(url)
    assert found, "nothing was found"
    return found[0].check, found[0].row


def transaction(url: str, sequence: int) -> str:
    ((found,),) = rows(
        url, "SELECT id FROM ledger_transactions WHERE wallet_id = ? AND sequence = ?", TEAM, sequence
    )
    return str(found)


async def test_an_entry_that_was_changed_is_found(books: str) -> None:
    bad = transaction(books, 3)
    tamper(
        books,
        "UPDATE ledger_entries SET amount = amount + 1 WHERE transaction_id = ? AND account = 'revenue'",
        bad,
    )
    assert await first(books) == ("2 double entry", bad)


async def test_a_balanced_change_is_found_by_the_chain(books: str) -> None:
    bad = transaction(books, 3)
    tamper(
        books,
        "UPDATE ledger_entries SET amount = amount + 1 WHERE transaction_id = ? AND account = 'revenue'",
        bad,
    )
    tamper(
        books,
        "UPDATE ledger_entries SET amount = amount - 1 WHERE transaction_id = ? AND account LIKE 'prov%'",
        bad,
    )
    assert await first(books) == ("3 chain", bad)


async def test_a_transaction_that_was_removed_is_found(books: str) -> None:
    bad, after = transaction(books, 3), transaction(books, 4)
    tamper(books, "DELETE FROM ledger_entries WHERE transaction_id = ?", bad)
    tamper(books, "DELETE FROM ledger_transactions WHERE id = ?", bad)
    assert ("3 chain", after) in [(finding.check, finding.row) for finding in await verify(books)]


async def test_transactions_removed_from_the_end_are_found(books: str) -> None:
    bad = transaction(books, 7)
    tamper(books, "DELETE FROM ledger_entries WHERE transaction_id = ?", bad)
    tamper(books, "DELETE FROM ledger_transactions WHERE id = ?", bad)
    assert ("3 chain", TEAM) in [(finding.check, finding.row) for finding in await verify(books)]


async def test_two_transactions_that_changed_places_are_found(books: str) -> None:
    one, two = transaction(books, 3), transaction(books, 4)
    for sequence, row in ((99, one), (3, two), (4, one)):
        tamper(books, "UPDATE ledger_transactions SET sequence = ? WHERE id = ?", sequence, row)
    assert await first(books) == ("3 chain", two)


async def test_a_balance_that_was_changed_is_found(books: str) -> None:
    tamper(books, "UPDATE wallets SET balance = balance + 1 WHERE id = ?", TEAM)
    assert await first(books) == ("2 balance", TEAM)


async def test_a_lease_that_its_wallet_does_not_know_is_found(books: str) -> None:
    tamper(books, "INSERT INTO leases VALUES ('L', ?, 'I', 1, 5, NULL, 1)", TEAM)
    assert await first(books) == ("6 leases", TEAM)


async def test_a_settlement_that_was_removed_is_found(books: str) -> None:
    bad = transaction(books, 3)
    tamper(books, "DELETE FROM settlements WHERE generation_id = ?", bad)
    assert await first(books) == ("4 settled once", bad)


async def test_a_charge_without_its_transaction_is_found(books: str) -> None:
    bad = transaction(books, 3)
    tamper(books, "UPDATE settlements SET charge = charge + 1 WHERE generation_id = ?", bad)
    assert await first(books) == ("4 settled once", bad)


async def test_a_record_that_says_another_cost_is_found(books: str) -> None:
    bad = transaction(books, 3)
    tamper(books, "UPDATE generations SET cost_nanos = cost_nanos + 1 WHERE id = ?", bad)
    assert await first(books) == ("4 settled once", bad)


async def test_lines_that_do_not_sum_to_the_cost_are_found(books: str) -> None:
    bad = transaction(books, 3)
    tamper(books, "UPDATE generations SET pricing_lines = '[]' WHERE id = ?", bad)
    assert await first(books) == ("1 lines", bad)


async def test_a_second_charge_of_a_generation_is_found(books: str) -> None:
    bad = transaction(books, 3)
    tamper(
        books,
        "INSERT INTO ledger_transactions (id, kind, generation_id, created_at) VALUES ('X', 'charge', ?, 1)",
        bad,
    )
    tamper(
        books, "INSERT INTO ledger_entries (transaction_id, account, amount) VALUES ('X','a',1),('X','b',-1)"
    )
    assert await first(books) == ("4 settled once", "X")


async def test_a_finding_reads_as_a_sentence(books: str) -> None:
    tamper(books, "UPDATE wallets SET balance = balance + 1 WHERE id = ?", TEAM)
    (finding, *_) = await verify(books)
    assert str(finding).startswith(f"2 balance: wallet {TEAM} says 99999")
