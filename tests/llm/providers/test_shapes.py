"""JSON of any shape, from callers and from providers, ends in words and never in a traceback."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm.providers import claude_answer, functions, responses_answer
from llm.providers.ark import Ark
from llm.providers.base import RESPONSES, Account, Chunk, ProviderError, Recovery
from llm.providers.chat_events import ChatEvents
from llm.providers.claude import Claude
from llm.providers.errors import SHAPE_ERRORS, error_in
from llm.providers.events import Event, EventReader
from llm.providers.message_events import MessageEvents
from llm.providers.response_events import ResponseEvents, written
from llm.providers.responses_answer import ResponsesToChat
from llm.providers.usage import embedding_tokens, image_tokens, tokens_of
from tests.conftest import full

from .upstream import asked, chunk, completion

LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
NAMES = st.sampled_from(
    [
        "role", "content", "type", "text", "function", "name", "arguments", "tool_calls", "function_call", "index",
        "delta", "message", "usage", "finish_reason", "image_url", "url", "error", "code", "content_block", "id",
        "input_tokens", "output_tokens", "prompt_tokens", "completion_tokens", "details", "stop_reason", "thinking",
        "item", "response", "output", "item_id", "output_index", "summary", "part", "status", "incomplete_details",
    ]
)  # fmt: skip
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
KEYS = st.sampled_from(
    ["messages", "tools", "functions", "function_call", "tool_choice", "stop", "stream_options", "user", "max_tokens"]
)
ANY_BODY = st.dictionaries(KEYS, ANYTHING, max_size=4).map(lambda odd: {**asked(), **odd})
LOTS = settings(max_examples=full(1000, 40), deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.rare
@LOTS
@given(ANY_BODY, st.booleans())
def test_a_request_of_any_shape_is_sent_or_refused(body: dict[str, Any], stream: bool) -> None:
    ark, claude = Ark(Account("ark", "", "k")), Claude(Account("claude", "", "k"))
    requests: list[Callable[..., Any]] = [ark._request, ark._in_responses]
    requests.append(lambda body, stream: claude._request(body, "2023-06-01", stream=stream))
    for request in requests:
        with contextlib.suppress(ProviderError):
            assert isinstance(request(body, stream=stream), dict)


@LOTS
@given(ANYTHING)
def test_a_chunk_of_any_shape_is_read_or_skipped(odd: Any) -> None:
    ark = Ark(Account("ark", "", "k"))._edit({"functions": [1]})
    for said in ({"choices": odd}, {"choices": [odd]}, {**chunk({}), "usage": odd}, chunk(odd)):
        for edit in (None, ark):
            assert read_or_skipped(ChatEvents(1, edit, hide_usage=True), said)
    for read in (tokens_of, image_tokens, embedding_tokens):
        found = read(odd)
        assert found is None or min(found.input, found.output, *found.kinds.values()) >= 0


@LOTS
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta"]
            ),
            st.dictionaries(st.sampled_from(["message", "content_block", "delta", "index", "usage"]), ANYTHING),
        ),
        max_size=5,
    )
)
def test_an_event_of_any_shape_is_read_or_skipped(events: list[tuple[str, dict[str, Any]]]) -> None:
    readers = (claude_answer.ClaudeTranslator(legacy=True), MessageEvents())
    for kind, more in [*events, ("message_stop", {})]:
        for reader in readers:
            assert read_or_skipped(reader, {"type": kind, **more})
    assert all(reader.ended for reader in readers)


ITEM = st.dictionaries(st.sampled_from(["id", "type", "content", "summary", "name", "arguments"]), ANYTHING)
RESPONSE = st.dictionaries(st.sampled_from(["output", "usage", "model", "incomplete_details", "status"]), ANYTHING)


@LOTS
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["created", "output_item.added", "output_item.done", "output_text.delta",
                             "function_call_arguments.delta", "function_call_arguments.done", "output_text.done"]),
            st.dictionaries(st.sampled_from(["item", "delta", "response", "item_id", "output_index"]), ANYTHING),
            ITEM,
        ),
        max_size=5,
    ),
    st.sampled_from(["completed", "incomplete"]),
    ANYTHING | RESPONSE,
)  # fmt: skip
def test_an_event_of_a_response_of_any_shape_is_read_or_skipped(
    events: list[tuple[str, dict[str, Any], dict[str, Any]]], end: str, odd: Any
) -> None:
    def told(said: Any) -> ProviderError:
        return error_in(said, Ark.codes)

    readers = (ResponsesToChat(told, legacy=True), ResponseEvents(told))
    for kind, more, item in events:
        for reader in readers:
            assert read_or_skipped(reader, {"type": f"response.{kind}", "item": item, **more})
    for reader in readers:
        assert read_or_skipped(reader, {"type": f"response.{end}", "response": odd})
        # Whatever it holds, it is the end.
        assert reader.ended


@LOTS
@given(ANYTHING | RESPONSE)
def test_a_response_of_any_shape_is_a_reply_or_none(odd: Any) -> None:
    said = {"output": [odd], **(odd if isinstance(odd, dict) else {})}
    assert isinstance(written(said), str)
    with contextlib.suppress(*SHAPE_ERRORS):
        assert responses_answer.reply(said, legacy=True).body["object"] == "chat.completion"
    assert isinstance(Ark._responses_request(Ark(Account("ark", "", "k")), said), dict)
    assert isinstance(Ark.has_room_for(RESPONSES, said), bool)


def read_or_skipped(reader: EventReader, said: dict[str, Any]) -> bool:
    data = json.dumps(said).encode()
    with contextlib.suppress(*SHAPE_ERRORS, ProviderError):
        return all(isinstance(one, Chunk) for one in reader.read(Event(b"data: " + data, data, said), more=False))
    return True


@LOTS
@given(ANYTHING)
def test_an_error_of_any_shape_is_an_error_in_words(odd: Any) -> None:
    for said in (odd, {"error": odd}):
        assert error_in(said, Claude.codes).text


@LOTS
@given(ANYTHING)
def test_a_message_of_any_shape_is_a_reply(odd: Any) -> None:
    content = odd if isinstance(odd, list) else [odd]
    reply = claude_answer.reply({"content": content, "usage": odd, "stop_reason": odd}, legacy=True)
    assert reply.body["object"] == "chat.completion"


def test_functions_come_back_only_to_those_who_asked() -> None:
    said = completion({"tool_calls": []})
    assert functions.answer_in_functions(said) is False


@pytest.mark.parametrize("body", [{"functions": 7, "messages": []}, {"messages": 7, "tools": 7}])
def test_a_misshapen_request_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ProviderError) as caught:
        Claude(Account("claude", "", "k"))._request(body, "2023-06-01", stream=False)
    assert caught.value.recovery is Recovery.FAIL
