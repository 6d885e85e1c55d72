"""What is wrong with a configuration: all of it at once, each with its place and what to do."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from typing_extensions import override

Path = tuple[str | int, ...]


class Place(NamedTuple):
    """A line of a file; no file for what did not come from one."""

    file: str | None = None
    line: int = 0

    @override
    def __str__(self) -> str:
        return "" if self.file is None else f"{self.file}:{self.line}" if self.line else self.file


NOWHERE = Place()


class ConfigError(Exception):
    """A configuration that cannot be used. `errors` are whole lines: `file:line: path: what to do`."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


class Problems:
    """Collects what is wrong, so that an operator reads everything at once."""

    def __init__(self) -> None:
        self._found: dict[tuple[Place, str, str], None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def __iter__(self) -> Iterator[str]:
        files = list(dict.fromkeys(place.file for place, _, _ in self._found))
        for place, path, what in sorted(
            self._found, key=lambda found: (files.index(found[0].file), found[0].line)
        ):
            yield ": ".join(part for part in (str(place), path, what) if part)

    def add(self, place: Place, path: Path, what: str) -> None:
        """Note a problem; the same one twice is one."""
        self._found[place, dotted(path), what] = None

    def raise_if_any(self) -> None:
        """ConfigError with everything noted so far, if anything was."""
        if self._found:
            raise ConfigError(tuple(self))


def dotted(path: Path) -> str:
    """`plugins.acme.models[2].id`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
