"""The stand-ins for Ark and OpenAI: vectors, pictures, sound, and their lists of models."""

import base64
import io
import math
import struct
import wave
import zlib
from array import array
from typing import Any

import pytest

from .model_client import Answer, Customer

BOUNDARY = "----sandbox"


def test_vectors_come_as_numbers_or_packed(models: int) -> None:
    customer = Customer(models, "openai")
    body = {"model": "text-embedding-3-small", "input": ["recharge quota", "recharge the quota", "blue sky"]}
    plain = customer.post("/embeddings", body).json
    packed = customer.post("/embeddings", body | {"encoding_format": "base64"}).json
    for one, two in zip(plain["data"], packed["data"], strict=True):
        vector = array("f", base64.b64decode(two["embedding"]))
        assert len(vector) == len(one["embedding"]) == 1536
        assert math.isclose(sum(x * x for x in vector), 1, abs_tol=1e-4)
        assert list(vector) == pytest.approx(one["embedding"])
    assert plain["usage"] == {"prompt_tokens": 7, "total_tokens": 7}


@pytest.mark.parametrize(
    "change",
    [
        {"input": ""},
        {"input": []},
        {"input": ["a", ""]},
        {"input": [1, "a"]},
        {"input": ["a"] * 2049},
        {"input": "word " * 9000},
        {"encoding_format": "hex"},
        {"dimensions": 4000},
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_embedded_is_refused(models: int, change: dict[str, Any]) -> None:
    body = {"model": "text-embedding-3-large", "input": "hello"} | change
    assert Customer(models, "openai").post("/embeddings", body).status == 400
    assert Customer(models, "openai").post("/embeddings", {"model": "gpt-4", "input": "x"}).status == 404


def pixels(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and rows of a PNG, with its checksums verified."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    parts, at = {}, 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + data)
        parts[kind], at = data, at + 12 + length
    width, height = struct.unpack(">II", parts[b"IHDR"][:8])
    return width, height, zlib.decompress(parts[b"IDAT"])


def test_pictures_are_real_and_their_own(models: int) -> None:
    customer = Customer(models, "openai")
    body = {"model": "dall-e-2", "prompt": "a cat", "n": 2, "size": "256x256", "response_format": "b64_json"}
    drawn = [base64.b64decode(row["b64_json"]) for row in customer.post("/images/generations", body).json["data"]]
    assert drawn[0] != drawn[1]
    width, height, rows = pixels(drawn[0])
    assert (width, height, len(rows)) == (256, 256, 256 * (256 * 3 + 1))
    linked = customer.post("/images/generations", body | {"response_format": "url", "n": 1}).json["data"][0]["url"]
    assert linked.startswith(f"http://127.0.0.1:{models}/sandbox/llm/pictures/256x256/")
    for nothing in ("/sandbox/llm/pictures/9x9/x.png", "/sandbox/llm/pictures/9999x9999/0123456789abcdef.png"):
        there = Customer(models, "openai")
        assert there.send("GET", "/../../.." + nothing, None, {}).status in (401, 404)


@pytest.mark.parametrize(
    "change", [{"n": 2}, {"size": "1x1"}, {"prompt": ""}, {"prompt": "x" * 4001}, {"response_format": "gif"}], ids=str
)
def test_what_cannot_be_drawn_is_refused(models: int, change: dict[str, Any]) -> None:
    body = {"model": "dall-e-3", "prompt": "a cat"} | change
    assert Customer(models, "openai").post("/images/generations", body).status == 400


def test_ark_draws_too(models: int) -> None:
    body = {"model": "doubao-seedream-4-0-250828", "prompt": "一只猫", "size": "1K"}
    said = Customer(models, "ark").post("/images/generations", body).json
    assert "/1024x1024/" in said["data"][0]["url"]
    assert said["usage"]["generated_images"] == 1


@pytest.mark.parametrize("form", ["wav", "pcm", "mp3"])
def test_speech_lasts_as_long_as_its_text(models: int, form: str) -> None:
    body = {"model": "tts-1", "input": "x" * 50, "voice": "alloy", "response_format": form}
    said = Customer(models, "openai").post("/audio/speech", body)
    if form == "wav":
        with wave.open(io.BytesIO(said.body)) as sound:
            assert sound.getnframes() == 6 * 24_000
            assert len(set(sound.readframes(5000))) > 100
    elif form == "pcm":
        assert len(said.body) == 6 * 24_000 * 2
    else:
        frames = [said.body[at : at + 2] for at in range(0, len(said.body), 96)]
        assert (set(frames), len(frames)) == ({b"\xff\xf3"}, 250)


@pytest.mark.parametrize(
    "change", [{"voice": "nobody"}, {"input": "x" * 4097}, {"input": ""}, {"response_format": "flac"}, {"speed": 9}]
)
def test_what_cannot_be_spoken_is_refused(models: int, change: dict[str, Any]) -> None:
    body = {"model": "tts-1", "input": "hello", "voice": "alloy"} | change
    assert Customer(models, "openai").post("/audio/speech", body).status == 400


def wav(seconds: float) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(b"\0\0" * int(16_000 * seconds))
    return file.getvalue()


def transcribe(models: int, content: bytes | None, **fields: str) -> Answer:
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    if content is not None:
        parts.append(b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + content)
    mark = f"--{BOUNDARY}".encode()
    form = b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    return Customer(models, "openai").post("/audio/transcriptions", form, Content_Type=kind)


def test_a_transcript_tells_how_long_the_recording_was(models: int) -> None:
    plain = transcribe(models, wav(2.5), model="whisper-1")
    assert plain.json == {"text": "你好，这是一段 2.5 秒的录音。", "usage": {"type": "duration", "seconds": 3}}
    verbose = transcribe(models, wav(2.5), model="whisper-1", response_format="verbose_json", language="en").json
    assert (verbose["duration"], verbose["language"], verbose["segments"][0]["end"]) == (2.5, "english", 2.5)
    srt = transcribe(models, wav(62), model="whisper-1", response_format="srt")
    assert srt.body.startswith(b"1\n00:00:00,000 --> 00:01:02,000\n")
    assert srt.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        (None, {"model": "whisper-1"}),
        (wav(0.01), {"model": "whisper-1"}),
        (wav(1), {}),
        (wav(1), {"model": "whisper-1", "response_format": "doc"}),
    ],
    ids=["no file", "too short", "no model", "format"],
)
def test_what_cannot_be_transcribed_is_refused(models: int, content: bytes | None, fields: dict[str, str]) -> None:
    assert transcribe(models, content, **fields).status == 400


@pytest.mark.parametrize(("provider", "path"), [("ark", ""), ("openai", ""), ("anthropic", "/v1")])
def test_models_are_listed(models: int, provider: str, path: str) -> None:
    customer = Customer(models, provider)
    listed = customer.get(f"{path}/models").json["data"]
    assert customer.get(f"{path}/models/{listed[0]['id']}").json == listed[0]
    assert customer.get(f"{path}/models/nothing").status == 404


def test_anthropic_counts_tokens(models: int) -> None:
    body = {"model": "claude-3-sonnet-20240229", "messages": [{"role": "user", "content": "Hello"}]}
    assert Customer(models, "anthropic").post("/v1/messages/count_tokens", body).json == {"input_tokens": 8}
