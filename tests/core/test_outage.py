"""What lasts is logged when it begins, once a minute, and when it is over."""

import logging

import pytest

from gateway_core.db.outage import Outage
from plugin_sdk.errors import Unavailable

LOG = logging.getLogger("outage under test")


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outage(clock: Clock) -> Outage:
    return Outage(LOG, "nothing works", clock=clock)


def test_a_failure_five_times_a_second_for_two_minutes_is_four_lines(
    outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(601):
        outage.failed(OSError("away"))
        clock.now += 0.2
    for _ in range(3):
        outage.over()
    assert caplog.messages == [
        "nothing works (1 in 0 s): OSError('away')",
        "nothing works (301 in 60 s): OSError('away')",
        "nothing works (601 in 120 s): OSError('away')",
        "over: nothing works (601 in 120 s)",
    ]


def test_the_next_outage_is_told_at_once(
    outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    outage.failed(OSError("first"))
    outage.over()
    clock.now += 2
    outage.failed(OSError("second"), 7)
    outage.over()
    assert [line.partition(":")[0] for line in caplog.messages] == [
        "nothing works (1 in 0 s)",
        "over",
        "nothing works (7 in 0 s)",
        "over",
    ]


def test_what_fails_every_other_time_is_not_a_line_each_time(
    outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(400):
        outage.failed(OSError("now and then"))
        clock.now += 0.1
        outage.over()
        clock.now += 0.1
    assert [line.partition(" (")[0] for line in caplog.messages] == [
        "nothing works",
        "over: nothing works",
    ] * 2


def test_what_a_query_raises_is_an_answer_to_ask_again_without_the_databases_own_words(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Unavailable) as refused, outage.answering():
        raise ConnectionError("no route to host 10.0.0.1")
    error = refused.value
    assert (error.status, error.reason, error.retry_after) == (503, "db_error", "1")
    assert "10.0.0.1" not in error.message
    assert "10.0.0.1" in caplog.text
    with outage.answering():
        pass
    assert caplog.messages[-1].startswith("over: ")
