"""Top-ups by Stripe: a Checkout page to pay on, a signed webhook, automatic top-ups, refunds and disputes."""

import asyncio
import contextlib
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec

from plugin_sdk.errors import InvalidJson, InvalidRequest, PayloadTooLarge, Unauthenticated
from plugin_sdk.hooks import hookimpl
from plugin_sdk.plugin import Plugin
from plugin_sdk.routes import PlatformRequest, PlatformResponse, PlatformRoute, private
from plugin_sdk.services import Services
from plugins.policies.stripe_topup.account import Account
from plugins.policies.stripe_topup.automatic import AutomaticTopUps
from plugins.policies.stripe_topup.bookings import CURRENCY, NANOS_PER_CENT, Bookings
from plugins.policies.stripe_topup.config import StripeTopUpConfig

LARGEST: Final = 1 << 20  # bytes of a webhook
_USD: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,2})?")
_INTENT: Final = re.compile(r"pi_[A-Za-z0-9_]{1,200}")


class _Subject(msgspec.Struct, frozen=True):
    object: str = ""
    id: str = ""
    payment_intent: Any = None


class _Data(msgspec.Struct, frozen=True):
    object: _Subject


class _Event(msgspec.Struct, frozen=True):
    id: str
    data: _Data


class _Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    usd: str | int
    save_card: bool = False


_event = msgspec.json.Decoder(_Event)
_wish = msgspec.json.Decoder(_Wish)


class StripeTopUp(Plugin[StripeTopUpConfig]):
    """Credits what Stripe itself says was paid, once a payment, whatever webhooks come."""

    Config = StripeTopUpConfig

    def __init__(self, name: str, config: StripeTopUpConfig) -> None:
        super().__init__(name, config)
        self._account: Account | None = None
        self._looking: asyncio.Task[None] | None = None

    @hookimpl
    def register_routes(self) -> Sequence[PlatformRoute]:
        """Two routes, below the plugin's name; none without credentials: no webhook without a secret."""
        if not self.config.on:
            return []
        return [
            PlatformRoute(
                method="POST", path=f"/{self.name}/checkout", handler=self.checkout, key="management"
            ),
            PlatformRoute(method="POST", path=f"/{self.name}/webhook", handler=self.webhook, key="none"),
        ]

    @hookimpl
    async def startup(self, services: Services) -> None:
        """Open the account, and begin to look at the balances of teams with a rule."""
        if not self.config.on:
            return
        account = await asyncio.to_thread(Account, self.name, self.config)
        self._account = account
        self._payments = services.payments
        self._bookings = Bookings(self.name, self.config.fee_percent, account, services.payments)
        automatic = AutomaticTopUps(self.name, account, self._bookings, services.payments, services.clock)
        if rules := self.config.automatic:
            run = automatic.run(rules, self.config.check_seconds)
            self._looking = asyncio.create_task(run, name="automatic top-ups")

    @hookimpl
    async def shutdown(self) -> None:
        """Stop looking, and close the account."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking
        if self._account is not None:
            await self._account.close()

    async def checkout(self, request: PlatformRequest) -> PlatformResponse:
        """A page at Stripe on which the caller's team can be topped up."""
        caller = request.principal
        if caller is None or self._account is None:
            raise Unauthenticated("Send your key.", reason="missing_or_invalid_authorization_header")
        wish = _wished(request.body)
        cents = self._cents(wish)
        metadata = self._bookings.metadata(caller.team_id)
        price = {"currency": CURRENCY, "unit_amount": cents, "product_data": {"name": self.config.product}}
        params: dict[str, Any] = {
            "mode": "payment",
            "line_items": [{"quantity": 1, "price_data": price}],
            "success_url": str(self.config.success_url),
            "cancel_url": str(self.config.cancel_url),
            "client_reference_id": caller.team_id,
            "metadata": metadata,
            "payment_intent_data": {"metadata": metadata},
            "adaptive_pricing": {"enabled": False},  # what is paid is what is credited: dollars
        }
        if wish.save_card:
            params["customer_creation"] = "always"
            params["payment_intent_data"]["setup_future_usage"] = "off_session"
        said = request.headers.get("idempotency-key")
        content = "\n".join((self.name, caller.team_id, said or ""))
        key = None if said is None else "gateway-" + sha256(content.encode()).hexdigest()
        made = await self._account.session(params, key)
        fee = self._bookings.fee(cents)
        shown = {
            "id": made.id,
            "url": made.url,
            "expires_at": made.expires_at,
            "paid_nanos": cents * NANOS_PER_CENT,
            "fee_nanos": fee,
            "credit_nanos": cents * NANOS_PER_CENT - fee,
        }
        return private({"ok": True, "checkout": shown}, 201)

    async def webhook(self, request: PlatformRequest) -> PlatformResponse:
        """Something happened at Stripe; anything but a 2xx has it told again later.

        An event is done with once the books have its payment: told again, it is answered as a duplicate. One
        of a payment that they have not is looked at again, so that an operator can have it sent once more.
        """
        if len(request.body) > LARGEST:
            raise PayloadTooLarge(f"A webhook has at most {LARGEST} bytes.")
        signature = request.headers.get("stripe-signature", "")
        if self._account is None or not self._account.signed(request.body, signature):
            raise InvalidRequest("The signature is not Stripe's, or too old.", reason="invalid_signature")
        try:
            event = _event.decode(request.body)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise InvalidJson("The body is not an event.") from error
        intent_id = _intent_of(event.data.object)
        duplicate = False
        if intent_id is not None and event.id:
            duplicate = await self._payments.told(source=self.name, event=event.id)
            if not duplicate and await self._bookings.settle(intent_id):
                await self._payments.done(source=self.name, event=event.id)
        return private({"ok": True, "received": True, "duplicate": duplicate})

    def _cents(self, wish: _Wish) -> int:
        text = str(wish.usd)
        dollars, _, part = text.partition(".")
        least, most = self.config.minimum, self.config.maximum
        found = int(dollars) * 100 + int(part.ljust(2, "0") or 0) if _USD.fullmatch(text) else 0
        if not int(least * 100) <= found <= int(most * 100):
            raise InvalidRequest(
                f"`usd` is a text such as \"25.00\", from {least} to {most}.", param="usd",
                extra={"min_usd": str(least), "max_usd": str(most)},
            )  # fmt: skip
        return found


def _wished(body: bytes) -> _Wish:
    try:
        return _wish.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"{error}.", param="usd") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidJson("The body is not JSON.") from error


def _intent_of(subject: _Subject) -> str | None:
    """The payment that an event is about, whatever kind of object tells of it."""
    found = subject.id if subject.object == "payment_intent" else subject.payment_intent
    return found if isinstance(found, str) and _INTENT.fullmatch(found) else None
