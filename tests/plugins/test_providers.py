"""What `openai` and `openai_compatible` declare, and their models."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

from plugin_sdk.money import PriceCard, charge
from plugin_sdk.price_rules import STANDARD
from plugin_sdk.testing import models_of
from plugins.modalities.text import GENERATE
from plugins.providers.openai import OpenAI
from plugins.providers.openai_compatible import OpenAICompatible


def test_a_compatible_upstream_needs_to_say_where_it_is_and_speaks_chat_completions() -> None:
    with pytest.raises(ValidationError, match="base_url"):
        OpenAICompatible.Config.model_validate({})
    with pytest.raises(ValidationError, match="base_url"):
        OpenAICompatible.Config.model_validate({"base_url": ""})
    assert OpenAICompatible.speaks == {"text.generate": "openai.chat"}
    assert models_of(OpenAICompatible) == ()


def test_openai_takes_its_output_limit_in_the_field_that_its_reasoning_models_accept() -> None:
    assert OpenAI.output_limit_field == "max_completion_tokens"
    assert OpenAI.base_url == "https://api.openai.com/v1"


def test_openais_models_are_a_dozen_or_more_each_under_its_plain_name_too() -> None:
    models = models_of(OpenAI)
    assert len(models) >= 12
    for model in models:
        assert model.id == f"openai/{model.upstream}"
        assert model.aliases == (model.upstream,)
        assert model.context
        assert model.max_output
        assert model.max_output < model.context


def test_every_openai_card_prices_a_usage_with_everything_in_it_and_cached_input_is_cheaper() -> None:
    usage = {"input_text_tokens": 1_000, "cached_read_text_tokens": 1_000, "output_text_tokens": 10}
    for model in models_of(OpenAI):
        made = charge({**usage, "output_reasoning_tokens": 10}, PriceCard(id="c", prices=model.prices))
        lines = {line.meter: line.nanos for line in made.lines}
        assert made.unpriced == ()
        assert lines["cached_read_text_tokens"] < lines["input_text_tokens"]
        assert lines["output_reasoning_tokens"] == lines["output_text_tokens"]
        assert {price.meter for price in model.prices} <= GENERATE.meters


def test_a_known_price_is_what_it_is() -> None:
    (model,) = [one for one in models_of(OpenAI) if one.upstream == "gpt-4o-mini"]
    assert {price.meter: price.usd for price in model.prices if price.plan == STANDARD} == {
        "input_text_tokens": Decimal("0.15"),
        "cached_read_text_tokens": Decimal("0.075"),
        "output_text_tokens": Decimal("0.60"),
        "native_web_search_requests": Decimal("0.01"),
    }
