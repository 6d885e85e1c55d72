"""For every test: no network but loopback, and the markers in use."""

import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

_LOCAL = ("127.", "::1", "localhost", "0.0.0.0")  # compared with, never bound


class NetworkRefused(OSError):
    """A test tried to leave this machine."""


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect":
        return
    address = arguments[1]
    if isinstance(address, tuple) and not str(address[0]).startswith(_LOCAL):
        raise NetworkRefused(f"tests stay on loopback; this one wanted {address[0]}:{address[1]}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make torture` asks for more than every run of the tests can afford."""
    parser.addoption("--whole", action="store_true", help="as many kills, clients ... as the promise names")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and forbid this process every connection that leaves the machine.

    No property fails because the machine is busy.
    """
    settings.register_profile(
        "untimed", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("untimed")
    config.addinivalue_line("markers", "slow: takes more than some ten seconds")
    sys.addaudithook(_guard)
