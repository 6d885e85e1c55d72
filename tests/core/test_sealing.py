"""A secret at rest: read by its pepper, at its place, unchanged; else not at all."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_core.db.sealing import BrokenSealError, opened, sealed

PEPPER = b"a pepper for tests"
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@given(texts, texts)
def test_what_is_sealed_opens_at_its_place(secret: str, place: str) -> None:
    text = sealed(secret, PEPPER, place)
    assert opened(text, PEPPER, place) == secret
    for pepper, where in ((b"another", place), (PEPPER, place + "x")):
        with pytest.raises(BrokenSealError):
            opened(text, pepper, where)


@given(st.integers(3, 94), st.integers(1, 63))
def test_no_changed_letter_opens(at: int, by: int) -> None:
    text = sealed("sk-a-secret-of-a-team", PEPPER, "T:openai")
    letters = string.ascii_letters + string.digits + "-_"
    other = letters[(letters.index(text[at]) + by) % len(letters)]
    with pytest.raises(BrokenSealError):
        opened(text[:at] + other + text[at + 1 :], PEPPER, "T:openai")


def test_the_same_secret_is_never_sealed_alike_and_shows_nothing() -> None:
    once, again = (sealed("sk-a-secret-of-a-team", PEPPER, "T:openai") for _ in range(2))
    assert once[3:30] != again[3:30]
    assert len({once[40:], again[40:]}) == 2


def test_nothing_is_sealed_without_a_pepper() -> None:
    for cut in ("", "v1.", "v1.AAAA"):
        with pytest.raises(BrokenSealError):
            opened(cut, PEPPER, "p")
    with pytest.raises(BrokenSealError):
        sealed("secret", b"", "p")
