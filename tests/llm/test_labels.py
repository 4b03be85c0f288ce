"""What models made says so: labels are read back from the files that carry them, by somebody else's reader."""

import base64
import io
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import mutagen
import pytest
from aiohttp import web
from django.db import connections
from mutagen.id3 import ID3
from mutagen.wave import WAVE
from PIL import Image

from llm.labels.label import AILabel
from llm.labels.pictures import label_picture
from llm.labels.sounds import label_sound
from llm.models import SafetySettings
from storage_backends.services import read_file
from voicehelper.accounts.services import issue_token

from .client import ApiClient
from .conftest import World
from .test_billing import wav
from .upstream import Asked, says

CHIME = (Path(__file__).parents[2] / "sandbox/upstream/chime.mp3").read_bytes()
LABEL = AILabel("某某公司", "req_1")
FIELDS = ["Label", "ContentProducer", "ProduceID", "ReservedCode1", "ContentPropagator", "PropagateID", "ReservedCode2"]


def picture(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    image = Image.effect_noise((64, 48), 80).convert(mode)
    image.save(file, kind, **options)
    return file.getvalue()


def points(content: bytes) -> bytes:
    with Image.open(io.BytesIO(content)) as image:
        return image.convert("RGBA").tobytes()


def is_ours(text: str, produce_id: str = "req_1", producer: str = "某某公司") -> None:
    said = json.loads(text)
    assert list(said) == FIELDS
    assert (said["Label"], said["ContentProducer"], said["ProduceID"]) == ("1", producer, produce_id)


def read_sound(content: bytes) -> str:
    tags = WAVE(io.BytesIO(content)).tags if content[:4] == b"RIFF" else ID3(io.BytesIO(content))
    assert tags is not None
    return str(tags.getall("TXXX:AIGC")[0])


def read_picture(content: bytes) -> str:
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        xmp = image.info["XML:com.adobe.xmp"] if image.format == "PNG" else image.info["xmp"]
    [found] = re.findall("<TC260:AIGC>(.*)</TC260:AIGC>", xmp if isinstance(xmp, str) else xmp.decode())
    return unescape(found)


def test_spoken_mp3_carries_the_label_and_sounds_as_it_did() -> None:
    labelled = label_sound(CHIME, LABEL)
    is_ours(read_sound(labelled))
    assert labelled.endswith(CHIME[-1000:])
    assert mutagen.File(io.BytesIO(labelled)).info.length == pytest.approx(mutagen.File(io.BytesIO(CHIME)).info.length)
    # A second label takes the place of the first.
    again = label_sound(labelled, AILabel("某某公司", "req_2"))
    is_ours(read_sound(again), "req_2")
    assert len(ID3(io.BytesIO(again)).getall("TXXX")) == 1


def test_wav_carries_the_label_and_keeps_its_samples() -> None:
    sound = wav(2)
    labelled = label_sound(sound, LABEL)
    assert sound[44:] in labelled
    is_ours(read_sound(labelled))


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("PNG", "RGBA", {}),
        ("JPEG", "RGB", {}),
        ("JPEG", "RGB", {"exif": Image.Exif(), "progressive": True}),
        ("WEBP", "RGB", {}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("WEBP", "RGB", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}),
    ],
)
def test_pictures_carry_the_label_and_keep_every_point(kind: str, mode: str, options: dict[str, Any]) -> None:
    plain = picture(kind, mode, **options)
    labelled = label_picture(plain, LABEL)
    is_ours(read_picture(labelled))
    assert points(labelled) == points(plain)
    if kind == "PNG":
        with Image.open(io.BytesIO(labelled)) as image:
            image.load()
            is_ours(image.text["AIGC"])


BROKEN = (
    *(b"", b"\xff", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8 ", b"RIFF\xff\xff\xff\xffWAVE"),
    *(b"fLaC", b"OggS" + bytes(60), b"pcm " * 100, picture("PNG")[:20], b"GIF89a"),
)


@pytest.mark.parametrize("content", BROKEN)
def test_what_is_broken_or_has_no_room_stays_as_it_is(content: bytes) -> None:
    assert label_picture(content, LABEL) == content
    if content[:1] != b"\xff":
        assert label_sound(content, LABEL) == content


# --- What leaves the house -------------------------------------------------------------------------------------------
async def sounds(asked: Asked) -> web.Response:
    return web.Response(body=CHIME, content_type="audio/mpeg")


@pytest.fixture
def making(world: World, settings: Any, tmp_path: Path) -> World:
    """At OpenAI, rich."""
    world.credential.provider = "openai"
    world.credential.save()
    settings.FILES_DIR = str(tmp_path)
    settings.ALLOWED_HOSTS = ["testserver"]
    world.give(10_000_000)
    return world


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("wanted", [True, False])
def test_v1_passes_sound_and_pictures_on_with_labels_unless_the_operator_says_otherwise(
    making: World, wanted: bool
) -> None:
    SafetySettings.objects.create(pk=1, label_media=wanted)
    plain = picture("PNG")
    drawn = says(
        {"created": 1, "data": [{"b64_json": base64.b64encode(plain).decode()}, {"url": "https://x.example/1"}]}
    )
    speak = {"model": "tts-1", "input": "Hello", "voice": "alloy"}
    draw = {"model": "dall-e-3", "prompt": "A cat"}

    async def scenario(w: World) -> tuple[Any, Any]:
        w.upstream.scripts = [sounds, drawn]
        return await w.client.post("/v1/audio/speech", speak), await w.client.post("/v1/images/generations", draw)

    sound, pictures = making.play(scenario)
    assert pictures.json["data"][1] == {"url": "https://x.example/1"}
    shown = base64.b64decode(pictures.json["data"][0]["b64_json"])
    if not wanted:
        assert (sound.body, shown) == (CHIME, plain)
        return
    is_ours(read_sound(sound.body), sound.headers["x-request-id"], "VoiceHelper")
    is_ours(read_picture(shown), pictures.headers["x-request-id"], "VoiceHelper")
    assert points(shown) == points(plain)


@pytest.mark.django_db(transaction=True)
def test_what_the_chat_page_speaks_is_labelled_in_any_case(making: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    SafetySettings.load()
    SafetySettings.objects.update(label_media=False, producer="91110000MA0000000X")
    making.client = ApiClient(issue_token(making.user))
    making.upstream.scripts = [sounds]
    answer = making.play(lambda w: w.client.post("/api/voice/speech", {"text": "Hello"}))
    assert answer.status == 200, answer.body
    _file, content = read_file(making.user, answer.json["path"], 10**6)
    is_ours(read_sound(content), making.usage().request_id, "91110000MA0000000X")
