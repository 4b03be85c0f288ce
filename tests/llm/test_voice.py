"""Voice: recordings to text, and answers to sound, on the account of the user whose files they are."""

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from django.db import connections

from llm.chat import voice
from llm.models import ChatMessage, ChatSession, Credential, Spoken, Usage
from storage_backends import services as files
from storage_backends.models import Bucket
from tests.conftest import sampled
from tests.storage_backends.samples import HTML, PNG
from voicehelper.accounts.models import User
from voicehelper.accounts.services import issue_token
from voicehelper.secrets import Secret

from .client import Answer, ApiClient
from .conftest import World
from .sounds import sound, three_seconds_by_its_header
from .test_billing import mp3, wav
from .upstream import Asked, fails, says

pytestmark = pytest.mark.django_db(transaction=True)

TRANSCRIBE, SPEECH = "/api/voice/transcribe", "/api/voice/speech"
SOUND = b"\xff\xf3\x48\xc4" + bytes(140)


async def sounds(asked: Asked) -> web.Response:
    return web.Response(body=SOUND, content_type="audio/mpeg")


@pytest.fixture
def talking(world: World, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    """The user signed in with a token, and rich; at OpenAI."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.FILES_DIR = str(tmp_path / "files")
    world.client = ApiClient(issue_token(world.user))
    world.give(10_000_000)
    Credential.objects.update(provider="openai")
    return world


def recorded(user: User, content: bytes) -> str:
    return files.store_file(user, "voice", io.BytesIO(content)).key


def answered(world: World, content: str = "**Hello** there") -> ChatMessage:
    session = ChatSession.objects.create(public_id="chat_1", user=world.user)
    return ChatMessage.objects.create(public_id="msg_1", session=session, role="assistant", content=content)


def post(world: World, path: str, **body: Any) -> Answer:
    return world.play(lambda w: w.client.post(path, body))  # type: ignore[no-any-return]


# --- To text ---------------------------------------------------------------------------------------------------------
def test_a_recording_becomes_text_and_is_charged_like_any_call(talking: World, books_agree: Callable[[], None]) -> None:
    sound = mp3(100)
    path = recorded(talking.user, sound)
    talking.upstream.scripts = [says({"text": " 你好 ", "usage": {"type": "duration", "seconds": 4}})]
    answer = post(talking, TRANSCRIBE, audioPath=path)

    assert answer.status == 200, answer.body
    usage = talking.usage()
    assert answer.json == {"text": "你好", "duration": 4, "model": "whisper-1", "quota": usage.quota}
    assert (usage.operation, usage.input_tokens, usage.quota) == ("transcription", 4, 200)
    assert talking.upstream.asked[0].body["file"] == sound
    books_agree()


@pytest.mark.parametrize(
    ("content", "code"),
    sampled(
        [
            (lambda: PNG, "not_a_recording"),
            (lambda: HTML, "not_a_recording"),
            (lambda: wav(75), "too_long"),
            (lambda: mp3(1800), "too_long"),
            (lambda: sound("ogg", 75), "too_long"),
            (lambda: three_seconds_by_its_header("ipod", 75), "too_long"),
            (lambda: b"OggS\x00\x02" + bytes(3 * 1024**2), "not_a_recording"),
        ],
        keep=2,
    ),
    ids=["picture", "page", "long wav", "long mp3", "long ogg", "m4a that says it is short", "no ogg"],
)
def test_what_is_no_recording_or_too_long_is_refused_for_nothing(
    talking: World, content: Callable[[], bytes], code: str
) -> None:
    answer = post(talking, TRANSCRIBE, audioPath=recorded(talking.user, content()))
    assert (answer.status, answer.json["code"]) == (400, code)
    assert not Usage.objects.exists()
    assert talking.upstream.asked == []


def test_I1_another_users_recording_and_answer_are_not_found(talking: World) -> None:
    path, message = recorded(talking.user, mp3(10)), answered(talking)
    talking.client = ApiClient(issue_token(User.objects.create_user("stranger")))

    async def scenario(w: World) -> list[Answer]:
        recordings = [await w.client.post(TRANSCRIBE, {"audioPath": each}) for each in (path, "u/1/nothing.mp3")]
        return [*recordings, await w.client.post(SPEECH, {"messageId": message.public_id})]

    assert [(answer.status, answer.json["code"]) for answer in talking.play(scenario)] == [(404, "not_found")] * 3
    assert talking.upstream.asked == []


# --- To sound --------------------------------------------------------------------------------------------------------
def test_an_answer_is_spoken_once_and_played_again_for_nothing(talking: World, books_agree: Callable[[], None]) -> None:
    message = answered(talking, "# Title\n\n**Hello** [there](https://x.example), `code`:\n```py\nprint(1)\n```\n- one")
    talking.upstream.scripts = [sounds]

    async def scenario(w: World) -> list[Any]:
        return [await w.client.post(SPEECH, {"messageId": message.public_id}) for _ in range(2)]

    first, again = talking.play(scenario)
    assert first.status == again.status == 200, first.body
    assert talking.upstream.asked[0].body["input"] == "Title\nHello there, code :\none"
    assert (first.json["quota"], again.json["quota"]) == (talking.usage().quota, 0)
    assert first.json["path"] == again.json["path"]
    assert files.read_file(talking.user, first.json["path"], 1000)[1].endswith(SOUND)
    assert first.json["contentType"] == "audio/mpeg"
    books_agree()


def test_two_clicks_at_once_are_paid_once(talking: World) -> None:
    message = answered(talking)

    async def slowly(asked: Asked) -> web.Response:
        await asyncio.sleep(0.3)
        return await sounds(asked)

    talking.upstream.scripts = [slowly]

    async def scenario(w: World) -> list[Answer]:
        return await asyncio.gather(*(w.client.post(SPEECH, {"messageId": message.public_id}) for _ in range(3)))

    answers = talking.play(scenario)
    assert sorted(answer.status for answer in answers) == [200, 409, 409]
    assert Usage.objects.count() == len(talking.upstream.asked) == 1


def test_a_model_that_fails_costs_nothing_and_can_be_asked_again(talking: World) -> None:
    message = answered(talking)
    talking.upstream.scripts = [fails(400), sounds]

    async def scenario(w: World) -> list[Answer]:
        return [await w.client.post(SPEECH, {"messageId": message.public_id}) for _ in range(2)]

    broken, fine = talking.play(scenario)
    assert (broken.status, fine.status) == (400, 200)
    assert talking.wallet.balance == 10_000_000 - fine.json["quota"]


def test_what_cannot_be_kept_is_given_away_as_it_is(talking: World) -> None:
    facts = {"kind": "s3", "endpoint": "https://127.0.0.1:1", "bucket": "b", "key_id": "k"}
    Bucket.objects.create(name="down", active=True, secret=Secret("s"), **facts)
    talking.upstream.scripts = [sounds]
    answer = post(talking, SPEECH, text="Hello")
    assert answer.status == 200
    assert answer.body.endswith(SOUND)
    assert not Spoken.objects.exists()


@pytest.mark.parametrize(
    "body",
    sampled(
        [{}, {"text": "a", "messageId": "b"}, {"text": "```x```"}, {"text": "a", "voice": "../x"}, {"text": 7}], keep=2
    ),
    ids=["nothing", "both", "only code", "strange voice", "number"],
)
def test_nothing_to_say_is_said(talking: World, body: dict[str, Any]) -> None:
    assert post(talking, SPEECH, **body).status == 400
    assert not Spoken.objects.exists()


def test_sound_goes_with_its_conversation(talking: World) -> None:
    message = answered(talking)
    talking.upstream.scripts = [sounds]

    async def scenario(w: World) -> tuple[Answer, Answer]:
        spoken = await w.client.post(SPEECH, {"messageId": message.public_id})
        return spoken, await w.client.request("DELETE", "/api/chat/sessions/chat_1", b"")

    spoken, deleted = talking.play(scenario)
    assert deleted.status == 200
    with pytest.raises(files.FileNotFound):
        files.file_of(talking.user, spoken.json["path"])


def test_marks_are_not_read_aloud() -> None:
    assert voice.plain("> *a*\n\n| x | y |\n|---|---|\n| 1 | 2 |\n\n1. b") == "a\nx y\n1 2\n1. b"
