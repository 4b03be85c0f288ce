"""Pictures and sound through /v1: what is charged is what was made, or listened to."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
import pytest
from aiohttp import web

from llm.api import v1_request
from llm.models import Credential, Model, ModelPrice, Usage
from llm.providers.base import Audio
from tests.conftest import rarely, sampled
from voicehelper.wallet.models import Hold

from .client import Answer
from .conftest import World, account
from .sounds import sound
from .test_billing import wav
from .upstream import Asked, says, sends

pytestmark = pytest.mark.django_db(transaction=True)

BOUNDARY = "----voicehelper"
KIND = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def form(content: bytes | None, *more: tuple[str, str], file: str = "file", **fields: str) -> bytes:
    given = [*fields.items(), *more]
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in given]
    if content is not None:
        head = f'Content-Disposition: form-data; name="{file}"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
        parts.append(head.encode() + content)
    mark = f"--{BOUNDARY}".encode()
    return b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"


@pytest.fixture
def openai(world: World) -> World:
    world.give(10_000_000)
    Credential.objects.update(provider="openai")
    return world


def transcribe(world: World, content: bytes, **headers: str) -> Answer:
    answer: Answer = world.play(lambda w: w.client.post("/v1/audio/transcriptions", content, headers=KIND | headers))
    return answer


def test_a_recording_is_charged_by_its_length(openai: World, books_agree: Callable[[], None]) -> None:
    sound = wav(60)
    openai.upstream.scripts = [says({"text": "hello"})]
    answer = transcribe(openai, form(sound, model="whisper-1", language="zh"))
    assert answer.json == {"text": "hello"}
    sent = openai.upstream.asked[0].body
    assert (sent["model"], sent["language"], sent["file"]) == ("whisper-1", "zh", sound)
    usage = openai.usage()
    assert (usage.operation, usage.input_tokens, usage.quota, usage.usage_source) == (
        "transcription",
        60,
        3000,
        "estimate",
    )
    books_agree()


def test_the_providers_length_wins(openai: World) -> None:
    openai.upstream.scripts = [says({"text": "hello", "duration": 59.2})]
    transcribe(openai, form(wav(3), model="whisper-1", response_format="verbose_json"))
    usage = openai.usage()
    assert (usage.input_tokens, usage.quota, usage.usage_source) == (60, 3000, "provider")


TOKENS = {"type": "tokens", "input_tokens": 620, "output_tokens": 40, "total_tokens": 660,
          "input_token_details": {"text_tokens": 20, "audio_tokens": 600}}  # fmt: skip


@pytest.fixture
def by_tokens(openai: World) -> World:
    """A model that hears, and is paid by the token: $6 a million of sound, $2.50 of text, $10 of what it writes."""
    model = Model.objects.get(name="whisper-1")
    for kind, price in (("input_audio", "6"), ("input", "2.5"), ("output", "10")):
        ModelPrice.objects.create(model=model, kind=kind, price=Decimal(price))
    return openai


@pytest.mark.parametrize("streamed", sampled([False, True], keep=1), ids=["whole", "streamed"])
@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
def test_a_recording_may_be_paid_by_the_token(
    by_tokens: World, told: bool, streamed: bool, books_agree: Callable[[], None]
) -> None:
    usage = {"usage": TOKENS} if told else {}
    if streamed:
        done = {"type": "transcript.text.done", "text": "hello", **usage}
        delta = {"type": "transcript.text.delta", "delta": "hello"}
        by_tokens.upstream.scripts = [sends(*(b"data: %b\n\n" % orjson.dumps(each) for each in (delta, done)))]
    else:
        by_tokens.upstream.scripts = [says({"text": "hello", **usage})]
    answer = transcribe(by_tokens, form(wav(60), model="whisper-1", stream="true" if streamed else "false"))
    assert answer.status == 200, answer
    row = by_tokens.usage()
    written = row.output_tokens
    # 500,000 quota a unit; without a report a second is ten tokens.
    text, source = (20, "provider") if told else (0, "estimate")
    assert (row.kinds, row.usage_source) == ({"input_audio": 600}, source)
    assert (row.input_tokens, written) == (600 + text, 40 if told else written)
    assert written > 0
    assert row.quota == -(-(600 * 60 + text * 25 + written * 100) // 20)
    assert Hold.objects.get().amount >= row.quota
    books_agree()


def test_a_recording_may_be_larger_than_other_bodies(openai: World) -> None:
    openai.upstream.scripts = [says({"text": "hello"})]
    assert transcribe(openai, form(wav(190), model="whisper-1")).status == 200
    assert len(openai.upstream.asked[0].body["file"]) > 6_000_000


@pytest.mark.parametrize(
    ("content", "code"),
    [(lambda: b"x" * 100_000, "not_a_recording"), *rarely((lambda: sound("flac", 3 * 3600), "too_long"))],
    ids=["no recording", "three hours"],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_held(
    openai: World, content: Callable[[], bytes], code: str
) -> None:
    answer = transcribe(openai, form(content(), model="whisper-1"))
    assert (answer.status, answer.json["error"]["code"], answer.json["error"]["param"]) == (400, code, "file")
    assert openai.upstream.asked == []
    assert not Usage.objects.exists()
    assert not Hold.objects.exists()


async def html(asked: Asked) -> web.StreamResponse:
    return web.Response(text="<html>Bad gateway</html>", content_type="text/html")


async def nothing(asked: Asked) -> web.StreamResponse:
    return web.Response(body=b"", content_type="audio/mpeg")


SPEAK = ("/v1/audio/speech", {"model": "tts-1", "input": "hello", "voice": "alloy"})
EMBED = ("/v1/embeddings", {"model": "text-embedding-3-large", "input": ["a", "b"]})
DRAW = ("/v1/images/generations", {"model": "dall-e-3", "prompt": "a cat"})
VECTORS = {"data": [{"embedding": [0.1]}, {"embedding": [0.2]}], "usage": {"prompt_tokens": 2, "total_tokens": 2}}


@pytest.mark.parametrize(
    ("path", "body", "no_answer"),
    [
        ("/v1/audio/transcriptions", form(wav(3), model="whisper-1"), says({"error": {"message": "broke"}})),
        ("/v1/audio/transcriptions", form(wav(3), model="whisper-1"), html),
        (*SPEAK, html),
        (*SPEAK, nothing),
        (*EMBED, says({"data": [], "usage": {"prompt_tokens": 9, "total_tokens": 9}})),
        (*EMBED, says({**VECTORS, "data": VECTORS["data"][:1]})),
        (*DRAW, says({"created": 1, "data": []})),
    ],
    ids=[
        "error for text", "page for text", "page for sound", "no sound", "no vectors", "half the vectors",
        "no picture",
    ],
)  # fmt: skip
def test_Q_M2_a_200_that_is_no_answer_costs_nothing(
    openai: World, path: str, body: Any, no_answer: Any, books_agree: Callable[[], None]
) -> None:
    openai.upstream.otherwise = no_answer
    headers = KIND if isinstance(body, bytes) else {}
    answer = openai.play(lambda w: w.client.post(path, body, headers=headers))
    assert answer.status == 502, answer.body
    assert (openai.usage().outcome, openai.usage().quota) == ("failed", 0)
    assert openai.wallet.balance == 10_000_000
    books_agree()


def test_Q_M2_another_account_answers_instead(openai: World, books_agree: Callable[[], None]) -> None:
    account(openai, "second", provider="openai")
    openai.upstream.scripts = [says({"data": []}), says(VECTORS)]
    answer = openai.play(lambda w: w.client.post(*EMBED))
    assert answer.json["data"] == VECTORS["data"]
    assert (openai.usage().tries, openai.usage().input_tokens) == (2, 2)
    books_agree()


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    sampled(
        [
            (form(None, model="whisper-1"), {}, 400),
            (form(b"", model="whisper-1"), {}, 400),
            (form(b"x", language="zh"), {}, 400),
            (b"garbage", {}, 400),
            (b"{}", {"content-type": "application/json"}, 415),
            (b"x", {"content-type": "multipart/form-data"}, 400),
            (b"x" * (32 * 1024 * 1024 + 1), {}, 413),
        ],
        keep=3,
    ),
    ids=["no file", "empty file", "no model", "garbage", "json", "no boundary", "too large"],
)
def test_a_form_that_makes_no_sense_is_refused(
    openai: World, content: bytes, headers: dict[str, str], status: int
) -> None:
    assert transcribe(openai, content, **headers).status == status
    assert openai.upstream.asked == []


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/audio/translations"])
def test_W12_every_field_of_a_form_goes_up_as_often_as_it_came(openai: World, path: str) -> None:
    openai.upstream.scripts = [says({"text": "hello"})]
    several = [
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities[]", "segment"),
        ("include[]", "logprobs"),
    ]
    content = form(wav(3), *several, model="whisper-1", chunking_strategy="auto", language="zh", priority="cost")
    assert openai.play(lambda w: w.client.post(path, content, headers=KIND)).status == 200
    asked = openai.upstream.asked[0]
    expected = {"timestamp_granularities[]": ["word", "segment"], "include[]": "logprobs", "chunking_strategy": "auto"}
    assert (asked.path, asked.body["model"]) == (path, "whisper-1")
    assert expected.items() <= asked.body.items()
    assert "priority" not in asked.body
    assert openai.usage().input_tokens == 3


def test_Q_C3_a_transcript_that_waits_says_so(openai: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v1_request, "KEEP_ALIVE_S", 0.1)
    told = [b'data: {"type":"transcript.text.delta","delta":"he"}\n\n', b'data: {"type":"transcript.text.done"}\n\n']
    openai.upstream.scripts = [sends(*told, pause_s=0.4)]
    answer = transcribe(openai, form(wav(3), model="whisper-1", stream="true"))
    assert answer.body.replace(b": keep-alive\n\n", b"") == b"".join(told)
    assert answer.pieces[0] == b": keep-alive\n\n"
    assert answer.pieces.count(b": keep-alive\n\n") >= 4


def test_a_transcript_may_come_as_it_is_heard(openai: World, books_agree: Callable[[], None]) -> None:
    told = [
        b'data: {"type":"transcript.text.%b","x":1}\n\n' % what for what in (b'delta","delta":"he', b'done","text":"he')
    ]

    async def heard(asked: Asked) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(asked.request)
        for event in told:
            await response.write(event)
        return response

    openai.upstream.scripts = [heard]
    answer = transcribe(openai, form(wav(3), model="whisper-1", stream="true"))
    assert (answer.body, answer.pieces[-1]) == (b"".join(told), told[-1])
    assert openai.upstream.asked[0].body["stream"] == "true"
    assert (openai.usage().input_tokens, openai.usage().streamed) == (3, True)
    books_agree()


@pytest.mark.parametrize("path", ["/v1/images/edits", "/v1/images/variations"])
def test_Q_C6_pictures_are_made_of_pictures(openai: World, path: str, books_agree: Callable[[], None]) -> None:
    openai.upstream.scripts = [says({"created": 1, "data": [{"url": "https://x/1"}]})]
    content = form(b"png", ("image[]", "x"), file="image", model="dall-e-3", prompt="a hat", n="2")
    answer = openai.play(lambda w: w.client.post(path, content, headers=KIND))
    assert answer.json["data"] == [{"url": "https://x/1"}]
    assert (openai.upstream.asked[0].path, openai.upstream.asked[0].body["image"]) == (path, b"png")
    assert openai.usage().output_tokens == 1
    books_agree()


def test_pictures_are_charged_by_their_number(openai: World, books_agree: Callable[[], None]) -> None:
    openai.upstream.scripts = [says({"created": 1, "data": [{"url": "https://x/1"}, {"url": "https://x/2"}]})]
    ask = {"model": "dall-e-3", "prompt": "a cat", "n": 3, "size": "1024x1024"}
    answer = openai.play(lambda w: w.client.post("/v1/images/generations", ask))
    assert len(answer.json["data"]) == 2
    assert (openai.usage().output_tokens, openai.usage().quota) == (2, 40_000)
    assert openai.upstream.asked[0].body["size"] == "1024x1024"
    books_agree()


def test_audio_is_not_shown_in_logs() -> None:
    assert "secret" not in repr(Audio(b"secret"))
