"""The ids of price cards: a hash of what they say, so that a card that was changed is found."""

from collections.abc import Iterable
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec

from plugin_sdk.price_rules import Price


def card_id(prices: Iterable[Price], *, free: bool) -> str:
    """`pc_` and 32 hex digits of the SHA-256 of the prices as canonical JSON."""
    rules = [_rule(price) for price in prices]
    return "pc_" + sha256(msgspec.json.encode({"free": free, "prices": rules})).hexdigest()[:32]


def _rule(price: Price) -> list[Any]:
    """What a rule says, the least of it first: a plain one is its meter and its price."""
    rule: list[Any] = [price.meter, _canonical(price.usd), price.per]
    if price.plain and price.priority == 100:
        return rule
    windows = [
        [one.start, one.end, _canonical(one.usd), *([one.days] if one.days else [])] for one in price.windows
    ]
    conditions = [[one.path, one.op, one.value, one.or_group] for one in price.conditions]
    return [
        *rule,
        price.plan,
        price.priority,
        conditions,
        price.since,
        price.until,
        windows,
        price.included,
    ]


def _canonical(usd: Decimal) -> str:
    """0.10 and 0.1 are one price."""
    text = f"{usd:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
