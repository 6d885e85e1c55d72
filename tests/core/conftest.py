"""Distributions that exist for one test: metadata and modules in a folder of the path."""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

Install = Callable[..., None]

PRELUDE = """
from collections.abc import Sequence
from plugin_sdk.hooks import hookimpl
from plugin_sdk.plugin import Plugin, PluginConfig
from plugin_sdk.provider import Provider, ProviderConfig
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Gives a function that installs a distribution: its plugins by name, its files by path."""
    before = set(sys.modules)
    count = iter(range(100))

    def made(
        distribution: str,
        plugins: Mapping[str, str],
        files: Mapping[str, str] | None = None,
        *,
        version: str = "1.0",
        includes: Mapping[str, str] | None = None,
    ) -> None:
        folder = tmp_path / f"site-{next(count)}"
        info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        points = "[gateway.plugins]\n" + "".join(f"{name} = {value}\n" for name, value in plugins.items())
        points += "[gateway.includes]\n" + "".join(
            f"{name} = {value}\n" for name, value in (includes or {}).items()
        )
        (info / "entry_points.txt").write_text(points)
        for name, text in (files or {}).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text((PRELUDE + text) if name.endswith(".py") else text)
        monkeypatch.syspath_prepend(str(folder))

    yield made
    for name in set(sys.modules) - before:
        if name.startswith("t_"):
            del sys.modules[name]
