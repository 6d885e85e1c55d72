"""Configuration files: includes, merging, the environment, and every error at its line."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway_core.config.load import find, load
from gateway_core.config.problems import ConfigError

BASE = "include: standard\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "gateway.yaml"
    path.write_text(text)
    return path


def errors(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(written(folder, text), environ or {})
    return [line.removeprefix(f"{folder}/") for line in caught.value.errors]


def names(folder: Path, text: str) -> list[str]:
    return [block.name for block in load(written(folder, text), {}).plugins]


def test_the_gateway_block_is_read_and_the_rest_has_defaults(tmp_path: Path) -> None:
    config = load(written(tmp_path, "gateway: {listen: '0.0.0.0:80', durability: normal, workers: 4}\n"), {})
    assert (config.gateway.listen, config.gateway.durability, config.gateway.workers) == (
        "0.0.0.0:80",
        "normal",
        4,
    )
    assert config.gateway.database == "sqlite://gateway.db"
    assert config.gateway.body_limit == 16 * 1024 * 1024
    assert config.path == tmp_path / "gateway.yaml"


def test_an_empty_file_is_a_configuration_without_plugins(tmp_path: Path) -> None:
    assert load(written(tmp_path, "# nothing\n"), {}).plugins == ()


def test_plugins_keep_the_order_of_the_file(tmp_path: Path) -> None:
    assert names(tmp_path, "plugins: {b: {}, a: {}, c: {}}\n") == ["b", "a", "c"]


def test_a_name_alone_or_true_switches_a_plugin_on(tmp_path: Path) -> None:
    assert names(tmp_path, "plugins:\n  a:\n  b: true\n  c: {}\n") == ["a", "b", "c"]


def test_plugin_says_which_plugin_a_name_is(tmp_path: Path) -> None:
    (block,) = load(written(tmp_path, "plugins: {mine: {plugin: theirs, x: 1}}\n"), {}).plugins
    assert (block.name, block.plugin, block.values()) == ("mine", "theirs", {"x": 1})


def test_standard_is_found_through_an_entry_point_and_comes_first(tmp_path: Path) -> None:
    standard = names(tmp_path, BASE)
    assert {"api_keys", "prepaid_wallet", "router", "text"} <= set(standard)
    assert names(tmp_path, BASE + "plugins: {mine: {}}\n") == [*standard, "mine"]


def test_a_repeated_name_keeps_its_position_and_merges_its_keys(tmp_path: Path) -> None:
    standard = names(tmp_path, BASE)
    config = load(written(tmp_path, BASE + "plugins: {mine: {}, router: {x: 1}}\n"), {})
    assert [block.name for block in config.plugins] == [*standard, "mine"]
    assert {block.name: block.values() for block in config.plugins}["router"] == {"x": 1}


def test_false_removes_a_name(tmp_path: Path) -> None:
    assert "router" not in names(tmp_path, BASE + "plugins: {router: false}\n")


def test_false_for_a_name_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    assert errors(tmp_path, BASE + "plugins: {ruoter: false}\n") == [
        "gateway.yaml:2: plugins.ruoter: there is no such plugin in what is included; delete this line"
    ]


def test_the_gateway_block_of_the_base_is_merged_key_by_key(tmp_path: Path) -> None:
    path = written(tmp_path, BASE + "gateway: {workers: 2}\n")
    assert load(path, {"DATABASE_URL": "postgres://h/d"}).gateway.database == "postgres://h/d"
    assert load(path, {}).gateway.database == "sqlite://gateway.db"
    assert load(path, {}).gateway.workers == 2


def test_several_bases_are_merged_in_their_order(tmp_path: Path) -> None:
    found = names(tmp_path, "include: [standard, default]\n")
    assert found[-1] == "simulator"
    assert len(found) == len(set(found))


def test_an_unknown_include_names_what_there_is(tmp_path: Path) -> None:
    (error,) = errors(tmp_path, "include: standrad\n")
    assert "nothing called `standrad` is installed (did you mean `standard`?)" in error


def test_every_error_is_reported_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    found = errors(
        tmp_path,
        "gateway:\n  listen: nowhere\n  workers: 0\n  lisen: 1\nplugin: {}\n"
        "plugins:\n  a: {k: '${MISSING}'}\n  b: 7\n",
    )
    assert [error.split(": ")[:2] for error in found] == [
        ["gateway.yaml:2", "gateway.listen"],
        ["gateway.yaml:3", "gateway.workers"],
        ["gateway.yaml:4", "gateway.lisen"],
        ["gateway.yaml:5", "plugin"],
        ["gateway.yaml:7", "plugins.a.k"],
        ["gateway.yaml:8", "plugins.b"],
    ]


def test_a_missing_variable_names_the_key_and_the_variable(tmp_path: Path) -> None:
    (error,) = errors(tmp_path, "plugins:\n  acme:\n    api_key: ${ACME_KEY}\n")
    what = "set ACME_KEY in the environment, or write ${ACME_KEY:-a default}"
    assert error == f"gateway.yaml:3: plugins.acme.api_key: {what}"


def test_a_removed_plugin_needs_no_variable(tmp_path: Path) -> None:
    path = written(tmp_path, BASE + "gateway: {database: 'sqlite://x.db'}\nplugins: {router: false}\n")
    assert load(path, {}).gateway.database == "sqlite://x.db"


def test_a_secret_cannot_change_the_structure(tmp_path: Path) -> None:
    secret = 'a: b\n- {c: "d", e: [f]} # ${OTHER} false'
    (block,) = load(written(tmp_path, "plugins: {p: {key: '${SECRET}'}}\n"), {"SECRET": secret}).plugins
    assert block.values() == {"key": secret}


def test_a_secret_is_in_no_error(tmp_path: Path) -> None:
    text = "gateway: {listen: '${A}', workers: '${A}', database: '${A}', durability: '${A}', x: '${A}'}\n"
    assert "hunter2" not in "".join(errors(tmp_path, text, {"A": "hunter2"}))


def test_the_environment_is_not_in_the_repr_of_a_configuration(tmp_path: Path) -> None:
    config = load(written(tmp_path, ""), {"SECRET": "hunter2"})
    assert config.environ["SECRET"] == "hunter2"
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::1]:80", ("::1", 80)),
        ("example.com:0", ("example.com", 0)),
    ],
)
def test_listen_is_a_host_and_a_port(listen: str, address: tuple[str, int]) -> None:
    assert load({"gateway": {"listen": listen}}, {}).gateway.address == address


@pytest.mark.parametrize(
    "listen", ["8080", ":8080", "localhost", "::1:80", "h:65536", "h:-1", "h:٣", "a b:1", ""]
)
def test_a_listen_that_is_none_says_how_to_write_it(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.listen: write it as host:port"):
        load({"gateway": {"listen": listen}}, {})


@pytest.mark.parametrize(
    "database", ["mysql://h/d", "gateway.db", "sqlite://", "sqlite://:memory:", "sqlite:///"]
)
def test_a_database_that_cannot_be_used_says_how_to_write_it(database: str) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.database: "):
        load({"gateway": {"database": database}}, {})


def test_a_configuration_may_be_a_mapping_instead_of_a_file() -> None:
    with pytest.raises(ConfigError) as caught:
        load({"gateway": {"workers": "many"}, "plugins": {"a": 3}}, {})
    assert [error.split(": ")[0] for error in caught.value.errors] == ["plugins.a", "gateway.workers"]


def test_without_any_file_the_built_in_configuration_needs_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = load(None, {})
    assert config.path is None
    assert config.plugins[-1].name == "simulator"


def test_the_file_is_the_one_given_then_the_environments_then_a_usual_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    usual, deep = Path("gateway.yaml"), Path("config/gateway.yaml")
    assert find(None, {}) is None
    deep.parent.mkdir()
    deep.touch()
    assert find(None, {}) == deep
    usual.touch()
    assert find(None, {}) == usual
    assert find(None, {"GATEWAY_CONFIG": "other.yaml"}) == Path("other.yaml")
    assert find(Path("given.yaml"), {"GATEWAY_CONFIG": "other.yaml"}) == Path("given.yaml")


def test_a_file_that_is_not_there_is_an_error_and_no_default(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read: No such file"):
        load(tmp_path / "gone.yaml", {})


def test_a_file_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"gateway: {listen: \xff}")
    with pytest.raises(ConfigError, match=r"latin\.yaml: not UTF-8 \(byte 18\)"):
        load(path, {})


@pytest.mark.parametrize("text", ["- a\n- b\n", "just a word\n", "7\n"])
def test_a_file_that_is_no_mapping_is_an_error(tmp_path: Path, text: str) -> None:
    (error,) = errors(tmp_path, text)
    assert error == "gateway.yaml:1: a configuration is a mapping with the keys include, gateway, plugins"


@pytest.mark.parametrize("plugins", ["[a, b]", "a", "3"])
def test_plugins_that_are_no_mapping_are_an_error(tmp_path: Path, plugins: str) -> None:
    (error,) = errors(tmp_path, f"plugins: {plugins}\n")
    assert error.startswith("gateway.yaml:1: plugins: give a mapping from names to options")


def test_a_plugin_key_that_is_no_name_is_an_error(tmp_path: Path) -> None:
    assert errors(tmp_path, "plugins: {a: {plugin: 3}}\n") == [
        "gateway.yaml:1: plugins.a.plugin: give the name of an installed plugin"
    ]


def test_yaml_that_breaks_off_names_the_line(tmp_path: Path) -> None:
    (error,) = errors(tmp_path, "gateway:\n  listen: 'x\n")
    assert error.startswith("gateway.yaml:3: not YAML: ")


def test_the_shipped_configurations_need_no_variable() -> None:
    folder = Path(__file__).resolve().parents[3] / "config"
    for name in ("gateway.yaml", "full.yaml"):
        assert load(folder / name, {}).plugins
