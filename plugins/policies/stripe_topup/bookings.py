"""What Stripe says of a payment, brought into the books: asked anew each time, booked once each."""

import logging
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Final

from plugin_sdk.errors import Conflict, NotFound, Unprocessable
from plugin_sdk.services import PaymentStore
from plugins.policies.stripe_topup.account import Account, Charge, Intent, Returned

NANOS_PER_CENT: Final = 10_000_000
CURRENCY: Final = "usd"
PLUGIN: Final = "gateway_plugin"  # the metadata of a payment: who made it, for whom, what is kept of it
TEAM: Final = "gateway_team"
FEE: Final = "gateway_fee_percent"
_GONE: Final = {
    "refund": ("succeeded", "pending", "requires_action"),
    "dispute": ("needs_response", "under_review", "lost"),
}
_BACK: Final = {"refund": ("failed", "canceled"), "dispute": ("won",)}
_PASSES: Final = 5
_log = logging.getLogger("gateway.stripe_topup")


class Bookings:
    """Settles payments: whoever calls, however often, in whatever order, the books end up the same.

    Nothing of a webhook is believed but that something happened to a payment; what is booked is what Stripe
    answers when it is asked for that payment.
    """

    def __init__(self, name: str, fee_percent: Decimal, account: Account, payments: PaymentStore) -> None:
        self._name = name
        self._fee_percent = fee_percent
        self._account = account
        self._payments = payments

    def metadata(self, team_id: str) -> dict[str, str]:
        """What a payment of a team carries; only who has our API key can write it."""
        return {PLUGIN: self._name, TEAM: team_id, FEE: str(self._fee_percent)}

    def fee(self, cents: int, percent: Decimal | None = None) -> int:
        """The nanos that are kept of a payment, rounded half up, once."""
        share = self._fee_percent if percent is None else percent
        exact = Decimal(cents * NANOS_PER_CENT) * share / 100
        return int(exact.to_integral_value(ROUND_HALF_UP))

    async def settle(self, intent_id: str) -> bool:
        """Credit the payment if it is one of ours that was paid; take back what went back.

        Gives whether the books have it now. NotFound where Stripe has none: with the right key it may have,
        and the webhook comes again. It looks until a look finds nothing more to take or to give back: the
        last comes after the last booking.
        """
        booked = False
        for _ in range(_PASSES):
            booked, moved = await self._looked(intent_id)
            if not moved:
                break
        return booked

    async def _looked(self, intent_id: str) -> tuple[bool, bool]:
        """(whether the books have the payment, whether it has to be looked at once more)."""
        intent = await self._account.intent(intent_id)
        if intent is None:
            self._complain("a payment is not known under our API key", intent_id, "is its mode another?")
            raise NotFound("Stripe has no such payment under our API key.", param="payment_intent")
        if intent.metadata.get(PLUGIN) != self._name or intent.status != "succeeded":
            return False, False
        if intent.currency != CURRENCY or intent.amount_received <= 0:
            self._complain("a payment in another currency is not credited", intent_id, intent.currency)
            return False, False
        credited = await self._credited(intent)
        if credited and _whole(intent):
            return True, False
        moved = [await self._followed(intent_id, one) for one in await self._account.returned(intent_id)]
        return credited is not None, any(moved)

    async def _credited(self, intent: Intent) -> bool | None:
        """Whether it was credited by this very call; None where it is not credited at all."""
        fee = self.fee(intent.amount_received, _percent(intent.metadata))
        try:
            made = await self._payments.credit(
                intent.metadata.get(TEAM, ""), source=self._name, reference=intent.id,
                nanos=intent.amount_received * NANOS_PER_CENT, fee=fee, reason=f"payment {intent.id}",
            )  # fmt: skip
        except NotFound:
            self._complain("a payment of a team that there is not", intent.id, intent.metadata.get(TEAM, ""))
            return None
        except Conflict:
            self._complain("a payment was credited before, otherwise", intent.id, "")
        else:
            return bool(made["booked"])
        return False

    async def _followed(self, intent_id: str, one: Returned) -> bool:
        """Whether a refund or a dispute moved something now."""
        if one.currency != CURRENCY:
            self._complain("what went back in another currency is not booked", intent_id, one.id)
        elif one.status in _GONE.get(one.object, ()):
            return await self._reversed(intent_id, one, one.amount * NANOS_PER_CENT)
        elif one.status in _BACK.get(one.object, ()):
            return await self._reinstated(one)
        return False

    async def _reversed(self, intent_id: str, one: Returned, nanos: int) -> bool:
        try:
            made = await self._payments.reverse(
                source=self._name, payment=intent_id, reference=one.id, nanos=nanos,
                reason=f"{one.object} {one.id} of payment {intent_id}",
            )  # fmt: skip
        except Unprocessable as error:
            left = int(error.extra.get("left_nanos", 0))
            self._complain("more went back of a payment than came", intent_id, one.id)
            return left > 0 and await self._reversed(intent_id, one, left)
        except NotFound:
            return False  # it was never credited: there is nothing to take back
        if made["booked"]:
            self._complain(f"a payment went back by a {one.object}", intent_id, one.id)
        return bool(made["booked"])

    async def _reinstated(self, one: Returned) -> bool:
        try:
            made = await self._payments.reinstate(
                source=self._name, reversal=one.id, reference=f"{one.id}/undone",
                reason=f"{one.object} {one.id} was undone",
            )  # fmt: skip
        except NotFound:
            return False  # it never counted
        return bool(made["booked"])

    def _complain(self, event: str, payment: str, what: str) -> None:
        fields = {"payment": payment, "about": what[:200]}
        _log.warning("%s: %s %s", event, payment, fields["about"], extra={"event": event, "fields": fields})


def _whole(intent: Intent) -> bool:
    charge = intent.latest_charge
    return isinstance(charge, Charge) and not charge.disputed and not charge.amount_refunded


def _percent(metadata: Mapping[str, str]) -> Decimal | None:
    """The fee that the payer was shown; None where it does not say."""
    try:
        found = Decimal(metadata.get(FEE, ""))
    except InvalidOperation:
        return None
    return found if found.is_finite() and 0 <= found < 100 else None
