"""How long `ledger verify` takes: `python -m tests.bench.verify [--transactions 1000000] [--keep FILE]`.

A ledger of so many charges is made from a seed, always the same, and verified. Printed are the seconds of
CPU and of the clock; the status is 1 where anything is found, or where it took longer than `--at-most`.
"""

import argparse
import asyncio
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway_core.db import tables
from gateway_core.db.chain import Entry, link
from gateway_core.db.connect import migrate
from gateway_core.db.corrections import transaction_id
from gateway_core.db.tables import Table
from gateway_core.db.verify import verify

WALLETS: Final = 16
START: Final = 1_767_225_600_000  # ms since 1970
BATCH: Final = 5_000
USD: Final = 1_000_000_000
_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LINE: Final = (
    '{"dimension":"%s","quantity":%d,"billable_units":0.000812,"unit_size":1000000,'
    '"unit_price_usd":"10.000000000","line_cost_usd":"%s","line_nanos":%d}'
)
Rows = dict[str, list[tuple[object, ...]]]


def generation_id(number: int, chance: random.Random) -> str:
    """An id as the gateway makes them: in the order of time."""
    moment, letters = START + number, ""
    for _ in range(10):
        moment, digit = divmod(moment, 32)
        letters = _LETTERS[digit] + letters
    return f"G-{letters}{''.join(chance.choices(_LETTERS, k=16))}"


class Writer:
    """The wallets as they stand, and rows on their way to the file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows: Rows = {}
        self.balance = dict.fromkeys(self.wallets(), 0)
        self._sequence = dict.fromkeys(self.wallets(), 0)
        self._head = dict.fromkeys(self.wallets(), "")

    @staticmethod
    def wallets() -> list[str]:
        """Their ids, which are those of their teams."""
        return [f"01TEAM{number:020d}" for number in range(WALLETS)]

    def add(self, table: Table, *row: object) -> None:
        """A row, written with the next flush."""
        self._rows.setdefault(_insert(table), []).append(row)

    def post(
        self,
        found: str,
        kind: str,
        wallet: str,
        at: int,
        entries: list[Entry],
        generation: str | None,
        corrects: str | None = None,
    ) -> None:
        """A transaction of a wallet, chained."""
        self._sequence[wallet] += 1
        self.balance[wallet] += sum(nanos for account, nanos in entries if account == f"wallet:{wallet}")
        self._head[wallet] = link(
            self._head[wallet], wallet, self._sequence[wallet], found, kind, generation, corrects, at, entries
        )
        self.add(
            tables.TRANSACTIONS, found, kind, wallet, self._sequence[wallet], self._head[wallet], generation,
            corrects, at,
        )  # fmt: skip
        for account, nanos in entries:
            self.add(tables.ENTRIES, found, account, nanos)

    def flush(self) -> None:
        """Write what waits."""
        for sql, rows in self._rows.items():
            self._connection.executemany(sql, rows)
        self._rows = {}

    def end(self) -> None:
        """The wallets as they stand now."""
        for wallet in self.wallets():
            balance, sequence, head = self.balance[wallet], self._sequence[wallet], self._head[wallet]
            self.add(tables.WALLETS, wallet, wallet, "live", "USD", balance, 0, 0, sequence, head, START)
        self.flush()


def _insert(table: Table) -> str:
    return f"INSERT INTO {table.name} ({','.join(table.names)}) VALUES ({','.join('?' * len(table.names))})"


def fill(path: Path, transactions: int, seed: int = 5) -> None:
    """A ledger with so many charges in a migrated database: paid, lost, free, and now and then refunded."""
    chance = random.Random(seed)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        writer = Writer(connection)
        writer.add(tables.PRICE_CARDS, "pc_bench", "{}", START)  # verify makes only ids that are hashes again
        for number, wallet in enumerate(writer.wallets()):
            entries = [(f"wallet:{wallet}", 1_000_000 * USD), ("top_up:bench", -1_000_000 * USD)]
            writer.post(f"01TOPUP{number:019d}", "top_up", wallet, START, entries, None)
        for number in range(transactions):
            _charge(writer, number, chance)
            if number % BATCH == 0:
                writer.flush()
        writer.end()
    connection.close()


def _charge(writer: Writer, number: int, chance: random.Random) -> None:
    wallet, at = writer.wallets()[chance.randrange(WALLETS)], START + number
    found = generation_id(number, chance)
    lines = [(meter, chance.randrange(1, 900_000)) for meter in ("input_text_tokens", "output_text_tokens")]
    charge = sum(nanos for _, nanos in lines)
    cost = charge * 9 // 10
    entries = [
        (f"wallet:{wallet}", -charge), ("revenue", charge), ("provider:bench", cost), ("cost_of_sales", -cost)
    ]  # fmt: skip
    writer.post(found, "charge", wallet, at, entries, found)
    shown = "[" + ",".join(_LINE % (name, n, f"0.{n:09d}", n) for name, n in lines) + "]"
    usage = json.dumps(dict(lines))
    writer.add(tables.SETTLEMENTS, found, "charged", wallet, "I", 2_000_000, charge, charge, 0, found, at, at)
    writer.add(
        tables.GENERATIONS, found, "finished", "I", at, wallet, "kid_bench", None, None, "chat.completions",
        "text.generate", "openai.chat", "acme/model", "bench", "model-1", f"chatcmpl-{number}", True, False,
        200, True, None, None, "stop", 300, 900, usage, charge, "USD", shown, "pc_bench", False, "[]", None,
        None, 2_000_000, None,
    )  # fmt: skip
    writer.add(
        tables.ATTEMPTS, f"{found}.1", found, 1, "bench", "model-1", 200, None, at, 900, None, cost, usage
    )
    if number % 1_000 == 0:
        reference, reason = f"refund:{found}", "a part, for the bench"
        refund = transaction_id("refund", wallet, reference, found, charge // 2, reason)
        back = [(f"wallet:{wallet}", charge // 2), ("revenue", -(charge // 2))]
        writer.post(refund, "refund", wallet, at, back, found, found)
        writer.add(tables.CORRECTIONS, refund, "refund", wallet, reference, found, charge // 2, reason, at)


def made(folder: Path, transactions: int) -> Iterator[str]:
    """The URL of a filled database."""
    path = folder / "bench.db"
    if not path.exists():
        asyncio.run(migrate(f"sqlite:///{path}"))
        fill(path, transactions)
    yield f"sqlite:///{path}"


def main() -> None:
    """Make one, verify it, say how long that took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="keeps the database there, or takes the one that is")
    parser.add_argument("--at-most", type=float, default=60.0, metavar="SECONDS", help="of CPU")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (url,) = made(options.folder or Path(folder), options.transactions)
        cpu, clock = time.process_time(), time.perf_counter()
        found = asyncio.run(verify(url))
        cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    print(f"{options.transactions} transactions: {cpu:.1f} s of CPU, {clock:.1f} s; {len(found)} findings")
    for finding in found:
        print(finding)
    sys.exit(bool(found) or cpu > options.at_most)


if __name__ == "__main__":
    main()
