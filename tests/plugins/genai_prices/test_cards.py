"""Every text model of the package becomes a card that charges, to the last digit, what the package says."""

import random
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest

from plugin_sdk.catalogue import ModelEntry
from plugin_sdk.money import PriceCard
from plugin_sdk.price_rules import STANDARD, Terms
from plugins.policies.genai_prices.cards import Card, card
from plugins.policies.genai_prices.units import NEEDED, PLANS, units
from tests.plugins.genai_prices.reference import METERS, ours, theirs

types = pytest.importorskip("genai_prices.types")
data = pytest.importorskip("genai_prices.data")

MILLION = 1_000_000
TEXT = {"input_mtok": Decimal(3), "output_mtok": Decimal(15)}
# Moments on both sides of dates and times of the day that the package knows.
MOMENTS = [
    int(datetime.combine(day, moment, UTC).timestamp() * 1000)
    for day in (date(2025, 3, 1), date(2026, 1, 5), date(2026, 8, 31), date(2026, 11, 29), date(2027, 1, 1))
    for moment in (time(0, 29), time(3, 59), time(6, 0), time(12, 0), time(16, 30))
]


def model(prices: Any, variants: Any = None) -> Any:
    return types.ModelInfo(id="m", match=types.ClauseEquals("m"), prices=prices, price_variants=variants)


def price(**more: Any) -> Any:
    return types.ModelPrice(**{**TEXT, **more})


def tiers(base: str, *above: tuple[int, str]) -> Any:
    return types.TieredPrices(
        base=Decimal(base), tiers=[types.Tier(start, Decimal(usd)) for start, usd in above]
    )


def made(*arguments: Any, **more: Any) -> Card:
    return card(model(*arguments, **more), units())


def price_card(found: Card) -> PriceCard:
    entry = ModelEntry.model_validate({"id": "m", "price": list(found.rules)})
    return PriceCard(id="pc", prices=entry.prices)


def usd(found: Card, meter: str, *, size: int = 1, **terms: Any) -> Decimal:
    """The price of a million, of a request with so much input."""
    rate = price_card(found).rule(meter, Terms(**terms), {"input_text_tokens": size})
    assert rate is not None
    return rate[0][2].usd * MILLION / rate[0][2].per


def at(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp() * 1000)


def test_every_text_model_of_the_package_costs_here_what_it_costs_there() -> None:
    dice = random.Random(20_261_129)
    known = units()
    compared = skipped = 0
    for provider in data.providers:
        for one in provider.models:
            found = card(one, known)
            if not set(NEEDED) <= {rule["meter"] for rule in found.rules}:
                skipped += 1
                continue
            own = price_card(found)
            asked = [tuple(variant.when.items()) for variant in one.price_variants or ()]
            plans = {PLANS[pairs[0]]: dict(pairs) for pairs in asked if pairs[0] in PLANS}
            for plan, when in [(STANDARD, None), *plans.items()]:
                usage = {meter: dice.choice((0, 0, 1, 999, 150_000, 272_001)) for meter in METERS}
                usage = {meter: count for meter, count in usage.items() if own.takes(meter)}
                terms = Terms(plan=plan, at=dice.choice(MOMENTS))
                exact, charged = ours(own, usage, terms)
                said = theirs(provider, one, usage, terms.at, when)
                assert exact == said, (provider.id, one.id, plan, usage, terms.at, charged)
                compared += 1
    print(f"{compared} comparisons; {skipped} models have no price per token of text")
    assert compared > 2_000


def test_a_price_by_the_length_of_the_input_becomes_conditions_and_the_threshold_is_still_cheap() -> None:
    found = made(price(input_mtok=tiers("1", (200_000, "2"), (400_000, "4")), output_mtok=Decimal(9)))
    sizes = (1, 200_000, 200_001, 400_000, 400_001)
    assert [usd(found, "input_text_tokens", size=size) for size in sizes] == [1, 1, 2, 2, 4]
    assert {usd(found, "output_text_tokens", size=size) for size in sizes} == {9}
    assert found.left_out == ()


def test_dated_prices_begin_on_their_day() -> None:
    start = types.StartDateConstraint
    found = made([
        types.ConditionalPrice(prices=price()),
        types.ConditionalPrice(constraint=start(date(2026, 3, 1)), prices=price(input_mtok=Decimal(2))),
        types.ConditionalPrice(constraint=start(date(2027, 3, 1)), prices=price(input_mtok=Decimal(5))),
    ])  # fmt: skip
    days = [at(2026, 2, 28, 23, 59), at(2026, 3, 1), at(2027, 2, 28), at(2027, 3, 1)]
    assert [usd(found, "input_text_tokens", at=day) for day in days] == [3, 2, 2, 5]
    assert [rule for rule in found.rules if rule["meter"] == "output_text_tokens"] == [
        {"meter": "output_text_tokens", "usd": "15", "per": MILLION}
    ]


