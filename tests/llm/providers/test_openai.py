"""OpenAI's protocol: what goes out, what comes back, byte for byte."""

import asyncio
import json
from typing import Any

import pytest

from llm.providers import PROVIDERS, open_provider
from llm.providers.base import Account, Audio, Chunk, Completion, ProviderError, Recovery, StreamBroke, Tokens
from tests.conftest import sampled

from .upstream import (
    KEY,
    Script,
    answer,
    asked,
    chunk,
    collect,
    collected,
    completion,
    events,
    failed,
    stream,
    talk,
    usage,
)

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
ROLE = chunk({"role": "assistant", "content": "", "refusal": None})
HELLO = chunk({"content": "Hello"})
STOP = chunk({}, "stop")
LAST = {**chunk({}), "choices": [], "usage": usage(5, 7)}


def chat(script: Script, body: dict[str, Any], **more: Any) -> tuple[Completion, Any]:
    reply, upstream = talk("openai", script, lambda provider, _: provider.chat(body), **more)
    return reply, upstream.seen[0]


# --- Requests ---------------------------------------------------------------------------------------------------------
def test_a_chat_goes_out_as_the_caller_wrote_it() -> None:
    body = asked(temperature=0, tools=[TOOL], functions=[{"name": "f"}], seed=7, stream=False, stream_options={"a": 1})
    reply, seen = chat(answer(completion(usage=usage(3, 4))), body, organization="org-1")
    assert seen.line == "POST /v1/chat/completions HTTP/1.1"
    assert seen.json == {name: value for name, value in body.items() if not name.startswith("stream")}
    assert (seen.headers["authorization"], seen.headers["openai-organization"]) == (f"Bearer {KEY}", "org-1")
    assert seen.headers["content-type"] == "application/json"
    said = completion(usage=usage(3, 4))
    assert reply == Completion(said, Tokens(3, 4))
    assert reply.content == json.dumps(said).encode()


def test_a_stream_always_asks_for_usage() -> None:
    _chunks, upstream = collected(
        "openai", stream(events(STOP)), asked(stream_options={"x": 1, "include_usage": False})
    )
    assert upstream.seen[0].json == asked(stream=True, stream_options={"x": 1, "include_usage": True})
    assert upstream.seen[0].headers["accept-encoding"] == "identity"


def test_an_account_without_address_is_at_openai() -> None:
    for name, kind in PROVIDERS.items():
        provider = open_provider(Account(name, "", "k"))
        assert isinstance(provider, kind)
        assert provider.default_base_url.startswith("https://")


def test_a_body_larger_than_a_megabyte_is_sent() -> None:
    _reply, seen = chat(answer(completion()), asked("x" * 3_000_000))
    assert len(seen.json["messages"][0]["content"]) == 3_000_000


def test_embeddings_go_out_unchanged_and_count_their_input() -> None:
    said = {"object": "list", "data": [{"embedding": "AAAA"}], "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    body = {"model": "m", "input": ["a"], "encoding_format": "base64"}
    reply, upstream = talk("openai", answer(said), lambda provider, _: provider.embed(body))
    assert (upstream.seen[0].line, upstream.seen[0].json) == ("POST /v1/embeddings HTTP/1.1", body)
    assert reply == Completion(said, Tokens(8, 0))


def test_images_are_asked_for_with_size_quality_and_number() -> None:
    body = {"model": "dall-e-3", "prompt": "a cat", "size": "1024x1024", "quality": "hd", "n": 1}
    reply, upstream = talk("openai", answer({"created": 1, "data": [{"url": "u"}]}), lambda p, _: p.images(body))
    assert (upstream.seen[0].line, upstream.seen[0].json) == ("POST /v1/images/generations HTTP/1.1", body)
    assert reply == Completion({"created": 1, "data": [{"url": "u"}]}, None)


def test_a_recording_goes_out_as_a_form() -> None:
    recording = Audio(b"sound" * 500_000, "你好.mp3")
    fields = {"model": "whisper-1", "language": "zh", "response_format": "verbose_json", "stream": "true"}
    said = {"text": "你好", "duration": 2.5}
    transcript, upstream = talk("openai", answer(said), lambda p, _: p.transcribe(recording, fields))
    seen = upstream.seen[0]
    assert seen.line == "POST /v1/audio/transcriptions HTTP/1.1"
    assert seen.headers["content-type"].startswith("multipart/form-data; boundary=")
    parts = seen.body.split(b"--" + seen.headers["content-type"].partition("boundary=")[2].encode())
    assert [name for name in (b"model", b"language", b"stream", b"file") if b'name="' + name + b'"' in seen.body] == [
        b"model",
        b"language",
        b"file",
    ]
    assert b"Content-Type: audio/mpeg" in parts[-2]
    assert parts[-2].endswith(b"\r\n\r\n" + recording.content + b"\r\n")
    assert (json.loads(transcript.body), transcript.content_type) == (said, "application/json")
    assert transcript.seconds == 2.5


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (b'{"text": "a"}', None),
        (b'{"text": "a", "usage": {"type": "duration", "seconds": 3}}', 3.0),
        (b'{"text": "a", "duration": "4.5"}', 4.5),
        (b'{"text": "a", "duration": -1}', None),
        (b'{"text": "a", "duration": 0}', None),
        (b'{"text": "a", "duration": "long"}', None),
    ],
)
def test_the_length_of_a_recording_is_what_the_provider_says(body: bytes, seconds: float | None) -> None:
    transcript, _ = talk("openai", answer(body), lambda p, _: p.transcribe(Audio(b""), {"model": "m"}))
    assert (transcript.body, transcript.seconds) == (body, seconds)


