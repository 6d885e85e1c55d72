"""What a generation costs, and how a client is shown it (contract, sections 4.2 and 5)."""

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Final

import msgspec

from gateway_core.host.dispatch import HookCall, chain
from plugin_sdk.context import Attempt, Endpoint, RequestContext
from plugin_sdk.money import NANOS_PER_USD, TOKENS, Charge, ChargeLine, Nanos, PriceCard, Usage, charge
from plugin_sdk.price_rules import PLAIN, STANDARD, Terms, parameters
from plugin_sdk.protocol import RequestView

OVER_HOLD = "over_hold"
MOST = (1 << 53) - 1  # nanos of one answer: any reader of JSON reads them, and columns hold sums of them
_MILLION = 1_000_000
_encode = msgspec.json.Encoder(decimal_format="number").encode


async def priced(
    hooks: Sequence[HookCall], ctx: RequestContext, attempt: Attempt, usage: Usage, made: Charge
) -> Charge:
    """The card's charge, and what the `price` policies make of it."""
    if not hooks:
        return made
    final: Charge = await chain(hooks, 3, ctx, attempt, metered(usage, attempt.endpoint.card), made)
    return _checked(final)


async def bounded(hooks: Sequence[HookCall], ctx: RequestContext, endpoint: Endpoint) -> Endpoint:
    """The endpoint with the card that its charges stay below, whatever the `price` policies add."""
    card: PriceCard = await chain(hooks, 2, ctx, endpoint, endpoint.card)
    return endpoint if card is endpoint.card else msgspec.structs.replace(endpoint, bound=card)


async def quoted(
    hooks: Sequence[HookCall], ctx: RequestContext, endpoint: Endpoint, usage: Usage, terms: Terms
) -> Charge:
    """What a usage would be charged at an endpoint: by its card, then by the `price` policies."""
    made = by_card(usage, endpoint.card, terms)
    return await priced(hooks, ctx, Attempt(number=1, endpoint=endpoint), usage, made)


def by_card(usage: Usage, card: PriceCard, terms: Terms = PLAIN) -> Charge:
    """What a usage comes to by a card. Raises ValueError for what is no quantity, and for too much of it."""
    try:
        return _bounded(charge(metered(usage, card), card, terms))
    except (TypeError, ArithmeticError) as error:  # another's figures: text, or a Decimal that is no number
        raise ValueError(f"not the quantities of a usage: {error!r}") from error


def metered(usage: Usage, card: PriceCard) -> Usage:
    """The usage and, where the card prices them, the meters that nobody counts: see money.md 7."""
    more: dict[str, int | Decimal] = {}
    if "requests" in card.by_meter and "requests" not in usage:
        more["requests"] = 1
    if "total_tokens" in card.by_meter and "total_tokens" not in usage:
        more["total_tokens"] = sum(quantity for meter, quantity in usage.items() if meter.endswith(TOKENS))
    return {**usage, **more} if more else usage


def kept(terms: Terms, card: PriceCard) -> str | None:
    """What re-rating has to know of the terms beside their time, as JSON; None: nothing."""
    values = parameters(card.prices, terms.values) if terms.values else {}
    if terms.plan == STANDARD and not values:
        return None
    return _encode({"plan": terms.plan, "values": values}).decode()


def capped(made: Charge, paid: Nanos) -> Charge:
    """The charge with a last line that takes off what the hold does not pay for (money.md 6)."""
    over = made.total - paid
    if over <= 0:
        return made
    line = ChargeLine(meter=OVER_HOLD, quantity=1, nanos=Nanos(-over), usd=-usd(over))
    return msgspec.structs.replace(made, lines=(*made.lines, line))


