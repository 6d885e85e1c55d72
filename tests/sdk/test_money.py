"""Money: one multiplication, one rounding, and it agrees with fractions to the nano."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plugin_sdk.money import NANOS_PER_USD, ROLL_UP, Nanos, Price, PriceCard, charge, round_half_up

quantities = st.one_of(
    st.integers(0, 10**12),
    st.decimals(Decimal(0), Decimal(10**9), allow_nan=False, allow_infinity=False, places=6),
)
prices = st.decimals(Decimal(0), Decimal(10_000), allow_nan=False, allow_infinity=False, places=12)
units = st.sampled_from([1, 60, 1_000, 1_290, 1_000_000, 1_000_000_000])


def card(*prices: Price, free: bool = False) -> PriceCard:
    return PriceCard(id="pc_1", prices=prices, free=free)


def price(meter: str, usd: str, per: int = 1_000_000) -> Price:
    return Price(meter=meter, usd=Decimal(usd), per=per)


def exact(quantity: int | Decimal, usd: Decimal, per: int) -> int:
    """The same by the definition of rounding half up, over fractions."""
    value = Fraction(quantity) * Fraction(usd) * NANOS_PER_USD / per
    return int(value + Fraction(1, 2))  # both are not negative: cutting off is rounding down


@given(quantities, prices, units)
@example(1, Decimal("0.0000000005"), 1)  # exactly half a nano goes up
@example(1, Decimal("0.000000000499999999"), 1)
@example(3, Decimal("0.15"), 1_000_000)
def test_a_line_is_quantity_times_price_rounded_half_up_to_the_nano(
    quantity: int | Decimal, usd: Decimal, per: int
) -> None:
    made = charge({"input_text_tokens": quantity}, card(Price(meter="input_text_tokens", usd=usd, per=per)))
    assert made.total == exact(quantity, usd, per)
    assert made.unpriced == ()


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), quantities, max_size=4), prices, prices, units)
def test_the_total_is_the_sum_of_lines_that_were_rounded_one_by_one(
    usage: dict[str, int | Decimal], first: Decimal, second: Decimal, per: int
) -> None:
    rules = {"a": first, "b": second, "c": first}
    made = charge(usage, card(*(Price(meter=meter, usd=usd, per=per) for meter, usd in rules.items())))
    assert made.total == sum(exact(usage[meter], usd, per) for meter, usd in rules.items() if meter in usage)
    assert set(made.unpriced) == {
        meter for meter, quantity in usage.items() if quantity and meter not in rules
    }


@given(quantities, st.integers(0, 10**15), st.integers(1, 10**15))
def test_rounding_is_never_off_by_more_than_half_a_nano(
    quantity: int | Decimal, over: int, under: int
) -> None:
    value = Fraction(quantity) * over / under
    assert -Fraction(1, 2) < round_half_up(quantity, over, under) - value <= Fraction(1, 2)


def test_the_contracts_own_example_comes_out_to_the_nano() -> None:
    usage = {"input_text_tokens": 1000, "output_text_tokens": 1050}
    made = charge(usage, card(price("input_text_tokens", "2.50"), price("output_text_tokens", "15.00")))
    assert [line.nanos for line in made.lines] == [2_500_000, 15_750_000]
    assert made.total == 18_250_000


@pytest.mark.parametrize(
    ("meter", "rule"),
    [
        ("output_reasoning_tokens", "output_text_tokens"),
        ("cached_read_text_tokens", "input_text_tokens"),
        ("cached_read_audio_tokens", "input_audio_tokens"),
        ("cached_read_audio_tokens", "input_text_tokens"),
        ("cached_write_text_tokens_5m", "cached_write_text_tokens"),
        ("cached_write_text_tokens_1h", "input_text_tokens"),
        ("input_image_tokens", "input_text_tokens"),
        ("input_video_tokens", "input_text_tokens"),
    ],
)
def test_a_meter_without_a_rule_rolls_up_and_its_line_says_so(meter: str, rule: str) -> None:
    made = charge({meter: 10}, card(price(rule, "1.00")))
    (line,) = made.lines
    assert (line.meter, line.priced_as, line.nanos) == (meter, rule, 10_000)


def test_a_rule_of_its_own_wins_over_the_roll_up() -> None:
    made = charge(
        {"cached_read_text_tokens": 10},
        card(price("input_text_tokens", "1.00"), price("cached_read_text_tokens", "0.10")),
    )
    (line,) = made.lines
    assert (line.priced_as, line.nanos) == (None, 1_000)


def test_every_roll_up_ends() -> None:
    for meter in ROLL_UP:
        seen = {meter}
        at: str | None = meter
        while (at := ROLL_UP.get(at)) is not None:
            assert at not in seen
            seen.add(at)


@pytest.mark.parametrize("meter", ["output_audio_tokens", "native_web_search_requests", "output_image"])
def test_a_surprise_meter_is_listed_as_unpriced_and_never_charged_as_something_else(meter: str) -> None:
    made = charge({meter: 3, "input_text_tokens": 1}, card(price("input_text_tokens", "1.00")))
    assert made.unpriced == (meter,)
    assert [line.meter for line in made.lines] == ["input_text_tokens"]


def test_a_rule_of_zero_makes_a_line_of_zero_and_no_rule_makes_none() -> None:
    made = charge({"input_text_tokens": 5, "output_image": 0}, card(price("input_text_tokens", "0")))
    assert [(line.meter, line.nanos) for line in made.lines] == [("input_text_tokens", 0)]
    assert made.unpriced == ()


def test_a_free_card_charges_nothing_whatever_was_used() -> None:
    made = charge({"input_text_tokens": 10**9, "surprise": 1}, card(free=True))
    assert (made.total, made.lines, made.unpriced) == (0, (), ())


@pytest.mark.parametrize("quantity", [-1, Decimal("-0.5")])
def test_a_negative_quantity_never_becomes_a_credit(quantity: int | Decimal) -> None:
    with pytest.raises(ValueError, match="negative"):
        charge({"input_text_tokens": quantity}, card(price("input_text_tokens", "1.00")))


def test_money_is_whole_nanos_of_type_int() -> None:
    made = charge({"seconds": Decimal("1.5")}, card(Price(meter="seconds", usd=Decimal("0.0043"), per=60)))
    assert type(made.total) is int
    assert made.total == Nanos(107_500)
