"""The ledger: credit in memory, settlements in the database, every charge provable."""

from gateway_core.db.verify import Finding, verify
from gateway_core.ledger.ledger import Ledger
from gateway_core.ledger.records import (
    AttemptRecord,
    Begun,
    GenerationRecord,
    LedgerCorrupt,
    LedgerError,
    LedgerOverloaded,
    LedgerUnavailable,
    Settlement,
)

__all__ = [
    "AttemptRecord",
    "Begun",
    "Finding",
    "GenerationRecord",
    "Ledger",
    "LedgerCorrupt",
    "LedgerError",
    "LedgerOverloaded",
    "LedgerUnavailable",
    "Settlement",
    "verify",
]
