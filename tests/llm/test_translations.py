"""Between messages and chat: what the table of tests/llm/matrix does not reach. The providers are scripted ones."""

import json
from typing import Any, cast

import pytest

from llm.dialects import messages
from llm.providers.base import Completion, Unsupported
from llm.relay.billing import Amount
from llm.relay.catalogue import ModelSpec
from llm.relay.errors import CallRefused
from llm.relay.questions import Addressee
from llm.relay.settling import Completed

from .providers.upstream import answer, asked, chunk, collected, completion, events, stream, talk

ASK: dict[str, Any] = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]}


class _Named:
    name = "m"


def completed(result: Any = None, **kinds: int) -> Completed[Any]:
    return Completed(result, "req_1", "m", Amount(kinds or {"input": 5, "output": 7}), "provider", 1, 0)


def streamed(*chunks: dict[str, Any], **given: Any) -> list[tuple[str, Any]]:
    """The events that a chat provider's chunks come to: (name, data)."""
    said, _upstream = collected("openai", stream(events(*chunks)), asked())
    translator = messages.MessagesTranslator({**ASK, **given}, "req_1")
    content = b"".join(translator.feed(each, cast(ModelSpec, _Named()), 1) for each in said)
    content += translator.end(completed())
    blocks = [block.split("\n") for block in content.decode().strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def blocks(told: list[tuple[str, Any]]) -> list[Any]:
    """The blocks of a stream as (name or type, what is in it), each opened and closed before the next."""
    found: list[Any] = []
    is_open = False
    for name, data in told:
        if name == "content_block_start":
            assert (is_open, data["index"]) == (False, len(found))
            block, is_open = data["content_block"], True
            found.append([block.get("name", block["type"]), ""])
        elif name == "content_block_delta":
            assert (is_open, data["index"]) == (True, len(found) - 1)
            found[-1][1] += "".join(value for key, value in data["delta"].items() if key != "type")
        elif name == "content_block_stop":
            is_open = False
    return [tuple(each) for each in found]


def part(index: int | None, called: str | None, name: str | None, arguments: Any = "") -> dict[str, Any]:
    call = {"index": index, "id": called, "function": {"name": name, "arguments": arguments}}
    return chunk({"tool_calls": [{key: value for key, value in call.items() if value is not None}]})


STOP = chunk({}, "tool_calls")


# --- Calls, streamed -------------------------------------------------------------------------------------------------
CALLS: list[tuple[str, list[dict[str, Any]], list[tuple[str, str]]]] = [
    (
        "interleaved",
        [
            part(0, "a", "f"),
            part(1, "b", "g"),
            part(0, None, None, '{"x"'),
            part(1, None, None, '{"y":'),
            part(0, None, None, ":1}"),
            part(1, None, None, "2}"),
        ],
        [("f", '{"x":1}'), ("g", '{"y":2}')],
    ),
    (
        "text between",
        [part(0, "a", "f", '{"x"'), chunk({"content": "Wait"}), part(0, None, None, ":1}")],
        [("f", '{"x":1}'), ("text", "Wait")],
    ),
    (
        "a name that comes late",
        [part(0, "a", None, '{"x"'), chunk({"content": "Wait"}), part(0, None, "f"), part(0, None, None, ":1}")],
        [("text", "Wait"), ("f", '{"x":1}')],
    ),
    (
        "a name that never comes",
        [part(0, "a", None, "{}")],
        [("", "{}")],
    ),
    (
        "W3 no ids, and index 0 for each",
        [part(0, "", "f", '{"x":1}'), part(0, "", "f", '{"x":2}'), part(0, "", "g", "{}")],
        [("f", '{"x":1}'), ("f", '{"x":2}'), ("g", "{}")],
    ),
    (
        "W3 neither ids nor indexes",
        [part(None, None, "f", '{"x":1}'), part(None, None, "g", "{"), part(None, None, None, "}")],
        [("f", '{"x":1}'), ("g", "{}")],
    ),
    (
        "one id for all",
        [part(0, "a", "f", "{}"), part(1, "a", "g", "{"), part(1, "a", "g", "}"), part(2, "a", "g", "{}")],
        [("f", "{}"), ("g", "{}"), ("g", "{}")],
    ),
    (
        "the name with every chunk",
        [part(0, "a", "f", '{"x"'), part(0, "a", "f", ":1}"), part(0, "a", "f")],
        [("f", '{"x":1}')],
    ),
    (
        "arguments that are an object",
        [part(0, "a", "f", {"x": 1})],
        [("f", '{"x":1}')],
    ),
    (
        "without arguments",
        [part(0, "a", "f"), part(1, "b", "g", "{}")],
        [("f", ""), ("g", "{}")],
    ),
]


@pytest.mark.parametrize(("name", "chunks", "expected"), CALLS, ids=[name for name, *_ in CALLS])
def test_calls_are_blocks_one_after_another_however_they_come(
    name: str, chunks: list[dict[str, Any]], expected: list[tuple[str, str]]
) -> None:
    told = streamed(*chunks, STOP)
    assert blocks(told) == expected
    called = [data["content_block"]["id"] for kind, data in told if kind == "content_block_start"
              and data["content_block"]["type"] == "tool_use"]  # fmt: skip
    assert all(called)
    assert len(set(called)) == len(called)


def test_a_call_is_written_as_it_comes_when_nothing_is_in_its_way() -> None:
    """A block waits only for one that is not whole."""
    said, _upstream = collected(
        "openai",
        stream(events(part(0, "a", "f", '{"x":1}'), part(1, "b", "g"), part(1, None, None, "{}"), STOP)),
        asked(),
    )
    translator = messages.MessagesTranslator(ASK, "req_1")
    out = [translator.feed(each, cast(ModelSpec, _Named()), 1) for each in said[:2]]
    assert b'"name":"g"' in out[1]


@pytest.mark.parametrize("finish", ["stop", "tool_calls", "function_call"])
@pytest.mark.parametrize("is_stream", [True, False])
def test_an_answer_with_calls_stops_for_them_whatever_is_said(finish: str, is_stream: bool) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    if is_stream:
        told = streamed(part(0, "a", "f", "{}"), chunk({}, finish))
        assert told[-2][1]["delta"]["stop_reason"] == "tool_use"
    else:
        assert message(completion({"content": None, "tool_calls": [call]}, finish))["stop_reason"] == "tool_use"


# --- Answers, whole --------------------------------------------------------------------------------------------------
def message(said: dict[str, Any], **given: Any) -> dict[str, Any]:
    reply, _upstream = talk("openai", answer(said), lambda provider, _: provider.chat(asked()))
    assert isinstance(reply, Completion)
    found: dict[str, Any] = json.loads(messages.MessagesTranslator({**ASK, **given}, "req_1").whole(completed(reply)))
    return found


def test_arguments_that_are_no_object_are_not_lost() -> None:
    """They may have been cut off by the limit."""
    calls = [{"id": each, "function": {"name": "f", "arguments": each}} for each in ('{"x": "a', "[1]", "")]
    content = message(completion({"tool_calls": calls, "content": None}, "length"))["content"]
    assert [block["input"] for block in content] == [{"arguments": '{"x": "a'}, {"arguments": "[1]"}, {}]


def test_W13_words_between_parts_of_other_kinds_are_not_lost() -> None:
    parts = [
        {"type": "text", "text": "Hel"},
        {"type": "reference", "reference_ids": [1]},
        {"type": "text", "text": "lo"},
    ]
    assert message(completion({"content": parts}))["content"] == [{"type": "text", "text": "Hello"}]
    assert blocks(streamed(chunk({"content": parts}, "stop"))) == [("text", "Hello")]


def test_calls_of_one_id_or_none_get_ids_of_their_own() -> None:
    calls = [{"id": each, "function": {"name": "f", "arguments": "{}"}} for each in ("a", "a", "", None)]
    ids = [block["id"] for block in message(completion({"tool_calls": calls, "content": None}))["content"]]
    assert (ids[0], len(set(ids)), all(ids)) == ("a", 4, True)


def test_usage_keeps_caches_beside_the_input() -> None:
    used = completed(Completion(completion(), None), input=10, input_image=3, cache_read=5, cache_write=2, output=7)
    usage = json.loads(messages.MessagesTranslator(ASK, "req_1").whole(used))["usage"]
    assert usage == {
        "input_tokens": 13, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2, "output_tokens": 7,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"finish_reason": "stop", "stop_reason": "END"}, ("stop_sequence", "END")),
        ({"finish_reason": "stop", "matched_stop": "END"}, ("stop_sequence", "END")),
        ({"finish_reason": "stop", "stop_reason": 128009}, ("end_turn", None)),
        ({"finish_reason": "stop", "stop_reason": "eos"}, ("end_turn", None)),
        ({"finish_reason": "stop"}, ("end_turn", None)),
        ({"finish_reason": "length"}, ("max_tokens", None)),
        ({"finish_reason": "content_filter"}, ("refusal", None)),
        ({"finish_reason": "of_the_future"}, ("end_turn", None)),
    ],
)
def test_why_an_answer_stops_is_told_as_far_as_it_is_known(
    choice: dict[str, Any], expected: tuple[str, str | None]
) -> None:
    said = completion()
    said["choices"][0].update(choice)
    found = message(said, stop_sequences=["END"])
    assert (found["stop_reason"], found["stop_sequence"]) == expected