def test_times_of_the_day_become_windows_also_over_midnight_and_in_another_zone() -> None:
    night = types.TimeOfDateConstraint(time.fromisoformat("23:30+01:00"), time.fromisoformat("02:00+01:00"))
    found = made([
        types.ConditionalPrice(prices=price()),
        types.ConditionalPrice(constraint=night, prices=price(input_mtok=tiers("1", (100, "2")))),
    ])  # fmt: skip
    hours = [(22, 29), (22, 30), (0, 0), (0, 59), (1, 0)]
    assert [usd(found, "input_text_tokens", at=at(2026, 5, 5, *hour)) for hour in hours] == [3, 1, 1, 1, 3]
    assert usd(found, "input_text_tokens", at=at(2026, 5, 5, 23), size=101) == 2
    assert usd(found, "output_text_tokens", at=at(2026, 5, 5, 23)) == 15


def test_the_price_of_all_tokens_is_that_of_each_kind_unless_the_kind_has_its_own() -> None:
    found = made(
        price(
            cache_read_mtok=Decimal("0.3"), input_audio_mtok=Decimal(6), cache_audio_read_mtok=Decimal("0.6"),
            cache_write_mtok=Decimal("3.75"), cache_write_1h_mtok=Decimal(6), output_image_mtok=Decimal(60),
            output_reasoning_mtok=Decimal(20), web_searches_kcount=Decimal(10),
        )
    )  # fmt: skip
    prices = {
        "input_text_tokens": 3, "input_image_tokens": 3, "input_audio_tokens": 6, "input_video_tokens": 3,
        "cached_read_text_tokens": Decimal("0.3"), "cached_read_image_tokens": Decimal("0.3"),
        "cached_read_audio_tokens": Decimal("0.6"), "cached_write_text_tokens": Decimal("3.75"),
        "cached_write_text_tokens_5m": Decimal("3.75"), "cached_write_text_tokens_1h": 6,
        "output_text_tokens": 15, "output_reasoning_tokens": 20, "output_image_tokens": 60,
        "native_web_search_requests": 10_000,
    }  # fmt: skip
    assert {meter: usd(found, meter) for meter in prices} == prices
    assert not price_card(found).takes("output_audio_tokens")
    text_only = card(model(price(cache_read_mtok=Decimal("0.3"))), units(), {"text"})
    assert {rule["meter"] for rule in text_only.rules} == {
        "input_text_tokens", "cached_read_text_tokens", "output_text_tokens",
    }  # fmt: skip


def test_variants_are_plans_and_one_that_changes_nothing_is_none() -> None:
    def variant(when: dict[str, str], **prices: Any) -> Any:
        return types.PriceVariant(when=when, prices=types.ModelPrice(**prices))

    found = made(
        price(),
        [
            variant({"processing": "batch"}, input_mtok=Decimal("1.5")),
            variant({"service_tier": "default"}),
            variant({"speed": "fast"}, output_mtok=Decimal(90)),
        ],
    )
    assert usd(found, "input_text_tokens", plan="batch") == Decimal("1.5")
    assert usd(found, "output_text_tokens", plan="batch") == 15
    assert (usd(found, "output_text_tokens", plan="priority"), usd(found, "input_text_tokens")) == (90, 3)
    assert {rule.get("plan") for rule in found.rules} == {None, "batch", "priority"}
    assert found.left_out == ()


@pytest.mark.parametrize(
    ("prices", "variants", "left_out"),
    [
        ({"storage_searches_kcount": Decimal(2)}, None, ("storage_searches_kcount",)),
        ({"output_citation_mtok": Decimal(2)}, None, ("output_citation_mtok",)),
        ({"audio_hours": Decimal(2), "code_executions_kcount": Decimal(1)}, None,
         ("audio_hours", "code_executions_kcount")),
        ({}, [({"route": "eu"}, {"input_mtok": Decimal(9)})], ("prices for route=eu",)),
        ({}, [({"route": "eu", "processing": "batch"}, {"input_mtok": Decimal(9)})],
         ("prices for route=eu, processing=batch",)),
        ({}, [({"service_tier": "priority"}, {"input_mtok": Decimal(9)}),
              ({"speed": "fast"}, {"input_mtok": Decimal(8)})], ("prices for speed=fast",)),
        ({}, [({"service_tier": "flex"}, {"input_tool_mtok": Decimal(9)})], ("input_tool_mtok",)),
    ],
)  # fmt: skip
def test_what_no_rule_can_say_is_listed(prices: Any, variants: Any, left_out: tuple[str, ...]) -> None:
    made_of = [types.PriceVariant(when=when, prices=types.ModelPrice(**own)) for when, own in variants or ()]
    assert made(price(**prices), made_of or None).left_out == left_out


def test_what_no_window_can_say_is_listed() -> None:
    def priced(start: str, end: str, **more: Any) -> Card:
        constraint = types.TimeOfDateConstraint(time.fromisoformat(start), time.fromisoformat(end))
        return made([
            types.ConditionalPrice(prices=price()),
            types.ConditionalPrice(constraint=constraint, prices=price(**more)),
        ])  # fmt: skip

    assert priced("00:30:01", "16:30").left_out == ("times of the day to the second",)
    found = priced("00:30", "16:30", web_searches_kcount=Decimal(1))
    assert found.left_out == ("native_web_search_requests at some times of the day only",)
