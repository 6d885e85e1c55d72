"""What each provider declares: the kit's rules, its models, its prices, where it is."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from plugin_sdk.money import PriceCard, charge
from plugin_sdk.price_rules import Terms
from plugin_sdk.provider import Provider
from plugin_sdk.testing import check_provider, models_of
from plugins.modalities.text import GENERATE
from plugins.providers.azure import Azure
from plugins.providers.deepseek import DeepSeek
from plugins.providers.mistral import Mistral
from plugins.providers.perplexity import Perplexity
from plugins.providers.xai import XAI
from tests.plugins.providers.kinds import CONFIGS, RESOURCE, made

WITH_MODELS = [kind for kind in CONFIGS if kind is not Azure]
USAGE = {"input_text_tokens": 1_000, "cached_read_text_tokens": 1_000, "output_text_tokens": 1_000}


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_provider_keeps_the_rules(kind: type[Provider[Any]]) -> None:
    check_provider(kind, CONFIGS[kind], operations=[GENERATE])


@pytest.mark.parametrize("kind", WITH_MODELS)
def test_its_models_are_vendors_and_names_each_with_a_price_for_all_that_is_metered(
    kind: type[Provider[Any]],
) -> None:
    models = models_of(kind)
    assert models
    for model in models:
        vendor, slash, name = model.id.partition("/")
        assert vendor.islower()
        assert slash
        assert name
        assert not model.max_output or not model.context or model.max_output <= model.context
        made_of = charge({**USAGE, "output_reasoning_tokens": 10}, PriceCard(id="c", prices=model.prices))
        assert made_of.unpriced == ()
        assert made_of.total > 0


@pytest.mark.parametrize("kind", WITH_MODELS)
def test_it_is_at_an_https_address_of_its_own(kind: type[Provider[Any]]) -> None:
    assert kind.base_url is not None
    assert urlsplit(kind.base_url).scheme == "https"
    assert not kind.base_url.endswith("/")


def test_azure_has_no_models_but_the_operators() -> None:
    assert models_of(Azure) == ()
    assert made(Azure).config.base_url == RESOURCE


def nanos(kind: type[Provider[Any]], name: str, usage: dict[str, int], **terms: Any) -> int:
    (model,) = [one for one in models_of(kind) if name in (one.id, *one.aliases)]
    return charge(usage, PriceCard(id="c", prices=model.prices), Terms(**terms)).total


def test_known_prices_are_what_they_are() -> None:
    million = {"input_text_tokens": 1_000_000, "output_text_tokens": 100_000}
    assert nanos(Mistral, "mistral-large-latest", million) == 500_000_000 + 150_000_000
    small = {"input_text_tokens": 100_000, "output_text_tokens": 10_000}
    assert nanos(XAI, "x-ai/grok-4.5", small) == 200_000_000 + 60_000_000
    assert nanos(XAI, "x-ai/grok-4.5", million) == 4_000_000_000 + 1_200_000_000  # a long input
    assert nanos(XAI, "grok-4.5", small, plan="priority") == 400_000_000 + 120_000_000


def test_a_search_is_paid_by_the_request_and_its_size() -> None:
    usage = {"input_text_tokens": 1_000, "output_text_tokens": 1_000, "requests": 1}
    assert nanos(Perplexity, "sonar", usage) == 5_000_000 + 2_000_000
    wide = {"web_search_options": {"search_context_size": "high"}}
    assert nanos(Perplexity, "sonar", usage, values=wide) == 12_000_000 + 2_000_000


def test_a_peak_hour_costs_twice_as_much_but_not_on_weekends() -> None:
    usage = {"input_text_tokens": 1_000_000}
    hour = 3_600_000
    monday = 1_791_763_200_000  # 2026-10-12
    cheap, dear = 150_000_000, 300_000_000

    def prices(day: int) -> list[int]:
        hours = (0, 2, 5, 9, 12)
        return [nanos(DeepSeek, "deepseek-v4-flash", usage, at=day + at * hour) for at in hours]

    assert prices(monday) == prices(monday + 96 * hour) == [cheap, dear, cheap, dear, cheap]
    assert prices(monday - 24 * hour) == prices(monday + 120 * hour) == [cheap] * 5