def test_thoughts_that_are_not_to_be_shown_are_not() -> None:
    omitted = {"thinking": {"type": "adaptive", "display": "omitted"}}
    said = completion({"reasoning_content": "hm"})
    assert [block["type"] for block in message(said, **omitted)["content"]] == ["text"]
    assert [block["type"] for block in message(said)["content"]] == ["thinking", "text"]
    assert blocks(streamed(chunk({"reasoning_content": "hm"}), chunk({"content": "a"}, "stop"), **omitted)) == [
        ("text", "a")
    ]


def test_signed_thoughts_of_a_chat_provider_stay_signed() -> None:
    signed = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    secret = {"type": "redacted_thinking", "data": "c2VjcmV0"}
    assert message(completion({"reasoning_content": "hm", "thinking_blocks": [signed]}))["content"][0] == signed
    told = streamed(
        chunk({"reasoning_content": "hm"}), chunk({"thinking_blocks": [signed]}),
        chunk({"thinking_blocks": [secret]}), chunk({"content": "a"}, "stop"),
    )  # fmt: skip
    assert blocks(told) == [("thinking", "hmc2ln"), ("redacted_thinking", ""), ("text", "a")]


# --- Requests of messages --------------------------------------------------------------------------------------------
def chat_of(**more: Any) -> dict[str, Any]:
    assert messages.DIALECT.to_chat
    return messages.DIALECT.to_chat({**ASK, **more}, Addressee("openai"))


