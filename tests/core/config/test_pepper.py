"""The secret with which keys are hashed."""

import threading
from pathlib import Path

import pytest

from gateway_core.config.load import load
from gateway_core.config.model import GatewayConfig
from gateway_core.config.problems import ConfigError


def sqlite(folder: Path, **environ: str) -> GatewayConfig:
    (folder / "data").mkdir(exist_ok=True)
    return load({"gateway": {"database": f"sqlite://{folder}/data/gateway.db"}}, environ)


def test_the_variable_is_the_pepper(tmp_path: Path) -> None:
    assert sqlite(tmp_path, KEY_PEPPER="salt and").pepper() == b"salt and"
    assert list((tmp_path / "data").iterdir()) == []


def test_another_variable_may_hold_it() -> None:
    config = load({"gateway": {"pepper_env": "MY_PEPPER", "database": "postgres://h/d"}}, {"MY_PEPPER": "p"})
    assert config.pepper() == b"p"


def test_a_gateway_on_postgres_refuses_to_go_without_and_names_the_variable() -> None:
    with pytest.raises(ConfigError, match="set KEY_PEPPER: on PostgreSQL"):
        load({"gateway": {"database": "postgres://h/d"}}, {}).pepper()


@pytest.mark.parametrize("environ", [{}, {"KEY_PEPPER": ""}])
def test_on_sqlite_one_is_made_beside_the_database_and_kept(tmp_path: Path, environ: dict[str, str]) -> None:
    made = sqlite(tmp_path, **environ).pepper()
    file = tmp_path / "data" / "gateway.db.pepper"
    assert len(made) >= 48
    assert file.stat().st_mode & 0o777 == 0o600
    assert sqlite(tmp_path, **environ).pepper() == made
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    config = sqlite(tmp_path)
    together = threading.Barrier(8)
    found: list[bytes] = []

    def start() -> None:
        together.wait()
        found.append(config.pepper())

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_an_empty_file_is_refused_since_every_key_would_be_void(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "gateway.db.pepper").touch()
    with pytest.raises(ConfigError, match="it is empty; restore it, or set KEY_PEPPER"):
        sqlite(tmp_path).pepper()


def test_another_pepper_than_the_file_that_a_gateway_began_with_is_refused(tmp_path: Path) -> None:
    began_with = sqlite(tmp_path).pepper().decode()
    assert sqlite(tmp_path, KEY_PEPPER=began_with).pepper().decode() == began_with
    with pytest.raises(ConfigError, match="KEY_PEPPER: it differs from "):
        sqlite(tmp_path, KEY_PEPPER="another").pepper()
    (tmp_path / "data" / "gateway.db.pepper").unlink()
    assert sqlite(tmp_path, KEY_PEPPER="another").pepper() == b"another"
