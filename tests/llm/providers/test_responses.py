"""OpenAI's Responses, asked and answered as they are: byte for byte, metered, and broken where they break."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from llm.providers import PROVIDERS
from llm.providers.base import RESPONSES, Account, Chunk, Provider, ProviderError, Recovery, StreamBroke, Tokens
from tests.conftest import sampled
from tests.vectors import load

from .upstream import KEY, Upstream, answer, stream, talk

STREAMS: dict[str, list[dict[str, Any]]] = load("responses/streams")
FAILED = "failed in the middle"
NO_QUOTA = "failed before output: no quota"
WHOLE_ONES = [name for name in STREAMS if name not in (FAILED, NO_QUOTA)]
BODY: dict[str, Any] = {"model": "m", "input": "Hi", "store": False, "field_of_the_future": {"a": None}}
COUNTS = {"input": 40, "cache_read": 60, "output": 20}
Part = bytes | float | None


def block(said: dict[str, Any], number: int = 0) -> bytes:
    """An event, written now like this and now like that, with what nobody knows."""
    odd = {**said, "field_of_the_future": [1.50, {"deep": None}], "obfuscation": "x" * number}
    name = said["type"].encode()
    if number % 3 == 1:
        return b"event:%b\ndata:%b\n\n" % (name, json.dumps(odd, separators=(" ,", " :  ")).encode())
    if number % 3 == 2:
        return b"data: %b\n\n" % json.dumps(odd, ensure_ascii=False).encode()
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (number, name, json.dumps(odd).encode())


FUTURE: dict[str, Any] = {"type": "response.event.of_the_future", "response": 7, "item": "odd", "sequence_number": 99}


def blocks(name: str) -> list[bytes]:
    """A stream's events, with an unknown one before its last."""
    events = STREAMS[name]
    return [block(said, number) for number, said in enumerate([*events[:-1], FUTURE, events[-1]])]


async def collect(provider: Provider, body: dict[str, Any], into: list[Chunk]) -> None:
    async for chunk in provider.ask_stream(RESPONSES, body):
        into.append(chunk)


def passed(*parts: Part, end: bool = True, provider: str = "ark", **more: Any) -> list[Chunk]:
    chunks: list[Chunk] = []
    talk(provider, stream(*parts, end=end), lambda speaker, _upstream: collect(speaker, BODY, chunks), **more)
    return chunks


def broken(*parts: Part, end: bool = True, **more: Any) -> tuple[ProviderError, list[Chunk]]:
    chunks: list[Chunk] = []
    with pytest.raises(ProviderError) as caught:
        talk("ark", stream(*parts, end=end), lambda speaker, _upstream: collect(speaker, BODY, chunks), **more)
    return caught.value, chunks


def as_bytes(chunks: list[Chunk]) -> bytes:
    return b"".join(chunk.block or b"data: %b\n\n" % chunk.data for chunk in chunks)


def report(chunks: list[Chunk]) -> Tokens | None:
    found = [chunk.usage for chunk in chunks if chunk.usage]
    assert len(found) <= 1
    return found[0] if found else None


# --- Who speaks them --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("provider", "base_url", "said", "speaks"),
    [
        ("openai", "", None, True),
        ("openai", "https://eu.api.openai.com/v1", None, True),
        ("openai", "https://api.openai.com.example.com/v1", None, False),
        ("openai", "https://api.deepseek.com/v1", None, False),
        ("openai", "https://litellm.example.com/v1", True, True),
        ("openai", "https://api.openai.com/v1", False, False),
        ("ark", "", None, True),
        ("ark", "https://ark.example.com/api/v3", None, True),
        ("ark", "", False, False),
        ("claude", "", True, False),
    ],
)
def test_who_answers_responses_is_known_or_said(provider: str, base_url: str, said: bool | None, speaks: bool) -> None:
    account = Account(provider, base_url, "k", responses_api=said)
    assert (RESPONSES in PROVIDERS[provider].dialects_of(account)) is speaks
    # What one account speaks says nothing of the others.
    assert RESPONSES not in PROVIDERS[provider].dialects