def turns(*content: Any, role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": list(content)}]}


TOOL: dict[str, Any] = {"name": "f", "input_schema": {"type": "object"}}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"container": "c"}, "container"),
    ({"mcp_servers": [{"url": "x"}]}, "mcp_servers"),
    ({"speed": "fast"}, "speed"),
    ({"metadata": {"tag": "x"}}, "metadata.tag"),
    ({"output_config": {"task_budget": {"total": 1}}}, "output_config.task_budget"),
    ({"output_config": {"format": {"type": "grammar"}}}, "output_config.format"),
    ({"system": [{"type": "image"}]}, "image content in system"),
    ({"tools": [{**TOOL, "allowed_callers": ["code_execution_20250825"]}]}, "tools.allowed_callers"),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools of type web_search_20250305"),
    (turns({"type": "search_result", "source": "x"}), "search_result content"),
    (turns({"type": "document", "citations": {"enabled": True}, "source": {"type": "text", "data": "a"}}), "citations"),
    (
        turns({"type": "document", "source": {"type": "base64", "media_type": "text/csv", "data": ""}}),
        "document content",
    ),
    (turns({"type": "server_tool_use", "id": "s", "name": "web_search"}, role="assistant"), "server_tool_use content"),
]


@pytest.mark.parametrize(("change", "named"), REFUSED, ids=[named for _, named in REFUSED])
def test_W9_what_chat_has_no_room_for_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    with pytest.raises(Unsupported) as caught:
        chat_of(**change)
    assert caught.value.code == named


