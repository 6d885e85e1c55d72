"""Server-sent events however they are cut and however their lines end."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_sdk.errors import UpstreamError
from plugin_sdk.sse import Event, Frames, read, split

EVENTS = [
    b"data: one\n\n",
    b": a comment\n\n",
    b"event: error\ndata: two\n\n",
    b"data: three\ndata: lines\n\n",
    b"data:tight\r\n\r\n",
    b"id: 7\r\ndata: more\r\n\r\n",
    b"retry: 10\n\n",
    b"\n\n",
    b"data: caf\xc3\xa9 \xf0\x9f\x99\x82\n\n",
]


def through(chunks: list[bytes]) -> tuple[list[bytes], bytes]:
    frames = Frames()
    events = [event for chunk in chunks for event in split(frames.feed(chunk))]
    return events, frames.close()


def meaning(events: list[bytes]) -> list[tuple[str, bytes | None]]:
    """What the events say, without those that say nothing: how blank lines are shared out does not matter."""
    found = [read(event) for event in events]
    return [(event.name, event.data) for event in found if event.data is not None or event.name]


@given(st.lists(st.sampled_from(EVENTS), max_size=8), st.lists(st.integers(0, 200), max_size=20))
def test_a_stream_means_the_same_wherever_it_is_cut(events: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(events)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in pairwise(places)]
    whole, nothing = through([stream])
    cut, left = through(chunks)
    assert b"".join(cut) + left == stream == b"".join(whole) + nothing
    assert meaning([*cut, left]) == meaning([*whole, nothing])


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_end_in_any_of_the_three_ways(end: bytes) -> None:
    stream = (b"event: x" + end + b"data: 1" + end + b"data: 2" + end + end) * 2
    for size in range(1, len(stream) + 1):
        events, left = through([stream[at : at + size] for at in range(0, len(stream), size)])
        assert meaning([*events, left]) == [("x", b"1\n2"), ("x", b"1\n2")]


def test_an_event_is_not_held_back_once_its_blank_line_is_there() -> None:
    frames = Frames()
    assert frames.feed(b"data: 1\n") == b""
    assert frames.feed(b"\n") == b"data: 1\n\n"
    assert frames.feed(b"data: 2\r\n\r") == b""
    assert frames.feed(b"\n") == b"data: 2\r\n\r\n"


def test_whole_events_leave_though_half_an_event_follows_them() -> None:
    frames = Frames()
    assert frames.feed(b"data: 1\n\ndata: 2\n\ndata: 3") == b"data: 1\n\ndata: 2\n\n"
    assert frames.feed(b"3\n\n") == b"data: 33\n\n"


def test_a_last_event_without_a_blank_line_is_left_over() -> None:
    events, left = through([b"data: 1\n\nda", b"ta: [DONE]"])
    assert events == [b"data: 1\n\n"]
    assert read(left).data == b"[DONE]"


def test_a_cr_at_the_end_of_a_chunk_may_be_half_a_line_end() -> None:
    events, left = through([b"data: 1\r", b"\ndata: 2\r", b"\n\r\n"])
    assert meaning([*events, left]) == [("", b"1\n2")]


def test_comments_and_unknown_fields_carry_no_data() -> None:
    assert read(b": keep-alive\n\n").data is None
    assert read(b"id: 1\nretry: 5\n\n").data is None
    assert read(b"data\n\n").data == b""


def test_a_byte_order_mark_before_the_first_field_is_passed_over() -> None:
    assert read(b"\xef\xbb\xbfdata: 1\n\n").data == b"1"


def test_only_one_space_after_the_colon_is_not_data() -> None:
    assert read(b"data:  two\n\n").data == b" two"
    assert read(b"data:none\n\n").data == b"none"


def test_a_bare_error_field_is_kept() -> None:
    assert read(b'error: {"message": "no"}\n\n') == Event(
        raw=b'error: {"message": "no"}\n\n', error=b'{"message": "no"}'
    )


@pytest.mark.parametrize(
    "raw", [b"data: abc\n\n", b"event: x\ndata:abc\r\n\r\n", b"data: a\n: c\ndata: bc\n\n"]
)
def test_each_place_in_the_data_can_be_found_in_the_raw_bytes(raw: bytes) -> None:
    event = read(raw)
    assert event.data is not None
    for start, place in event.lines:
        line = event.data[start:].split(b"\n")[0]
        assert raw[place : place + len(line)] == line


def test_an_event_without_end_is_refused_at_the_limit() -> None:
    frames = Frames(limit=100)
    frames.feed(b"x" * 90)
    with pytest.raises(UpstreamError, match="more than 100 bytes"):
        frames.feed(b"y" * 20)


def test_lines_without_a_blank_one_count_towards_the_limit_too() -> None:
    frames = Frames(limit=100)
    for _ in range(10):
        frames.feed(b"data: abc\n")
    with pytest.raises(UpstreamError, match="more than 100 bytes"):
        frames.feed(b"data: abc\n")
