"""What is held for a request bounds what it can be charged, whatever its price card says."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway_core.pipeline.pricing import by_card, payable_output, worst_case
from plugin_sdk.money import NANOS_PER_USD, Nanos, Price, PriceCard
from plugin_sdk.price_rules import STANDARD, Condition, Terms, Window
from plugin_sdk.protocol import RequestView
from tests.plugins.requests import endpoint

INPUT = ("input_text_tokens", "cached_read_text_tokens", "cached_write_text_tokens_1h", "input_image_tokens")
OUTPUT = ("output_text_tokens", "output_reasoning_tokens")
MOMENTS = st.integers(0, 20).map(lambda quarter: quarter * 6 * 3_600_000)
PLANS = st.sampled_from((STANDARD, "flex", "priority"))
USD = st.decimals(0, 10, places=3)
CONDITIONS = st.one_of(
    st.builds(
        Condition,
        path=st.just("input_tokens"),
        op=st.sampled_from(("lt", "lte", "gt", "gte")),
        value=st.integers(0, 200),
        or_group=st.none() | st.integers(1, 2),
    ),
    st.builds(
        Condition,
        path=st.just("quality"),
        op=st.sampled_from(("eq", "ne", "exists", "not_exists")),
        value=st.sampled_from(("high", "low")),
        or_group=st.none() | st.integers(1, 2),
    ),
)
WINDOWS = st.builds(Window, start=st.integers(0, 1439), end=st.integers(0, 1440), usd=USD)
RULES = st.builds(
    Price,
    meter=st.sampled_from((*INPUT, *OUTPUT, "requests", "total_tokens")),
    usd=USD,
    per=st.sampled_from((1, 3, 1_000, 1_000_000)),
    plan=PLANS,
    priority=st.sampled_from((100, 110, 200)),
    conditions=st.lists(CONDITIONS, max_size=2).map(tuple),
    since=st.none() | MOMENTS,
    until=st.none() | MOMENTS,
    windows=st.lists(WINDOWS, max_size=1).map(tuple),
    included=st.sampled_from((0, 0, 10)),
)
CARDS = st.lists(RULES, min_size=1, max_size=12).map(lambda found: PriceCard(id="pc", prices=tuple(found)))
COUNTS = st.integers(0, 200)
FACTORS = (Decimal(0), Decimal("0.5"), Decimal("1.07"), Decimal(3))


def rule(usd: str, **more: object) -> Price:
    return Price(meter="output_text_tokens", usd=Decimal(usd), **more)  # type: ignore[arg-type]


@given(
    card=CARDS,
    usage=st.dictionaries(st.sampled_from((*INPUT, *OUTPUT)), COUNTS),
    spare=COUNTS,
    asked=PLANS | st.just("unheard-of"),
    demoted=st.booleans(),
    quality=st.sampled_from((None, "high", "low")),
    at=MOMENTS,
    hold=st.integers(0, 10**13),
)
def test_no_usage_within_what_was_held_for_costs_more_than_the_hold(
    card: PriceCard,
    usage: dict[str, int],
    spare: int,
    asked: str,
    demoted: bool,
    quality: str | None,
    at: int,
    hold: int,
) -> None:
    """Whether the provider serves the plan that was asked for, or everybody's."""
    one = endpoint("acme", card=card)
    into = spare + sum(quantity for meter, quantity in usage.items() if meter in INPUT)
    out = sum(quantity for meter, quantity in usage.items() if meter in OUTPUT)
    terms = Terms(plan=STANDARD if demoted else asked, values={"quality": quality} if quality else {}, at=at)
    total = by_card(usage, card, terms).total
    assert total <= worst_case(one, into, out, asked, at) <= worst_case(one, into, out, asked)
    view = RequestView(body=b"", model="m", input_estimate=into, plan=asked)
    payable = payable_output(one, view, Nanos(hold), at)
    if payable is not None and out <= payable and hold >= worst_case(one, into, 0, asked, at):
        assert total <= hold


@given(
    card=CARDS,
    usage=st.dictionaries(st.sampled_from((*INPUT, *OUTPUT)), COUNTS),
    factors=st.dictionaries(st.sampled_from((*INPUT, *OUTPUT)), st.sampled_from(FACTORS)),
    other=st.sampled_from(FACTORS),
    asked=PLANS,
    at=MOMENTS,
)
def test_no_usage_costs_more_than_was_held_for_it_where_a_policy_marks_its_meters_up(
    card: PriceCard, usage: dict[str, int], factors: dict[str, Decimal], other: Decimal, asked: str, at: int
) -> None:
    def factor(meter: str) -> Decimal:
        return factors.get(meter, other)

    one = replace(endpoint("acme", card=card), bound=card.times(factor, "bound"))
    into = sum(quantity for meter, quantity in usage.items() if meter in INPUT)
    out = sum(quantity for meter, quantity in usage.items() if meter in OUTPUT)
    lines = by_card(usage, card, Terms(plan=asked, at=at)).lines
    total = sum(line.times(factor(line.meter)).nanos for line in lines)
    assert total <= worst_case(one, into, out, asked, at) <= worst_case(one, into, out, asked)


def test_a_meter_that_is_priced_as_another_for_a_while_is_held_for_at_its_own_factor() -> None:
    meters = ("cached_read_text_tokens", "input_text_tokens")
    cached = Price(meter=meters[0], usd=Decimal("0.1"), since=100)
    card = PriceCard(id="pc", prices=(cached, Price(meter=meters[1], usd=Decimal(1))))
    bound = card.times(lambda meter: Decimal(3 if meter == meters[0] else 1), "bound")
    (line,) = by_card({meters[0]: 1}, card, Terms(at=99)).lines
    assert (line.meter, line.times(Decimal(3)).nanos) == (meters[0], 3 * NANOS_PER_USD)
    assert bound.dearest(at=99)[0] == 3 * NANOS_PER_USD * 1_000_000


def test_a_plan_and_standard_that_are_both_not_in_force_are_held_for_at_the_plan_that_stands_in() -> None:
    card = PriceCard(
        id="pc", prices=(rule("1", since=200), rule("2", plan="flex", until=100), rule("9", plan="priority"))
    )
    nine, one = ((0, usd * NANOS_PER_USD * 1_000_000, 0) for usd in (9, 1))
    assert [card.dearest("flex", at) for at in (99, 100, 199, 200)] == [nine, nine, nine, one]
    assert by_card({"output_text_tokens": 1}, card, Terms(plan="flex", at=150)).total == 9 * NANOS_PER_USD
    assert by_card({"output_text_tokens": 1}, card, Terms(plan="flex", at=50)).total == 2 * NANOS_PER_USD
    assert (card.dearest("flex"), card.dearest(at=200)) == (nine, one)


def test_a_price_that_is_to_come_is_held_for_only_once_it_has_come() -> None:
    card = PriceCard(id="pc", prices=(rule("1", until=100), rule("5", since=100)))
    assert [card.dearest(at=at)[1] // NANOS_PER_USD for at in (0, 99, 100)] == [10**6, 10**6, 5 * 10**6]
    assert card.dearest()[1] == 5 * 10**6 * NANOS_PER_USD


def test_where_no_rule_is_in_force_nothing_is_held() -> None:
    card = PriceCard(id="pc", prices=(rule("1", since=100),))
    assert card.dearest(at=99) == (0, 0, 0)
    assert by_card({"output_text_tokens": 1}, card, Terms(at=99)).unpriced == ("output_text_tokens",)
