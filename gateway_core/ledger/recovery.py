"""Instances: their rows, their heartbeats, and what is released when one has died."""

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway_core.db.book import Book
from gateway_core.db.session import Row, Session
from gateway_core.db.tables import INSTANCES, RECOVERIES
from gateway_core.ids import Ids
from gateway_core.ledger.instance import Process

_encode: Final = msgspec.json.Encoder().encode
_LIVE: Final = "SELECT id, epoch, host, pid, process_started, started_at, heartbeat_at FROM instances"


class Reaped(msgspec.Struct, frozen=True):
    """What a dead instance left: nanos by wallet, and how many generations were abandoned."""

    instance_id: str
    released: Mapping[str, int]
    abandoned: int


async def register(instance_id: str, process: Process, ours: int, session: Session) -> int:
    """Make this instance's row, or make it live again; its epoch."""
    now = await session.now(ours)
    row = (instance_id, 1, process.host, process.pid, process.started, now, now, None)
    await session.insert(
        INSTANCES,
        [row],
        "ON CONFLICT (id) DO UPDATE SET epoch = instances.epoch + 1, heartbeat_at = excluded.heartbeat_at,"
        " ended_at = NULL",
    )
    rows = await session.fetch("SELECT epoch FROM instances WHERE id = ?", instance_id)
    epoch: int = rows[0][0]
    return epoch


async def beat(instance_id: str, epoch: int, ours: int, session: Session) -> bool:
    """Say that this instance lives; False if another has declared it dead."""
    now = await session.now(ours)
    touched = await session.execute(
        "UPDATE instances SET heartbeat_at = ? WHERE id = ? AND epoch = ? AND ended_at IS NULL",
        now,
        instance_id,
        epoch,
    )
    return touched == 1


async def recover(
    instance_id: str, host: str, dead_after_ms: int, ids: Ids, ours: int, session: Session
) -> list[Reaped]:
    """Release what dead instances left; each once, whoever finds it first."""
    now = await session.now(ours)
    rows = await session.fetch(f"{_LIVE} WHERE ended_at IS NULL AND id <> ? ORDER BY id", instance_id)
    found = []
    for row in rows:
        process = Process(row[2], row[3], row[4])
        if (row[6] < now - dead_after_ms or process.is_gone(host)) and await _claimed(session, row, now):
            found.append(await _reap(session, row, now, ids))
    return found


async def retire(instance_id: str, ours: int, session: Session) -> None:
    """End this instance in good order: nothing of its own stays behind."""
    now = await session.now(ours)
    await session.execute("UPDATE instances SET ended_at = ? WHERE id = ?", now, instance_id)
    await _release(session, instance_id)
    await _abandon(session, instance_id, now)


async def _claimed(session: Session, row: Row, now: int) -> bool:
    """Whether it is ours to bury: nobody did, and it has not stirred since it was looked at."""
    touched = await session.execute(
        "UPDATE instances SET ended_at = ?"
        " WHERE id = ? AND epoch = ? AND heartbeat_at = ? AND ended_at IS NULL",
        now,
        row[0],
        row[1],
        row[6],
    )
    return touched == 1


async def _reap(session: Session, row: Row, now: int, ids: Ids) -> Reaped:
    instance_id, epoch, started_at = row[0], row[1], row[5]
    released = await _release(session, instance_id)
    abandoned = await _abandon(session, instance_id, now)
    record = (
        ids.new(), "lease_recovered", instance_id, epoch, started_at, now, sum(released.values()), abandoned,
        _encode(released).decode(), now,
    )  # fmt: skip
    await session.insert(RECOVERIES, [record])
    return Reaped(instance_id, released, abandoned)


async def _release(session: Session, instance_id: str) -> dict[str, int]:
    """Give leases and holds of the instance back to their wallets; a job's hold stays."""
    leases = await session.fetch("SELECT wallet_id, id FROM leases WHERE instance_id = ?", instance_id)
    mine = "FROM holds WHERE instance_id = ? AND job_id IS NULL"
    holds = await session.fetch(f"SELECT wallet_id, id {mine}", instance_id)
    book = Book(session)
    await book.open({row[0] for row in (*leases, *holds)}, [row[1] for row in leases])
    released: dict[str, int] = {}
    for lease in book.leases.values():
        book.wallets[lease.wallet_id].leased -= lease.amount
        released[lease.wallet_id] = released.get(lease.wallet_id, 0) + lease.amount
        lease.amount = 0
    # Under the wallets' locks now: what was read before may have been settled meanwhile.
    for wallet_id, amount in await session.fetch(f"SELECT wallet_id, amount {mine}", instance_id):
        book.wallets[wallet_id].held -= amount
        released[wallet_id] = released.get(wallet_id, 0) + amount
    await book.save()
    await session.execute("DELETE FROM leases WHERE id {members}", list(book.leases))
    await session.execute(f"DELETE {mine}", instance_id)
    return released


async def _abandon(session: Session, instance_id: str, now: int) -> int:
    """Settle as abandoned what it had begun and not ended."""
    await session.execute(
        "INSERT INTO settlements (generation_id, outcome, instance_id, hold, charge, price, lost, settled_at)"
        " SELECT id, 'abandoned', instance_id, hold_nanos, 0, 0, 0, ? FROM generations"
        " WHERE instance_id = ? AND state = 'begun' ON CONFLICT (generation_id) DO NOTHING",
        now,
        instance_id,
    )
    return await session.execute(
        "UPDATE generations SET state = 'abandoned', status_code = 500, success = ?, finish_reason = 'error',"
        " error_code = 'system:abandoned', error_message = 'The process that served this request died.'"
        " WHERE instance_id = ? AND state = 'begun'",
        False,  # noqa: FBT003  # a column's value
        instance_id,
    )
