"""The management API of credit: `GET /v1/credits`, `/activity`, `/ledger`, and what an operator may book."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from plugin_sdk.context import Principal
from plugin_sdk.errors import Forbidden, InvalidRequest
from plugin_sdk.hooks import hookimpl
from plugin_sdk.plugin import Plugin, PluginConfig
from plugin_sdk.routes import PlatformRequest, PlatformResponse, PlatformRoute, private
from plugin_sdk.services import Services
from plugins.policies.credits_api.bodies import Adjustment, Refund, TopUp, kind, number, read, reference

_SOURCE: Final = "operator"  # as `gateway wallet top-up` has it: one reference, one booking, whichever way
_log = logging.getLogger("gateway.credits_api")


class CreditsApi(Plugin[PluginConfig]):
    """Any key sees its team's credit, a management key the ledger; only an operator's key moves anything."""

    @hookimpl
    async def startup(self, services: Services) -> None:
        """Take the books."""
        self._books = services.books
        self._payments = services.payments

    @hookimpl
    def register_routes(self) -> Sequence[PlatformRoute]:
        """Three to read, three to book."""
        return [
            PlatformRoute(method="GET", path="/credits", handler=self.credits, key="any"),
            PlatformRoute(method="GET", path="/activity", handler=self.activity, key="any"),
            PlatformRoute(method="GET", path="/ledger", handler=self.ledger, key="management"),
            PlatformRoute(method="POST", path="/ledger/top-ups", handler=self.top_up, key="management"),
            PlatformRoute(method="POST", path="/ledger/adjustments", handler=self.adjust, key="management"),
            PlatformRoute(method="POST", path="/ledger/refunds", handler=self.refund, key="management"),
        ]

    async def credits(self, request: PlatformRequest) -> PlatformResponse:
        """What is left of the team's credit, and what went in thirty days."""
        found = await self._books.credits(_team(request), kind(request))
        return private({"ok": True, "credits": found})

    async def activity(self, request: PlatformRequest) -> PlatformResponse:
        """The team's requests of some days, the newest first."""
        team_id = _team(request)
        days = number(request.query, "days", 30, 1, 365)
        limit = number(request.query, "limit", 50, 1, 250)
        offset = number(request.query, "offset", 0, 0, 5_000)
        return private(
            {"ok": True, **await self._books.activity(team_id, days=days, limit=limit, offset=offset)}
        )

    async def ledger(self, request: PlatformRequest) -> PlatformResponse:
        """The wallet's transactions in their order, each with its place in the chain."""
        team_id = _team(request)
        after = number(request.query, "after", 0, 0, (1 << 63) - 1)
        limit = number(request.query, "limit", 50, 1, 250)
        found = await self._books.ledger(team_id, after=after, limit=limit, kind=kind(request))
        return private({"ok": True, **found})

    async def top_up(self, request: PlatformRequest) -> PlatformResponse:
        """Add credit that was paid for elsewhere; the first top-up makes the wallet."""
        caller = _operator(request)
        asked = read(TopUp, request.body)
        if asked.amount <= 0:
            raise InvalidRequest("A top-up is above 0; an adjustment takes credit.", param="usd")
        found = await self._payments.credit(
            asked.team_id, source=_SOURCE, reference=_needed(request, asked.reference), nanos=asked.amount,
            reason=asked.reason, kind=asked.kind,
        )  # fmt: skip
        return _booked(caller, found)

    async def adjust(self, request: PlatformRequest) -> PlatformResponse:
        """Add credit or take it, with a reason on record; never more than is available."""
        caller = _operator(request)
        asked = read(Adjustment, request.body)
        found = await self._books.adjust(
            asked.team_id, nanos=asked.amount, reason=asked.reason,
            reference=_needed(request, asked.reference), kind=asked.kind,
        )  # fmt: skip
        return _booked(caller, found)

    async def refund(self, request: PlatformRequest) -> PlatformResponse:
        """Give a charge back, or a part of it; a second refund of a generation needs its own reference."""
        caller = _operator(request)
        asked = read(Refund, request.body)
        found = await self._books.refund(
            None, asked.generation, nanos=asked.part, reason=asked.reason,
            reference=reference(request, asked.reference),
        )  # fmt: skip
        return _booked(caller, found)


def _operator(request: PlatformRequest) -> Principal:
    """The caller, who may move credit; a team's own management key may not."""
    caller = request.caller
    if not caller.operator:
        raise Forbidden(
            "Credit is moved by an operator's key: `gateway keys create --operator` makes one.",
            reason="operator_key_required",
        )
    return caller


def _team(request: PlatformRequest) -> str:
    """The caller's team, or the one that an operator names."""
    caller = request.caller
    wanted = (request.query.get("team_id") or [caller.team_id])[0]
    if wanted != caller.team_id and not caller.operator:
        raise Forbidden("team_id must match authenticated team")
    return wanted


def _needed(request: PlatformRequest, said: str | None) -> str:
    """What keeps a booking from being made twice."""
    found = reference(request, said)
    if found is None:
        raise InvalidRequest(
            "Send a `reference` or an `Idempotency-Key`: under the same one, nothing is booked twice.",
            param="reference",
        )
    return found


def _booked(caller: Principal, found: Mapping[str, Any]) -> PlatformResponse:
    """201 for what this call booked, 200 for what an earlier one had."""
    if found["booked"]:
        fields = {"transaction": found.get("transaction"), "kind": found.get("kind"), "kid": caller.kid}
        _log.info("credit was moved", extra={"event": "credit was moved", "fields": fields})
    return private({"ok": True, "transaction": found}, 201 if found["booked"] else 200)
