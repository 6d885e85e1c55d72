"""The headers of an answer: kept as bytes, decoded when somebody asks."""

from collections.abc import Iterator, Mapping
from typing import Any, overload

from typing_extensions import override

from gateway_core.upstream.exchange import RawHeaders


def fields(raw: RawHeaders) -> dict[bytes, bytes]:
    """By lower-case name; a repeated field is joined by commas."""
    found = {name.lower(): value for name, value in raw}
    if len(found) < len(raw):
        found = {}
        for name, value in raw:
            key = name.lower()
            found[key] = found[key] + b", " + value if key in found else value
    return found


class Headers(Mapping[str, str]):
    """A mapping with lower-case names."""

    __slots__ = ("_fields",)

    def __init__(self, found: dict[bytes, bytes]) -> None:
        self._fields = found

    @override
    def __getitem__(self, name: str) -> str:
        try:
            return self._fields[name.encode("latin-1")].decode("latin-1")
        except (KeyError, UnicodeEncodeError):
            raise KeyError(name) from None

    @overload
    def get(self, name: str, /) -> str | None: ...
    @overload
    def get(self, name: str, default: Any = None, /) -> Any: ...
    @override
    def get(self, name: str, default: Any = None, /) -> Any:
        """The value of a field, or the default."""
        try:
            value = self._fields.get(name.encode("latin-1"))
        except UnicodeEncodeError:
            return default
        return default if value is None else value.decode("latin-1")

    @override
    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._fields)

    @override
    def __len__(self) -> int:
        return len(self._fields)

    @override
    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"  # names only: a value may be somebody's secret
