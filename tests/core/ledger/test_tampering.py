"""Whatever is changed, swapped, removed or added in a table that money depends on is found by `verify`."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gateway_core.db.books import Books
from gateway_core.db.payments import Payments
from gateway_core.db.url import open_store, sqlite_path
from gateway_core.ledger import verify
from tests.core.ledger.books import TEAM, USD, changed, fund, held, line, opened, settlement, tamper

# What says how much, to whom, for what or in which order; the key of each table first.
COLUMNS = {
    "ledger_transactions": "id kind wallet_id sequence hash generation_id corrects created_at",
    "ledger_entries": "id transaction_id account amount",
    "settlements": "generation_id outcome wallet_id hold charge price lost transaction_id",
    "wallets": "id team_id balance leased held sequence head",
    "generations": "id state team_id cost_nanos hold_nanos pricing_lines card_id",
    "attempts": "id generation_id cost_nanos",
    "corrections": "id kind wallet_id reference generation_id amount reason",
    "leases": "id wallet_id amount",
    "holds": "id wallet_id amount",
}
Row = tuple[Any, ...]


@pytest.fixture
async def books(url: str) -> str:
    """A database with a little of everything, closed."""
    await fund(url, 10 * USD)
    await fund(url, 5 * USD, kind="test")
    await fund(url, 10 * USD)
    ledger = await opened(url)
    charged = [settlement(await held(ledger, 5_000), 100 + number, cost=50) for number in range(3)]
    lines = [line(300), line(4, "input_text_tokens")]
    charged.append(changed(settlement(await held(ledger, 5_000), 304, cost=80), lines=lines))
    others = [
        settlement(await held(ledger, 5_000), 200, price=260, cost=70),  # above its hold
        settlement(await held(ledger, 5_000), cost=50, lost=50),  # nobody pays for it
        settlement(None, cost=60, lost=60),
        settlement(await held(ledger, 5_000, wallet=f"{TEAM}:test"), 7),
    ]
    for one in (*charged, *others):
        await ledger.settle(one)
    await ledger.close()
    store = open_store(url, "full")
    made = Books(lambda: store)
    await made.refund(TEAM, charged[0].generation.id, nanos=60, reason="a part", reference="one")
    await made.refund(TEAM, charged[1].generation.id, reason="all of it")
    await made.adjust(TEAM, nanos=-5, reason="too much was given", reference="two")
    tamper(url, "INSERT INTO teams (id, name, created_at) VALUES (?, ?, 1)", TEAM, TEAM)
    payments = Payments(lambda: store)
    await payments.credit(TEAM, source="acme", reference="p", nanos=105, fee=5, reason="paid")
    for name, nanos in (("r1", 21), ("r2", 42)):
        await payments.reverse(source="acme", payment="p", reference=name, nanos=nanos, reason="returned")
    await payments.reinstate(source="acme", reversal="r1", reference="u1", reason="it came after all")
    await store.close()
    # As of an instance that lives, and of a job that runs.
    tamper(url, "INSERT INTO leases VALUES ('l', ?, 'i', 1, 700, NULL, 1)", TEAM)
    tamper(url, "INSERT INTO holds VALUES ('h', ?, NULL, 'job', NULL, 300, 1)", TEAM)
    tamper(url, "UPDATE wallets SET leased = leased + 700, held = held + 300 WHERE id = ?", TEAM)
    assert await verify(url) == []
    return url


def _path(url: str) -> Path:
    found = sqlite_path(url)
    assert found is not None
    return found


async def _unseen(books: str, tmp_path: Path, changes: Iterator[tuple[str, Callable[..., Any]]]) -> list[str]:
    """The changes that `verify` does not find, each made to a copy of its own."""
    unseen = []
    count = 0
    copy = tmp_path / "tampered.db"
    for name, change in changes:
        shutil.copy(_path(books), copy)
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            connection.execute("PRAGMA ignore_check_constraints=ON")
            try:
                change(connection)
            except sqlite3.IntegrityError:
                continue  # the database itself refuses it
        count += 1
        if not await verify(f"sqlite:///{copy}"):
            unseen.append(name)
    assert count
    return unseen


def _rows(books: str, table: str) -> list[Row]:
    with closing(sqlite3.connect(_path(books))) as connection:
        names = ",".join(COLUMNS[table].split())
        paid = "WHERE cost_nanos <> 0" if table == "attempts" else ""  # one that cost nothing moved nothing
        return connection.execute(f"SELECT {names} FROM {table} {paid} ORDER BY 1").fetchall()


def _other(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str) and '"line_nanos":300,' in value:  # the same sum, shared out otherwise
        return value.replace('"line_nanos":300', '"line_nanos":303').replace(
            '"line_nanos":4', '"line_nanos":1'
        )
    return "X" if value is None else f"{value[:-1]}{'x' if value[-1:] != 'x' else 'y'}"


@pytest.mark.parametrize("table", COLUMNS)
async def test_a_value_that_was_changed_is_found(books: str, tmp_path: Path, table: str) -> None:
    key, *columns = COLUMNS[table].split()

    def changes() -> Iterator[tuple[str, Callable[..., Any]]]:
        for row in _rows(books, table):
            for column, value in zip(columns, row[1:], strict=True):
                if table == "generations" and column in ("team_id", "pricing_lines") and not row[3]:
                    continue  # it cost nothing: nobody's money depends on whose it was
                sql, values = f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (_other(value), row[0])
                yield f"{column} of {row[0]}: {value}", lambda c, s=sql, v=values: c.execute(s, v)

    assert await _unseen(books, tmp_path, changes()) == []


@pytest.mark.parametrize("table", COLUMNS)
async def test_a_row_that_was_removed_is_found(books: str, tmp_path: Path, table: str) -> None:
    key = COLUMNS[table].split()[0]

    def changes() -> Iterator[tuple[str, Callable[..., Any]]]:
        for row in _rows(books, table):
            sql = f"DELETE FROM {table} WHERE {key} = ?"
            yield str(row), lambda c, s=sql, k=row[0]: c.execute(s, (k,))

    assert await _unseen(books, tmp_path, changes()) == []


@pytest.mark.parametrize("table", COLUMNS)
async def test_a_row_that_was_added_is_found(books: str, tmp_path: Path, table: str) -> None:
    """A copy of each row under a key of its own."""
    key = COLUMNS[table].split()[0]

    def copy(connection: sqlite3.Connection, found: Any) -> None:
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] != key]
        other = 10_000 if isinstance(found, int) else f"{found}x"
        columns = ",".join(names)
        if table == "ledger_transactions":  # two of a sequence number are refused by the database
            columns = columns.replace("sequence", "sequence + 1000")
        if table == "corrections":
            columns = columns.replace("reference", "reference || 'x'")
        connection.execute(
            f"INSERT INTO {table} ({key},{','.join(names)}) SELECT ?,{columns} FROM {table} WHERE {key} = ?",
            (other, found),
        )

    def changes() -> Iterator[tuple[str, Callable[..., Any]]]:
        for row in _rows(books, table):
            yield str(row), lambda c, k=row[0]: copy(c, k)

    assert await _unseen(books, tmp_path, changes()) == []


@pytest.mark.parametrize(
    ("table", "column"),
    [("ledger_entries", "amount"), ("ledger_entries", "account"), ("ledger_transactions", "created_at"),
     ("ledger_transactions", "hash"), ("settlements", "charge"), ("generations", "cost_nanos"),
     ("attempts", "cost_nanos"), ("corrections", "amount"), ("wallets", "balance")],
)  # fmt: skip
async def test_two_rows_that_changed_places_are_found(
    books: str, tmp_path: Path, table: str, column: str
) -> None:
    names = COLUMNS[table].split()
    at = names.index(column)

    def swap(connection: sqlite3.Connection, one: Row, two: Row) -> None:
        sql = f"UPDATE {table} SET {column} = ? WHERE {names[0]} = ?"
        connection.execute(sql, (two[at], one[0]))
        connection.execute(sql, (one[at], two[0]))

    def changes() -> Iterator[tuple[str, Callable[..., Any]]]:
        rows = _rows(books, table)
        for one, two in pairwise(rows):
            if one[at] != two[at]:
                yield f"{one} and {two}", lambda c, a=one, b=two: swap(c, a, b)

    assert await _unseen(books, tmp_path, changes()) == []


@pytest.mark.parametrize("wallet", [None, TEAM, "nobody"])
@pytest.mark.parametrize("sequence", [None, -3, 0, 5_000_000])
async def test_a_transaction_that_was_slipped_in_is_found(
    books: str, wallet: str | None, sequence: int | None
) -> None:
    with closing(sqlite3.connect(_path(books), isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO ledger_transactions (id, kind, wallet_id, sequence, hash, created_at)"
            " VALUES ('Z', 'top_up', ?, ?, 'h', 1)",
            (wallet, sequence),
        )
        connection.execute(
            "INSERT INTO ledger_entries (transaction_id, account, amount)"
            " VALUES ('Z', 'revenue', 5), ('Z', 'loss', -5)"
        )
    (first, *_) = await verify(books)
    assert first.row in ("Z", TEAM)


@pytest.mark.parametrize(
    ("change", "check"),
    [("UPDATE settlements SET outcome = 'abandoned' WHERE outcome = 'released'", "4 settled once"),
     ("UPDATE generations SET state = 'abandoned' WHERE cost_nanos = 0", "4 settled once"),
     ("DELETE FROM price_cards", "9 priced"),
     ("UPDATE price_cards SET card = replace(card, '\"10\"', '\"9\"')", "9 priced"),
     ("UPDATE price_cards SET card = replace(card, '\"free\":false', '\"free\":true')", "9 priced"),
     ("UPDATE price_cards SET card = 'no card'", "9 priced")],
)  # fmt: skip
async def test_an_end_that_was_called_otherwise_and_a_price_that_is_gone_are_found(
    books: str, change: str, check: str
) -> None:
    tamper(books, change)
    assert [finding.check for finding in await verify(books)] == [check]
