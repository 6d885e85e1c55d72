"""What providers really answered comes out of the gateway as it went in, but for the three splices."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.gateway.conftest import SHARED, Start, provider
from tests.gateway.exchanges import Exchange, recorded
from tests.gateway.process import Gateway
from tests.gateway.replay import Report, model_of, replay
from tests.gateway.samples import SAMPLES
from tests.gateway.upstream import Upstream

# money.md 7: the recordings whose own figures contradict each other, by provider.
CONTRADICTORY = {"azure-foundry": 22, "openrouter": 4}
MODES = pytest.mark.parametrize("exact", [False, True], ids=["spliced", "exact"])


@pytest.fixture(scope="module")
def recordings() -> list[Exchange]:
    """The recorded exchanges; none where the recordings are not beside the repository."""
    return recorded(SHARED) if (SHARED / "traffic" / "traffic.py").exists() else []


@pytest.fixture(scope="module")
def replayer(
    starter: Callable[[ExitStack], Start], upstream: Upstream, recordings: list[Exchange]
) -> Iterator[Gateway]:
    """A gateway with a provider of its own for each provider that was recorded."""
    names = {one.provider for one in (*recordings, *SAMPLES)}
    plugins = {
        name: provider(
            upstream.base_url(name),
            {"id": model_of(name), "upstream": f"upstream-{name}", "max_output": 4_096},
        )
        for name in names
    }
    with ExitStack() as stack:
        yield starter(stack)(plugins)


@MODES
async def test_hand_written_answers_come_back_as_they_were(
    replayer: Gateway, upstream: Upstream, exact: bool
) -> None:
    async with replayer.client() as client:
        report = await replay(SAMPLES, upstream, client, exact=exact)
    assert not report.failures, str(report)
    assert report.run == len(SAMPLES)


@MODES
@pytest.mark.slow
async def test_recorded_answers_come_back_as_they_were(
    replayer: Gateway,
    upstream: Upstream,
    recordings: list[Exchange],
    shared: Path,
    exact: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answered = [one for one in recordings if one.status < 300]
    async with replayer.client() as client:
        report = await replay(answered, upstream, client, exact=exact)
    _show(f"{len(answered)} recorded answers", report, capsys)
    assert not report.failures, str(report)
    assert report.run > 1_700
    assert {name: count for name, count in report.clamped.items() if count} == CONTRADICTORY
    assert sum(count for kind, count in report.kinds.items() if kind not in ("whole", "stream")) == 12


@pytest.mark.slow
async def test_recorded_errors_become_the_right_status_class_and_message(
    replayer: Gateway,
    upstream: Upstream,
    recordings: list[Exchange],
    shared: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    refused = [one for one in recordings if one.status >= 400]
    async with replayer.client() as client:
        report = await replay(refused, upstream, client, exact=False)
    _show(f"{len(refused)} recorded errors", report, capsys)
    assert not report.failures, str(report)
    assert report.run > 200
    assert report.charged == 0


def _show(what: str, report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{what}: {report}")
