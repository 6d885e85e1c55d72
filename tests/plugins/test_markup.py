"""Markups and discounts: the first rule that fits, each line rounded once, whole nanos."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway_core.pipeline.pricing import bounded, by_card, payable_output, priced, worst_case
from plugin_sdk.context import Attempt
from plugin_sdk.money import Charge, ChargeLine, Nanos, Price, PriceCard, charge
from plugin_sdk.protocol import RequestView
from plugins.policies.markup import Markup, MarkupConfig
from tests.plugins.requests import asked, endpoint

USAGE = {"input_text_tokens": 1_000, "output_text_tokens": 333}
CARD = PriceCard(
    id="pc",
    prices=(
        Price(meter="input_text_tokens", usd=Decimal("2.50"), per=1_000_000),
        Price(meter="output_text_tokens", usd=Decimal("15"), per=1_000_000),
    ),
)


async def made(*rules: dict[str, Any], of: Charge | None = None) -> Charge:
    plugin = Markup("markup", MarkupConfig.model_validate({"rules": rules}))
    one = endpoint("acme", card=CARD)
    before = charge(USAGE, CARD) if of is None else of
    after = await plugin.price(asked(one), Attempt(number=1, endpoint=one), USAGE, before)
    return before if after is None else after


async def test_a_percentage_raises_every_price() -> None:
    found = await made({"percent": "10"})
    assert [(line.usd, line.nanos) for line in found.lines] == [
        (Decimal("2.7500"), 2_750_000),
        (Decimal("16.5"), 5_494_500),
    ]


async def test_a_discount_of_everything_is_free_and_more_is_refused() -> None:
    assert (await made({"percent": -100})).total == 0
    with pytest.raises(ValidationError, match="nobody is paid for asking"):
        await made({"percent": "-100.1"})


async def test_a_meter_has_a_percentage_of_its_own() -> None:
    found = await made({"percent": "10", "meters": {"output_text_tokens": "0"}})
    assert [line.nanos for line in found.lines] == [2_750_000, 4_995_000]


async def test_the_first_rule_that_fits_counts() -> None:
    rules = [{"provider": "other", "percent": 50}, {"model": "*", "percent": 1}, {"percent": 99}]
    assert (await made(*rules)).total == (await made({"percent": 1})).total
    assert (await made({"team": "nobody", "percent": 5})).total == charge(USAGE, CARD).total


async def test_a_line_without_a_unit_price_is_raised_as_it_is() -> None:
    fee = Charge(card_id="pc", lines=(ChargeLine(meter="fee", quantity=1, nanos=Nanos(1_001)),))
    assert (await made({"percent": "50"}, of=fee)).total == 1_502


def test_a_float_is_not_a_percentage() -> None:
    with pytest.raises(ValidationError, match="in quotes"):
        MarkupConfig.model_validate({"rules": [{"percent": 7.5}]})


@given(st.decimals(-100, 1_000, places=3), st.integers(0, 10**9))
async def test_a_line_is_rounded_once_from_the_exact_product(percent: Decimal, quantity: int) -> None:
    before = charge({"input_text_tokens": quantity}, CARD)
    found = await made({"percent": str(percent)}, of=before)
    exact = Fraction(quantity) * Fraction("2500") * (1 + Fraction(percent) / 100)
    assert found.total == int(exact + Fraction(1, 2))


METERS = (
    "input_text_tokens", "cached_read_text_tokens", "cached_write_text_tokens", "cached_write_text_tokens_1h",
    "input_audio_tokens", "output_text_tokens", "output_reasoning_tokens", "requests", "total_tokens",
)  # fmt: skip
USED = (*METERS[:-2], "cached_write_text_tokens_5m", "cached_read_audio_tokens", "input_image_tokens")
prices = st.decimals(0, 100, places=4)
percents = st.decimals(-100, 300, places=2).map(str)


@given(
    st.dictionaries(st.sampled_from(METERS), prices, min_size=1),
    percents,
    st.dictionaries(st.sampled_from(USED), percents),
    st.dictionaries(st.sampled_from(USED), st.integers(0, 5_000)),
    st.integers(0, 10**9),
)
async def test_no_usage_within_its_limits_costs_more_than_what_is_held(
    card_prices: dict[str, Decimal], percent: str, meters: dict[str, str], usage: dict[str, int], hold: int
) -> None:
    rules = tuple(Price(meter=meter, usd=usd, per=1_000_000) for meter, usd in card_prices.items())
    plugin = Markup("markup", MarkupConfig(rules=({"percent": percent, "meters": meters},)))  # type: ignore[arg-type]
    one = endpoint("acme", card=PriceCard(id="pc", prices=rules))
    bounded_one = await bounded((plugin.bound,), asked(one), one)
    tokens_in = sum(count for meter, count in usage.items() if not meter.startswith("output_"))
    tokens_out = sum(count for meter, count in usage.items() if meter.startswith("output_"))
    made = by_card(usage, one.card)
    final = await priced((plugin.price,), asked(one), Attempt(number=1, endpoint=one), usage, made)
    most = worst_case(bounded_one, tokens_in, tokens_out)
    assert final.total <= most
    view = RequestView(body=b"", model="m", input_estimate=tokens_in)
    payable = payable_output(bounded_one, view, Nanos(hold))
    if payable is not None and tokens_out <= payable and hold >= worst_case(bounded_one, tokens_in, 0):
        assert final.total <= hold
    # nor is more held than the dearest of the prices come to, but for what rounding may add
    dearest = max([Fraction(usd) for usd in card_prices.values()])
    raised = 1 + max([Fraction(percent), *(Fraction(one) for one in meters.values())]) / 100
    assert most <= 3 * 1_000 * dearest * raised * (tokens_in + tokens_out + 1) + 20


async def test_a_bound_is_made_once_for_each_card_and_rule_of_each_policy() -> None:
    config = MarkupConfig.model_validate({"rules": [{"percent": "10"}]})
    first, second = Markup("a", config), Markup("b", config)
    one = endpoint("acme", card=CARD)
    marked = await first.bound(asked(one), one, CARD)
    assert marked is not None
    assert await first.bound(asked(one), one, CARD) is marked
    twice = await second.bound(asked(one), one, marked)
    assert twice is not None
    assert len({CARD.id, marked.id, twice.id}) == 3
    assert twice.by_meter["output_text_tokens"][0].usd == Decimal("18.15")


async def test_who_pays_the_price_of_the_card_has_no_bound_of_his_own() -> None:
    plugin = Markup("a", MarkupConfig.model_validate({"rules": [{"team": "x", "percent": "10"}]}))
    one = endpoint("acme", card=CARD)
    assert await plugin.bound(asked(one), one, CARD) is None


@pytest.mark.parametrize("percent", ["10001", "0.0000001", "NaN", "ten", True, None])
def test_a_percentage_that_no_price_can_take_exactly_is_refused(percent: Any) -> None:
    with pytest.raises(ValidationError, match="percentage"):
        MarkupConfig.model_validate({"rules": [{"percent": percent}]})


def test_the_name_of_a_meter_must_look_like_one() -> None:
    with pytest.raises(ValidationError, match="meters"):
        MarkupConfig.model_validate({"rules": [{"meters": {"Output tokens": "5"}}]})
