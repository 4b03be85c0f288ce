"""OpenAI's own client: embeddings, pictures, sound both ways, and the list of models."""

from __future__ import annotations

import base64
import io
import math
import struct
import wave
from pathlib import Path
from typing import Any

import pytest

from llm.models import Usage
from llm.providers.base import Audio
from llm.relay.audio import measure
from tests.conftest import sampled
from tests.processes import request

from .conftest import Deployment
from .vendors import openai

pytestmark = pytest.mark.django_db(transaction=True)

PNG = b"\x89PNG\r\n\x1a\n"


def alike(one: list[float], two: list[float]) -> float:
    return sum(a * b for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize(("model", "dimensions"), [("text-embedding-3-large", 3072), ("doubao-embedding", 2048)])
def test_embeddings_arrive_as_numbers(deployment: Deployment, model: str, dimensions: int) -> None:
    """The client asks for base64 unless told otherwise."""
    client = deployment.openai()
    texts = ["How do I recharge my quota?", "How can I recharge the quota?", "今天天气不错"]
    packed = client.embeddings.create(model=model, input=texts)
    plain = client.embeddings.create(model=model, input=texts, encoding_format="float")
    assert packed.model == model
    for one, two in zip(packed.data, plain.data, strict=True):
        assert len(one.embedding) == dimensions
        assert math.isclose(alike(one.embedding, two.embedding), 1, abs_tol=1e-5)
    first, second, third = (row.embedding for row in plain.data)
    assert alike(first, second) > 0.4 > alike(first, third)
    usage = deployment.usage(2)
    assert (usage.input_tokens, usage.output_tokens) == (plain.usage.prompt_tokens, 0)


def test_an_embedding_can_be_shorter(deployment: Deployment) -> None:
    row = deployment.openai().embeddings.create(model="text-embedding-3-large", input="hello", dimensions=64)
    assert len(row.data[0].embedding) == 64
    deployment.usage()


def test_a_picture_is_drawn_and_can_be_fetched(deployment: Deployment) -> None:
    client = deployment.openai()
    drawn = client.images.generate(model="dall-e-3", prompt="a mountain", size="1792x1024", quality="hd")
    assert drawn.data
    assert drawn.data[0].url
    path = drawn.data[0].url.removeprefix(deployment.server.address)
    there = request(deployment.server.port, "GET", path)
    assert there.body.startswith(PNG)
    assert struct.unpack(">II", there.body[16:24]) == (1792, 1024)
    inline = client.images.generate(model="dall-e-3", prompt="a mountain", response_format="b64_json")
    assert inline.data
    assert base64.b64decode(inline.data[0].b64_json or "").startswith(PNG)
    usage = deployment.usage(2)
    assert (usage.output_tokens, usage.quota) == (1, 20_000)
    assert list(Usage.objects.filter(kinds={"image:1792x1024/hd": 1}).values_list("quota", flat=True)) == [60_000]


def recording(seconds: float) -> io.BytesIO:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(b"\0\0" * int(16_000 * seconds))
    file.seek(0)
    file.name = "question.wav"
    return file


def transcribed(deployment: Deployment, **more: Any) -> Any:
    return deployment.openai().audio.transcriptions.create(model="whisper-1", file=recording(4.5), **more)


def test_a_recording_is_transcribed(deployment: Deployment) -> None:
    assert transcribed(deployment, language="zh").text == "你好，这是一段 4.5 秒的录音。"
    usage = deployment.usage()
    assert (usage.input_tokens, usage.usage_source) == (5, "provider")


def test_a_transcript_comes_as_verbose_json(deployment: Deployment) -> None:
    verbose = transcribed(deployment, response_format="verbose_json", language="en")
    assert (verbose.duration, verbose.language, len(verbose.segments)) == (4.5, "english", 1)
    assert deployment.usage().input_tokens == 5


@pytest.mark.parametrize(
    ("form", "beginning"),
    sampled([("text", "Hello, this is"), ("srt", "1\n00:00:00,000 -->"), ("vtt", "WEBVTT\n")], keep=1),
)
def test_a_transcript_comes_as_text(deployment: Deployment, form: str, beginning: str) -> None:
    assert transcribed(deployment, response_format=form, language="en").startswith(beginning)
    usage = deployment.usage()
    assert (usage.input_tokens, usage.usage_source) == (5, "estimate")


def test_text_is_spoken(deployment: Deployment, tmp_path: Path) -> None:
    client = deployment.openai()
    text = "语音助手会把这句话读出来。" * 3
    mp3 = client.audio.speech.create(model="tts-1", voice="alloy", input=text)
    assert mp3.response.headers["content-type"] == "audio/mpeg"
    assert measure(Audio(mp3.content, "a.mp3", "audio/mpeg")).seconds == 5
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="nova", input=text, response_format="wav"
    ) as response:
        response.stream_to_file(tmp_path / "spoken.wav")
    with wave.open(str(tmp_path / "spoken.wav")) as sound:
        assert (sound.getframerate(), round(sound.getnframes() / 24_000, 1)) == (24_000, 4.7)
    assert deployment.usage(2).input_tokens == len(text)


def test_models_are_listed_and_found(deployment: Deployment) -> None:
    client = deployment.openai()
    names = [model.id for model in client.models.list()]
    assert {"doubao-pro", "gpt-4", "claude-3-sonnet", "whisper-1"} <= set(names)
    assert client.models.retrieve("doubao-pro").id == "doubao-pro"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


def test_media_errors_are_the_clients(deployment: Deployment) -> None:
    client = deployment.openai()
    with pytest.raises(openai.BadRequestError, match="size"):
        client.images.generate(model="dall-e-3", prompt="a", size="256x256")
    with pytest.raises(openai.BadRequestError, match="voice"):
        client.audio.speech.create(model="tts-1", voice="nobody", input="a")
    with pytest.raises(openai.BadRequestError):
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b""))
    with pytest.raises(openai.BadRequestError, match="cannot do this"):
        client.embeddings.create(model="gpt-4", input="a")
