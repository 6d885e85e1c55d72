"""The command line in this process, in a folder of its own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click.testing
import pytest

from gateway_core.cli import main

Result = click.testing.Result
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Gives a function that runs `gateway` with these words, without the tester's environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("GATEWAY_CONFIG", "DATABASE_URL", "KEY_PEPPER"):
        monkeypatch.delenv(name, raising=False)

    def ran(*words: str, **environ: str) -> Result:
        result = click.testing.CliRunner(env=environ).invoke(main, words, prog_name="gateway")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return ran


def found(result: Result) -> Any:
    """What a command printed as JSON; it must have succeeded."""
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)
