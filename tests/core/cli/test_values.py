"""Amounts and addresses as an operator writes them."""

import contextlib
from decimal import Decimal

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_core.cli.values import Listen, Usd, usd
from gateway_core.config.model import is_loopback


@given(st.integers(1, 10**18))
def test_every_amount_is_read_exactly_and_shown_exactly(nanos: int) -> None:
    text = f"{Decimal(nanos) / 10**9:f}"
    assert Usd().convert(text, None, None) == nanos
    assert Usd().convert(usd(nanos).removeprefix("$"), None, None) == nanos


@given(st.text())
def test_an_amount_is_read_or_refused_and_never_anything_else(text: str) -> None:
    with contextlib.suppress(click.BadParameter):
        assert Usd().convert(text, None, None) > 0


@pytest.mark.parametrize(
    "text",
    [
        "-1", "+1", "NaN", "inf", "1e3", "1_000", "1,000", "$5", "5 USD", "", " 1", "1 ", ".5", "5.", "0",
        "0.000000000", "0.0000000001", "1.0000000000", "1000000000.000000001", "٣", "0x10",
        "1.2.3", "99999999999",
    ],
)  # fmt: skip
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Usd().convert(text, None, None)


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "$0.00"),
        (1, "$0.000000001"),
        (10_500_000_000, "$10.50"),
        (-2_000_000_001, "-$2.000000001"),
        (10**18, "$1000000000.00"),
    ],
)
def test_an_amount_is_shown_with_all_its_decimals(nanos: int, text: str) -> None:
    assert usd(nanos) == text


def test_an_address_is_checked_before_anything_is_started() -> None:
    assert Listen().convert("[::1]:80", None, None) == "[::1]:80"
    with pytest.raises(click.BadParameter, match="write it as host:port"):
        Listen().convert("80", None, None)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("10.0.0.1", False), ("example.com", False), ("127.0.0.1.example.com", False)],
)  # fmt: skip
def test_loopback_is_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
