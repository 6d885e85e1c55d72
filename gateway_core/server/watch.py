"""Has a file changed since the last look? By time, size and inode, so that a replaced file counts."""

from collections.abc import Sequence
from pathlib import Path

Stamp = tuple[int, int, int] | None


class Watch:
    """Remembers what files looked like."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._seen = _look(files)

    def changed(self, files: Sequence[Path]) -> bool:
        """Whether one of `files` differs from the last look; another list of files is no change by itself."""
        seen = _look(files)
        before, self._seen = self._seen, seen
        return any(path in before and before[path] != stamp for path, stamp in seen.items())


def _look(files: Sequence[Path]) -> dict[Path, Stamp]:
    return {path: _stamp(path) for path in files}


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