def worst_case(
    endpoint: Endpoint, input_tokens: int, output_tokens: int, plan: str = STANDARD, at: int | None = None
) -> Nanos:
    """Nanos that a request of that time can cost at this endpoint, rounded up."""
    into, out, flat = (endpoint.bound or endpoint.card).dearest(plan, at)
    return Nanos(-(-(input_tokens * into + output_tokens * out) // _MILLION) + flat)


def payable_output(endpoint: Endpoint, view: RequestView, hold: Nanos, at: int | None = None) -> int | None:
    """The output limit, per choice, that a hold pays for at this endpoint; None where output is free."""
    into, out, flat = (endpoint.bound or endpoint.card).dearest(view.plan, at)
    left = (hold - flat) * _MILLION - view.input_estimate * into
    if not out:
        return None if left >= 0 else 0
    return max(0, left // (out * view.choices))


def pricing_object(made: Charge, lines: Sequence[msgspec.Raw], *, suppressed: str | None = None) -> bytes:
    """The `pricing` object of an answer, as JSON. `suppressed` says why nothing is charged after all."""
    total, tail = made.total, b"".join([b",%b:%b" % (_encode(k), _encode(v)) for k, v in made.more.items()])
    if suppressed is not None:
        total, lines = Nanos(0), ()
        tail = b',"billing_suppressed":true,"billing_suppression_reason":' + _encode(suppressed)
    usd = (b"%d.%09d" % divmod(total, NANOS_PER_USD)).rstrip(b"0").rstrip(b".")
    return _OBJECT % (total, usd, total // 10_000_000, b",".join(lines), tail)


def shown(made: Charge) -> msgspec.Raw:
    """A charge as clients see it."""
    return msgspec.Raw(pricing_object(made, pricing_lines(made)))


def pricing_lines(made: Charge) -> list[msgspec.Raw]:
    """The JSON of a charge's lines as a client sees them; their `line_nanos` sum to the total."""
    return [_line(line) for line in made.lines]


def _checked(made: Charge) -> Charge:
    """A policy's charge, if a wallet can pay it and a record can show it; else raises."""
    for line in made.lines:
        if type(line.nanos) is not int:
            raise TypeError(f"{line.meter}: money is whole nanos, not {line.nanos!r}")
    if made.total < 0:
        raise ValueError(f"a charge cannot be negative, got {made.total}")
    _encode((pricing_lines(made), made.unpriced, made.more))
    return _bounded(made)


def _bounded(made: Charge) -> Charge:
    if made.total > MOST:
        raise ValueError(f"no ledger can hold a charge of {made.total} nanos")
    return made


def usd(nanos: int) -> Decimal:
    """Dollars, exact."""
    return Decimal(nanos) / NANOS_PER_USD


_OBJECT: Final = b'{"total_nanos":%d,"total_usd_str":"%b","total_cents":%d,"currency":"USD","lines":[%b]%b}'
_LINE: Final = (
    b'{"dimension":%b,"quantity":%b,"billable_units":%b,"unit_size":%d,"unit_price_usd":"%b",'
    b'"line_cost_usd":"%b","line_nanos":%b%b}'
)


def _line(line: ChargeLine) -> msgspec.Raw:
    """The JSON of a line. Most are tokens at a price per million: their text is the same but for figures."""
    quantity, nanos = line.quantity, line.nanos
    if line.per == _MILLION and nanos >= 0 and not line.included and type(quantity) is int and quantity >= 0:
        pattern = _millions(line.meter, line.usd, line.priced_as)
        millions, dollars = divmod(quantity, _MILLION), divmod(nanos, NANOS_PER_USD)
        return msgspec.Raw(pattern % (quantity, *millions, *dollars, nanos))
    meter, also = _names(line.meter, line.priced_as)
    units = plain(line.billed if line.per == 1 else Decimal(line.billed) / line.per)
    price, cost = f"{line.usd:.9f}", _dollars(nanos)
    figures = plain(quantity).encode(), units.encode(), line.per, price.encode(), cost.encode()
    return msgspec.Raw(_LINE % (meter, *figures, b"%d" % nanos, also))


@lru_cache(maxsize=4_096)
def _millions(meter: str, usd: Decimal, priced_as: str | None) -> bytes:
    """A line of tokens at this price, to be filled with its figures."""
    name, also = [text.replace(b"%", b"%%") for text in _names(meter, priced_as)]
    price = f"{usd:.9f}".encode()
    return _LINE % (name, b"%d", b"%d.%06d", _MILLION, price, b"%d.%09d", b"%d", also)


def _names(meter: str, priced_as: str | None) -> tuple[bytes, bytes]:
    """The JSON of a line's meter, and the member that says as what it is priced, if as another."""
    return _encode(meter), b"" if priced_as is None else b',"priced_as":' + _encode(priced_as)


def _dollars(nanos: int) -> str:
    """Dollars with all nine digits."""
    whole, part = divmod(abs(nanos), NANOS_PER_USD)
    return f"{'-' if nanos < 0 else ''}{whole}.{part:09d}"


def plain(amount: int | Decimal) -> str:
    """The shortest plain decimal, never an exponent: a Decimal never passes through a float."""
    if isinstance(amount, int):
        return str(amount)
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