PAGE = b"<!DOCTYPE html><html><body>Bad gateway</body></html>"
NO_ANSWERS: dict[str, tuple[Any, dict[str, Any], bytes | dict[str, Any], str]] = {
    "a transcript that is an error": ("transcribe", {}, {"error": {"message": "boiler broke"}}, "application/json"),
    "a transcript that is a page": ("transcribe", {}, PAGE, "text/html"),
    "a transcript that is nothing": ("transcribe", {}, b"", "application/json"),
    "a transcript without a text": ("transcribe", {}, {"detail": "Not Found"}, "application/json"),
    "a transcript that is text where JSON was wanted": ("transcribe", {}, b"Internal error", "text/plain"),
    "subtitles that are an error": ("transcribe", {"response_format": "srt"}, {"error": "broke"}, "text/plain"),
    "subtitles that are a page": ("transcribe", {"response_format": "vtt"}, b"\n" + PAGE, "text/plain"),
    "text that is nothing": ("transcribe", {"response_format": "text"}, b"", "text/plain"),
    "speech that is an error": ("speak", {}, {"error": {"message": "boiler broke"}}, "text/plain"),
    "speech that is an error in a sound's clothes": ("speak", {}, {"error": {"message": "broke"}}, "audio/mpeg"),
    "speech that is a page": ("speak", {}, PAGE, "application/octet-stream"),
    "speech that is words": ("speak", {}, b"Too many requests", "text/plain"),
    "speech that is nothing": ("speak", {}, b"", "audio/mpeg"),
    "no vectors": ("embed", {"input": "a"}, {"data": []}, "application/json"),
    "too few vectors": ("embed", {"input": ["a", "b"]}, {"data": [{"embedding": [0.1]}]}, "application/json"),
    "empty vectors": ("embed", {"input": [1, 2, 3]}, {"data": [{"embedding": []}]}, "application/json"),
    "no list of vectors": ("embed", {"input": [[1], [2]]}, {"data": "xx"}, "application/json"),
    "no pictures": ("images", {}, {"created": 1, "data": []}, "application/json"),
    "no data": ("images", {}, {"created": 1}, "application/json"),
    "pictures that failed": ("images", {}, {"data": [{"error": {"code": "x"}}]}, "application/json"),
    "no choices": ("chat", {}, {"object": "chat.completion", "choices": []}, "application/json"),
}


