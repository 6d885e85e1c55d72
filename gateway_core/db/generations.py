"""Generations as they are shown: the contract's record, made of the rows that the ledger wrote."""

import json
import logging
from collections.abc import Mapping
from typing import Any, Final

from tortoise.connection import get_connection
from typing_extensions import override

from gateway_core.db import models
from gateway_core.db.outage import Outage
from gateway_core.ids import may_be_id
from plugin_sdk.routes import iso
from plugin_sdk.services import GenerationStore, KeptAnswer

_BY_NATIVE_ID: Final = {
    "sqlite": "SELECT id FROM generations WHERE endpoint = 'responses' AND native_response_id = ?",
    "postgres": "SELECT id FROM generations WHERE endpoint = 'responses' AND native_response_id = $1",
}
_log = logging.getLogger("gateway.db")


class Generations(GenerationStore):
    """Records of served requests."""

    def __init__(self) -> None:
        self._reading = Outage(_log, "no generation can be looked up, the database does not answer")

    @override
    async def get(self, team_id: str, generation_id: str) -> Mapping[str, Any] | None:
        if not may_be_id(generation_id):
            return None
        with self._reading.answering():
            row = await models.Generation.get_or_none(id=generation_id, team_id=team_id)
            if row is None:
                return None
            attempts = await models.Attempt.filter(generation_id=generation_id).order_by("number")
            settlement = await models.Settlement.get_or_none(generation_id=generation_id)
        return _generation(row, attempts, settlement)

    @override
    async def kept(self, team_id: str, answer_id: str) -> KeptAnswer | None:
        if not answer_id.isprintable():  # a provider's own ids have any length
            return None
        with self._reading.answering():
            row = await models.Generation.get_or_none(id=answer_id, team_id=team_id)
            if row is None:
                row = await self._by_native_id(team_id, answer_id)
        if row is None or row.provider is None or not row.native_response_id:
            return None
        return KeptAnswer(
            generation_id=row.id,
            provider=row.provider,
            native_id=row.native_response_id,
            upstream_model=row.upstream_model or "",
        )

    async def _by_native_id(self, team_id: str, native_id: str) -> models.Generation | None:
        """The condition on `endpoint` is written out: as a parameter it would not find the index of 0002."""
        connection = get_connection("default")
        found = await connection.execute_query_dict(
            _BY_NATIVE_ID[connection.capabilities.dialect], [native_id]
        )
        ids = [row["id"] for row in found]
        return await models.Generation.filter(id__in=ids, team_id=team_id).first() if ids else None


def _generation(
    row: models.Generation, attempts: list[models.Attempt], settlement: models.Settlement | None
) -> dict[str, Any]:
    """The contract's record (4.4), and behind it what this gateway adds."""
    usage = json.loads(row.usage)
    output = sum(n for meter, n in usage.items() if meter.startswith("output_") and meter.endswith("_tokens"))
    throughput = round(output * 1000 / row.generation_ms, 2) if output and row.generation_ms else None
    return {
        "id": row.id,
        "created_at": iso(row.created_at),
        "team_id": row.team_id,
        "request_id": row.id,
        "app_id": row.app_title or row.app_referer,
        "endpoint": row.endpoint,
        "model_id": row.model_id,
        "provider": row.provider,
        "native_response_id": row.native_response_id,
        "stream": row.stream,
        "byok": row.byok,
        "status_code": row.status_code,
        "success": row.success,
        "error_code": row.error_code,
        "error_message": row.error_message,
        "latency_ms": row.latency_ms,
        "generation_ms": row.generation_ms,
        "usage": usage,
        "cost_nanos": row.cost_nanos,
        "currency": row.currency,
        "pricing_lines": json.loads(row.pricing_lines),
        "key_id": row.key_id,
        "throughput": throughput,
        "finish_reason": row.finish_reason,
        "location": None,
        "state": row.state,
        "operation": row.operation,
        "protocol": row.protocol,
        "upstream_model": row.upstream_model,
        "price_card_id": row.card_id,
        "estimated": row.estimated,
        "unpriced": json.loads(row.unpriced),
        "fidelity": row.fidelity,
        "billing_suppression_reason": row.suppressed,
        "outcome": None if settlement is None else settlement.outcome,
        "upstream_finished_at": None if settlement is None else settlement.upstream_finished_at,
        "settled_at": None if settlement is None else settlement.settled_at,
        "delivered_at": None if settlement is None else settlement.delivered_at,
        "attempts": [_attempt(attempt) for attempt in attempts],
    }


def _attempt(row: models.Attempt) -> dict[str, Any]:
    return {
        "number": row.number,
        "provider": row.provider,
        "upstream_model": row.upstream_model,
        "status": row.status,
        "error_code": row.error_code,
        "started_at": row.started_at,
        "latency_ms": row.latency_ms,
        "native_response_id": row.native_id,
        "cost_nanos": row.cost_nanos,
        "usage": json.loads(row.usage) if row.usage else None,
    }
