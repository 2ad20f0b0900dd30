import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman import sse
from steersman.errors import ResponseError
from steersman.sse import Event, EventDecoder

LINES = st.one_of(
    st.sampled_from(["", "", ": ping", "data", "data:", "id: 7", "retry: 9", "event: error", "nonsense"]),
    st.text(alphabet="aé漢🦜: ", max_size=6).map(lambda text: f"data: {text}"),
    st.just('data: {"content": "data: [DONE]"}'),
    st.just("data: [DONE]"),
)
STREAMS = st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r", "\r\n"])), max_size=20).map(
    lambda lines: "".join(line + end for line, end in lines)
)


def events_of(text: str) -> list[Event]:
    """What the specification says of a whole stream, by regular expression."""
    events = []
    *blocks, _ = re.sub("\r\n|\r", "\n", "\n" + text).replace("\n\n", "\n\0\0").split("\0\0")
    for block in blocks:
        data = re.findall("^data(?:: ?(.*))?$", block, flags=re.M)
        names = re.findall("^event(?:: ?(.*))?$", block, flags=re.M)
        if data:
            events.append(Event("\n".join(data).encode(), names[-1] if names else "message"))
    return events


def split(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(places)]


@given(STREAMS, st.lists(st.integers(0, 1000), max_size=12))
def test_any_split_gives_the_events_of_the_whole_stream(text: str, cuts: list[int]) -> None:
    decoder = EventDecoder()
    found = [event for piece in split(text.encode(), cuts) for event in decoder.feed(piece)]
    assert found == events_of(text)


def test_a_stream_may_come_a_byte_at_a_time() -> None:
    stream = "data: Ünïcode 🦜\r\ndata: two\r\n\r\n".encode()
    decoder = EventDecoder()
    events = [event for byte in stream for event in decoder.feed(bytes([byte]))]
    assert events == [Event("Ünïcode 🦜\ntwo".encode())]


def test_an_event_is_given_as_soon_as_a_carriage_return_ends_it() -> None:
    assert EventDecoder().feed(b"data: a\r\r") == [Event(b"a")]


def test_an_event_without_its_empty_line_is_none() -> None:
    assert EventDecoder().feed(b"data: half\n") == []


@pytest.mark.parametrize("forever", [b"x" * 1000, b"data: " + b"x" * 1000 + b"\n"], ids=["line", "event"])
def test_what_never_ends_is_refused_before_it_fills_the_memory(
    forever: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 10_000)
    decoder = EventDecoder()
    with pytest.raises(ResponseError, match="longer than 10000 bytes"):
        for _ in range(11):
            assert decoder.feed(forever) == []


def test_a_stream_may_be_longer_than_its_longest_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    decoder = EventDecoder()
    assert [decoder.feed(b": ping\ndata: a\n\n") for _ in range(20)] == [[Event(b"a")]] * 20
