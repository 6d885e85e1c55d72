"""Options anywhere, commands of plugins, errors for people."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_core.cli.group import hoisted
from tests.core.cli.conftest import Run, found
from tests.core.conftest import Install

WORDS = st.lists(st.sampled_from(["keys", "create", "--team", "T", "--test", "-x"]), max_size=5)


@given(WORDS, st.integers(0, 5), st.integers(0, 5), st.booleans())
def test_config_and_json_may_stand_anywhere(words: list[str], at: int, also: int, glued: bool) -> None:
    option = ["--config=F"] if glued else ["--config", "F"]
    given_words = [*words[:at], *option, *words[at:]]
    place = min(also, len(words))
    given_words = [*words[:place], "--json", *words[place:]]
    given_words = [*given_words[:at], *option, *given_words[at:]]
    assert sorted(hoisted(given_words)[: len(option) + 1]) == sorted([*option, "--json"])
    assert hoisted(given_words)[len(option) + 1 :] == words


def test_what_stands_behind_two_dashes_stays() -> None:
    assert hoisted(["teams", "create", "--", "--json", "--config"]) == [
        "teams",
        "create",
        "--",
        "--json",
        "--config",
    ]


def test_config_without_a_file_is_a_usage_error(run: Run) -> None:
    result = run("check", "--config")
    assert result.exit_code == 2
    assert "option --config needs a file" in result.stderr


@pytest.mark.parametrize(
    "order", list(itertools.permutations((("--config", "mine.yaml"), ("--json",), ("check",))))
)
def test_every_order_means_the_same(run: Run, tmp_path: Path, order: tuple[tuple[str, ...], ...]) -> None:
    (tmp_path / "mine.yaml").write_text("include: standard\n")
    assert found(run(*(word for words in order for word in words)))["config"] == "mine.yaml"


def test_the_environment_may_name_the_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("include: standard\n")
    assert found(run("check", "--json", GATEWAY_CONFIG="mine.yaml"))["config"] == "mine.yaml"


def test_an_invalid_configuration_exits_with_2_and_a_line_a_problem(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(
        "gateway: {workers: 0}\nplugins: {nope: {}, openai: {api_kee: x}}\n"
    )
    for command in (["check"], ["serve"], ["migrate"], ["plugins"], ["keys", "create", "--team", "t"]):
        result = run(*command)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert result.stderr.startswith("gateway.yaml:1: gateway.workers: ")


def test_the_problems_of_plugins_are_all_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("plugins:\n  nope: {}\n  openai: {api_kee: x}\n")
    result = run("check")
    assert result.exit_code == 2
    assert [line.split(": ")[:2] for line in result.stderr.splitlines()] == [
        ["gateway.yaml:2", "plugins.nope"],
        ["gateway.yaml:3", "plugins.openai.api_kee"],
    ]


COMMANDS = """
import click

class Commands(Plugin):
    @hookimpl
    def register_commands(self, cli):
        @cli.command()
        @click.pass_obj
        def greet(options):
            "Say hello."
            options.say({"hello": self.name}, f"hello from {self.name}")

        @cli.command("check")
        def check():
            "Not the core's."
            click.echo("hijacked")
"""


def test_a_plugin_adds_commands(run: Run, tmp_path: Path, install: Install) -> None:
    install("dist-a", {"commands": "t_commands:Commands"}, {"t_commands.py": COMMANDS})
    (tmp_path / "gateway.yaml").write_text("plugins: {mine: {plugin: commands}}\n")
    assert found(run("greet", "--json")) == {"hello": "mine"}
    assert run("greet").stdout == "hello from mine\n"
    assert "greet" in run("--help").stdout


def test_a_plugin_that_is_not_enabled_adds_none(run: Run, install: Install) -> None:
    install("dist-a", {"commands": "t_commands:Commands"}, {"t_commands.py": COMMANDS})
    assert run("greet").exit_code == 2
    assert "No such command 'greet'" in run("greet").stderr


def test_a_plugin_cannot_replace_a_command_of_the_core(run: Run, tmp_path: Path, install: Install) -> None:
    install("dist-a", {"commands": "t_commands:Commands"}, {"t_commands.py": COMMANDS})
    (tmp_path / "gateway.yaml").write_text("plugins: {commands: {}}\n")
    assert found(run("check", "--json"))["plugins"] == ["commands"]


def test_help_works_with_a_broken_configuration(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("gateway: [\n")
    result = run("--help")
    assert result.exit_code == 0
    assert "serve" in result.stdout
    assert result.stderr == "note: plugins' commands are unknown, see `gateway check`\n"
