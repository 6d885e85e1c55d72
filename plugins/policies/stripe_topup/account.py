"""The account at Stripe: what is asked of it through its own package, and its answers as values."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from plugin_sdk.errors import Conflict, UpstreamError, UpstreamUnauthorized
from plugins.policies.stripe_topup.config import StripeTopUpConfig

S = TypeVar("S")
RETRIES: Final = 2  # of one call, by the package, under one idempotency key
PAGE: Final = 100
_MISSING: Final = "resource_missing"  # Stripe has nothing of that id


class Charge(msgspec.Struct, frozen=True):
    """The charge of a payment."""

    amount_refunded: int = 0
    disputed: bool = False


class Intent(msgspec.Struct, frozen=True):
    """A payment intent as it is now; amounts are cents."""

    id: str
    status: str
    currency: str
    created: int
    amount_received: int = 0
    metadata: Mapping[str, str] = {}
    latest_charge: Charge | str | None = None


class Returned(msgspec.Struct, frozen=True):
    """A refund or a dispute."""

    id: str
    object: str
    amount: int
    currency: str
    created: int
    status: str | None = None


class Session(msgspec.Struct, frozen=True):
    """A Checkout session."""

    id: str
    url: str | None
    expires_at: int | None = None


class Declined(Exception):
    """A card that was not charged; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Account:
    """Opened at start-up, closed with the plugin. Its failures are GatewayErrors without Stripe's words."""

    def __init__(self, name: str, config: StripeTopUpConfig) -> None:
        import stripe  # here: a gateway without top-ups needs no package, and pays for no import

        self._name = name
        self._stripe = stripe
        self._http = stripe.HTTPXClient(timeout=config.timeout_seconds)
        client = stripe.StripeClient(
            config.api_key.get_secret_value(),
            base_addresses={"api": str(config.base_url).rstrip("/")},
            http_client=self._http,
            max_network_retries=RETRIES,
        )
        self._api = client.v1
        self._secret = config.webhook_secret.get_secret_value()
        self._tolerance = config.tolerance_seconds

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]  # the package's

    def signed(self, body: bytes, signature: str) -> bool:
        """Whether Stripe signed this body, not long ago; by the package's own code."""
        if not signature.isascii():
            return False
        try:
            self._stripe.WebhookSignature.verify_header(body, signature, self._secret, self._tolerance)
        except (self._stripe.SignatureVerificationError, ValueError):
            return False
        return True

    async def intent(self, intent_id: str) -> Intent | None:
        """A payment, as Stripe has it now; None where it has none of this id."""
        asked = self._api.payment_intents.retrieve_async(intent_id, {"expand": ["latest_charge"]})
        try:
            return self._read(Intent, await self._asked(asked))
        except UpstreamError as error:
            if error.upstream_code == _MISSING:
                return None
            raise

    async def returned(self, intent_id: str) -> list[Returned]:
        """The refunds and disputes of a payment, the oldest first."""
        wanted: Any = {"payment_intent": intent_id, "limit": PAGE}
        refunds, disputes = await asyncio.gather(
            self._asked(_every(self._api.refunds.list_async(wanted))),
            self._asked(_every(self._api.disputes.list_async(wanted))),
        )
        found = [self._read(Returned, one) for one in (*refunds, *disputes)]
        return sorted(found, key=lambda one: (one.created, one.id))

    async def intents(self, customer: str) -> list[Intent]:
        """A customer's payments, the newest first."""
        found = await self._asked(self._api.payment_intents.list_async({"customer": customer, "limit": PAGE}))
        return [self._read(Intent, one) for one in found.data]

    async def charge(self, params: Mapping[str, Any], key: str) -> Intent:
        """Charge a stored payment method, once under a key; Declined where that fails."""
        wanted: Any = params
        made = self._api.payment_intents.create_async(wanted, {"idempotency_key": key})
        return self._read(Intent, await self._asked(made))

    async def session(self, params: Mapping[str, Any], key: str | None) -> Session:
        """A Checkout session; the same for the same key."""
        wanted: Any = params
        options: Any = {} if key is None else {"idempotency_key": key}
        return self._read(
            Session, await self._asked(self._api.checkout.sessions.create_async(wanted, options))
        )

    async def _asked(self, call: Awaitable[S]) -> S:
        stripe = self._stripe
        try:
            return await call
        except stripe.CardError as error:
            raise Declined(error.code or "card_error") from error
        except stripe.IdempotencyError as error:
            raise Conflict(
                "The idempotency key was used for another request.", reason="reference_used"
            ) from error
        except (stripe.AuthenticationError, stripe.PermissionError) as error:
            raise UpstreamUnauthorized("Stripe does not accept our API key.", provider=self._name) from error
        except stripe.StripeError as error:
            raise UpstreamError(
                "Stripe did not take the request.", upstream_status=error.http_status, provider=self._name,
                upstream_code=error.code,
            ) from error  # fmt: skip

    def _read(self, kind: type[S], found: Any) -> S:
        try:
            return msgspec.convert(found.to_dict(), kind)
        except (msgspec.ValidationError, AttributeError) as error:
            raise UpstreamError("Stripe's answer is not what we know.", provider=self._name) from error


async def _every(listing: Awaitable[Any]) -> list[Any]:
    """All of a list, page by page."""
    return [one async for one in (await listing).auto_paging_iter()]
