"""M2, M3: what comes with status 200 and is no answer, in every operation, whole and streamed: told, free, and another
account may answer."""

from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from llm.models import Credential, Usage

from .client import Answer
from .conftest import ASK, CHAT, CLAUDE, MESSAGES, STREAM, World, model
from .test_billing import wav
from .test_media import DRAW, EMBED, KIND, SPEAK, form
from .upstream import USED, Asked, Script, chunk, says, sends

pytestmark = pytest.mark.django_db(transaction=True)

SAID = "boiler broke"
ENVOY = b"upstream connect error or disconnect/reset before headers. reset reason: overflow"
XML = b'<?xml version="1.0"?><Error><Code>Bad</Code><Message>boiler broke</Message></Error>'
SUBTITLES = b"1\n00:00:00,000 --> 00:00:01,000\nHello\n"


def plain(body: bytes, kind: str) -> Script:
    async def answer(asked: Asked) -> web.StreamResponse:
        return web.Response(body=body, content_type=kind)

    return answer


def heard(wanted: str) -> tuple[str, bytes]:
    return "/v1/audio/transcriptions", form(wav(3), model="whisper-1", response_format=wanted)


RERANK = ("/v1/rerank", {"model": "all", "query": "a", "documents": ["b"]})
MODERATE = ("/v1/moderations", {"model": "all", "input": "a"})
COMPLETE = ("/v1/completions", {"model": "all", "prompt": "a"})
TALK = (CHAT, {**ASK, "model": "all"})
# What is asked, and what comes.
EMPTY: dict[str, tuple[tuple[str, Any], Script]] = {
    "speech: XML": (SPEAK, plain(XML, "audio/mpeg")),
    "speech: Envoy's": (SPEAK, plain(ENVOY, "audio/mpeg")),
    "speech: Cloudflare's": (SPEAK, plain(b"error code: 502", "application/octet-stream")),
    "speech: an event": (SPEAK, plain(b'data: {"error":{"message":"boiler broke"}}\n\n', "audio/mpeg")),
    "speech: blanks": (SPEAK, plain(b"  \n", "audio/mpeg")),
    "speech: a problem": (SPEAK, plain(b'{"detail":"boiler broke"}', "application/problem+json")),
    "text: a code": (heard("text"), says({"code": "Bad", "message": SAID})),
    "text: a detail": (heard("text"), says({"detail": SAID})),
    "text: nothing": (heard("text"), plain(b"", "text/plain")),
    "srt: words": (heard("srt"), plain(b"Internal Server Error", "text/plain")),
    "vtt: a page": (heard("vtt"), plain(b"\n <!DOCTYPE html><html></html>", "text/vtt")),
    "json: an error beside": (heard("json"), says({"text": "", "error": {"message": SAID}})),
    "json: null": (heard("verbose_json"), says({"task": "transcribe", "text": None})),
    "vectors: null": (EMBED, says({"data": [{"embedding": None}, {"embedding": []}]})),
    "vectors: elsewhere": (EMBED, says({"embeddings": [[0.1], [0.2]]})),
    "vectors: an error": (EMBED, says({"data": None, "base_resp": {"status_code": 1004, "status_msg": SAID}})),
    "pictures: null": (DRAW, says({"data": [{"url": None, "b64_json": ""}]})),
    "pictures: errors": (DRAW, says({"data": [{"error": {"code": "x", "message": SAID}}]})),
    "pictures: an object": (DRAW, says({"data": {"url": "https://x/1"}})),
    "ranks: none": (RERANK, says({"results": [], "usage": {"total_tokens": 9}})),
    "moderation: null": (MODERATE, says({"id": "m", "results": None})),
    "older: none": (COMPLETE, says({"choices": [], "usage": USED})),
    "older: null": (COMPLETE, says({"choices": [{"text": None}], "usage": USED})),
    "chat: none": (TALK, says({"choices": [], "usage": USED})),
    "chat: no message": (TALK, says({"choices": [{"index": 0, "finish_reason": "stop"}], "usage": USED})),
    "chat: a message that is null": (TALK, says({"choices": [{"index": 0, "message": None}], "usage": USED})),
    "chat: FastAPI's": (TALK, says({"detail": SAID})),
    "chat: Spark's": (TALK, says({"header": {"code": 10013, "message": SAID}})),
    "chat: Tencent's": (TALK, says({"Response": {"Error": {"Code": "LimitExceeded", "Message": SAID}}})),
    "chat: new-api's": (TALK, says({"success": False, "message": SAID})),
    "chat: a list": (TALK, says([])),
    "chat: a text": (TALK, says(SAID)),
    "chat: nothing": (TALK, plain(b"", "application/json")),
}


