"""The plugin over a real ledger and a server that is like Stripe."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway_core.db.payments import Payments
from gateway_core.db.session import Session
from gateway_core.db.url import open_store
from gateway_core.ledger import verify
from plugin_sdk.context import Principal
from plugin_sdk.routes import PlatformRequest, PlatformResponse
from plugin_sdk.testing import MemoryServices
from plugins.policies.stripe_topup import StripeTopUp
from plugins.policies.stripe_topup.config import StripeTopUpConfig
from tests.core.ledger.databases import fetch, postgres, sqlite
from tests.plugins.stripe_topup.stripe_like import API_KEY, SECRET, StripeLike, serving, signed

NANOS = 10_000_000  # a cent


@pytest.fixture
def stripe() -> Iterator[StripeLike]:
    with serving() as account:
        yield account


def configured(**options: Any) -> StripeTopUpConfig:
    """The plugin's block."""
    config = {
        "api_key": API_KEY, "webhook_secret": SECRET, "success_url": "https://shop.example/paid",
        "cancel_url": "https://shop.example/not", **options,
    }  # fmt: skip
    return StripeTopUpConfig.model_validate(config)


@pytest.fixture
async def plugin(stripe: StripeLike) -> AsyncIterator[StripeTopUp]:
    """The plugin over payments in memory."""
    found = StripeTopUp("stripe_topup", configured(base_url=stripe.url))
    await found.startup(MemoryServices().lent())
    yield found
    await found.shutdown()


class World:
    """A ledger with the teams T and U, and as many workers with the plugin as a test asks for."""

    def __init__(self, url: str, stripe: StripeLike, stack: AsyncExitStack) -> None:
        self.url = url
        self.stripe = stripe
        self.services = MemoryServices()
        self._stack = stack

    async def worker(self, name: str = "stripe_topup", **options: Any) -> StripeTopUp:
        """One more process, as far as the plugin can tell."""
        plugin = StripeTopUp(name, configured(base_url=self.stripe.url, **options))
        store = open_store(self.url, "full")
        self._stack.push_async_callback(store.close)
        services = msgspec.structs.replace(self.services.lent(), payments=Payments(lambda: store))
        await plugin.startup(services)
        self._stack.push_async_callback(plugin.shutdown)
        return plugin

    async def team(self, team: str) -> None:
        """One more team."""
        store = open_store(self.url, "full")

        async def work(session: Session) -> None:
            sql = "INSERT INTO teams (id, name, created_at) VALUES (?, ?, 1)"
            await session.execute(sql, team, team)

        await store.write(work)
        await store.close()

    def metadata(self, team: str = "T", **more: str) -> dict[str, str]:
        """What a payment of the plugin's carries."""
        return {"gateway_plugin": "stripe_topup", "gateway_team": team, "gateway_fee_percent": "0", **more}

    async def balances(self) -> dict[str, float]:
        """The cents of each wallet."""
        found = await fetch(self.url, "SELECT id, balance FROM wallets")
        return {team: nanos / NANOS for team, nanos in found}

    async def rows(self, sql: str) -> Any:
        """Rows of the database."""
        return await fetch(self.url, sql)

    async def prove(self) -> None:
        """The books hold."""
        assert await verify(self.url) == []


@pytest.fixture(params=["sqlite", "postgres"])
async def world(request: pytest.FixtureRequest, tmp_path: Path, stripe: StripeLike) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        if request.param == "sqlite":
            url = sqlite(tmp_path)
        else:
            url = await stack.enter_async_context(postgres())
        made = World(url, stripe, stack)
        for team in ("T", "U"):
            await made.team(team)
        yield made


async def told(plugin: StripeTopUp, body: bytes, headers: dict[str, str] | None = None) -> PlatformResponse:
    """A webhook that arrives at one worker."""
    return await plugin.webhook(
        PlatformRequest(
            method="POST",
            path="/v1/stripe_topup/webhook",
            query={},
            body=body,
            headers=signed(body) if headers is None else headers,
        )
    )


def asking(body: bytes, team: str = "T", **headers: str) -> PlatformRequest:
    """A call of the checkout."""
    return PlatformRequest(
        method="POST", path="/v1/stripe_topup/checkout", query={}, headers=headers, body=body,
        principal=Principal(team_id=team, kid="k", mode="management"),
    )  # fmt: skip
