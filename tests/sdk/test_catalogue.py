"""models.yaml: prices without floats, one name once, cards as they are meant."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from plugin_sdk.catalogue import Catalogue, ModelEntry
from plugin_sdk.money import Price


def entry(**fields: Any) -> ModelEntry:
    return ModelEntry.model_validate({"id": "acme/one", **fields})


def test_token_meters_are_priced_per_million_and_others_per_unit() -> None:
    found = entry(
        price={
            "input_text_tokens": "0.15",
            "cached_write_text_tokens_5m": "0.20",
            "native_web_search_requests": "0.01",
        }
    )
    assert found.prices == (
        Price(meter="input_text_tokens", usd=Decimal("0.15"), per=1_000_000),
        Price(meter="cached_write_text_tokens_5m", usd=Decimal("0.20"), per=1_000_000),
        Price(meter="native_web_search_requests", usd=Decimal("0.01"), per=1),
    )


def test_a_rule_in_full_says_its_own_unit() -> None:
    found = entry(
        price=[{"meter": "output_image_tokens", "usd": "0.039", "per": 1290}, {"meter": "requests", "usd": 1}]
    )
    assert found.prices == (
        Price(meter="output_image_tokens", usd=Decimal("0.039"), per=1290),
        Price(meter="requests", usd=Decimal(1), per=1),
    )


def test_a_plan_is_priced_as_the_standard_one_is() -> None:
    found = entry(
        price={"input_text_tokens": "2"}, plans={"flex": {"input_text_tokens": "1", "requests": "0.1"}}
    )
    assert found.prices[1:] == (
        Price(meter="input_text_tokens", usd=Decimal(1), per=1_000_000, plan="flex"),
        Price(meter="requests", usd=Decimal("0.1"), per=1, plan="flex"),
    )
    with pytest.raises(ValidationError, match="what is charged as standard is the `price`"):
        entry(price={"requests": "1"}, plans={"standard": {"requests": "2"}})
    with pytest.raises(ValidationError, match="more than one rule for: requests"):
        entry(price=[{"meter": "requests", "usd": "1", "plan": "x"}], plans={"x": {"requests": "2"}})
    assert entry(price="free", plans={"x": {"requests": "2"}}).prices == ()


def test_free_is_a_word_and_no_price_is_not_free() -> None:
    assert entry(price="free").free
    assert entry(price="free").prices == ()
    assert not entry().free
    assert not entry(price={"input_text_tokens": "0"}).free


@pytest.mark.parametrize(
    ("price", "words"),
    [
        ({"input_text_tokens": 0.15}, 'write the price in quotes, as "0.15"'),
        ({"input_text_tokens": True}, "in quotes"),
        ({"input_text_tokens": "-1"}, "not a price"),
        ({"input_text_tokens": "NaN"}, "not a price"),
        ({"input_text_tokens": "Infinity"}, "not a price"),
        ({"input_text_tokens": "cheap"}, "not a price"),
        ({"input text": "1"}, "pattern"),
        ({}, "write `free`"),
        ([], "write `free`"),
        ([{"meter": "a", "usd": "1"}, {"meter": "a", "usd": "2"}], "more than one rule for: a"),
        ([{"meter": "a", "usd": "1", "per": 0}], "greater than 0"),
        ("gratis", "free"),
        (
            [{"meter": "a", "usd": "1"}, {"meter": "a", "usd": "1", "plan": "x"}, {"meter": "a", "usd": "2"}],
            "for: a",
        ),
    ],
)
def test_what_is_not_a_price_is_refused_with_what_to_write(price: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        entry(price=price)


@given(st.decimals(Decimal(0), Decimal(1000), allow_nan=False, allow_infinity=False, places=9))
def test_a_price_is_the_decimal_that_was_written(usd: Decimal) -> None:
    (price,) = entry(price={"input_text_tokens": f"{usd:f}"}).prices
    assert price.usd == usd


@pytest.mark.parametrize("name", ["", "with space", "line\nbreak", "x" * 201, "caf\u00e9"])
def test_an_id_can_stand_in_a_header(name: str) -> None:
    with pytest.raises(ValidationError):
        entry(id=name)
    with pytest.raises(ValidationError):
        entry(aliases=[name])


@pytest.mark.parametrize(
    "models",
    [
        [{"id": "a"}, {"id": "a"}],
        [{"id": "a", "aliases": ["b"]}, {"id": "b"}],
        [{"id": "a", "aliases": ["c"]}, {"id": "b", "aliases": ["c"]}],
        [{"id": "a", "aliases": ["a"]}],
    ],
)
def test_a_name_names_one_model(models: Any) -> None:
    with pytest.raises(ValidationError, match="names both"):
        Catalogue.model_validate({"models": models})


def test_unknown_keys_are_errors_so_that_a_typing_error_is_not_a_default() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        entry(max_ouput=3)
