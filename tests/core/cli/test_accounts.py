"""`gateway migrate`, `teams`, `keys`, `wallet` and `ledger verify`, on a database of one test."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway_core.cli.database import opened
from gateway_core.config.model import GatewayBlock
from plugin_sdk import keys
from tests.core.cli.conftest import Run, found

PEPPER = "a pepper for tests"


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database with one team, made once."""
    file = tmp_path_factory.mktemp("seeded") / "gateway.db"

    async def make() -> None:
        async with opened(GatewayBlock(database=f"sqlite://{file}")) as stores:
            await stores.create_team("acme")

    asyncio.run(make())
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file


@pytest.fixture
def team(run: Run, seeded: Path, tmp_path: Path) -> str:
    """A team in a database of this test."""
    shutil.copy(seeded, tmp_path / "gateway.db")
    return "acme"


def rows(query: str) -> list[Any]:
    with closing(sqlite3.connect("gateway.db")) as connection:
        return connection.execute(query).fetchall()


def test_migrate_says_what_it_applied_and_then_has_nothing_to_do(run: Run) -> None:
    assert found(run("migrate", "--json"))["applied"][0] == "0001_initial"
    assert found(run("migrate", "--json")) == {"applied": []}
    assert run("migrate").stdout == "nothing to do\n"


def test_an_empty_database_is_made_ready_by_whatever_needs_it_first(run: Run) -> None:
    assert run("teams", "create", "acme").exit_code == 0
    assert found(run("migrate", "--json")) == {"applied": []}


def test_verify_makes_no_database(run: Run, tmp_path: Path) -> None:
    result = run("ledger", "verify")
    assert (result.exit_code, result.stderr) == (1, "error: there is no database gateway.db\n")
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_lacks_a_migration_is_refused(run: Run, team: str) -> None:
    with closing(sqlite3.connect("gateway.db")) as connection:
        (last,) = connection.execute("SELECT max(name) FROM tortoise_migrations").fetchone()
        connection.execute("DELETE FROM tortoise_migrations WHERE name = ?", (last,))
        connection.commit()
    for words in (["teams", "create", "x"], ["serve"]):
        result = run(*words)
        assert result.exit_code == 1
        assert f"lacks the migration {last}; run `gateway migrate`" in result.stderr
        assert result.stderr.count("\n") == 1


def test_a_team_is_made_once(run: Run, team: str) -> None:
    result = run("teams", "create", team)
    assert result.exit_code == 1
    assert result.stderr == "error: there is a team called 'acme' already\n"


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201])
def test_a_team_needs_a_name(run: Run, team: str, name: str) -> None:
    assert run("teams", "create", name).exit_code == 2


@pytest.mark.parametrize(
    ("words", "mark", "mode"),
    [([], "sk", "live"), (["--test"], "tk", "test"), (["--management"], "mk", "management")],
)
def test_a_key_is_printed_once_and_stored_as_a_hash(
    run: Run, team: str, words: list[str], mark: str, mode: str
) -> None:
    made = found(run("keys", "create", "--team", team, "--name", "mine", *words, "--json", KEY_PEPPER=PEPPER))
    parsed = keys.parse(made["key"])
    assert parsed is not None
    assert made["key"].startswith(f"aistats_v1_{mark}_")
    assert (parsed.kid, made["mode"], made["team"], made["name"]) == (made["kid"], mode, team, "mine")
    assert rows("SELECT kid, hash, mode, name, status FROM keys") == [
        (parsed.kid, keys.hashed(parsed.secret, PEPPER.encode()), mode, "mine", "active")
    ]
    assert parsed.secret not in Path("gateway.db").read_bytes().decode("latin-1")


def test_without_json_the_key_is_the_first_line(run: Run, team: str) -> None:
    assert keys.parse(run("keys", "create", "--team", team).stdout.splitlines()[0]) is not None


def test_without_a_variable_the_pepper_is_a_private_file_beside_the_database(run: Run, team: str) -> None:
    made = found(run("keys", "create", "--team", team, "--json"))
    file = Path("gateway.db.pepper")
    assert file.stat().st_mode & 0o777 == 0o600
    parsed = keys.parse(made["key"])
    assert parsed is not None
    assert rows("SELECT hash FROM keys") == [(keys.hashed(parsed.secret, file.read_bytes().strip()),)]


def test_a_key_has_the_prefix_that_the_configuration_gives(run: Run, team: str) -> None:
    Path("gateway.yaml").write_text("include: standard\nplugins: {api_keys: {prefix: acme_v2}}\n")
    assert found(run("keys", "create", "--team", team, "--json"))["key"].startswith("acme_v2_sk_")


@pytest.mark.parametrize("whole", [False, True])
def test_a_key_is_revoked_by_its_kid_or_its_text(run: Run, team: str, whole: bool) -> None:
    made = found(run("keys", "create", "--team", team, "--json"))
    assert found(run("keys", "revoke", made["key" if whole else "kid"], "--json")) == {
        "kid": made["kid"], "status": "revoked",
    }  # fmt: skip
    assert rows("SELECT status FROM keys") == [("revoked",)]


@pytest.mark.parametrize("key", ["abcdefghijkl", "aistats_v1_sk_" + "x" * 12 + "_" + "y" * 40, "some_thing"])
def test_a_key_that_is_none_cannot_be_revoked_and_is_not_repeated(run: Run, team: str, key: str) -> None:
    result = run("keys", "revoke", key)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: th")
    assert "y" * 40 not in result.stderr


