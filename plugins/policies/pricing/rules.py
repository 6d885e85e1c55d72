"""A price rule as a client reads it, at the price that its team pays."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from plugin_sdk.context import Endpoint, Principal
from plugin_sdk.money import NANOS_PER_USD, Price, PriceCard
from plugin_sdk.price_rules import DAYS, Terms
from plugin_sdk.services import Prices


async def as_paid(prices: Prices, principal: Principal, endpoint: Endpoint, rule: Price) -> Price:
    """The rule with what the `price` policies make of its prices for this caller."""

    async def paid(usd: Decimal) -> Decimal:
        # a card of this one price, so that it counts whatever its conditions are
        alone = Price(meter=rule.meter, usd=usd, per=rule.per)
        card = PriceCard(id=endpoint.card.id, prices=(alone,))
        terms = Terms(plan=rule.plan)
        quote = await prices.quote(principal, replace(endpoint, card=card), {rule.meter: rule.per}, terms)
        (line, *more) = quote.charge.lines or (None,)
        if line is not None and not more and line.meter == rule.meter and line.per == rule.per and line.usd:
            return line.usd
        return Decimal(quote.charge.total) / NANOS_PER_USD  # a policy that books lines of its own

    windows = [replace(window, usd=await paid(window.usd)) for window in rule.windows]
    return replace(rule, usd=await paid(rule.usd), windows=tuple(windows))


def written(rule: Price) -> dict[str, Any]:
    """In the contract's words (section 5.1); what a rule does not say is left out."""
    said: dict[str, Any] = {
        "meter": rule.meter,
        "unit_size": rule.per,
        "price_usd": _plain(rule.usd),
        "plan": rule.plan,
        "priority": rule.priority,
    }
    if rule.conditions:
        said["match"] = [
            {"path": one.path, "op": one.op, "value": one.value}
            | ({} if one.or_group is None else {"or_group": one.or_group})
            for one in rule.conditions
        ]
    if rule.since is not None:
        said["effective_from"] = _iso(rule.since)
    if rule.until is not None:
        said["effective_to"] = _iso(rule.until)
    if rule.windows:
        said["time_windows"] = [
            {
                "start_time": _clock(one.start),
                "end_time": _clock(one.end),
                "days_of_week": [DAYS[day] for day in one.days] or list(DAYS),
                "price_usd": _plain(one.usd),
            }
            for one in rule.windows
        ]
    if rule.included:
        said["included_quantity"] = rule.included
    return said


def _plain(usd: Decimal) -> str:
    text = f"{usd:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _iso(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _clock(minute: int) -> str:
    return "{:02}:{:02}".format(*divmod(minute, 60))
