"""The ledger as it lies in the database, read past the gateway, and what must hold of it, always."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.gateway.database import TOP_UP_USD, Database

Row = Mapping[str, Any]
NANOS = 1_000_000_000
TABLES = (
    "settlements",
    "generations",
    "ledger_entries",
    "wallets",
    "leases",
    "holds",
    "instances",
    "recoveries",
)


@dataclass(frozen=True, kw_only=True)
class Books:
    """Every row that money depends on."""

    settlements: Mapping[str, Row]  # by generation
    generations: Mapping[str, Row]
    entries: Sequence[Row]
    wallets: Mapping[str, Row]
    leases: Sequence[Row]
    holds: Sequence[Row]
    instances: Mapping[str, Row]
    recoveries: Sequence[Row]

    @property
    def charged(self) -> set[str]:
        """The generations that somebody paid for."""
        return {key for key, row in self.settlements.items() if row["outcome"] == "charged"}

    def problems(self) -> Iterator[str]:
        """What money.md forbids; nothing if the books are in order."""
        sums: dict[str, int] = defaultdict(int)
        accounts: dict[str, int] = defaultdict(int)
        for entry in self.entries:
            sums[entry["transaction_id"]] += entry["amount"]
            accounts[entry["account"]] += entry["amount"]
        yield from (f"transaction {key} sums to {amount}" for key, amount in sums.items() if amount)
        yield from self._wallets(accounts)
        for key, row in self.generations.items():
            if row["state"] != "begun" and key not in self.settlements:
                yield f"generation {key} ({row['state']}) has no settlement"
        for key, row in self.settlements.items():
            if row["charge"] != self.generations[key]["cost_nanos"]:
                yield f"{key}: the settlement took {row['charge']}, the record says {self.generations[key]}"
            if row["charge"] and row["outcome"] != "charged":
                yield f"{key} was {row['outcome']}, and still charged {row['charge']}"

    def _wallets(self, accounts: Mapping[str, int]) -> Iterator[str]:
        for key, wallet in self.wallets.items():
            if wallet["balance"] != accounts.get(f"wallet:{key}", 0):
                yield f"wallet {key} holds {wallet['balance']}, its entries {accounts.get(f'wallet:{key}')}"
            for column, rows in (("leased", self.leases), ("held", self.holds)):
                total = sum(row["amount"] for row in rows if row["wallet_id"] == key)
                if wallet[column] != total:
                    yield f"wallet {key} has {wallet[column]} {column}, the rows say {total}"
        lost = sum(row["charge"] for row in self.settlements.values())
        held = sum(wallet["balance"] for wallet in self.wallets.values() if wallet["kind"] == "live")
        if held != TOP_UP_USD * NANOS - lost:
            yield f"{held} is left of the top-up, the settlements took {lost}"


async def books(database: Database) -> Books:
    """The rows as they are now, all at one moment."""
    found = dict(zip(TABLES, await database.rows(*(f"SELECT * FROM {one}" for one in TABLES)), strict=True))
    return Books(
        settlements={row["generation_id"]: row for row in found["settlements"]},
        generations={row["id"]: row for row in found["generations"]},
        entries=found["ledger_entries"],
        wallets={row["id"]: row for row in found["wallets"]},
        leases=found["leases"],
        holds=found["holds"],
        instances={row["id"]: row for row in found["instances"]},
        recoveries=found["recoveries"],
    )