def test_test_and_management_exclude_each_other(run: Run, team: str) -> None:
    assert run("keys", "create", "--team", team, "--test", "--management").exit_code == 2


@pytest.mark.parametrize(
    "words", [["keys", "create"], ["wallet", "show"], ["wallet", "top-up", "--usd", "1"]]
)
def test_a_team_that_is_not_there_is_said(run: Run, team: str, words: list[str]) -> None:
    result = run(*words, "--team", "nobody")
    assert result.exit_code == 1
    assert result.stderr == "error: there is no team called 'nobody'; `gateway teams create` makes one\n"


def test_top_ups_add_up_to_the_nano_dollar(run: Run, team: str) -> None:
    for usd in ("10", "0.000000001", "1000000.999999999", "2.50"):
        added = found(run("wallet", "top-up", "--team", team, "--usd", usd, "--json"))
    assert added["balance_nanos"] == 1_000_013_500_000_000
    shown = found(run("wallet", "show", "--team", team, "--json"))
    assert (shown["balance_nanos"], shown["available_nanos"]) == (1_000_013_500_000_000,) * 2
    assert (
        run("wallet", "show", "--team", team).stdout
        == "acme: $1000013.50, of which $1000013.50 is not set aside\n"
    )


def test_a_top_up_with_a_reference_is_booked_once(run: Run, team: str) -> None:
    words = ["wallet", "top-up", "--team", team, "--reference", "invoice 7"]
    first = found(run(*words, "--usd", "10", "--json"))
    again = found(run(*words, "--usd", "10", "--json"))
    assert (first["booked"], first["added_nanos"], again["booked"], again["added_nanos"]) == (
        True,
        10_000_000_000,
        False,
        0,
    )
    assert again["balance_nanos"] == first["balance_nanos"] == 10_000_000_000
    refused = run(*words, "--usd", "11")
    assert (refused.exit_code, "was used for something else" in refused.stderr) == (1, True)
    assert "nothing was added now" in run(*words, "--usd", "10").stdout


def test_an_operators_key_is_a_management_key_with_a_scope(run: Run, team: str) -> None:
    made = found(run("keys", "create", "--team", team, "--operator", "--json"))
    assert (made["mode"], made["scopes"]) == ("management", ["ledger:write"])
    assert found(run("keys", "create", "--team", team, "--management", "--json"))["scopes"] == []
    assert rows("SELECT mode, scopes FROM keys ORDER BY scopes") == [
        ("management", '["ledger:write"]'),
        ("management", "[]"),
    ]
    assert run("keys", "create", "--team", team, "--operator", "--test").exit_code == 2


def test_simulated_credit_is_a_wallet_of_its_own(run: Run, team: str) -> None:
    run("wallet", "top-up", "--team", team, "--usd", "7", "--test")
    run("wallet", "top-up", "--team", team, "--usd", "2")
    assert found(run("wallet", "show", "--team", team, "--json"))["balance_nanos"] == 2_000_000_000
    assert found(run("wallet", "show", "--team", team, "--test", "--json"))["balance_nanos"] == 7_000_000_000
    sources = rows("SELECT account, amount FROM ledger_entries WHERE amount < 0 ORDER BY amount")
    assert sources == [("top_up:simulated", -7_000_000_000), ("top_up:operator", -2_000_000_000)]


def test_without_a_live_wallet_the_simulated_credit_is_shown_as_what_it_is(run: Run, team: str) -> None:
    assert run("wallet", "show", "--team", team).stdout == "acme has no live wallet yet\n"
    run("wallet", "top-up", "--team", team, "--usd", "7", "--test")
    assert found(run("wallet", "show", "--team", team, "--json"))["kind"] == "test"
    shown = run("wallet", "show", "--team", team).stdout
    assert shown == "acme: $7.00 of simulated credit, of which $7.00 is not set aside\n"


def test_a_refused_amount_changes_nothing(run: Run, team: str) -> None:
    assert run("wallet", "top-up", "--team", team, "--usd", "1.0000000001").exit_code == 2
    assert rows("SELECT count(*) FROM wallets") == [(0,)]


def test_verify_proves_the_books_and_finds_a_changed_balance(run: Run, team: str) -> None:
    run("wallet", "top-up", "--team", team, "--usd", "5")
    assert found(run("ledger", "verify", "--json")) == {"ok": True, "problems": []}
    with closing(sqlite3.connect("gateway.db")) as connection:
        connection.execute("UPDATE wallets SET balance = balance + 1")
        connection.commit()
    result = run("ledger", "verify")
    assert result.exit_code == 1
    assert "the books are right" not in result.stdout
    assert "Traceback" not in result.output


def test_a_folder_that_is_not_there_is_said(run: Run) -> None:
    for words in (["migrate"], ["serve"]):
        result = run(*words, DATABASE_URL="sqlite://gone/gateway.db")
        assert result.exit_code == 1
        assert (
            result.stderr == "error: the folder of the database gone/gateway.db does not exist; create it\n"
        )


def test_a_file_that_is_no_database_is_said_in_one_line(run: Run) -> None:
    Path("gateway.db").write_bytes(b"not a database " * 100)
    result = run("teams", "create", "x")
    assert result.exit_code == 1
    assert result.stderr == "error: the database: file is not a database\n"


def test_a_server_that_does_not_answer_is_said_without_its_password(run: Run) -> None:
    result = run("migrate", DATABASE_URL="postgres://user:hunter2@127.0.0.1:1/db")
    assert result.exit_code == 1
    assert "hunter2" not in result.stderr
    assert result.stderr.startswith("error: the database 127.0.0.1:1/db does not answer: ")
