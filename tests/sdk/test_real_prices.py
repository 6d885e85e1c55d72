"""Every price rule of the real catalogue becomes a card, and its charges agree with fractions to the nano."""

import json
import os
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from plugin_sdk.catalogue import ModelEntry
from plugin_sdk.money import PriceCard, charge
from plugin_sdk.price_rules import Terms

SHARED = Path(os.environ.get("GATEWAY_SHARED", Path(__file__).resolve().parents[3] / "shared"))
CATALOGUE = SHARED / "data" / "catalogue.json"
RULES = 11_734
USAGES = 2_000
NANOS = 1_000_000_000
PLANS = ("standard", "standard", "priority", "flex", "batch", "free", "unheard-of")
# A Thursday and a Saturday in a window, one outside, and both sides of dates that the catalogue knows.
MOMENTS = (
    "2026-08-16T15:59:59Z", "2026-08-16T16:00:00Z", "2026-08-20T02:30:00Z", "2026-08-27T02:30:00Z",
    "2026-08-29T02:30:00Z", "2026-11-23T12:00:00Z", "2027-01-01T00:00:00Z", "2025-01-01T00:00:00Z",
)  # fmt: skip
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# What a meter without a rule is priced as, read from money.md 9 and not from the code.
NEXT = {
    "output_reasoning_tokens": "output_text_tokens",
    "cached_write_text_tokens_5m": "cached_write_text_tokens",
    "cached_write_text_tokens_1h": "cached_write_text_tokens",
    "cached_write_text_tokens": "input_text_tokens",
    **{f"cached_read_{kind}_tokens": f"input_{kind}_tokens" for kind in ("text", "image", "audio", "video")},
    **{f"input_{kind}_tokens": "input_text_tokens" for kind in ("image", "audio", "video")},
}

Rule = Mapping[str, Any]
Card = tuple[str, Sequence[Rule], PriceCard]

pytestmark = pytest.mark.skipif(
    not CATALOGUE.exists(), reason=f"no real catalogue beside the repository ({SHARED})"
)


def offers() -> Iterator[tuple[str, Sequence[Rule]]]:
    """(a name, the rules) of each offer, capability and region."""
    catalogue = json.loads(CATALOGUE.read_text(), parse_float=Decimal)
    for model in catalogue["models"]:
        for provider in model.get("providers", ()):
            for capability, rules in (provider.get("prices") or {}).items():
                for region in sorted({rule.get("region") or "" for rule in rules}):
                    name = f"{provider['provider']}:{model['id']}:{capability}:{region}"
                    yield name, [rule for rule in rules if (rule.get("region") or "") == region]


def written(rule: Rule) -> dict[str, Any]:
    """A rule as an operator would write it."""
    windows = [
        {
            "start": one["start_time"],
            "end": one["end_time"],
            "days": one.get("days_of_week") or [],
            "usd": str(one["price_per_unit"]),
        }
        for one in rule.get("time_windows") or ()
    ]
    return {
        "meter": rule["meter"],
        "usd": f"{Decimal(rule['price_usd']):f}",
        "per": rule["unit_size"],
        "plan": rule.get("plan") or "standard",
        "priority": rule.get("priority") or 100,
        "when": rule.get("match") or [],
        "effective_from": rule.get("effective_from"),
        "effective_to": rule.get("effective_to"),
        "windows": windows,
    }


def unique(rules: Sequence[Rule]) -> list[Rule]:
    """Without the few that say a second time what another says."""
    seen: dict[str, Rule] = {}
    for rule in rules:
        place = {
            name: value for name, value in written(rule).items() if name not in ("usd", "per", "windows")
        }
        seen.setdefault(json.dumps(place, default=str), rule)
    return list(seen.values())


@pytest.fixture(scope="module")
def cards() -> list[Card]:
    found = []
    for name, rules in offers():
        entry = ModelEntry.model_validate({"id": "m", "price": [written(rule) for rule in unique(rules)]})
        found.append((name, rules, PriceCard(id="pc", prices=entry.prices)))
    return found


