"""Answers by the idempotency keys of their requests: claimed once, kept for a day."""

import logging
from hashlib import sha256

import msgspec
from tortoise.exceptions import IntegrityError

from gateway_core.db import models
from gateway_core.db.outage import Outage

KEPT_FOR = 24 * 3_600_000  # ms
_SWEPT_EVERY = 600_000
_log = logging.getLogger("gateway.idempotency")


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """What an earlier request under the same key has come to.

    kept     its answer, which is told again
    running  it is not over yet
    lost     it was charged, but its answer was not kept: it was too large, or its client left half of it
    other    it was another request
    """

    kind: str
    generation_id: str
    content_type: str = ""
    body: bytes = b""


class IdempotentAnswers:
    """The store; only requests that carry a key come here.

    An answer is kept before it is settled, and told again only once it is: whenever the process dies, the
    next request under the key finds a whole answer that was charged, or is charged itself.
    Every method raises Unavailable where the database does not answer.
    """

    def __init__(self) -> None:
        self._swept = 0
        self._outage = Outage(_log, "idempotency keys cannot be kept, the database does not answer")

    async def claim(
        self, team_id: str, key: str, digest: str, generation_id: str, now: int, instance_id: str
    ) -> Earlier | None:
        """Take the key for this generation: None, or what an earlier request made of it."""
        with self._outage.answering():
            await self._sweep(now)
            return await self._claim(team_id, key, digest, generation_id, now, instance_id)

    async def keep(
        self, team_id: str, key: str, generation_id: str, content_type: str, body: bytes | None
    ) -> bool:
        """Keep an answer (None: not whole, or too large); False where the key is another's by now."""
        mine = models.IdempotentAnswer.filter(id=place_of(team_id, key), generation_id=generation_id)
        state = "kept" if body is not None else "too_large"
        with self._outage.answering():
            return bool(await mine.update(state=state, content_type=content_type, body=body))

    async def drop(self, team_id: str, key: str, generation_id: str) -> None:
        """It failed and cost nothing: the same request may be tried again."""
        with self._outage.answering():
            await _free(place_of(team_id, key), generation_id)

    async def _claim(
        self, team_id: str, key: str, digest: str, generation_id: str, now: int, instance_id: str
    ) -> Earlier | None:
        place = place_of(team_id, key)
        for _ in range(3):
            try:
                await models.IdempotentAnswer.create(
                    id=place,
                    digest=digest,
                    generation_id=generation_id,
                    state="begun",
                    created_at=now,
                    instance_id=instance_id,
                )
            except IntegrityError:
                earlier = await self._earlier(place, digest, now)
                if earlier is not None:
                    return earlier
            else:
                return None
        return Earlier(kind="running", generation_id=generation_id)

    async def _earlier(self, place: str, digest: str, now: int) -> Earlier | None:
        """What stands there; None where it stands no longer, so that the key is free."""
        row = await models.IdempotentAnswer.get_or_none(id=place)
        if row is None:
            return None
        if row.created_at >= now - KEPT_FOR:
            if row.digest != digest:
                return Earlier(kind="other", generation_id=row.generation_id)
            settlement = await _settlement(row)
            if settlement is None and not await _died(row.instance_id):
                return Earlier(kind="running", generation_id=row.generation_id)
            if settlement is None:  # it may have been settled just before its process died
                settlement = await _settlement(row)
            if settlement is not None and settlement.outcome != "abandoned":
                row = await models.IdempotentAnswer.get_or_none(id=place)  # as it was when it was settled
                if row is None:
                    return None
                if row.state == "kept" and await _succeeded(row):
                    return _told(row)
                if settlement.charge > 0:
                    return Earlier(kind="lost", generation_id=row.generation_id)
        await _free(place, row.generation_id)
        return None

    async def _sweep(self, now: int) -> None:
        if now - self._swept > _SWEPT_EVERY:
            self._swept = now
            await models.IdempotentAnswer.filter(created_at__lt=now - KEPT_FOR).delete()


async def _settlement(row: models.IdempotentAnswer) -> models.Settlement | None:
    return await models.Settlement.get_or_none(generation_id=row.generation_id)


async def _succeeded(row: models.IdempotentAnswer) -> bool:
    """Whether it was settled as the answer that was kept; a commit that failed ends it in an error."""
    return await models.Generation.filter(id=row.generation_id, success=True).exists()


async def _died(instance_id: str | None) -> bool:
    """Whether a process is known to be gone."""
    return await models.Instance.filter(id=instance_id, ended_at__isnull=False).exists()


async def _free(place: str, generation_id: str) -> None:
    await models.IdempotentAnswer.filter(id=place, generation_id=generation_id).delete()


def _told(row: models.IdempotentAnswer) -> Earlier:
    return Earlier(
        kind="kept",
        generation_id=row.generation_id,
        content_type=row.content_type or "application/json",
        body=bytes(row.body or b""),
    )


def place_of(team_id: str, key: str) -> str:
    """Where the answer of a team's key stands."""
    return f"{team_id}:{sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"
