"""Only what the configuration names is imported; what cannot be had is said with its distribution."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway_core.config.problems import ConfigError
from gateway_core.host.discover import discover, offers, shadowed
from gateway_core.host.snapshot import build
from tests.core.conftest import Install


def errors(*names: str, **blocks: dict[str, object]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        build({"plugins": {**{name: {} for name in names}, **blocks}})
    return caught.value.errors


def test_only_plugins_that_the_configuration_names_are_imported(install: Install) -> None:
    install(
        "dist-a",
        {"wanted": "t_wanted:P", "other": "t_other:P"},
        {"t_wanted.py": "class P(Plugin): pass\n", "t_other.py": "raise SystemExit('imported')\n"},
    )
    assert [plugin.name for plugin in build({"plugins": {"wanted": {}}}).plugins] == ["wanted"]
    assert "t_wanted" in sys.modules
    assert "t_other" not in sys.modules


def test_listing_what_is_installed_imports_nothing(install: Install) -> None:
    install("dist-a", {"bomb": "t_bomb:P"}, {"t_bomb.py": "raise SystemExit('imported')\n"}, version="3.4")
    (bomb,) = [offer for offer in offers() if offer.name == "bomb"]
    assert (bomb.distribution, bomb.version) == ("dist-a", "3.4")
    assert "t_bomb" not in sys.modules


def test_importing_the_core_imports_no_plugin_and_no_heavy_library() -> None:
    heavy = ["plugins", "tortoise", "quart", "hypercorn", "stevedore"]
    code = f"import sys, gateway_core.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_gateway_imports_the_plugins_of_its_configuration_and_no_others(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    names = ["openai_chat", "text", "api_keys", "prepaid_wallet", "router", "simulator"]
    config.write_text("plugins:\n" + "".join(f"  {name}: {{}}\n" for name in names))
    code = (
        "import sys; from gateway_core.app import create_app; create_app(sys.argv[1]);"
        "found = [name.split('.') for name in sys.modules if name.startswith('plugins.')];"
        "print(*{parts[2] for parts in found if len(parts) > 2})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(config)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == sorted(names)


def test_a_name_that_nobody_offers_names_what_is_installed() -> None:
    (error,) = errors("roter")
    what = "no installed distribution offers it (did you mean `router`?); installed are "
    assert error.startswith(f"plugins.roter: {what}")
    assert "openai_chat" in error


def test_a_second_instance_of_an_unknown_plugin_names_that_plugin() -> None:
    (error,) = errors(mine={"plugin": "nothing_like_it"})
    assert error.startswith("plugins.mine: `nothing_like_it`: no installed distribution offers it")


def test_a_name_that_two_distributions_offer_names_both(install: Install) -> None:
    install("dist-a", {"twice": "t_a:P"}, {"t_a.py": "class P(Plugin): pass\n"}, version="1.1")
    install("dist-b", {"twice": "t_b:P"}, {"t_b.py": "class P(Plugin): pass\n"}, version="2.2")
    assert errors("twice") == ("plugins.twice: offered by dist-a 1.1 and dist-b 2.2; uninstall one of them",)


def test_a_name_offered_twice_does_no_harm_to_who_does_not_use_it(install: Install) -> None:
    install("dist-a", {"twice": "t_a:P", "once": "t_a:P"}, {"t_a.py": "class P(Plugin): pass\n"})
    install("dist-b", {"twice": "t_b:P"}, {})
    assert [plugin.name for plugin in build({"plugins": {"once": {}}}).plugins] == ["once"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "import not_a_module_of_anybody\n",
            "ModuleNotFoundError: No module named 'not_a_module_of_anybody'",
        ),
        ("raise RuntimeError('no\\nway')\n", "RuntimeError: no"),
        ("x = (\n", "SyntaxError: "),
        ("Q = 1\n", "AttributeError: "),
    ],
)
def test_an_import_that_fails_names_the_distribution(install: Install, source: str, said: str) -> None:
    install("dist-a", {"broken": "t_broken:P"}, {"t_broken.py": source}, version="0.9")
    (error,) = errors("broken")
    assert error.startswith(f"plugins.broken: dist-a 0.9 offers it, but it cannot be imported: {said}")


@pytest.mark.parametrize("source", ["P = 3\n", "class P: pass\n", "def P(): pass\n"])
def test_what_is_no_plugin_class_is_refused(install: Install, source: str) -> None:
    install("dist-a", {"odd": "t_odd:P"}, {"t_odd.py": source})
    (error,) = errors("odd")
    assert "plugins.odd: dist-a 1.0 offers it, but " in error
    assert "is not a class derived from plugin_sdk.plugin.Plugin" in error


def test_a_plugin_for_another_version_of_the_api_is_refused(install: Install) -> None:
    install("dist-a", {"old": "t_old:P"}, {"t_old.py": "class P(Plugin):\n    requires_api = 99\n"})
    (error,) = errors("old")
    assert "it was written for version 99 of the plugin API, and this gateway has 1" in error


def test_a_plugin_installed_a_moment_ago_is_seen_at_once(install: Install) -> None:
    assert discover(["fresh"]).failures == {"fresh": "no installed distribution offers it"}
    install("dist-a", {"fresh": "t_fresh:P"}, {"t_fresh.py": "class P(Plugin): pass\n"})
    assert list(discover(["fresh"]).classes) == ["fresh"]


def test_an_include_comes_from_any_distribution(install: Install) -> None:
    files = {"t_pack/__init__.py": "class P(Plugin): pass\n", "t_pack/team.yaml": "plugins: {theirs: {}}\n"}
    install("dist-a", {"theirs": "t_pack:P"}, files, includes={"team": "t_pack"})
    assert [plugin.name for plugin in build({"include": "team"}).plugins] == ["theirs"]


def test_an_include_whose_file_is_missing_names_the_distribution(install: Install) -> None:
    install("dist-a", {}, {"t_pack/__init__.py": ""}, includes={"team": "t_pack"})
    with pytest.raises(ConfigError, match="include: `team` of dist-a cannot be read"):
        build({"include": "team"})


def test_an_include_that_includes_itself_is_refused(install: Install) -> None:
    install(
        "dist-a",
        {},
        {"t_pack/__init__.py": "", "t_pack/loop.yaml": "include: loop\n"},
        includes={"loop": "t_pack"},
    )
    with pytest.raises(ConfigError, match=r"t_pack/loop\.yaml:1: include: `loop` includes itself"):
        build({"include": "loop"})


def test_our_own_package_of_plugins_is_not_shadowed_here() -> None:
    assert shadowed() is None


def test_a_folder_that_shadows_our_plugins_is_named(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "__init__.py").touch()
    (tmp_path / "gateway.yaml").write_text("plugins: {}\n")
    code = "from gateway_core.cli import main; main(['check'])"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"a package `plugins` in {tmp_path / 'plugins'} hides ours in " in done.stderr
    assert "Traceback" not in done.stderr
