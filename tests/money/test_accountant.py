"""What an accountant does with the commands, after every ending: all of it adds up, on both sides."""

import csv
import io
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.process import command
from tests.gateway.upstream import Upstream
from tests.money.busy import ENDINGS, Busy, busy

KEYS = ("revenue", "cost_of_sales", "loss")


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as found:
        yield found


def exported(made: Busy, *arguments: str) -> list[dict[str, Any]]:
    """The JSON lines of an export; they say the same as its table."""
    lines = command(made.config, "ledger", "export", "--format", "jsonl", *arguments).splitlines()
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    table = list(csv.DictReader(io.StringIO(command(made.config, "ledger", "export", *arguments))))
    assert table == [{name: _cell(value) for name, value in row.items()} for row in rows]
    assert all(Decimal(row["amount_usd"]) * 10**9 == row["amount_nanos"] for row in rows)
    return rows


def _cell(value: object) -> str:
    """As a spreadsheet may show it: nobody's words are run."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith("=") else text


def by_account(rows: list[dict[str, Any]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in rows:
        found[row["account"]] += row["amount_nanos"]
    return found


def correct(made: Busy) -> None:
    """Refunds, whole and in part, each once a reference; credit given and taken."""
    ids = made.generations
    whole = made.cli("ledger", "refund", "--generation", ids["whole"], "--reason", "a complaint")
    assert (whole["amount_nanos"], whole["booked"]) == (ENDINGS["whole"].charge, True)
    again = made.cli("ledger", "refund", "--generation", ids["whole"], "--reason", "a complaint")
    assert (again["transaction"], again["booked"]) == (whole["transaction"], False)
    streamed = ("ledger", "refund", "--generation", ids["streamed"], "--reason", "half of it")
    for nanos, reference in ((9_999, "ticket 1"), (1, "ticket 2")):
        assert made.cli(*streamed, "--nanos", str(nanos), "--reference", reference)["booked"]
    with pytest.raises(RuntimeError, match="more than"):
        made.cli(*streamed, "--nanos", str(10**9), "--reference", "ticket 3")
    with pytest.raises(RuntimeError, match="was not charged"):
        made.cli("ledger", "refund", "--generation", ids["cut"], "--reason", "it was free")
    for usd in ("5", "-0.25"):
        made.cli("ledger", "adjust", "--team", "rich", "--usd", usd, "--reason", "=HYPERLINK(1)")
    with pytest.raises(RuntimeError, match="available"):
        made.cli("ledger", "adjust", "--team", "poor", "--usd", "-0.01", "--reason", "it has nothing")


@pytest.mark.slow
async def test_the_books_of_a_busy_gateway_add_up(upstream: Upstream, tmp_path: Path) -> None:
    async with busy(tmp_path, upstream) as made:
        pass
    correct(made)
    rows = exported(made)
    sums = by_account(rows)
    assert sum(sums.values()) == 0
    assert [row["entry"] for row in rows] == sorted(row["entry"] for row in rows)
    for team in ("rich", "poor"):
        wallet = made.cli("wallet", "show", "--team", team)
        mine = exported(made, "--team", team)
        (account,) = {row["account"] for row in mine if row["account"].startswith("wallet:")}
        assert sums[account] == by_account(mine)[account] == wallet["balance_nanos"]
        assert sum(by_account(mine).values()) == 0
    _margins(made, rows, sums)
    assert made.cli("ledger", "verify") == {"ok": True, "problems": []}
    _tamper(tmp_path / "gateway.db", made)


def _margins(made: Busy, rows: list[dict[str, Any]], sums: Counter[str]) -> None:
    """Revenue less what was spent, the same by whatever it is split; each line what its entries say."""
    spent = {name: -sums[name] if name != "revenue" else sums[name] for name in KEYS}
    attempts = {account: n for account, n in sums.items() if account.startswith("provider:")}
    assert sum(attempts.values()) == spent["cost_of_sales"] + spent["loss"] - _over(made)
    sold = [row for row in rows if row["generation"]]
    for by, column in (("model", "model"), ("provider", "provider"), ("team", "team")):
        found = made.cli("ledger", "margin", "--by", by)
        assert {name: found["total"][name] for name in KEYS} == spent
        assert found["total"]["margin"] == spent["revenue"] - spent["cost_of_sales"] - spent["loss"]
        for line in found["lines"]:
            mine = by_account([row for row in sold if (row[column] or "-") == line[by]])
            assert line["margin"] == mine["revenue"] + mine["cost_of_sales"] + mine["loss"]
            assert line["revenue"] == mine["revenue"]
            if by == "provider":
                assert line["attempts_cost"] == attempts.get(f"provider:{line[by]}", 0)


def _over(made: Busy) -> int:
    """What answers cost above what their wallets paid: a loss that is no upstream's cost."""
    (row,) = made.rows("SELECT SUM(price - charge) AS over FROM settlements")
    return int(row["over"])


def _tamper(database: Path, made: Busy) -> None:
    """The first bad row is named, and the status says so."""
    generation = made.generations["a failover that was billed"]
    with sqlite3.connect(database) as connection:
        connection.execute(
            "UPDATE attempts SET cost_nanos = cost_nanos + 1 WHERE id = ?", (f"{generation}.1",)
        )
    with pytest.raises(RuntimeError, match=f"{generation}: the attempts at first cost 58001"):
        command(made.config, "ledger", "verify")
