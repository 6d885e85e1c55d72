"""The headers of a message: kept as bytes, decoded when somebody asks."""

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
    """A mapping with lower-case names; `raw` is the same as it came."""

    __slots__ = ("raw",)

    def __init__(self, raw: dict[bytes, bytes]) -> None:
        self.raw = raw

    @override
    def __getitem__(self, name: str) -> str:
        try:
            return self.raw[name.encode("latin-1")].decode("latin-1")
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
            value = self.raw.get(name.encode("latin-1"))
        except UnicodeEncodeError:
            return default
        return default if value is None else value.decode("latin-1")

    @override
    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.encode("latin-1", "replace") in self.raw

    @override
    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self.raw)

    @override
    def __len__(self) -> int:
        return len(self.raw)

    @override
    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"  # names only: a value may be somebody's secret
