"""Logs: an event and its fields, one line each, never a secret."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator

import pytest

from gateway_core.observe.log import Log, configure, redacted

Lines = Callable[..., list[str]]
KEY = "aistats_v1_sk_" + "abcdefABCDEF" + "_" + "0123456789" * 4


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Gives a function that configures logs, makes some with a function, and gives the lines written."""
    logger = logging.getLogger("gateway")
    before = (logger.handlers[:], logger.level, logger.propagate)

    def written(make: Callable[[Log], None], *, level: str = "info", form: str = "text") -> list[str]:
        out = io.StringIO()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stderr", out)
            configure(level, form)  # type: ignore[arg-type]
        make(Log())
        return out.getvalue().splitlines()

    yield written
    logger.handlers[:], logger.level, logger.propagate = before


def test_a_line_is_a_time_a_level_an_event_and_its_fields(lines: Lines) -> None:
    (line,) = lines(lambda to: to.info("attempt failed", provider="p", status=502, why="two words", n=None))
    when, rest = line.split(" ", 1)
    assert when.endswith("Z")
    assert rest == 'info    attempt failed provider=p status=502 why="two words" n=null'


def test_a_line_for_machines_is_one_object(lines: Lines) -> None:
    (line,) = lines(lambda to: to.warning("x", list=[1, "a"], map={"b": 2}), form="json")
    found = json.loads(line)
    assert (found["event"], found["level"]) == ("x", "warning")
    assert (found["list"], found["map"]) == ([1, "a"], {"b": 2})
    assert isinstance(found["pid"], int)


def test_a_field_cannot_pretend_to_be_the_event(lines: Lines) -> None:
    (line,) = lines(lambda to: to.info("true", level="error", time="never"), form="json")
    assert json.loads(line)["level"] == "info"


def test_a_value_cannot_begin_a_line_of_its_own(lines: Lines) -> None:
    nasty = "a\nb\r\nc\u2028d\x1b[2Je\x9bf"
    for form in ("text", "json"):
        (line,) = lines(lambda to: to.info("x", title=nasty, more=[nasty]), form=form)
        assert line.isprintable()


def test_a_trace_cannot_pass_for_another_event(lines: Lines) -> None:
    found = lines(lambda to: to.exception("x", LookupError("a\n2026-01-01T00:00:00Z error   forged \x1b[2J")))
    assert all(line.startswith("  ") and line.isprintable() for line in found[1:])


def test_less_severe_events_are_left_out(lines: Lines) -> None:
    def make(to: Log) -> None:
        to.debug("a")
        to.info("b")
        to.warning("c")
        to.error("d")

    assert [line.split()[2] for line in lines(make, level="warning")] == ["c", "d"]


def test_an_exception_is_logged_with_where_it_came_from(lines: Lines) -> None:
    def make(to: Log) -> None:
        try:
            json.loads("{")
        except ValueError as error:
            to.exception("failed", error, generation_id="G-1")

    first, *trace = lines(make)
    assert "failed generation_id=G-1 error=" in first
    assert trace[0].startswith("  Traceback")
    assert trace[-1].startswith("  json.decoder.JSONDecodeError: ")


@pytest.mark.parametrize(
    "name", ["api_key", "authorization", "Authorization", "password", "body", "messages", "key", "pepper"]
)
def test_what_a_field_of_a_secret_name_holds_is_never_written(lines: Lines, name: str) -> None:
    (line,) = lines(lambda to: to.info("x", **{name: "hunter2"}, inside={name: ["hunter2"]}))
    assert "hunter2" not in line


def test_kid_is_no_secret(lines: Lines) -> None:
    assert "kid=abc" in lines(lambda to: to.info("x", kid="abc"))[0]


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        "sk-" + "a1B2" * 12,
        "sk-proj-" + "a1_B2-" * 8,
        "Bearer abcdefgh12345678",
        "bearer abcdefgh-not-a-key",
        "gsk_" + "Ab3" * 16,
    ],
)
def test_what_looks_like_a_key_is_redacted_wherever_it_stands(lines: Lines, text: str) -> None:
    (line,) = lines(lambda to: to.error("x", error=f"refused ({text}), sorry", deep=[{"why": text}]))
    assert text.rpartition(" ")[2] not in line
    assert "[redacted]" in line


def test_the_password_of_a_url_is_redacted() -> None:
    assert redacted("at postgres://user:hunter2@host:5432/db") == "at postgres://[redacted]@host:5432/db"


@pytest.mark.parametrize(
    "text",
    [
        "G-01M838VD67B7WA9CBAW3XBWNQV",
        "openai/gpt-4o-mini-2024-07-18-and-a-long-tail",
        "http://127.0.0.1:8080/v1/chat/completions",
        "request failed after 12345678901234567890 ms",
    ],
)
def test_what_is_no_key_stays(text: str) -> None:
    assert redacted(text) == text


def test_a_long_value_is_cut(lines: Lines) -> None:
    assert len(lines(lambda to: to.info("x", why="word " * 5_000))[0]) < 2_200
