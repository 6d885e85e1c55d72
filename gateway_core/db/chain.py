"""The hash that ties a wallet's transaction to the one before: a row changed, moved or removed is found."""

from collections.abc import Iterable
from hashlib import sha256

Entry = tuple[str, int]  # account, nanos


def link(
    previous: str,
    wallet_id: str,
    sequence: int,
    transaction_id: str,
    kind: str,
    generation_id: str | None,
    corrects: str | None,
    created_at: int,
    entries: Iterable[Entry],
) -> str:
    """The hash of a transaction, in hex. Every field is a line of its own: no two contents read the same."""
    lines = "\n".join([f"{account} {amount}" for account, amount in entries])
    content = (
        f"{previous}\n{wallet_id}\n{sequence}\n{transaction_id}\n{kind}\n{generation_id or ''}\n"
        f"{corrects or ''}\n{created_at}\n{lines}"
    )
    return sha256(content.encode()).hexdigest()
