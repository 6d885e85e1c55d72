"""Values of options that click has no type for."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click
from typing_extensions import override

from gateway_core.config.model import split_listen
from plugin_sdk.money import NANOS_PER_USD, Nanos

_USD: Final = re.compile(r"(?P<whole>[0-9]{1,10})(?:\.(?P<part>[0-9]+))?")
_MOST: Final = 1_000_000_000  # USD at once; a signed 64-bit number of nanos holds nine of these


class Usd(click.ParamType[Nanos]):
    """An amount of US dollars, exact to the nano-dollar; never through a float."""

    name = "usd"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Nanos:
        found = _USD.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no amount; write it as 10 or 10.50", param, ctx)
        part = found["part"] or ""
        if len(part) > 9:
            self.fail(f"{value} has more than 9 decimals; a nano-dollar is the least there is", param, ctx)
        nanos = int(found["whole"]) * NANOS_PER_USD + int(part.ljust(9, "0"))
        if not 0 < nanos <= _MOST * NANOS_PER_USD:
            self.fail(f"{value} is out of range; give more than 0 and at most {_MOST}", param, ctx)
        return Nanos(nanos)


class SignedUsd(Usd):
    """An amount that may be below zero."""

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Nanos:
        text = str(value)
        found = super().convert(text.removeprefix("-").removeprefix("+"), param, ctx)
        return Nanos(-found) if text.startswith("-") else found


class Moment(click.ParamType[int]):
    """A moment as ISO 8601, in ms since 1970; a date is its first moment, UTC where no zone is given."""

    name = "moment"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no moment; write it as 2026-03-01 or 2026-03-01T12:00:00Z", param, ctx)
        if found.tzinfo is None:
            found = found.replace(tzinfo=UTC)
        return int(found.timestamp() * 1000)


class UsdOrNone(Usd):
    """The same, and 0 for none at all."""

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Nanos:
        return Nanos(0) if str(value) == "0" else super().convert(value, param, ctx)


class Listen(click.ParamType[str]):
    """host:port."""

    name = "host:port"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            split_listen(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
        return str(value)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as text, each column as wide as its widest."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def usd(nanos: int) -> str:
    """`$10.00`, with as many decimals as there are, at least two."""
    whole, part = divmod(abs(nanos), NANOS_PER_USD)
    decimals = f"{part:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nanos < 0 else ''}${whole}.{decimals}"
