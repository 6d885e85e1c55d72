"""Which rule takes a meter: plans, conditions, groups, priorities, dates, windows, included units."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from plugin_sdk.catalogue import ModelEntry
from plugin_sdk.money import NANOS_PER_USD, PriceCard, charge
from plugin_sdk.price_rules import Terms, plan_of

INPUT = "input_text_tokens"
NOON = 1_790_000_000_000 // 86_400_000 * 86_400_000 + 12 * 3_600_000


def card(*rules: dict[str, Any]) -> PriceCard:
    entry = ModelEntry.model_validate({"id": "m", "price": [{"meter": INPUT, **rule} for rule in rules]})
    return PriceCard(id="pc", prices=entry.prices)


def cost(one: PriceCard, quantity: int = 1, **terms: Any) -> Decimal:
    made = charge({INPUT: quantity}, one, Terms(**terms))
    return Decimal(made.total) / NANOS_PER_USD


def when(op: str, value: Any, path: str = "input_tokens", **more: Any) -> list[dict[str, Any]]:
    return [{"path": path, "op": op, "value": value, **more}]


def test_each_plan_has_its_price_and_a_missing_one_is_standard() -> None:
    one = card({"usd": "2"}, {"usd": "4", "plan": "priority"}, {"usd": "1", "plan": "flex"})
    assert [cost(one, plan=plan) for plan in ("standard", "priority", "flex", "batch")] == [2, 4, 1, 2]


def test_a_card_without_standard_falls_back_to_its_only_plan_else_to_its_dearest() -> None:
    assert cost(card({"usd": "3", "plan": "free"}), plan="flex") == 3
    assert cost(card({"usd": "3", "plan": "a"}, {"usd": "5", "plan": "b"}), plan="flex") == 5


def test_conditions_split_a_price_by_the_length_of_the_input() -> None:
    one = card({"usd": "2", "when": when("lt", 100)}, {"usd": "4", "when": when("gte", 100)})
    assert (cost(one, 99), cost(one, 100)) == (198, 400)


def test_a_hole_between_conditions_takes_the_dearer_rule_and_says_so() -> None:
    one = card({"usd": "2", "when": when("lte", 100)}, {"usd": "4", "when": when("gte", 200)})
    made = charge({INPUT: 150}, one)
    assert (made.total, made.holes) == (600 * NANOS_PER_USD, (INPUT,))
    assert charge({INPUT: 100}, one).holes == ()


def test_one_group_that_holds_whole_is_enough() -> None:
    groups = [
        *when("eq", "1080p", "video.resolution", or_group=1),
        *when("eq", True, "video.audio", or_group=1),
        *when("eq", "4K", "video.resolution", or_group=2),
    ]
    one = card({"usd": "9", "when": groups}, {"usd": "1"})
    assert cost(one, values={"video": {"resolution": "1080p", "audio": True}}) == 9
    assert cost(one, values={"video": {"resolution": "4K"}}) == 9
    assert cost(one, values={"video": {"resolution": "1080p", "audio": False}}) == 1
    assert cost(one) == 1


def test_the_higher_priority_wins_then_the_rule_that_says_more() -> None:
    assert cost(card({"usd": "1"}, {"usd": "7", "priority": 200})) == 7
    assert cost(card({"usd": "1"}, {"usd": "7", "when": when("gt", 0)})) == 7


def test_a_rule_is_in_force_from_its_first_moment_to_before_its_last() -> None:
    rules = (
        {"usd": "1", "effective_to": "2026-01-01"},
        {"usd": "2", "effective_from": "2026-01-01T00:00:00Z"},
    )
    new_year = 1_767_225_600_000
    assert (cost(card(*rules), at=new_year - 1), cost(card(*rules), at=new_year)) == (1, 2)
    assert charge({INPUT: 1}, card(rules[0]), Terms(at=new_year)).unpriced == (INPUT,)


def test_a_window_of_the_day_has_its_own_price_also_over_midnight() -> None:
    one = card({"usd": "2", "windows": [{"start": "22:00", "end": "01:00", "usd": "1"}]})
    hour = 3_600_000
    assert [cost(one, at=NOON + hours * hour) for hours in (0, 9, 10, 12, 13)] == [2, 2, 1, 1, 2]


def test_a_window_may_be_for_days_of_the_week_and_over_midnight_is_of_the_day_it_starts_on() -> None:
    weekdays = ["mon", "tue", "wed", "thu", "fri"]
    day = card({"usd": "2", "windows": [{"start": "06:00", "end": "10:00", "usd": "1", "days": weekdays}]})
    night = card({"usd": "2", "windows": [{"start": "22:00", "end": "06:00", "usd": "1", "days": ["sun"]}]})
    friday = 1_787_875_200_000  # 2026-08-28T00:00:00Z
    hour, hours = 3_600_000, 24 * 3_600_000
    assert [cost(day, at=friday + n * hours + 7 * hour) for n in range(4)] == [1, 2, 2, 1]
    assert cost(day, at=friday + 10 * hour) == 2
    sunday = friday + 2 * hours
    moments = (sunday + 5 * hour, sunday + 23 * hour, sunday + 29 * hour, sunday + 30 * hour)
    assert [cost(night, at=at) for at in moments] == [2, 1, 1, 2]
    whole = card({"usd": "2", "windows": [{"start": "00:00", "end": "24:00", "usd": "1", "days": ["sat"]}]})
    assert [cost(whole, at=friday + n * hours) for n in range(3)] == [2, 1, 2]


def test_what_is_included_is_free() -> None:
    one = card({"usd": "1", "included": 10})
    assert [cost(one, quantity) for quantity in (9, 10, 12)] == [0, 0, 2]


@pytest.mark.parametrize(
    ("op", "value", "held"),
    [
        ("ne", "b", True),
        ("in", ["a", "b"], True),
        ("not_in", ["a"], False),
        ("exists", None, True),
        ("not_exists", None, False),
        ("starts_with", "a", True),
        ("regex", "^a$", True),
        ("gt", 1, False),  # `a` is no number
    ],
)
def test_every_comparison_is_known(op: str, value: Any, held: bool) -> None:
    one = card({"usd": "5", "when": when(op, value, "mode")}, {"usd": "1"})
    assert cost(one, values={"mode": "a"}) == (5 if held else 1)


def test_words_for_everybodys_plan_are_one_plan() -> None:
    assert {plan_of(word) for word in (None, "auto", "default", "standard_only", "STANDARD")} == {"standard"}
    assert plan_of("Flex") == "flex"


def test_the_hold_is_for_the_dearest_rule_of_the_plan_and_total_tokens_count_both_ways() -> None:
    one = card({"usd": "2", "per": 1_000_000, "when": when("lt", 9)}, {"usd": "4", "per": 1_000_000})
    assert one.dearest() == (4 * NANOS_PER_USD, 0, 0)
    listed = card({"usd": "2", "per": 1_000_000, "when": when("in", ["1K", "2K"], "resolution")})
    assert listed.dearest() == (2 * NANOS_PER_USD, 0, 0)
    both = PriceCard(
        id="pc", prices=ModelEntry.model_validate({"id": "m", "price": {"total_tokens": "1"}}).prices
    )
    assert both.dearest("unheard-of") == (NANOS_PER_USD, NANOS_PER_USD, 0)


@pytest.mark.parametrize(
    "rule",
    [
        {"usd": "1", "when": when("in", "a")},
        {"usd": "1", "when": when("regex", "(")},
        {"usd": "1", "when": when("about", 1)},
        {"usd": "1", "effective_from": "soon"},
        {"usd": "1", "windows": [{"start": 900, "end": "10:00", "usd": "1"}]},
        {"usd": "1", "windows": [{"start": "09:00", "end": "10:00", "usd": "1", "days": ["monday"]}]},
        {"usd": "1", "plan": "Two Words"},
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        card(rule)


def test_two_rules_that_hold_at_once_for_the_same_are_refused() -> None:
    with pytest.raises(ValidationError, match="more than one rule for: input_text_tokens"):
        card({"usd": "1"}, {"usd": "2"})
