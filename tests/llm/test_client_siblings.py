"""C5, W3 to W15, M10: siblings of what clients could not work with. Where they put their key and ask, how they and
providers write; what is said arrives, once."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from llm.models import Credential, Usage

from .client import Answer
from .conftest import ASK, CHAT, MESSAGES, STREAM, World, post
from .test_billing import wav
from .test_media import KIND, SPEAK, form
from .upstream import DONE, USED, Asked, chunk, completion, says, sends

pytestmark = pytest.mark.django_db(transaction=True)

OURS = "{key}"
# --- C5: keys --------------------------------------------------------------------------------------------------------
KEYS: dict[str, tuple[dict[str, str], int]] = {
    "another's key before ours": ({"authorization": "Bearer sk-ant-oat01-x", "x-api-key": OURS}, 200),
    "another's key behind ours": ({"authorization": f"Bearer {OURS}", "x-api-key": "sk-ant-x"}, 200),
    "Azure's beside OpenAI's": ({"authorization": "Bearer sk-proj-x", "api-key": OURS}, 200),
    "Gemini's": ({"authorization": "", "x-goog-api-key": OURS}, 200),
    "in quotes": ({"authorization": f'Bearer "{OURS}"'}, 200),
    "blanks around": ({"authorization": f"  Bearer   {OURS}  "}, 200),
    "Bearer twice": ({"authorization": f"Bearer Bearer {OURS}"}, 200),
    "two of others": ({"authorization": "Bearer sk-x", "x-api-key": "sk-y"}, 401),
    "nothing": ({"authorization": "Bearer "}, 401),
    "a part of ours": ({"authorization": f"Bearer {OURS}x"}, 401),
}


def test_Q_C5_our_key_is_found_beside_those_of_others(world: World) -> None:
    async def scenario(w: World) -> dict[str, int]:
        return {
            name: (
                await w.client.request(
                    "GET",
                    "/v1/models",
                    b"",
                    headers={header: value.format(key=w.client.key) for header, value in headers.items()},
                )
            ).status
            for name, (headers, _status) in KEYS.items()
        }

    assert world.play(scenario) == {name: status for name, (_headers, status) in KEYS.items()}


ADDRESSES = {
    "/openai/deployments/doubao-pro/chat/completions?api-version=2024-10-21": 200,
    "/openai/v1/chat/completions": 200,
    "//openai/v1//chat/completions/": 200,
    "/v1/chat/completions?beta=true": 200,
    "/openai/v1/threads": 404,
    "/v1/chat": 404,
    "/v1/assistants": 404,
}


def test_Q_C5_addresses_are_served_or_answered_in_json(rich: World) -> None:
    async def scenario(w: World) -> dict[str, Answer]:
        return {path: await w.client.post(path, ASK) for path in ADDRESSES}

    answers = rich.play(scenario)
    assert {path: answer.status for path, answer in answers.items()} == ADDRESSES
    assert all("message" in answer.json["error"] for answer in answers.values() if answer.status == 404)


# --- What clients write ----------------------------------------------------------------------------------------------
USER = {"role": "user", "content": "Say hello"}
BODIES: dict[str, Any] = {
    "W15 a mark": b"\xef\xbb\xbf" + json.dumps(ASK).encode(),
    "blank lines around": b"\r\n " + json.dumps(ASK, indent=2).encode() + b"\n",
    "nulls for all that was not chosen": {**ASK, "stream": None, "stop": None, "n": None, "tools": None, "seed": None,
                                          "temperature": None, "max_completion_tokens": None, "stream_options": None},
    "stream_options without a stream": {**ASK, "stream": False, "stream_options": {"include_usage": True}},
    "no tools, and a choice among them": {**ASK, "tools": [], "tool_choice": "auto"},
    "a developer": {**ASK, "messages": [{"role": "developer", "content": "Be short"}, USER]},
    "empty words": {**ASK, "messages": [{"role": "system", "content": ""}, USER]},
    "a call without words": {**ASK, "messages": [USER, {"role": "assistant", "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "c", "content": ""}]},
    "half a character": {**ASK, "messages": [{"role": "user", "content": "a\ud83d b"}]},
    "both limits": {**ASK, "max_tokens": 10, "max_completion_tokens": 20},
    "a whole number as temperature": {**ASK, "temperature": 1},
    "the latest fields": {**ASK, "safety_identifier": "x", "prompt_cache_key": "k", "verbosity": "low", "store": False},
}  # fmt: skip


def test_Q_what_clients_send_is_served(rich: World) -> None:
    async def scenario(w: World) -> dict[str, int]:
        return {name: (await w.client.post(CHAT, body)).status for name, body in BODIES.items()}

    found = rich.play(scenario)
    # Half a character is no JSON that anybody can pass on; it is the client's mistake, and said so.
    assert {name: status for name, status in found.items() if status != 200} in ({}, {"half a character": 400})


# --- W: what providers write -----------------------------------------------------------------------------------------
def calls(*deltas: dict[str, Any]) -> bytes:
    return b"".join(chunk({"tool_calls": [delta]}) for delta in deltas)


F = {"name": "f", "arguments": ""}
A = {"arguments": '{"a":1}'}
CALLS: dict[str, tuple[bytes, list[tuple[str, str]]]] = {
    "W4 an empty name first": (calls({"index": 0, "id": "c", "function": {"name": "", "arguments": ""}},
                                     {"index": 0, "function": {"name": "f"}}, {"index": 0, "function": A}),
                               [("f", '{"a":1}')]),
    "W4 the name with every piece": (calls({"index": 0, "id": "c", "function": F},
                                           {"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a"'}},
                                           {"index": 0, "id": "c", "function": {"name": "f", "arguments": ":1}"}}),
                                     [("f", '{"a":1}')]),
    "W4 arguments that are null": (calls({"index": 0, "id": "c", "function": {"name": "f", "arguments": None}},
                                         {"index": 0, "function": A}), [("f", '{"a":1}')]),
    "W3 no function in between": (calls({"index": 0, "id": "c", "function": F}, {"index": 0, "function": None},
                                        {"index": 0, "function": A}), [("f", '{"a":1}')]),
    "W3 an empty id later": (calls({"index": 0, "id": "c", "function": F}, {"index": 0, "id": "", "function": A}),
                             [("f", '{"a":1}')]),
    "W3 an id that is null later": (calls({"index": 0, "id": "c", "function": F},
                                          {"index": 0, "id": None, "function": A}), [("f", '{"a":1}')]),
    "W3 counted from one": (calls({"index": 1, "id": "c", "function": F | A}, {"index": 2, "id": "d",
                                  "function": {"name": "g", "arguments": "{}"}}), [("f", '{"a":1}'), ("g", "{}")]),
    "W3 an index that is a text": (calls({"index": "0", "id": "c", "function": F}, {"index": "0", "function": A}),
                                   [("f", '{"a":1}')]),
    "W3 two in one piece, without an index": (chunk({"tool_calls": [
        {"id": "c", "function": F | A}, {"id": "d", "function": {"name": "g", "arguments": "{}"}}]}),
        [("f", '{"a":1}'), ("g", "{}")]),
    "W3 arguments that are an object": (
        calls({"index": 0, "id": "c", "function": {"name": "f", "arguments": {"a": 1}}}), [("f", '{"a":1}')]),
    "W3 nothing to give": (calls({"index": 0, "id": "c", "function": F}), [("f", "")]),
}  # fmt: skip


def called(path: str, answer: Answer) -> list[tuple[str, str]]:
    """The calls as a client puts them together."""
    found: dict[Any, list[str]] = {}
    if path == MESSAGES:
        for _name, data in answer.told:
            if data.get("type") == "content_block_start" and data["content_block"]["type"] == "tool_use":
                found[data["index"]] = [data["content_block"]["name"], ""]
            elif data.get("type") == "content_block_delta" and "partial_json" in data["delta"]:
                found[data["index"]][1] += data["delta"]["partial_json"]
    else:
        deltas = [e["choices"][0]["delta"] for e in answer.events if e != "[DONE]" and e.get("choices")]
        for call in (call for delta in deltas for call in delta.get("tool_calls") or ()):
            one, function = found.setdefault(call["index"], ["", ""]), call.get("function") or {}
            one[0] = one[0] or function.get("name") or ""
            one[1] += function.get("arguments") or ""
    return [(name, arguments) for name, arguments in found.values()]


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_Q_W3_W4_calls_of_tools_arrive_whole_however_they_are_told(rich: World, path: str) -> None:
    rich.upstream.scripts = [sends(said, DONE) for said, _calls in CALLS.values()]

    async def scenario(w: World) -> dict[str, list[tuple[str, str]]]:
        return {name: called(path, await w.client.post(path, STREAM)) for name in CALLS}

    assert rich.play(scenario) == {name: expected for name, (_said, expected) in CALLS.items()}


PLAIN = b'{"choices":[{"index":0,"delta":{"content":"Hello"}}]}'
LAST = chunk({}, "stop", usage=USED)
STREAMS: dict[str, tuple[bytes, ...]] = {
    "W15 CRLF": (b"data: " + PLAIN + b"\r\n\r\n", LAST.replace(b"\n", b"\r\n"), b"data: [DONE]\r\n\r\n"),
    "W15 CR alone": (b"data: " + PLAIN + b"\r\r", LAST.replace(b"\n", b"\r"), b"data: [DONE]\r\r"),
    "W15 no blank behind the colon": (b"data:" + PLAIN + b"\n\n", LAST, b"data:[DONE]\n\n"),
    "W15 a mark in two packets": (b"\xef\xbb", b"\xbfdata: " + PLAIN + b"\n\n", DONE),
    "W15 ids and pauses": (b"id: 1\nretry: 10\nevent: message\ndata: " + PLAIN + b"\n\n", DONE),
    "W15 a blank behind the end": (b"data: " + PLAIN + b"\n\n", LAST, b"data: [DONE] \n\n"),
    "W15 no line behind the last": (b"data: " + PLAIN + b"\n\n", LAST.rstrip(b"\n")),
    "W15 byte by byte": (*(bytes([each]) for each in b"data: " + PLAIN + b"\n\n"), DONE),
    "W6 NaN and a mark": (b"\xef\xbb\xbfdata: " + PLAIN.replace(b'"index"', b'"logprobs":NaN,"index"') + b"\n\n", DONE),
    "a finish that is an empty text": (chunk({"content": "Hello"}, ""), DONE),
    "a delta that is null": (chunk({"content": "Hello"}), b'data: {"choices":[{"index":0,"delta":null}]}\n\n', DONE),
    "a report before the words": (chunk({}, usage=USED), chunk({"content": "Hello"}), chunk({}, "stop"), DONE),
    "choices that are null beside a report": (chunk({"content": "Hello"}), chunk({}, "stop"), b'data: {"choices":null,'
                                              b'"usage":%b}\n\ndata: [DONE]\n\n' % json.dumps(USED).encode()),
    "the answer in one piece": (json.dumps(completion("x", "Hello", USED)).encode(),),
    "M10 a thought under three names": (chunk({"reasoning": "hm", "reasoning_content": "hm", "reasoning_details": [
        {"type": "reasoning.text", "text": "hm"}]}), chunk({"content": "Hello"}), DONE),
    "W13 parts, of which one is text alone": (chunk({"content": ["Hel", {"type": "text", "text": "lo"}]}), DONE),
    "events that are glued together": (b"data: " + PLAIN + b"\n" + LAST, b"data: [DONE]\n\n"),
}  # fmt: skip


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_Q_W15_words_arrive_once_however_a_stream_is_written(
    rich: World, path: str, books_agree: Callable[[], None]
) -> None:
    for name, blocks in STREAMS.items():
        kind = "application/json" if name == "the answer in one piece" else "text/event-stream"
        rich.upstream.scripts.append(sends(*blocks, kind=kind))

    def words(answer: Answer) -> str:
        if path == CHAT:
            answer.body = answer.body.replace(b"data:{", b"data: {").replace(b"\r\n", b"\n")
            choices = [choice for event in answer.events if event != "[DONE]" for choice in event["choices"] or ()]
            return "".join((choice.get("delta") or {}).get("content") or "" for choice in choices)
        return "".join(data["delta"].get("text", "") for _name, data in answer.told if "delta" in data)

    async def scenario(w: World) -> dict[str, str]:
        return {name: words(await w.client.post(path, STREAM)) for name in STREAMS}

    assert rich.play(scenario) == dict.fromkeys(STREAMS, "Hello")
    charged = dict(zip(STREAMS, Usage.objects.order_by("pk").values_list("quota", flat=True), strict=True))
    assert charged == dict.fromkeys(STREAMS, 1500)
    books_agree()


# --- Sound -----------------------------------------------------------------------------------------------------------
async def chime(asked: Asked) -> web.StreamResponse:
    assert "stream_format" not in asked.body
    return web.Response(body=b"ID3\x04\x00sound", content_type="audio/mpeg")


def test_Q_W9_speech_may_be_asked_for_in_events(world: World, books_agree: Callable[[], None]) -> None:
    world.give(10**8)
    Credential.objects.update(provider="openai")
    world.upstream.otherwise = chime
    path, body = SPEAK
    answer = post(world, path, {**body, "stream_format": "sse"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    spoken, done = answer.events
    assert base64.b64decode(spoken["audio"]).endswith(b"sound")
    assert (spoken["type"], done["type"]) == ("speech.audio.delta", "speech.audio.done")
    assert world.usage().quota > 0
    books_agree()


def test_Q_W9_a_form_of_speech_that_is_not_known_is_refused_by_name(world: World) -> None:
    answer = post(world, SPEAK[0], {**SPEAK[1], "stream_format": "opus"})
    assert (answer.status, answer.json["error"]["param"]) == (400, "stream_format")


def test_Q_W6_a_transcript_with_numbers_that_are_none_is_not_lost(world: World) -> None:
    """faster-whisper's segments have them."""
    world.give(10**8)
    Credential.objects.update(provider="openai")
    world.upstream.otherwise = says({"text": "hello", "duration": 3.0, "segments": [{"avg_logprob": float("nan")}]})
    content = form(wav(3), model="whisper-1", response_format="verbose_json")
    answer = world.play(lambda w: w.client.post("/v1/audio/transcriptions", content, headers=KIND))
    assert answer.status == 200, answer.body
    assert answer.json == {"text": "hello", "duration": 3.0, "segments": [{"avg_logprob": None}]}


# --- What lies at our account ----------------------------------------------------------------------------------------
FILES = ["fileid://file-x", " fileid://file-x", "\n\ufefffileid://file-x,fileid://file-y"]


@pytest.mark.parametrize("name", ["text", "a part"])
def test_files_of_the_account_are_refused_whatever_stands_before_them(rich: World, name: str) -> None:
    async def scenario(w: World) -> list[int]:
        contents: list[Any] = FILES if name == "text" else [[{"type": "text", "text": each}] for each in FILES]
        messages = ([{"role": "system", "content": content}, USER] for content in contents)
        return [(await w.client.post(CHAT, {**ASK, "messages": each})).status for each in messages]

    assert rich.play(scenario) == [400] * len(FILES)
    assert rich.upstream.asked == []
