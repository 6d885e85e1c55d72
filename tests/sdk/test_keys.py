"""API keys: form, minting, hash."""

import hmac
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_sdk import keys
from plugin_sdk.context import KeyMode


@pytest.mark.parametrize(("mode", "mark"), [("live", "sk"), ("test", "tk"), ("management", "mk")])
def test_a_minted_key_has_the_contracts_form_and_parses_back(mode: KeyMode, mark: str) -> None:
    text, parts = keys.mint(mode)
    assert re.fullmatch(rf"aistats_v1_{mark}_[a-zA-Z0-9]{{12}}_[a-zA-Z0-9]{{40}}", text)
    assert keys.parse(text) == parts
    assert parts.mode == mode


def test_another_prefix_makes_other_keys() -> None:
    text, parts = keys.mint("live", "acme")
    assert text.startswith("acme_sk_")
    assert keys.parse(text, "acme") == parts
    assert keys.parse(text) is None


def test_a_secret_may_hold_underscores() -> None:
    parsed = keys.parse("aistats_v1_sk_abcdefABCDEF_one_two_three_four_")
    assert parsed is not None
    assert (parsed.kid, parsed.secret) == ("abcdefABCDEF", "one_two_three_four_")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "aistats_v1_sk_",
        "aistats_v1_sk_abcdefABCDEF",
        "aistats_v1_sk_abcdefABCDEF_",
        "aistats_v1_sk_short_secret",
        "aistats_v1_pk_abcdefABCDEF_secret",
        "aistats_v2_sk_abcdefABCDEF_secret",
        " aistats_v1_sk_abcdefABCDEF_secret",
        "aistats_v1_sk_abcdefABCDEF_secret\n",
        "aistats_v1_sk_abcdef-BCDEF_secret",
        "aistats_v1_sk_abcdefABCDEF_" + "s" * 201,
        "aistats_v1_sk_\u0661\u0662\u0663\u0664\u0665\u0666_secret",
        "aistats_v1_sk_abcdefABCDEF_\u0661",
    ],
)
def test_what_has_not_the_form_is_no_key(text: str) -> None:
    assert keys.parse(text) is None


@given(st.text())
def test_no_text_makes_parsing_fail_and_a_kid_is_always_plain(text: str) -> None:
    for candidate in (text, "aistats_v1_sk_" + text):
        parsed = keys.parse(candidate)
        assert parsed is None or re.fullmatch(r"[A-Za-z0-9]{6,64}", parsed.kid)


def test_the_hash_is_the_contracts_hmac_of_the_secret_alone() -> None:
    expected = hmac.new(b"pepper", b"secret", "sha256").hexdigest()
    assert keys.hashed("secret", b"pepper") == expected
    assert keys.hashed("secret", b"other") != expected


def test_keys_are_drawn_evenly_from_the_whole_alphabet() -> None:
    drawn = Counter("".join(keys.mint("live")[1].secret for _ in range(500)))
    assert set(drawn) == set(keys.ALPHABET)
    assert max(drawn.values()) < 1.6 * min(drawn.values())


def test_a_parsed_key_does_not_show_its_secret() -> None:
    text, parts = keys.mint("live")
    assert parts.secret not in repr(parts)
    assert parts.secret in text