def test_a_request_goes_up_as_it_is() -> None:
    def both(body: dict[str, Any]) -> Upstream:
        said = {"object": "response", "status": "completed", "output": [], "usage": None}
        return talk("openai", answer(said), lambda p, _: p.ask(RESPONSES, body), responses_api=True)[1]

    body = {**BODY, "tools": [{"type": "custom", "name": "f"}], "input": [{"type": "item_of_the_future", "x": 1.5}]}
    seen = both(body).seen[0]
    assert (seen.line, seen.json) == ("POST /v1/responses HTTP/1.1", body)


# --- Whole ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", WHOLE_ONES)
def test_a_whole_answer_comes_down_as_it_is(name: str) -> None:
    said = {**STREAMS[name][-1]["response"], "new": [1.0]}
    content = json.dumps(said, indent=3).encode()
    reply, _ = talk("ark", answer(content), lambda provider, _: provider.ask(RESPONSES, BODY))
    assert reply.content == content
    assert reply.usage.kinds == COUNTS
    streamed = "".join(chunk.text for chunk in passed(*blocks(name)))
    assert reply.text == streamed != ""


def test_a_whole_answer_may_say_that_it_failed_or_be_none() -> None:
    failed = STREAMS[NO_QUOTA][-1]["response"]
    for said, text in (
        (failed, "no money"),
        ({**failed, "error": None}, "The answer failed."),
        ({"object": "response", "output": None}, "no response"),
    ):
        with pytest.raises(ProviderError, match=text):
            talk("ark", answer(said), lambda provider, _: provider.ask(RESPONSES, BODY))


# --- Streamed ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [*WHOLE_ONES, FAILED])
@pytest.mark.parametrize("together", [False, True])
def test_a_stream_comes_down_byte_by_byte(name: str, together: bool) -> None:
    events = blocks(name)
    parts = [b"".join(events)] if together else events
    chunks = passed(*parts) if name != FAILED else broken(*parts)[1]
    assert as_bytes(chunks) == b"".join(events)
    assert [chunk.output for chunk in chunks[:3]] == [False, False, True]
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert {chunk.model for chunk in chunks if chunk.model} == {"gpt-4o"}
    assert chunks[-1].model
    assert (chunks[-1].usage is None) == (name == FAILED)


def test_where_the_network_cuts_makes_no_difference() -> None:
    whole = b"".join(blocks("two tool calls"))
    chunks = passed(*(whole[at : at + 1] for at in range(len(whole))))
    assert as_bytes(chunks) == whole
    assert report(chunks) == Tokens(100, 20, kinds=COUNTS)


