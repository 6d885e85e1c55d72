"""What real providers answered, through a whole gateway: every charge is provable to the nano."""

from pathlib import Path

import pytest

from tests.gateway.upstream import Upstream
from tests.money.recordings import SHARED, recordings
from tests.money.replay import Report, cases, gateway, name_of, play, replay

pytestmark = pytest.mark.skipif(
    not (SHARED / "traffic" / "traffic.py").exists(), reason="the recorded traffic is not at hand"
)

# money.md 7: whose own figures exclude each other, and how often: more cached than prompt, or more reasoning
# than completion. Each answer is asked for twice.
EXCEPTIONS = {
    "openai.chat azure-foundry": 2 * 24,
    "openai.chat openai": 2 * 1,
    "openai.chat openrouter": 2 * 5,
}
# Answers whose provider counted nothing, and those that were an error or broke off.
ESTIMATED, FAILED = 2 * 56, 2 * 10


@pytest.mark.slow
async def test_every_recorded_answer_is_charged_what_its_provider_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = recordings()
    run, blocks = cases(found)
    report = Report()
    with Upstream() as upstream:
        player = play({recording.id: recording for recording in found})
        for protocol in blocks:
            upstream.play(name_of(protocol), player)
        async with gateway(tmp_path, upstream, blocks) as asker:
            await replay(run, asker, report)
    with capsys.disabled():
        print(f"\nrecorded money: {report}")
    assert not report.failures
    assert report.run == 2 * len(found) > 7_000
    assert report.exceptions == EXCEPTIONS
    assert (report.seen["estimated"], report.seen["failed"]) == (ESTIMATED, FAILED)
    assert report.seen["priced by the catalogue"] > 2_000
