"""The bench works: its parts run with small numbers, and what they say fits what happened."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import results, soak, table, workers
from tests.bench.machine import circumstances, on_core
from tests.bench.native import HERE, Missing, Target, compiled, load, request
from tests.bench.rig import Rig, rig, target
from tests.gateway.database import blocking
from tests.gateway.process import free_port


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    try:
        for name in ("upstream", "load"):
            compiled(name)
    except Missing as error:
        pytest.skip(str(error))


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path) as found:
        yield found


def test_the_command_measures_the_cases_and_prints_the_table(tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    command = [sys.executable, "-m", "tests.bench", "cases", "--seconds", "0.2", "--rounds", "1"]
    command += ["--only", "json_c64,sse_translated_c16", "--out", str(out)]
    done = subprocess.run(
        command, cwd=HERE.parents[1], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = results.read(out)
    assert done.stdout == f"{table.targets(found)}\n{table.figures(found)}\n"
    assert found.cases is not None
    figures = found.cases.figures
    assert {who: set(cases) for who, cases in figures.items()} == {
        "direct": {"json_c64"},
        "hello": {"json_c64"},
        "normal": {"json_c64", "sse_translated_c16"},
        "full": {"json_c64"},
    }
    everyone = [one for cases in figures.values() for one in cases.values()]
    assert [one.reason for one in everyone if one.bad] == []
    assert all(one.rate > 0 and one.cpu_us_request > 0 for one in everyone)
    assert figures["normal"]["sse_translated_c16"].event_rate > 0


def test_what_answers_say_of_their_price_is_what_the_wallet_lost(there: Rig) -> None:
    pair = workers.pair(there, "sqlite", seconds=0.2, rounds=1)
    assert pair.answers > 100
    assert (pair.one.bad, pair.two.bad, pair.off) == (0, 0, 0)


def test_a_soak_counts_what_is_not_as_expected_and_what_is_left(there: Rig) -> None:
    found = soak.measure(there, circumstances("now"), minutes=0.03, quiet=1.0, say=print)
    assert (found.bad, found.reason) == (0, "")
    assert found.requests > 100
    assert found.abandoned > 4
    assert found.after.tasks > 0
    assert found.first_third > 10_000_000


def test_a_load_of_so_many_requests_is_answered_to_the_last(there: Rig) -> None:
    body = request("mock-d0", stream=True)
    found = load(there.upstream, body, c=4, n=25)
    assert (found.answered, found.ok, found.bad) == (25, 25, 0)
    assert found.events == 25 * 53  # fifty of text, the end, the usage, [DONE]
    assert 0 < found.delay_p50 <= found.delay_p99


def test_a_load_through_the_gateway_sums_what_its_answers_cost(there: Rig) -> None:
    with there.gateway() as gateway:
        before = blocking(gateway.balance())
        whole = load(target(gateway), request("chat/d0", stream=False), c=2, n=10)
        stream = load(target(gateway), request("messages/n50", stream=True), c=2, n=10)
        lost = before - blocking(gateway.balance())
    assert (whole.bad, stream.bad) == (0, 0)
    assert whole.nanos + stream.nanos == lost > 0


def test_a_failure_is_counted_with_its_reason(there: Rig) -> None:
    found = load(there.upstream, request("mock-e429", stream=False), c=2, n=4)
    assert (found.ok, found.bad) == (0, 4)
    assert found.reason.startswith("HTTP/1.1 429")
    expected = load(there.upstream, request("mock-e429", stream=True), c=2, n=4, e=429)
    assert (expected.ok, expected.bad) == (4, 0)


def test_a_client_that_leaves_is_no_failure(there: Rig) -> None:
    found = load(there.upstream, request("mock-d200", stream=False), c=2, s=0.3, l=20)
    assert (found.answered, found.bad) == (0, 0)
    assert found.left > 4


def test_a_server_that_is_not_there_ends_a_load_at_once() -> None:
    with pytest.raises(RuntimeError, match="connect"):
        load(Target(port=free_port()), b"{}", c=1, n=1)


def test_a_block_on_a_core_leaves_the_process_where_it_was() -> None:
    before = os.sched_getaffinity(0)
    with on_core(min(before)):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_the_table_says_not_measured_where_nothing_was() -> None:
    lines = table.targets(results.Results()).splitlines()
    assert len(lines) > 20
    assert all("not measured" in line for line in lines[2:])
