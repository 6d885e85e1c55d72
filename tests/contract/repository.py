"""The repository as the contract tests see it: its files, its pages and what is inside them."""

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway_core", "plugin_sdk", "plugins")

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)


@cache
def files() -> tuple[Path, ...]:
    """Every file that is tracked, or would be if it were added now."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return tuple(ROOT / name for name in sorted(listed.split("\0")) if name and (ROOT / name).is_file())


def python_files(*folders: str) -> list[Path]:
    """The Python files below these folders of the root."""
    return [path for path in files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in folders]


def pages() -> list[Path]:
    """Every Markdown page a reader may open."""
    return [path for path in files() if path.suffix == ".md"]


def page(name: str) -> str:
    """A page of docs/, e.g. `extend/hooks.md`."""
    return (ROOT / "docs" / name).read_text()


def blocks(path: Path, language: str) -> Iterator[tuple[int, str]]:
    """(line, text) of each fenced block of a language on a page; ` ```yaml title="x" ` counts as yaml."""
    text = path.read_text()
    for found in _FENCE.finditer(text):
        if found["info"].split(" ")[0] == language:
            indent = found["indent"]
            body = "".join(line.removeprefix(indent) for line in found["body"].splitlines(keepends=True))
            yield text.count("\n", 0, found.start("body")) + 1, body


def without_blocks(text: str) -> str:
    """A page's prose."""
    return _FENCE.sub("", text)


def short(path: Path) -> str:
    """A path as a person would write it."""
    return path.relative_to(ROOT).as_posix()
