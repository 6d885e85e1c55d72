"""What the ledger's tests build with: settlements, funded wallets, rows read beside the gateway."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from gateway_core.db.cards import card_id
from gateway_core.db.top_up import top_up
from gateway_core.db.url import open_store, sqlite_path
from gateway_core.ids import Ids, wall_clock
from gateway_core.ledger import AttemptRecord, GenerationRecord, Ledger, Settlement
from plugin_sdk.money import Hold, Nanos, Price, PriceCard

USD = 1_000_000_000
TEAM = "01TEAM"
_PRICES = (Price(meter="output_text_tokens", usd=Decimal("10"), per=1_000_000),)
CARD = PriceCard(id=card_id(_PRICES, free=False), prices=_PRICES)
_ids = Ids()


def new_id() -> str:
    return _ids.generation()


async def fund(url: str, nanos: int, team: str = TEAM, kind: str = "live") -> str:
    """Top up a wallet; its id."""
    store = open_store(url, "full")
    try:
        await store.write(partial(top_up, team, kind, nanos, "test", _ids.new(), wall_clock()))
    finally:
        await store.close()
    return team if kind == "live" else f"{team}:{kind}"


async def opened(url: str, **options: Any) -> Ledger:
    return await Ledger.open(url, **{"durability": "normal", "clock": wall_clock, **options})


async def held(ledger: Ledger, wanted: int, wallet: str = TEAM, minimum: int = 0) -> Hold:
    return await ledger.hold(wallet, Nanos(wanted), minimum_balance=Nanos(minimum))


def line(nanos: int, dimension: str = "output_text_tokens") -> dict[str, Any]:
    usd = f"{Decimal(nanos) / USD:.9f}"
    return {
        "dimension": dimension,
        "quantity": 1,
        "unit_price_usd": usd,
        "line_cost_usd": usd,
        "line_nanos": nanos,
    }


def settlement(
    hold: Hold | None,
    charge: int = 0,
    *,
    price: int | None = None,
    cost: int = 0,
    lost: int = 0,
    generation_id: str | None = None,
    **record: Any,
) -> Settlement:
    """A settlement as the pipeline makes them."""
    generation_id = generation_id or new_id()
    at = wall_clock()
    attempt = AttemptRecord(
        number=1,
        provider="upstream",
        upstream_model="m-1",
        status=200,
        started_at=at,
        latency_ms=5,
        cost=Nanos(cost),
    )
    price = charge if price is None else price
    lines = [line(price)] if price else []
    if price > charge:
        lines.append(line(charge - price, "over_hold"))
    values = {
        "id": generation_id, "created_at": at, "team_id": TEAM, "kid": "k1", "endpoint": "chat.completions",
        "operation": "text.generate", "protocol": "openai.chat", "model": "acme/m", "provider": "upstream",
        "upstream_model": "m-1", "native_id": "native-1", "status_code": 200, "success": True,
        "finish_reason": "stop", "latency_ms": 5, "generation_ms": 1000, "usage": {"output_text_tokens": 7},
        "lines": lines, "charge": Nanos(charge), "card_id": CARD.id, "attempts": (attempt,),
    }  # fmt: skip
    return Settlement(
        generation=GenerationRecord(**{**values, **record}),
        outcome="charged" if charge else "released",
        hold=hold,
        price=Nanos(price),
        costs=(("upstream", Nanos(cost)),) if cost else (),
        lost=Nanos(lost),
        upstream_finished_at=at,
        card=CARD,
        settled_at=at,
    )


def changed(found: Settlement, **record: Any) -> Settlement:
    """The settlement with other values in its record."""
    return msgspec.structs.replace(found, generation=msgspec.structs.replace(found.generation, **record))


def rows(url: str, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of a SQLite database, read on a connection of our own."""
    return _execute(url, sql, values)


def tamper(url: str, sql: str, *values: Any) -> None:
    """Change a SQLite database behind everybody's back."""
    _execute(url, sql, values)


def _execute(url: str, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    path = sqlite_path(url)
    assert path is not None
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Another process writes to a SQLite database, and takes its time."""
    path = sqlite_path(url)
    assert path is not None
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def accounts(url: str) -> dict[str, int]:
    """Every account's sum."""
    return dict(rows(url, "SELECT account, SUM(amount) FROM ledger_entries GROUP BY account"))


def wallet(url: str, wallet_id: str = TEAM) -> tuple[int, int, int]:
    """(balance, leased, held) of a wallet."""
    (found,) = rows(url, "SELECT balance, leased, held FROM wallets WHERE id = ?", wallet_id)
    return found[0], found[1], found[2]


def commits(url: str) -> int:
    """How many commits are in SQLite's log (https://sqlite.org/fileformat2.html#the_write_ahead_log)."""
    log = Path(f"{sqlite_path(url)}-wal").read_bytes()
    header, frame = 32, 24 + int.from_bytes(log[8:12], "big")
    starts = range(header, len(log), frame)
    # A frame that ends a commit has the size of the database behind its page's number; the salt is the log's.
    return sum(log[at + 4 : at + 8] != bytes(4) and log[at + 8 : at + 16] == log[16:24] for at in starts)
