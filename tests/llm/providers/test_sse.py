"""Server-sent events, however the network cuts them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.providers.sse import Events, EventTooLarge, Frame

BODY = (
    ": a comment\n\n"
    'data: {"a": "早上好"}\n\n'
    "event: ping\r\ndata: one\r\ndata: two\r\n\r\n"
    "data:no space\n\n\n"
    "broken line\n\n"
    "id: 7\rdata: carriage returns\r\r"
    "data\n\n"
    "data: [DONE]\n\n"
    "data: unfinished"
).encode()
WHOLE = [b'{"a": "\xe6\x97\xa9\xe4\xb8\x8a\xe5\xa5\xbd"}', b"one\ntwo", b"no space", b"carriage returns", b"[DONE]"]


def parsed(pieces: list[bytes]) -> tuple[list[bytes], int]:
    events = Events()
    found = [frame for piece in pieces for frame in events.feed(piece)] + events.end()
    return [frame.data for frame in found], events.broken


def test_data_comes_out_of_events() -> None:
    assert parsed([BODY]) == ([*WHOLE, b"unfinished"], 1)


def test_every_byte_may_come_alone() -> None:
    assert parsed([BODY[at : at + 1] for at in range(len(BODY))]) == ([*WHOLE, b"unfinished"], 1)


@given(st.lists(st.integers(1, len(BODY) - 1), max_size=20))
def test_where_the_network_cuts_makes_no_difference(cuts: list[int]) -> None:
    edges = [0, *sorted(set(cuts)), len(BODY)]
    pieces = [BODY[start:end] for start, end in pairwise(edges)]
    assert parsed(pieces) == parsed([BODY])


@given(st.lists(st.binary(min_size=1)))
def test_no_bytes_make_it_fail(pieces: list[bytes]) -> None:
    assert parsed(pieces) == parsed([b"".join(pieces)] if pieces else [])


def test_an_event_that_never_ends_is_refused() -> None:
    events = Events(max_bytes=100)
    events.feed(b"data: " + b"x" * 90)
    with pytest.raises(EventTooLarge):
        events.feed(b"x" * 90)


def test_a_complete_event_is_handed_out_at_once() -> None:
    events = Events()
    assert [frame.data for frame in events.feed(b"data: 1\n\ndata: 2\n")] == [b"1"]
    assert [frame.data for frame in events.feed(b"\n")] == [b"2"]


def test_an_event_is_kept_as_it_came_with_its_name() -> None:
    block = b"event: content_block_delta\nid: 7\ndata: {}"
    assert Events().feed(block + b"\n\n") == [Frame(block + b"\n\n", b"{}", b"content_block_delta")]


@pytest.mark.parametrize("cut", range(1, 5))
def test_W15_a_byte_order_mark_is_no_part_of_the_first_event(cut: int) -> None:
    body = b"\xef\xbb\xbfdata: 1\n\ndata: 2\n\n"
    assert parsed([body[:cut], body[cut:]]) == ([b"1", b"2"], 0)


def test_Q_M9_one_event_may_be_large_and_come_in_pieces() -> None:
    events, part = Events(), b"x" * 64 * 1024
    assert not any(events.feed(piece) for piece in [b"data: ", *[part] * 200])
    assert len(events.feed(b"\n\n")[0].data) == 200 * len(part)
