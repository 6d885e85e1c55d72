"""The wheel and a stranger's plugin in an environment of their own: one YAML line, and it serves."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.gateway.database import Template
from tests.gateway.process import running
from tests.gateway.samples import ASK, answer
from tests.gateway.upstream import Script, Upstream, sse

ROOT = Path(__file__).resolve().parents[2]
ACME = ROOT / "tests" / "thirdparty" / "acme"
BUILT = shutil.ignore_patterns("*.egg-info", "build", "__pycache__")
SHIPPED = ("gateway_core", "plugin_sdk", "plugins", "pyproject.toml", "README.md", "LICENSE")


def _wheel(source: Path, to: Path) -> Path:
    """A wheel of a source tree. A setuptools that is too old here is fetched by pip for the build."""
    own = ["--no-build-isolation"] if int(version("setuptools").split(".")[0]) >= 77 else []
    _run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        *own,
        "--wheel-dir",
        str(to),
        str(source),
    )
    (found,) = to.glob("*.whl")
    return found


def _environment(folder: Path) -> Path:
    """The Python of an environment that sees our dependencies, but nothing that is installed as editable."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    site = Path(_run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def _shipped(to: Path) -> Path:
    """A copy of what a wheel is made of."""
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=BUILT)
        else:
            shutil.copy(ROOT / name, to / name)
    return to


def _run(*command: str) -> str:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    done = subprocess.run(command, capture_output=True, timeout=240, check=False, env=kept)
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
    return done.stdout.decode()


@pytest.mark.slow
async def test_a_strangers_provider_beside_the_wheel_serves_by_a_yaml_line(
    tmp_path: Path, template: Callable[[str], Template], upstream: Upstream
) -> None:
    source = _shipped(tmp_path / "source")
    shutil.copytree(
        ACME, tmp_path / "acme", ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__")
    )
    wheels = [_wheel(source, tmp_path / "ours"), _wheel(tmp_path / "acme", tmp_path / "theirs")]
    python = _environment(tmp_path / "venv")
    _run(
        sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index",
        *map(str, wheels),
    )  # fmt: skip
    where = _run(str(python), "-I", "-c", "import gateway_core, plugins; print(gateway_core.__file__)")
    assert where.startswith(str(tmp_path / "venv"))

    name = upstream.play("acme", Script(pieces=(sse(answer("From Acme."), done=False)[6:-2],)))
    line = {
        "base_url": upstream.base_url("acme"), "api_key": "acme-key",
        "models": [{"id": "acme/one", "price": {"input_text_tokens": "1.00", "output_text_tokens": "2.00"}}],
    }  # fmt: skip
    program = [str(python.with_name("gateway"))]
    folder = tmp_path / "run"
    with running(folder, template("sqlite").copy(folder), {"acme": line}, program=program) as gateway:
        async with gateway.client() as client:
            found = await client.chat({"model": "acme/one", "messages": ASK, "x_script": name})
    assert found.status == 200, found.body
    assert found.json["choices"][0]["message"]["content"] == "From Acme."
    assert found.json["usage"]["pricing"]["total_nanos"] == 12 * 1_000 + 5 * 2_000
    assert upstream.calls(name)[0].prefix == "acme"


def test_the_strangers_plugin_is_short() -> None:
    lines = [line for path in ACME.rglob("*.py") for line in path.read_text().splitlines()]
    assert 0 < len(lines) < 60


@pytest.mark.slow
@pytest.mark.parametrize("whole", [True, False])
def test_make_wheel_leaves_the_wheel_and_nothing_that_is_believed_later(tmp_path: Path, whole: bool) -> None:
    """Neither where it fails: an egg-info in the tree hides the entry points of what is installed."""
    source = _shipped(tmp_path)
    shutil.copy(ROOT / "Makefile", source)
    gone = source / "build" / "lib" / "plugins" / "gone.py"  # as an earlier build left it
    gone.parent.mkdir(parents=True)
    gone.write_text("")
    stale = source / "ai_stats_gateway.egg-info" / "entry_points.txt"
    stale.parent.mkdir()
    stale.write_text("[gateway.plugins]\ngone = plugins.gone:Gone\n")
    if not whole:
        (source / "plugins" / "nowhere.py").symlink_to(source / "nowhere")  # the copy of it fails, late
    made = subprocess.run(
        ["make", "-o", f"{sys.prefix}/.installed-dev", "wheel", f"VENV={sys.prefix}"],
        cwd=source,
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert (made.returncode == 0) is whole, (made.stdout + made.stderr).decode(errors="replace")
    left = {path.name for path in source.iterdir()}
    assert left - {"dist"} == {*SHIPPED, "Makefile"}
    if whole:
        (wheel,) = (source / "dist").iterdir()
        with zipfile.ZipFile(wheel) as files:
            assert "plugins/gone.py" not in files.namelist()
            (points,) = (name for name in files.namelist() if name.endswith("/entry_points.txt"))
            assert "gone" not in files.read(points).decode()
