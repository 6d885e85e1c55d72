"""Automatic top-ups: a stored card is charged when a balance falls, once whichever worker sees it."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

from plugin_sdk.errors import GatewayError
from plugin_sdk.money import NANOS_PER_USD
from plugin_sdk.services import PaymentStore
from plugins.policies.stripe_topup.account import Account, Declined, Intent
from plugins.policies.stripe_topup.bookings import CURRENCY, PLUGIN, TEAM, Bookings
from plugins.policies.stripe_topup.config import Automatic

RULE: Final = "gateway_rule"  # in a payment's metadata: by which rule it was made
DECLINED_SECONDS: Final = 86_400  # before a card that was declined is charged again
FAILED_SECONDS: Final = 600  # before Stripe is asked again that could not be
_UNDER_WAY: Final = ("processing", "requires_capture", "requires_confirmation")
_log = logging.getLogger("gateway.stripe_topup")


class AutomaticTopUps:
    """Each worker looks. Which payment comes next is said by the one before it, which Stripe knows.

    The idempotency key of a charge is made of the payment before it and of nothing else: workers that saw the
    same get the same payment, also while their rules differ, and who comes later finds it.
    """

    def __init__(
        self,
        name: str,
        account: Account,
        bookings: Bookings,
        payments: PaymentStore,
        clock: Callable[[], int],
    ) -> None:
        self._name = name
        self._account = account
        self._bookings = bookings
        self._payments = payments
        self._clock = clock
        self._not_before: dict[str, int] = {}  # ms, by team

    async def run(self, rules: Sequence[Automatic], seconds: int) -> None:
        """Look at every rule's team again and again."""
        while True:
            for rule in rules:
                await self._checked(rule)
            await asyncio.sleep(seconds)

    async def check(self, rule: Automatic) -> Intent | None:
        """Top the team up if its balance asks for it; the payment that was made, or found."""
        if not await self._low(rule):
            return None
        mine = [one for one in await self._account.intents(rule.customer) if self._ours(rule, one)]
        last = mine[0] if mine else None
        if last is not None:
            await self._bookings.settle(last.id)  # paid, and perhaps nobody told us
            failed = last.status != "succeeded" and last.metadata.get(RULE) == _digest(rule)
            recent = self._clock() // 1000 - last.created < DECLINED_SECONDS
            if last.status in _UNDER_WAY or (failed and recent) or not await self._low(rule):
                return None
        return await self._charged(rule, "" if last is None else last.id)

    async def _charged(self, rule: Automatic, last: str) -> Intent:
        wanted = {
            "amount": int(rule.amount * 100),
            "currency": CURRENCY,
            "customer": rule.customer,
            "payment_method": rule.payment_method,
            "off_session": True,
            "confirm": True,
            "description": "Automatic top-up",
            "metadata": {**self._bookings.metadata(rule.team_id), RULE: _digest(rule)},
        }
        content = "\n".join((self._name, rule.team_id, rule.customer, last))
        made = await self._account.charge(wanted, "gateway-" + sha256(content.encode()).hexdigest())
        await self._bookings.settle(made.id)
        return made

    async def _checked(self, rule: Automatic) -> None:
        if self._clock() < self._not_before.get(rule.team_id, 0):
            return
        what = ""
        try:
            await self.check(rule)
        except Declined as error:
            what = f"declined: {error.code}"
        except GatewayError as error:
            what = error.message
        except Exception as error:  # noqa: BLE001  # the database is away, for one: the next look may find it
            what = type(error).__name__
        if what:
            self._not_before[rule.team_id] = self._clock() + FAILED_SECONDS * 1000
            fields = {"team": rule.team_id, "why": what}
            _log.error("an automatic top-up failed: %s: %s", rule.team_id, what, extra={
                "event": "automatic top-up failed", "fields": fields,
            })  # fmt: skip

    async def _low(self, rule: Automatic) -> bool:
        return await self._payments.balance(rule.team_id) < rule.below * NANOS_PER_USD

    def _ours(self, rule: Automatic, one: Intent) -> bool:
        return one.metadata.get(PLUGIN) == self._name and one.metadata.get(TEAM) == rule.team_id


def _digest(rule: Automatic) -> str:
    """A rule in a word: another card or amount is another rule."""
    content = f"{rule.customer}\n{rule.payment_method}\n{rule.amount}"
    return sha256(content.encode()).hexdigest()[:16]
