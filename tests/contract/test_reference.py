"""The reference pages say what the code says."""

import re
from pathlib import Path

import pytest

from gateway_core.config.model import GatewayBlock
from plugin_sdk.errors import GatewayError, UpstreamRejected
from tests.contract.reference import commands, error_classes, generated, generated_pages, shipped
from tests.contract.repository import ROOT, page, short


@pytest.mark.parametrize("path", generated_pages(), ids=short)
def test_a_generated_table_is_what_the_code_gives(path: Path) -> None:
    assert path.read_text() == generated(path.read_text()), "run `make docs` and commit what it wrote"


def test_there_are_generated_tables() -> None:
    names = {path.relative_to(ROOT / "docs").as_posix() for path in generated_pages()}
    assert names == {
        "explain/performance.md",
        "operate/configuration.md",
        "reference/cli.md",
        "reference/errors.md",
        "reference/fidelity.md",
        "reference/plugins.md",
    }


def test_every_error_code_is_on_the_errors_page() -> None:
    codes = {kind.code for kind in error_classes(GatewayError)} | set(UpstreamRejected.CODES.values())
    text = page("reference/errors.md")
    assert {code for code in codes if f"`{code}`" not in text} == set()


def test_every_command_is_on_the_command_line_page() -> None:
    text = page("reference/cli.md")
    names = [name for name, _ in commands()]
    assert {"gateway serve", "gateway check", "gateway keys create", "gateway ledger verify"} <= set(names)
    assert [name for name in names if f"\n## {name}\n" not in text] == []


def test_every_command_and_option_says_what_it_does() -> None:
    silent = [name for name, command in commands() if not command.help]
    silent += [
        f"{name} {parameter.name}"
        for name, command in commands()
        for parameter in command.params
        if parameter.param_type_name == "option" and not getattr(parameter, "help", None)
    ]
    assert silent == []


def test_every_option_of_the_shipped_plugins_says_what_it_does() -> None:
    tables = [page("operate/configuration.md"), page("reference/plugins.md")]
    silent = re.findall(r"^\| `([a-z_.]+)` \|[^|]*\|[^|]*\|\s*\|$", "\n".join(tables), re.MULTILINE)
    assert silent == []


def test_every_plugin_is_on_the_plugins_page() -> None:
    text = page("reference/plugins.md")
    assert [point.name for point in shipped() if f"\n## {point.name}\n" not in text] == []


def test_every_option_of_the_gateway_block_is_on_the_configuration_page() -> None:
    text = page("operate/configuration.md")
    assert [name for name in GatewayBlock.model_fields if f"| `{name}" not in text] == []
