"""Our price lists and the package's agree on random usages, or the difference is in the reviewed table."""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import entry_points
from typing import Any

import pytest

from plugin_sdk.catalogue import ModelEntry
from plugin_sdk.money import PriceCard
from plugin_sdk.price_rules import STANDARD, Terms
from plugin_sdk.testing import models_of
from plugins.policies.genai_prices import KNOWN
from tests.plugins.genai_prices.differences import DIFFERENCES
from tests.plugins.genai_prices.reference import ours, theirs

data = pytest.importorskip("genai_prices.data")

USAGES = 500
PLANS = {STANDARD: None, "flex": {"service_tier": "flex"}, "priority": {"service_tier": "priority"}}
# What text is charged by; of images and sounds the package and a provider's usage rarely mean the same.
METERS = (
    "input_text_tokens", "cached_read_text_tokens", "cached_write_text_tokens", "cached_write_text_tokens_1h",
    "output_text_tokens", "output_reasoning_tokens", "native_web_search_requests",
)  # fmt: skip
# A Sunday, at noon: a price that is ours only on weekdays, or theirs only at night, plays no part.
AT = int(datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp() * 1000)

Known = tuple[str, ModelEntry, Any, Any]  # (provider, our entry, their provider, their model)


@pytest.fixture(scope="module")
def known() -> list[Known]:
    return list(_known())


def _known() -> Iterator[Known]:
    by_id = {one.id: one for one in data.providers}
    for name, theirs_id in KNOWN.items():
        (point,) = entry_points(group="gateway.plugins", name=name)
        for entry in models_of(point.load()):
            provider = by_id[theirs_id]
            if (model := provider.find_model(entry.upstream or entry.id)) is not None:
                yield name, entry, provider, model


def _card(entry: ModelEntry) -> PriceCard:
    return PriceCard(id=entry.id, prices=entry.prices)


def _plans(name: str, entry: ModelEntry) -> list[str]:
    """The plans that both mean the same by: those of service tiers."""
    tiers = {rule.plan for rule in entry.rules} if name == "openai" else set()
    return [plan for plan in PLANS if plan == STANDARD or plan in tiers]


def _explained(name: str, entry: ModelEntry, usage: dict[str, int]) -> bool:
    """Whether the table says that this usage may cost something else."""
    meters, _ = DIFFERENCES.get((name, entry.id), ("", ""))
    return meters == "*" or any(usage.get(meter) or meter == "requests" for meter in meters.split())


def test_we_know_most_models_in_common(known: list[Known]) -> None:
    assert len(known) > 130
    assert {name for name, *_ in known} == set(KNOWN) - {"azure"}


def test_five_hundred_random_usages_cost_the_same_or_the_table_says_why(known: list[Known]) -> None:
    dice = random.Random(20_261_129)
    counted: Counter[str] = Counter()
    for _ in range(USAGES):
        name, entry, provider, model = dice.choice(known)
        card = _card(entry)
        plan = dice.choice(_plans(name, entry))
        usage = {meter: dice.choice((0, 1, 999, 5_000, 199_999, 272_001)) for meter in METERS}
        # a write that no card prices by itself is input in both
        usage = {meter: count for meter, count in usage.items() if card.takes(meter) and count}
        exact, _ = ours(card, usage, Terms(plan=plan, at=AT))
        said = theirs(provider, model, usage, AT, PLANS[plan])
        if exact != said:
            assert _explained(name, entry, usage), (name, entry.id, plan, usage, float(exact), float(said))
        counted["differs" if exact != said else "agrees"] += 1
    print(dict(counted))
    assert counted["agrees"] > USAGES * 3 // 4


def test_every_row_of_the_table_still_differs_and_in_no_other_meter(known: list[Known]) -> None:
    found = {}
    for name, entry, provider, model in known:
        card = _card(entry)
        differ = []
        for meter in METERS:
            for count in (1, 272_001):
                usage = {meter: count, **({} if meter.startswith("input") else {"input_text_tokens": count})}
                if card.takes(meter) or model.prices:
                    exact, _ = ours(card, usage, Terms(at=AT))
                    if exact != theirs(provider, model, usage, AT):
                        differ.append(meter)
        if differ:
            found[name, entry.id] = set(differ)
    assert found.keys() == DIFFERENCES.keys()
    for row, (meters, cause) in DIFFERENCES.items():
        assert cause
        if meters not in ("*", "requests"):
            assert found[row] == set(meters.split()), row