@pytest.fixture
def openai(world: World) -> World:
    world.give(10**8)
    Credential.objects.update(provider="openai", max_retries=1)
    model("all", provider="openai", capabilities=["chat", "completion", "moderation", "rerank"])
    return world


async def ask(world: World, asked: tuple[str, Any]) -> Answer:
    path, body = asked
    return await world.client.post(path, body, headers=KIND if isinstance(body, bytes) else {})


def outcomes(world: World, cases: dict[str, tuple[tuple[str, Any], Script]]) -> dict[str, tuple[int, int]]:
    """The status of each, and what it cost."""

    async def scenario(w: World) -> dict[str, int]:
        found = {}
        for name, (asked, script) in cases.items():
            w.upstream.otherwise = script
            found[name] = (await ask(w, asked)).status
        return found

    statuses: dict[str, int] = world.play(scenario)
    charges = Usage.objects.order_by("pk").values_list("quota", flat=True)
    assert len(charges) == len(cases)
    return {name: (status, quota) for (name, status), quota in zip(statuses.items(), charges, strict=True)}


def test_Q_M2_nothing_that_is_no_answer_is_sold_whatever_was_asked(
    openai: World, books_agree: Callable[[], None]
) -> None:
    assert outcomes(openai, EMPTY) == dict.fromkeys(EMPTY, (502, 0))
    assert openai.wallet.balance == 10**8
    books_agree()


ANSWERS: dict[str, tuple[tuple[str, Any], Script]] = {
    "sound": (SPEAK, plain(b"ID3\x04\x00data: x", "audio/mpeg")),
    "sound without a name": (SPEAK, plain(bytes(400), "application/octet-stream")),
    "subtitles": (heard("srt"), plain(SUBTITLES, "text/plain")),
    "subtitles without words": (heard("vtt"), plain(b"\xef\xbb\xbfWEBVTT\n\n", "text/vtt")),
    "silence": (heard("srt"), plain(b"\n", "text/plain")),
    "silence as JSON": (heard("json"), says({"text": "", "error": None})),
    "a number that was said": (heard("text"), plain(b"42", "text/plain")),
}


def test_what_is_an_answer_stays_one(openai: World) -> None:
    found = outcomes(openai, ANSWERS)
    assert {name: status for name, (status, _quota) in found.items()} == dict.fromkeys(ANSWERS, 200)
    assert all(quota > 0 for _status, quota in found.values())


DONE = b"data: [DONE]\n\n"
TOLD: dict[str, tuple[bytes, ...]] = {
    "FastAPI's": (b'data: {"detail":"boiler broke"}\n\n', DONE),
    "Spark's": (b'data: {"header":{"code":10013,"message":"boiler broke"}}\n\n', DONE),
    "a list of errors": (b'data: {"errors":[{"message":"boiler broke"}]}\n\n', DONE),
    "after who speaks": (chunk({"role": "assistant", "content": ""}), b'data: {"error":"boiler broke"}\n\n'),
    "after a report": (chunk({}, usage=USED), b'event: error\ndata: {"message":"boiler broke"}\n\n'),
    "a page": (b"<html><body>boiler broke</body></html>",),
    "an error over two lines": (b'event:error\r\ndata:{"code":"x",\r\ndata:"message":"boiler broke"}\r\n\r\n', DONE),
    "comments alone": (b": PROCESSING\n\n: PROCESSING\n\n", DONE),
    "nothing at all": (),
    "who speaks alone": (chunk({"role": "assistant", "content": ""}),),
}


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_Q_M3_a_stream_without_an_answer_is_told_and_free(
    openai: World, path: str, books_agree: Callable[[], None]
) -> None:
    asked = (path, {**STREAM, "model": "all"})
    cases = {name: (asked, sends(*blocks)) for name, blocks in TOLD.items()}
    assert outcomes(openai, cases) == dict.fromkeys(cases, (502, 0))
    books_agree()


CLAUDES: dict[str, Script] = {
    "an empty object": says({}),
    "content that is null": says({"type": "message", "role": "assistant", "content": None}),
    "content that is words": says({"type": "message", "content": SAID}),
    "chat's": says({"choices": [{"message": {"content": "x"}}]}),
    "an error without its type": says({"error": {"message": SAID}}),
    "new-api's": says({"success": False, "message": SAID}),
}


def test_Q_M2_what_is_no_message_is_not_sold(claude: World, books_agree: Callable[[], None]) -> None:
    Credential.objects.update(max_retries=1)
    cases = {name: ((MESSAGES, CLAUDE), script) for name, script in CLAUDES.items()}
    assert outcomes(claude, cases) == dict.fromkeys(cases, (502, 0))
    books_agree()
