"""The provider's usage in disjoint meters, and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.protocols.openai_chat.usage import Counts, meter, usage_object


def used(prompt: int, completion: int, total: int | None = None, **more: Any) -> dict[str, Any]:
    total = prompt + completion if total is None else total
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **more}


def into(**counts: int) -> dict[str, Any]:
    return {"prompt_tokens_details": {f"{name}_tokens": count for name, count in counts.items()}}


def out(**counts: int) -> dict[str, Any]:
    return {"completion_tokens_details": {f"{name}_tokens": count for name, count in counts.items()}}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (used(10, 5), {"input_text_tokens": 10, "output_text_tokens": 5}),
        (
            used(1000, 50, **into(cached=400)),
            {"cached_read_text_tokens": 400, "input_text_tokens": 600, "output_text_tokens": 50},
        ),
        (
            used(100, 50, **into(cached=40, cache_write=30, audio=10, image=15)),
            {
                "cached_read_text_tokens": 40,
                "cached_write_text_tokens": 30,
                "input_audio_tokens": 10,
                "input_image_tokens": 15,
                "input_text_tokens": 5,
                "output_text_tokens": 50,
            },
        ),
        (
            used(10, 50, **out(reasoning=20, audio=5, image=6)),
            {
                "input_text_tokens": 10,
                "output_reasoning_tokens": 20,
                "output_audio_tokens": 5,
                "output_image_tokens": 6,
                "output_text_tokens": 19,
            },
        ),
        (
            used(64, 6, prompt_cache_hit_tokens=32),
            {"cached_read_text_tokens": 32, "input_text_tokens": 32, "output_text_tokens": 6},
        ),
        (
            used(64, 6, num_cached_tokens=32),
            {"cached_read_text_tokens": 32, "input_text_tokens": 32, "output_text_tokens": 6},
        ),
        (
            used(10, 5, server_tool_use_details={"web_search_requests": 2}),
            {"input_text_tokens": 10, "output_text_tokens": 5, "native_web_search_requests": 2},
        ),
        ({}, {"input_text_tokens": 0, "output_text_tokens": 0}),
    ],
)
def test_meters_are_disjoint(usage: dict[str, Any], expected: dict[str, int]) -> None:
    found = meter(usage)
    assert found.meters == expected
    assert found.contradictions == ()


def test_reasoning_beside_the_completion_is_told_by_the_providers_total() -> None:
    found = meter(used(10, 10, 297, **out(reasoning=277)))
    assert found.meters == {
        "input_text_tokens": 10,
        "output_reasoning_tokens": 277,
        "output_text_tokens": 10,
    }
    assert found.contradictions == ()


def test_audio_beside_the_prompt_is_told_in_the_same_way() -> None:
    found = meter(used(9, 201, 585, **into(audio=375)))
    assert (found.meters["input_text_tokens"], found.meters["input_audio_tokens"]) == (9, 375)
    assert found.contradictions == ()


def test_output_that_is_only_in_the_total_is_thinking_that_was_not_itemised() -> None:
    found = meter(used(66, 6, 100))
    assert found.meters == {"input_text_tokens": 66, "output_reasoning_tokens": 28, "output_text_tokens": 6}
    assert found.contradictions == ("total_tokens",)


@pytest.mark.parametrize(
    ("usage", "at_fault"),
    [
        (used(325, 17, **into(cached=417)), "cached_read_text_tokens"),
        (used(24, 155, **out(reasoning=159)), "output_reasoning_tokens"),
        (used(100, 5, **into(cached=90, cache_write=90)), "cached_write_text_tokens"),
        (used(10, 5, 12), "total_tokens"),
        (used(-5, 5), "prompt_tokens"),
        (used(5, 10**18), "completion_tokens"),
        (used(5, 5, **into(cached=-3)), "cached_tokens"),
        ({"prompt_tokens": "12", "completion_tokens": 3}, "prompt_tokens"),
        ({"prompt_tokens": 1.5, "completion_tokens": 3}, "prompt_tokens"),
        ({"prompt_tokens": [1], "completion_tokens": 3}, "prompt_tokens"),
        ({"prompt_tokens": True, "completion_tokens": 3}, "prompt_tokens"),
        ({"prompt_tokens": float("inf"), "completion_tokens": 3}, "prompt_tokens"),
    ],
)
def test_figures_that_cannot_be_are_clamped_and_noted(usage: dict[str, Any], at_fault: str) -> None:
    found = meter(usage)
    assert at_fault in found.contradictions
    assert all(count >= 0 for count in found.meters.values())


def test_a_cached_image_is_no_contradiction() -> None:
    found = meter(used(504, 91, **into(cached=370, image=256)))
    assert found.contradictions == ()
    assert found.meters["input_image_tokens"] == 134
    assert sum(found.meters.values()) == 595


def test_a_count_that_is_a_whole_float_is_a_count() -> None:
    assert meter({"prompt_tokens": 12.0, "completion_tokens": 3}).meters["input_text_tokens"] == 12


def test_later_usage_replaces_what_it_says_and_keeps_the_rest() -> None:
    counts = Counts()
    counts.add(used(100, 0, **into(cached=40)))
    found = counts.add({"completion_tokens": 7, "total_tokens": 107, "prompt_tokens_details": None})
    assert found == {"cached_read_text_tokens": 40, "input_text_tokens": 60, "output_text_tokens": 7}
    assert counts.add({"prompt_tokens_details": {"audio_tokens": 5}})["input_audio_tokens"] == 5
    assert counts.add({"completion_tokens": 8, "total_tokens": 108})["output_text_tokens"] == 8


COUNT = st.integers(0, 10_000)


@given(COUNT, COUNT, COUNT, COUNT, COUNT)
def test_meters_sum_to_the_total_and_survive_the_way_back(
    cached: int, image: int, text: int, reasoning: int, said: int
) -> None:
    usage = used(
        cached + image + text,
        reasoning + said,
        **into(cached=cached, image=image),
        **out(reasoning=reasoning),
    )
    found = meter(usage)
    assert sum(found.meters.values()) == usage["total_tokens"]
    assert found.contradictions == ()
    again = meter(usage_object(found.meters))
    assert again.meters == found.meters


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.integers(), max_size=2),
)
NAMES = st.sampled_from(
    [
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "cached_tokens",
        "audio_tokens",
        "reasoning_tokens",
    ]
)
DETAILS = st.sampled_from(["prompt_tokens_details", "completion_tokens_details", "server_tool_use"])


@given(
    st.dictionaries(NAMES, ANYTHING), st.dictionaries(DETAILS, st.dictionaries(NAMES, ANYTHING) | ANYTHING)
)
def test_whatever_a_provider_says_gives_whole_meters_that_are_not_negative(
    flat: dict[str, Any], details: dict[str, Any]
) -> None:
    for count in Counts().add({**flat, **details}).values():
        assert type(count) is int
        assert count >= 0


def test_cache_writes_of_any_age_are_cache_writes() -> None:
    found = usage_object(
        {"input_text_tokens": 1, "cached_write_text_tokens_5m": 2, "cached_write_text_tokens_1h": 3}
    )
    assert found["prompt_tokens"] == 6
    assert found["prompt_tokens_details"]["cache_write_tokens"] == 5