def test_every_rule_loads(cards: list[Card]) -> None:
    assert sum(len(rules) for _, rules, _ in cards) == RULES
    twice = sum(len(rules) - len(card.prices) for _, rules, card in cards)
    print(f"{RULES} rules, {len(cards)} cards, {twice} rules that another one says already")
    assert twice < 40


def test_random_usages_cost_what_fractions_say(cards: list[Card]) -> None:
    dice = random.Random(20_261_123)
    uneven = [card for card in cards if any(_uneven(rule) for rule in card[1])]
    counted: Counter[str] = Counter()
    for turn in range(USAGES):
        name, rules, card = dice.choice(uneven if turn % 2 else cards)
        meters = sorted({rule["meter"] for rule in rules} | {"output_reasoning_tokens"})
        usage = {
            meter: dice.choice((0, 1, 7, 999, dice.randrange(10**6), Decimal("12.345"), 200_000, 272_001))
            for meter in dice.sample(meters, dice.randrange(1, len(meters) + 1))
        }
        edges = [
            rule[name] for rule in rules for name in ("effective_from", "effective_to") if rule.get(name)
        ]
        at = _moment(dice.choice((dice.choice(MOMENTS), dice.choice(edges or MOMENTS))))
        plan, values = dice.choice(PLANS), _values(dice, rules)
        made = charge(usage, card, Terms(plan=plan, values=values, at=int(at.timestamp() * 1000)))
        said = reference(usage, unique(rules), plan, values, at)
        where = (name, usage, plan, values, at)
        assert {line.meter: line.nanos for line in made.lines} == said.nanos, where
        assert sorted(made.unpriced) == sorted(said.unpriced), where
        assert sorted(made.holes) == sorted(said.holes), where
        assert made.total == sum(said.nanos.values())
        for line in made.lines:  # nothing is free but what its own rule says is, or what rounds to nothing
            assert line.nanos or said.exact[line.meter] * 2 < 1, where
            assert said.exact[line.meter] or said.zero[line.meter], where
        counted.update(lines=len(said.nanos), holes=len(said.holes), unpriced=len(said.unpriced))
        counted.update(said.seen)
    print(dict(counted))
    wanted = {"holes", "unpriced", "another plan", "the dearest plan", "window", "condition", "zero"}
    assert {what for what in wanted if not counted[what]} == set()


def _uneven(rule: Rule) -> bool:
    """Whether a rule does not hold always, for everybody."""
    names = ("plan", "match", "time_windows", "effective_to", "priority")
    return any(rule.get(name) for name in names)


def _values(dice: random.Random, rules: Sequence[Rule]) -> dict[str, Any]:
    """Parameters around what the conditions of a card ask for; some are left out."""
    values: dict[str, Any] = {}
    for rule in rules:
        for condition in rule.get("match") or ():
            if condition["path"] == "input_tokens" or dice.random() < 0.3:
                continue
            wanted = condition["value"]
            near = wanted if isinstance(wanted, list) else [wanted]
            near = [*near, "unknown", *(one + step for one in near if _is_number(one) for step in (-1, 1))]
            *into, last = condition["path"].split(".")
            inner = values
            for part in into:
                inner = inner.setdefault(part, {})
            inner[last] = dice.choice(near)
    return values


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


# An independent reading of the contract, section 5.2, and money.md: of the rules as the catalogue has them,
# slow, and over fractions


class Said:
    """What the catalogue's own rules make of a usage."""

    def __init__(self) -> None:
        self.nanos: dict[str, int] = {}
        self.exact: dict[str, Fraction] = {}
        self.zero: dict[str, bool] = {}
        self.unpriced: list[str] = []
        self.holes: list[str] = []
        self.seen: Counter[str] = Counter()


def reference(
    usage: Mapping[str, int | Decimal], rules: Sequence[Rule], plan: str, values: Rule, at: datetime
) -> Said:
    said = Said()
    for meter, quantity in usage.items():
        if quantity == 0:
            continue
        name: str | None = meter
        own: list[Rule] = []
        while name is not None and not own:
            own = [rule for rule in rules if rule["meter"] == name and _in_force(rule, at)]
            name = NEXT.get(name)
        if not own:
            said.unpriced.append(meter)
            continue
        _price(said, meter, Fraction(quantity), _of_plan(own, plan, said), usage, values, at)
    return said