@pytest.mark.parametrize(
    "change",
    [
        {"tools": [TOOL], "tool_choice": {"type": "of_the_future"}},
        {"messages": [{"role": "robot", "content": "a"}]},
        {"tools": [{"name": "f"}]},
        turns({"type": "image", "source": {"type": "file", "file_id": "f"}}),
    ],
)
def test_what_nobody_could_take_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CallRefused):
        chat_of(**change)


def test_what_changes_no_answer_is_left_out() -> None:
    mark = {"type": "ephemeral"}
    plain = chat_of(tools=[TOOL])
    assert plain == chat_of(
        tools=[{**TOOL, "cache_control": mark, "eager_input_streaming": True, "defer_loading": True}],
        cache_control=mark,
        context_management={"edits": [{"type": "clear_thinking_20251015"}]},
        speed="standard",
        service_tier="auto",
        inference_geo="global",
        mcp_servers=[],
    )
    assert "tool_choice" not in chat_of(tool_choice={"type": "auto", "disable_parallel_tool_use": True})


def test_tools_keep_their_strictness_and_examples() -> None:
    (tool,) = chat_of(tools=[{**TOOL, "strict": True, "description": "Does f", "input_examples": [{"x": 1}]}])["tools"]
    assert tool["function"] == {
        "name": "f", "parameters": {"type": "object"}, "strict": True,
        "description": 'Does f\n\nExamples of its input: [{"x":1}]',
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "effort"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, "none"),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "max"}}, "none"),
        ({"thinking": {"type": "adaptive"}}, "medium"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "max"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 30_000}}, "high"),
    ],
)
def test_thinking_is_reasoning_effort(given: dict[str, Any], effort: str | None) -> None:
    assert chat_of(**given).get("reasoning_effort") == effort


def test_documents_are_files_or_words() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    given = [
        {"type": "document", "source": {"type": "text", "data": "words"}, "title": "T", "context": "C"},
        {"type": "document", "source": pdf, "context": "C"},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "inner"}]}},
    ]
    file = {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}
    texts = [{"type": "text", "text": text} for text in ("T", "C", "words", "C")]
    (sent,) = chat_of(**turns(*given))["messages"]
    assert sent["content"] == [*texts, {"type": "file", "file": file}, {"type": "text", "text": "inner"}]


def test_an_assistants_words_are_put_together_as_they_stood() -> None:
    quoted = [{"type": "text", "text": "The sky "}, {"type": "text", "text": "is blue."}]
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    (sent,) = chat_of(**turns(*quoted, call, {"type": "text", "text": "Well."}, role="assistant"))["messages"]
    assert sent["content"] == "The sky is blue.\nWell."
    secret = {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]}
    assert chat_of(messages=[secret, *ASK["messages"]])["messages"] == ASK["messages"]


def test_what_others_thought_is_not_shown_to_claude() -> None:
    """Thoughts of a chat model go out without a signature; Claude would refuse the conversation for them."""
    foreign = {"type": "thinking", "thinking": "hm", "signature": ""}
    own = {"type": "thinking", "thinking": "hm", "signature": "s"}
    given = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [foreign, {"type": "text", "text": "a"}]},
        {"role": "assistant", "content": [foreign]},
        {"role": "assistant", "content": [own, {"type": "text", "text": "b"}]},
    ]
    said = {"type": "message", "content": [], "stop_reason": "end_turn", "usage": {}}
    body = {**ASK, "messages": given}
    _reply, upstream = talk("claude", answer(said), lambda provider, _: provider.ask("messages", body))
    assert upstream.seen[0].json["messages"] == [
        given[0],
        {"role": "assistant", "content": [{"type": "text", "text": "a"}]},
        given[3],
    ]
