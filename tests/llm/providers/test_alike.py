"""Chunks that are not read, because they are like one that was: nothing of what they say may get lost by that."""

import json
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from llm.providers.alike import Alike
from llm.providers.chat_events import ChatEvents
from llm.providers.events import Event
from tests.conftest import full

HEAD = {"id": "c", "object": "chat.completion.chunk", "model": "gpt-x"}
TEXTS = st.text(max_size=12) | st.sampled_from(
    ["a", "c", ":", '","', "gpt-x", "content", "\\", '"', "世界", "\n", "é\u200d"]
)
DELTAS = st.one_of(
    TEXTS.map(lambda text: {"content": text}),
    TEXTS.map(lambda text: {"content": None, "reasoning_content": text}),
    TEXTS.map(lambda text: {"role": "assistant", "content": text}),
    st.tuples(TEXTS, TEXTS).map(lambda both: {"content": both[0], "refusal": both[1]}),
    TEXTS.map(lambda name: {"tool_calls": [{"index": 0, "function": {"name": name, "arguments": ""}}]}),
)
USAGE = {"prompt_tokens": 3, "completion_tokens": 5}


def chunk(delta: dict[str, Any], *, finish: str | None, usage: Any, ascii_only: bool) -> bytes:
    said = {**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": usage}
    separators = (",", ":") if usage is None else None
    return json.dumps(said, ensure_ascii=ascii_only, separators=separators).encode("utf-8", "replace")


CHUNKS = st.builds(
    chunk,
    DELTAS,
    finish=st.sampled_from([None, None, None, "stop"]),
    usage=st.sampled_from([None, None, None, USAGE]),
    ascii_only=st.booleans(),
)


def told(chunks: list[bytes], *, learning: bool) -> list[Any]:
    """What is known of each: whether it shows something, what was used, its text, its model."""
    reader, found = ChatEvents(), []
    for data in chunks:
        if learning and (text := reader.alike.text_of(data)):
            found.append((True, None, text, reader.alike.model))
        else:
            (read,) = reader.read(Event(b"", data, orjson.loads(data)), more=False)
            found.append((read.output, read.usage, read.text, read.model))
    return found


@settings(max_examples=full(500, 25))
@given(st.lists(CHUNKS, max_size=20))
def test_what_is_known_of_a_chunk_is_the_same_whether_it_was_read_or_not(chunks: list[bytes]) -> None:
    assert told(chunks, learning=True) == told(chunks, learning=False)


def test_a_chunk_like_the_one_before_is_not_read_again() -> None:
    reader = ChatEvents()
    first, second = (chunk({"content": text}, finish=None, usage=None, ascii_only=False) for text in ("你好", "世界"))
    reader.read(Event(b"", first, orjson.loads(first)), more=False)
    assert reader.alike.text_of(second) == "世界"


def test_bytes_that_are_no_text_are_left_to_whoever_reads_with_patience() -> None:
    alike = Alike()
    alike.learn(b'{"content":"word"}', "word", "")
    assert alike.text_of(b'{"content":"other"}') == "other"
    for odd in (b"\xff", b"\t", b"\x00", b"a\\n", b'a","b":"c', b""):
        assert alike.text_of(b'{"content":"%b"}' % odd) == ""


def test_a_text_that_stands_there_twice_teaches_nothing() -> None:
    alike = Alike()
    alike.learn(b'{"id":"word","content":"word"}', "word", "")
    assert alike.text_of(b'{"id":"word","content":"other"}') == ""
    assert alike.text_of(b'{"id":"other","content":"word"}') == ""


def test_a_stream_whose_chunks_always_differ_is_given_up_on() -> None:
    alike = Alike()
    for number in range(100):
        alike.learn(b'{"n":%d,"content":"word"}' % number, "word", "")
    assert alike.text_of(b'{"n":99,"content":"other"}') == ""