def _price(
    said: Said, meter: str, quantity: Fraction, rules: list[Rule], usage: Any, values: Rule, at: datetime
) -> None:
    fitting = [rank for place, rule in enumerate(rules) if (rank := _rank(rule, place, usage, values))]
    if fitting:
        rule = min(fitting, key=lambda pair: pair[0])[1]
        said.seen["condition"] += bool(rule.get("match"))
    else:
        rule = max(rules, key=_most)
        said.holes.append(meter)
    windows = [one for one in rule.get("time_windows") or () if _inside(one, at)]
    said.seen["window"] += bool(windows)
    usd = Fraction(windows[0]["price_per_unit"] if windows else rule["price_usd"])
    said.seen["zero"] += usd == 0
    said.zero[meter] = usd == 0
    said.exact[meter] = quantity * usd / rule["unit_size"] * NANOS
    said.nanos[meter] = int(said.exact[meter] + Fraction(1, 2))


def _in_force(rule: Rule, at: datetime) -> bool:
    since, until = rule.get("effective_from"), rule.get("effective_to")
    return not (since and at < _moment(since)) and not (until and at >= _moment(until))


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _of_plan(rules: list[Rule], plan: str, said: Said) -> list[Rule]:
    by_plan: dict[str, list[Rule]] = {}
    for rule in rules:
        by_plan.setdefault(rule.get("plan") or "standard", []).append(rule)
    said.seen["another plan"] += plan not in by_plan
    for wanted in (plan, "standard"):
        if wanted in by_plan:
            return by_plan[wanted]
    said.seen["the dearest plan"] += 1
    return max(by_plan.values(), key=lambda own: max(map(_most, own)))


def _most(rule: Rule) -> Fraction:
    """USD of one unit, at its dearest hour."""
    prices = [rule["price_usd"], *(one["price_per_unit"] for one in rule.get("time_windows") or ())]
    return max(map(Fraction, prices)) / rule["unit_size"]


def _rank(rule: Rule, place: int, usage: Any, values: Rule) -> tuple[Any, Rule] | None:
    """(what to sort by, the rule) of one that holds."""
    truths = [(one.get("or_group"), _true(one, usage, values)) for one in rule.get("match") or ()]
    groups: dict[int, list[bool]] = {}
    for group, truth in truths:
        if group is not None:
            groups.setdefault(group, []).append(truth)
    full = [group for group, own in groups.items() if all(own)]
    if not all(truth for group, truth in truths if group is None) or (groups and not full):
        return None
    partial = [group for group, own in groups.items() if any(own) and not all(own)]
    true = sum(truth for _, truth in truths)
    priority = rule.get("priority") or 100
    return (-priority, -len(full), -true, -len(truths), len(partial), not truths, place), rule


def _inside(window: Rule, at: datetime) -> bool:
    """Whether a time is in a window; one over midnight is of the day on which it starts."""
    assert window.get("timezone", "UTC") == "UTC"
    start, end, now = window["start_time"], window["end_time"], f"{at:%H:%M}"
    day = at if start < end or now >= start else at - timedelta(days=1)
    holds = start <= now < end if start < end else now >= start or now < end
    days = window.get("days_of_week")
    return holds and (not days or DAYS[day.weekday()] in days)


def _true(condition: Rule, usage: Any, values: Rule) -> bool:
    value: Any = values
    for name in condition["path"].split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if value is None and condition["path"] == "input_tokens":
        value = sum(
            n for meter, n in usage.items() if "_tokens" in meter and meter[:6] in ("input_", "cached")
        )
    if value is None:
        value = usage.get(condition["path"])
    if value is None:
        return False
    op, wanted = condition["op"], condition["value"]
    if op in ("eq", "in"):
        options = wanted if op == "in" else [wanted]
        return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in options)
    if not _is_number(value):
        return False
    return bool(
        {"lt": value < wanted, "lte": value <= wanted, "gt": value > wanted, "gte": value >= wanted}[op]
    )