@pytest.mark.parametrize(("verb", "fields", "said", "kind"), NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_Q_M2_a_200_that_is_no_answer_is_an_error(
    verb: str, fields: dict[str, Any], said: bytes | dict[str, Any], kind: str
) -> None:
    """What an error says is told; anything else cannot be used, and somebody else may be asked."""

    async def act(provider: Any, _upstream: Any) -> Any:
        body = {"model": "m", **fields}
        return await (provider.transcribe(Audio(b"x"), body) if verb == "transcribe" else getattr(provider, verb)(body))

    with pytest.raises(ProviderError) as caught:
        talk("openai", answer(said, kind=kind), act)
    assert caught.value.status == 200
    assert caught.value.recovery in (Recovery.RETRY, Recovery.FAILOVER)
    if isinstance(said, dict) and "error" in said:
        assert "broke" in caught.value.text


@pytest.mark.parametrize(("given", "count"), [("a", 1), (["a", "b"], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2)], ids=str)
def test_as_many_vectors_as_inputs_are_an_answer(given: Any, count: int) -> None:
    said = {"data": [{"embedding": "AAAA"}] * count}
    reply, _ = talk("openai", answer(said), lambda provider, _: provider.embed({"model": "m", "input": given}))
    assert len(reply.body["data"]) == count


@pytest.mark.parametrize("wanted", ["text", "srt", "vtt"])
def test_a_transcript_may_be_text_where_text_was_wanted(wanted: str) -> None:
    fields = {"model": "m", "response_format": wanted}
    said = answer(b"12", kind="text/plain")
    transcript, _ = talk("openai", said, lambda p, _: p.transcribe(Audio(b""), fields))
    assert transcript.body == b"12"


def test_a_name_with_line_breaks_makes_no_form() -> None:
    with pytest.raises(ProviderError) as caught:
        talk("openai", answer({}), lambda p, _: p.transcribe(Audio(b"", "a\r\nX: b"), {"model": "m"}))
    assert caught.value.recovery is Recovery.FAIL


def test_speech_comes_back_as_sound() -> None:
    body = {"model": "tts-1", "input": "hello", "voice": "alloy", "response_format": "opus"}
    speech, upstream = talk("openai", answer(b"\x00ID3", kind="audio/opus"), lambda p, _: p.speak(body))
    assert (upstream.seen[0].line, upstream.seen[0].json) == ("POST /v1/audio/speech HTTP/1.1", body)
    assert (speech.content, speech.content_type) == (b"\x00ID3", "audio/opus")


# --- Streams ----------------------------------------------------------------------------------------------------------
def test_the_chunks_of_a_stream_come_back_byte_for_byte() -> None:
    odd = b'{ "choices" : [{"index":0, "delta":{"content":"\\u4f60 \xe5\xa5\xbd"}}], "usage": null }'
    chunks, _ = collected("openai", stream(events(ROLE, odd, STOP, LAST)), asked())
    assert {chunk.block for chunk in chunks} == {b""}
    assert [chunk._replace(more=False, block=b"", model="") for chunk in chunks] == [
        Chunk(json.dumps(ROLE).encode(), False),
        Chunk(odd, True, text="你 好"),
        Chunk(json.dumps(STOP).encode(), False),
        Chunk(json.dumps(LAST).encode(), False, Tokens(5, 7), True),
    ]


def test_usage_with_the_last_words_is_final_unless_there_are_several_answers() -> None:
    script = stream(events(HELLO, chunk({}, "stop", usage=usage(1, 2))))
    assert collected("openai", script, asked())[0][-1][2:4] == (Tokens(1, 2), False)
    assert collected("openai", script, asked(n=2))[0][-1].usage == Tokens(1, 2, final=False)


@pytest.mark.parametrize(
    ("reported", "tokens"),
    [
        (usage(0, 0), Tokens(0, 0)),
        (usage(-1, 5), None),
        (usage("7", 5), None),
        (usage(True, 5), None),
        (usage(1.5, 5), None),
        (usage(10**12, 5), None),
        ({"prompt_tokens": 5}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_usage_that_makes_no_sense_is_no_usage(reported: Any, tokens: Tokens | None) -> None:
    assert chat(answer(completion(usage=reported)), asked())[0].usage == tokens
    chunks, _ = collected("openai", stream(events(HELLO, {**LAST, "usage": reported})), asked())
    assert chunks[-1].usage == tokens


@pytest.mark.parametrize(
    ("delta", "output", "text"),
    [
        ({"reasoning_content": "hm"}, True, "hm"),
        ({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": '{"a"'}}]}, True, 'f{"a"'),
        ({"function_call": {"arguments": "1"}}, True, "1"),
        ({"encrypted_content": "secret"}, True, ""),
        ({"role": "assistant", "content": None}, False, ""),
        ({}, False, ""),
    ],
)
def test_output_is_what_a_user_would_see(delta: dict[str, Any], output: bool, text: str) -> None:
    chunks, _ = collected("openai", stream(events(chunk(delta), STOP)), asked())
    assert (chunks[0].output, chunks[0].text) == (output, text)


def test_broken_lines_are_skipped_and_counted() -> None:
    body = (
        b": keep-alive\n\nnonsense\n\n"
        + events(
            HELLO, b'{"choices": [', b"{bad json}", b"[1]", {"choices": 7}, {"choices": [{"delta": "x"}]}, end=False
        )
        + b"data: {broken\ndata: "
        + events(HELLO, STOP)[6:]
    )

    async def scenario(provider: Any, _upstream: Any) -> tuple[list[Chunk], int]:
        return await collect(provider, asked()), provider.broken_lines

    (chunks, broken), _ = talk("openai", stream(body), scenario)
    assert [chunk.text for chunk in chunks] == ["Hello", "Hello", ""]
    assert broken == 7


def test_an_event_on_several_lines_comes_out_on_one() -> None:
    pretty = json.dumps(HELLO, indent=1).replace("\n", "\ndata: ").encode()
    chunks, _ = collected("openai", stream(events(pretty)), asked())
    assert json.loads(chunks[0].data) == HELLO
    assert b"\n" not in chunks[0].data


def test_nothing_after_done_is_read() -> None:
    chunks, _ = collected("openai", stream(events(HELLO) + events(HELLO)), asked())
    assert len(chunks) == 1


def test_a_stream_may_end_without_usage() -> None:
    chunks, _ = collected("openai", stream(events(HELLO, STOP)), asked())
    assert all(one.usage is None for one in chunks)


# --- Streams that fail ------------------------------------------------------------------------------------------------
ERROR = {"error": {"message": "The server had an error", "type": "server_error", "code": None}}


def test_an_error_in_a_200_stream_is_an_error_before_output_and_a_break_after_it() -> None:
    error, chunks = failed("openai", stream(events(ROLE, ERROR)))
    assert (type(error), error.recovery, error.status, error.code) == (
        ProviderError,
        Recovery.RETRY,
        200,
        "server_error",
    )
    assert len(chunks) == 1
    error, chunks = failed("openai", stream(events(HELLO, ERROR)))
    assert (type(error), error.text, len(chunks)) == (StreamBroke, "The server had an error", 1)


@pytest.mark.parametrize("end", [True, False])
def test_half_a_stream_is_a_break_after_output_and_an_error_before_it(end: bool) -> None:
    broken: tuple[bytes | float | None, ...] = (events(HELLO, end=False), *(() if end else (None,)))
    error, chunks = failed("openai", stream(*broken, end=end))
    assert (type(error), len(chunks)) == (StreamBroke, 1)
    error, chunks = failed("openai", stream(events(ROLE, end=False), *broken[1:], end=end))
    assert (type(error), error.recovery, len(chunks)) == (ProviderError, Recovery.RETRY, 1)


FINISHED = (HELLO, STOP)
REPORTED = (HELLO, STOP, LAST)
BOTH = (chunk({"content": "a"}), {**STOP, "choices": [{**STOP["choices"][0], "index": 1}]}, STOP)


@pytest.mark.parametrize("end", sampled(["closed", "cut", "silent"], keep=1))
@pytest.mark.parametrize(("said", "n"), [(FINISHED, None), (REPORTED, 1), (BOTH, 2)], ids=["one", "usage", "two"])
def test_a_stream_that_said_why_it_stops_needs_no_done(said: Any, n: int | None, end: str) -> None:
    """It is whole, however its connection ends."""
    after: list[Any] = {"closed": [], "cut": [None], "silent": [10.0]}[end]
    script = stream(events(*said, end=False), *after, end=end == "closed")
    chunks, _ = collected("openai", script, asked(n=n), timeout_s=0.5)
    assert len(chunks) == len(said)


@pytest.mark.parametrize(
    ("said", "n"), [((HELLO, chunk({}, "error")), 1), (FINISHED, 2)], ids=["it failed", "the other answer is missing"]
)
def test_a_stream_that_is_not_whole_is_a_break_all_the_same(said: Any, n: int) -> None:
    with pytest.raises(StreamBroke):
        collected("openai", stream(events(*said, end=False)), asked(n=n))


def test_what_was_used_is_known_when_a_stream_breaks() -> None:
    script = stream(events(chunk({"content": "a"}, usage=usage(3, 1)), end=False), None, end=False)
    error, chunks = failed("openai", script)
    assert isinstance(error, StreamBroke)
    assert chunks[-1].usage == Tokens(3, 1, final=False)


def test_a_stream_answered_with_json_is_what_the_json_says() -> None:
    error, _ = failed("openai", answer(ERROR))
    assert (error.text, error.recovery) == ("The server had an error", Recovery.RETRY)
    chunks, _ = collected("openai", answer(completion(usage=usage(3, 1))), asked())
    assert [(chunk.text, chunk.usage) for chunk in chunks] == [("Hello", Tokens(3, 1))]
    error, _ = failed("openai", answer({"hello": 1}))
    assert "stream of events" in error.text
    assert error.recovery is Recovery.FAILOVER


def test_an_event_without_end_is_refused() -> None:
    error, _ = failed("openai", stream(b"data: ", *[b"x" * 3_000_000] * 6))
    assert "larger than" in error.text


def test_silence_ends_a_stream_at_the_time_limit() -> None:
    error, _ = failed("openai", [10.0], timeout_s=0.2)
    assert (error.recovery, error.status, "time limit" in error.text) == (Recovery.RETRY, 0, True)
    error, chunks = failed("openai", stream(events(HELLO, end=False), 10.0), timeout_s=0.2)
    assert (type(error), len(chunks), "time limit" in error.text) == (StreamBroke, 1, True)


def test_bytes_that_never_become_a_line_do_not_keep_a_stream_alive() -> None:
    drip: list[bytes | float] = [step for _ in range(100) for step in (b"x", 0.05)]
    error, _ = failed("openai", stream(*drip), timeout_s=0.3)
    assert "time limit" in error.text


def test_slow_bytes_and_comments_keep_a_stream_alive() -> None:
    beats: list[bytes | float] = [step for _ in range(8) for step in (b": ping\n\n", 0.1)]
    whole = events(HELLO)
    slow = [step for at in range(0, len(whole), 60) for step in (whole[at : at + 60], 0.05)]
    chunks, _ = collected("openai", stream(*beats, *slow), asked(), timeout_s=0.5)
    assert len(chunks) == 1


def test_a_slow_reader_is_not_the_providers_fault() -> None:
    async def scenario(provider: Any, _upstream: Any) -> int:
        count = 0
        async for _chunk in provider.stream(asked()):
            await asyncio.sleep(0.4)
            count += 1
        return count

    script = stream(events(HELLO, end=False), 0.1, events(HELLO, end=False), 0.1, events())
    assert talk("openai", script, scenario, timeout_s=0.3)[0] == 2


# --- Hanging up -------------------------------------------------------------------------------------------------------
ENDLESS = [events(HELLO, end=False), *([0.02, events(HELLO, end=False)] * 500)]


def test_closing_a_stream_hangs_up_at_once_and_leaks_nothing() -> None:
    async def scenario(provider: Any, upstream: Any) -> tuple[int, int]:
        for _ in range(20):
            upstream.hung_up.clear()
            chunks = provider.stream(asked())
            assert (await anext(chunks)).output
            await chunks.aclose()
            await asyncio.wait_for(upstream.hung_up.wait(), 1)
        connector = provider._wire._http._pool
        return len(connector._acquired), upstream.open_connections

    (held, left), upstream = talk("openai", lambda _seen: stream(*ENDLESS), scenario)
    assert (held, left, upstream.connections) == (0, 0, 20)


@pytest.mark.parametrize("script", [[10.0], stream(10.0), stream(*ENDLESS)], ids=["no head", "no chunk", "chunks"])
def test_cancelling_the_reader_hangs_up(script: Script) -> None:
    async def scenario(provider: Any, upstream: Any) -> None:
        reading = asyncio.create_task(collect(provider, asked()))
        await asyncio.sleep(0.2)
        reading.cancel()
        await asyncio.wait_for(upstream.hung_up.wait(), 1)
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert not provider._wire._http._pool._acquired

    talk("openai", script, scenario)


def test_finished_streams_share_a_connection() -> None:
    async def scenario(provider: Any, _upstream: Any) -> None:
        for _ in range(5):
            await collect(provider, asked())

    # The end of the body comes a little later than the end of the stream. A busy machine may be too late for one of
    # them.
    _, upstream = talk("openai", lambda _seen: [*stream(events(HELLO), end=False), 0.01, b"0\r\n\r\n"], scenario)
    assert upstream.connections <= 2
    assert len(upstream.seen) == 5


def test_a_body_that_never_ends_delays_the_end_of_a_stream_little() -> None:
    async def scenario(provider: Any, upstream: Any) -> float:
        started = asyncio.get_running_loop().time()
        await collect(provider, asked())
        await asyncio.wait_for(upstream.hung_up.wait(), 1)
        return asyncio.get_running_loop().time() - started

    assert talk("openai", stream(events(HELLO), 10.0), scenario)[0] < 0.5
