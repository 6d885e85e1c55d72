"""Alerts: a line in the log, and a POST where the operator wants one; a request never waits for it."""

import asyncio
import logging
from typing import Any

import httpx

from plugin_sdk.limits import Alert
from plugin_sdk.routes import iso

_log = logging.getLogger("gateway.limits")


class Alerts:
    """Tells an alert: a line in the log, and a POST, which raises where the webhook does not take it."""

    def __init__(self, webhook: str | None, seconds: float) -> None:
        self._webhook = webhook
        self._seconds = seconds

    async def tell(self, alert: Alert) -> None:
        """Log it, and post it."""
        fields = shown(alert)
        line = "limit alert " + " ".join(f"{name}={value}" for name, value in fields.items())
        _log.warning("%s", line, extra={"event": "limit alert", "fields": fields})
        if self._webhook is None:
            return
        async with asyncio.timeout(self._seconds), httpx.AsyncClient(timeout=self._seconds) as client:
            answer = await client.post(self._webhook, json={"event": "limit_alert", **fields})
            answer.raise_for_status()


def shown(alert: Alert) -> dict[str, Any]:
    """The fields of an alert, as they are logged and posted."""
    one = alert.standing
    return {
        "scope": one.kind,
        "id": one.id,
        "window": one.window,
        "metric": "request" if one.metric == "requests" else "cost",
        "percent": alert.percent,
        "used": one.used,
        "limit": one.limit,
        "reset_at": iso(one.reset_at),
        "attempt": alert.attempt,
    }
