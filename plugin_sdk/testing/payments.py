"""Payments in memory, with the core's rules: once a reference, never more back than came."""

from collections.abc import Mapping
from typing import Any

from plugin_sdk.errors import Conflict, NotFound, Unprocessable
from plugin_sdk.money import Nanos


class MemoryPayments:
    """A PaymentStore: put teams and balances into it; `booked` is what there is, by source and reference.

    `events` are those that are done with, by source and id.
    """

    def __init__(self) -> None:
        self.teams: set[str] = set()
        self.balances: dict[str, int] = {}
        self.booked: dict[tuple[str, str], dict[str, Any]] = {}
        self.events: set[tuple[str, str]] = set()

    async def credit(
        self,
        team_id: str,
        *,
        source: str,
        reference: str,
        nanos: int,
        fee: int = 0,
        reason: str,
        kind: str = "live",
    ) -> Mapping[str, Any]:
        """Credit it once."""
        if team_id not in self.teams:
            raise NotFound("There is no such team.", param="team_id", reason="team_missing")
        made = {
            "kind": "top_up", "team": team_id, "wallet": kind, "amount_nanos": nanos - fee, "reason": reason,
            "paid": nanos, "returned": 0,
        }  # fmt: skip
        return self._once(source, reference, team_id, made)

    async def reverse(
        self, *, source: str, payment: str, reference: str, nanos: int, reason: str
    ) -> Mapping[str, Any]:
        """Take it back once, in proportion, never more than the balance."""
        found = self.booked.get((source, payment))
        if found is None or found["kind"] != "top_up":
            raise NotFound("No payment was booked under this reference.", param="payment")
        left = found["paid"] - found["returned"]
        if (source, reference) not in self.booked:
            if nanos > left:
                raise Unprocessable(
                    "So much is not left of the payment.",
                    reason="nothing_left" if left <= 0 else "more_than_paid",
                    extra={"left_nanos": left},
                )
            found["returned"] += nanos
        share = found["amount_nanos"] * nanos // found["paid"]
        taken = min(share, self.balances.get(found["team"], 0))
        made = {
            "kind": "reversal", "payment": payment, "amount_nanos": -taken, "returned": nanos,
            "reason": reason,
        }  # fmt: skip
        return self._once(source, reference, found["team"], made)

    async def reinstate(
        self, *, source: str, reversal: str, reference: str, reason: str
    ) -> Mapping[str, Any]:
        """Undo a reversal once."""
        undone = self.booked.get((source, reversal))
        if undone is None or undone["kind"] != "reversal":
            raise NotFound("No reversal was booked under this reference.", param="reversal")
        payment = self.booked[source, undone["payment"]]
        if (source, reference) not in self.booked:
            payment["returned"] -= undone["returned"]
        made = {"kind": "reinstatement", "amount_nanos": -undone["amount_nanos"], "reason": reason}
        return self._once(source, reference, payment["team"], made)

    async def told(self, *, source: str, event: str) -> bool:
        """Whether it is in `events`."""
        return (source, event) in self.events

    async def done(self, *, source: str, event: str) -> None:
        """Put it there."""
        self.events.add((source, event))

    async def balance(self, team_id: str, kind: str = "live") -> Nanos:
        """What `balances` says."""
        return Nanos(self.balances.get(team_id, 0))

    def _once(self, source: str, reference: str, team: str, made: dict[str, Any]) -> Mapping[str, Any]:
        earlier = self.booked.get((source, reference))
        if earlier is None:
            self.booked[source, reference] = made
            self.balances[team] = self.balances.get(team, 0) + made["amount_nanos"]
        elif made["kind"] != earlier["kind"] or (
            made["kind"] == "top_up"
            and (team, made["amount_nanos"]) != (earlier["team"], earlier["amount_nanos"])
        ):
            raise Conflict("The reference was used for something else.", reason="reference_used")
        return {
            **(earlier or made),
            "reference": reference,
            "source": source,
            "balance_nanos": self.balances[team],
            "booked": earlier is None,
        }