TEXTS = {
    "text": "Hello there",
    "tool call after reasoning": '**Thinking** about itexec_command{"cmd": "echo hi-from-tool"}',
    "two tool calls": 'exec_command{"cmd": "echo one"}exec_command{"cmd": "echo two"}',
    "refusal": "I cannot help",
    "incomplete: max_output_tokens": "Half an ans",
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_a_user_sees_is_counted_once(name: str) -> None:
    assert "".join(chunk.text for chunk in passed(*blocks(name))) == TEXTS[name]


@pytest.mark.parametrize("name", TEXTS)
def test_what_comes_only_when_it_is_whole_is_counted_too(name: str) -> None:
    """There are servers without deltas, and such as only say the items, or the whole response."""
    events = STREAMS[name]
    without_deltas = [block(said) for said in events if not said["type"].endswith(".delta")]
    items = [block(said) for said in events if said["type"].startswith(("response.output_item.done", "response.c"))]
    items += [block(events[-1])] if events[-1]["type"] == "response.incomplete" else []
    for parts in (without_deltas, [each for each in items if b"content_part" not in each], [block(events[-1])]):
        chunks = passed(*parts)
        assert "".join(chunk.text for chunk in chunks) == TEXTS[name]
        assert as_bytes(chunks) == b"".join(parts)


def test_sound_and_what_hides_the_length_are_no_text() -> None:
    sound = {"type": "response.output_audio.delta", "item_id": "msg_1", "delta": "AAAA", "obfuscation": "zzz"}
    chunks = passed(block(sound), block(STREAMS["text"][-1]))
    assert chunks[0].output
    assert "AAAA" not in "".join(chunk.text for chunk in chunks)


def test_searches_and_the_tier_stand_beside_the_usage() -> None:
    last = json.loads(json.dumps(STREAMS["text"][-1]))
    last["response"] |= {"service_tier": "flex", "tool_usage": {"web_search": {"num_requests": 3}}}
    found = report(passed(block(last)))
    assert found is not None
    assert (found.kinds, found.service_tier) == ({**COUNTS, "web_search": 3}, "flex")
    last["response"] |= {"tool_usage": None}
    last["response"]["usage"]["tool_usage"] = {"web_search": 2, "mcp": None}
    found = report(passed(block(last)))
    assert found is not None
    assert found.kinds["web_search"] == 2


@pytest.mark.parametrize("usage", [None, {}, {"input_tokens": 1}, "much", {"input_tokens": 1, "output_tokens": True}])
def test_usage_that_is_none_is_no_report(usage: Any) -> None:
    last = json.loads(json.dumps(STREAMS["text"][-1]))
    last["response"]["usage"] = usage
    assert report(passed(block(last))) is None


def test_a_report_on_the_way_is_not_the_last_one() -> None:
    early = json.loads(json.dumps(STREAMS["text"][1]))
    early["response"]["usage"] = {"input_tokens": 100, "output_tokens": 0}
    error, chunks = broken(block(early), block(STREAMS["text"][4]))
    assert isinstance(error, StreamBroke)
    assert report(chunks) == Tokens(100, 0, final=False)


# --- Broken -----------------------------------------------------------------------------------------------------------
def cuts() -> Iterator[tuple[str, int]]:
    for name, events in STREAMS.items():
        yield from ((name, number) for number in range(len(events)))


@pytest.mark.parametrize("ending", sampled(["closed", "cut", "done"], keep=1))
@pytest.mark.parametrize(("name", "number"), list(cuts()))
def test_a_stream_that_ends_before_its_last_event_broke(name: str, number: int, ending: str) -> None:
    parts: list[Part] = [block(said) for said in STREAMS[name][:number]]
    parts += {"closed": [], "cut": [None], "done": [b"data: [DONE]\n\n"]}[ending]
    error, chunks = broken(*parts, end=ending == "closed")
    begun = number > 2
    assert type(error) is (StreamBroke if begun else ProviderError)
    assert error.recovery is Recovery.RETRY
    assert (len(chunks), any(chunk.output for chunk in chunks)) == (number, begun)


@pytest.mark.parametrize(
    ("code", "recovery"),
    [
        ("server_error", Recovery.RETRY),
        ("rate_limit_exceeded", Recovery.RETRY),
        ("code_of_the_future", Recovery.RETRY),
        ("insufficient_quota", Recovery.FAILOVER),
        ("context_length_exceeded", Recovery.FAIL),
        ("invalid_prompt", Recovery.FAIL),
    ],
)
@pytest.mark.parametrize("told", ["failed", "error", "nested error"])
def test_a_failure_is_an_error_before_output_and_a_break_after_it(code: str, recovery: Recovery, told: str) -> None:
    said = {"code": code, "message": "Why"}
    last: dict[str, Any] = {
        "failed": {"type": "response.failed", "response": {"status": "failed", "error": said, "output": []}},
        "error": {"type": "error", **said, "param": None},
        "nested error": {"type": "error", "error": said},
    }[told]

    def fail(*before: bytes) -> tuple[ProviderError, list[Chunk]]:
        chunks: list[Chunk] = []
        script = stream(*before, block(last), end=False)
        with pytest.raises(ProviderError) as caught:
            talk("openai", script, lambda speaker, _: collect(speaker, BODY, chunks), responses_api=True)
        return caught.value, chunks

    begun = [block(said) for said in STREAMS["text"][:2]]
    error, chunks = fail(*begun)
    assert (type(error), error.text, error.recovery, len(chunks)) == (ProviderError, "Why", recovery, 2)
    error, chunks = fail(*begun, block(STREAMS["text"][2]))
    assert (type(error), error.text, error.recovery) == (StreamBroke, "Why", recovery)
    # What says so in the response is passed on, with what was used; a bare error is not.
    assert len(chunks) == (4 if told == "failed" else 3)


def test_a_failed_answer_says_what_it_used() -> None:
    last = json.loads(json.dumps(STREAMS[FAILED][-1]))
    last["response"]["usage"] = STREAMS["text"][-1]["response"]["usage"]
    _error, chunks = broken(*(block(said) for said in [*STREAMS[FAILED][:-1], last]))
    assert report(chunks) == Tokens(100, 20, kinds=COUNTS)


def test_a_key_that_is_repeated_in_a_failure_is_not_told() -> None:
    last = {"type": "response.failed", "response": {"error": {"code": "server_error", "message": f"for {KEY}"}}}
    error, _ = broken(block(last))
    assert KEY not in error.text


def test_nothing_is_read_after_the_last_event() -> None:
    """A server may keep its connection open."""
    events = blocks("text")
    assert as_bytes(passed(*events, 10.0, timeout_s=0.5)) == b"".join(events)


@pytest.mark.parametrize("odd", [{}, {"type": 7}, {"type": "response.completed"}, {"type": "response.failed"}])
def test_events_of_any_shape_are_read(odd: dict[str, Any]) -> None:
    ends = str(odd.get("type")).startswith("response.")
    parts = [b"data: %b\n\n" % json.dumps(odd).encode(), block(STREAMS["text"][-1])]
    if odd.get("type") == "response.failed":
        error, chunks = broken(*parts)
        assert (error.text, chunks) == ("The answer failed.", [])
    else:
        assert len(passed(*parts)) == (1 if ends else 2)


# --- Ark --------------------------------------------------------------------------------------------------------------
def sent_to_ark(body: dict[str, Any]) -> Any:
    said = {"object": "response", "status": "completed", "output": []}
    _reply, upstream = talk("ark", answer(said), lambda p, _: p.ask(RESPONSES, body))
    assert upstream.seen[0].line == "POST /api/v3/responses HTTP/1.1"
    return upstream.seen[0].json


def test_what_ark_lacks_is_left_out_and_what_it_wants_is_given() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "e"}
    inner = {"type": "function", "name": "g", "strict": True}
    given = {
        **BODY, "metadata": {"a": "b"}, "user": "u", "truncation": "auto", "top_logprobs": 3, "prompt_cache_key": "k",
        "reasoning": {"effort": "low", "summary": "auto"}, "text": {"verbosity": "low"}, "thinking": {"type": "auto"},
        "include": ["reasoning.encrypted_content", "web_search_call.results"], "stream_options": {},
        "tools": [{"type": "function", "name": "f", "parameters": {"strict": 1}, "strict": True},
                  {"type": "namespace", "name": "n", "tools": [inner]}],
        "input": [
            {"role": "user", "content": [{"type": "input_image", "image_url": "data:", "detail": "original"}]},
            thought, {**thought, "status": "in_progress"},
            {"type": "message", "role": "assistant", "phase": "final_answer", "content": "a", "id": "msg_1"},
        ],
    }  # fmt: skip
    assert sent_to_ark(given) == {
        **BODY, "prompt_cache_key": "k", "reasoning": {"effort": "low"}, "thinking": {"type": "auto"},
        "include": ["reasoning.encrypted_content"],
        "tools": [{"type": "function", "name": "f", "parameters": {"strict": 1}},
                  {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g"}]}],
        "input": [
            {"role": "user", "content": [{"type": "input_image", "image_url": "data:", "detail": "high"}]},
            {**thought, "status": "completed"}, {**thought, "status": "in_progress"},
            {"type": "message", "role": "assistant", "content": "a", "id": "msg_1"},
        ],
    }  # fmt: skip
    assert "text" not in sent_to_ark(given)
    assert "text" in sent_to_ark({**BODY, "text": {"format": {"type": "text"}}})


@pytest.mark.parametrize(
    ("changed", "room"),
    [
        ({}, True),
        ({"tools": [{"type": "function", "name": "f"}, {"type": "web_search"}]}, True),
        ({"tools": [{"type": "custom", "name": "f"}]}, False),
        ({"tools": [{"type": "web_search_preview"}]}, False),
        ({"input": [{"role": "user", "content": "a"}, {"type": "function_call"}]}, True),
        ({"input": [{"type": "custom_tool_call", "name": "f"}]}, False),
        ({"input": [{"type": "additional_tools", "tools": []}]}, False),
        ({"tool_choice": "required"}, True),
        ({"tool_choice": {"type": "function", "name": "f"}}, True),
        ({"tool_choice": {"type": "allowed_tools"}}, False),
    ],
)
def test_what_ark_has_no_room_for_is_known_before_it_is_asked(changed: dict[str, Any], room: bool) -> None:
    assert PROVIDERS["ark"].has_room_for(RESPONSES, {**BODY, **changed}) is room
    assert PROVIDERS["openai"].has_room_for(RESPONSES, {**BODY, **changed})
