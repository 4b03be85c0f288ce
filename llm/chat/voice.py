"""Voice: a user's own recording becomes text, and an answer becomes sound that is paid once and kept.

Each refusal comes before anything is charged. What is spoken is a file of the user's; its row is made before the model
is asked, so that two clicks are one call.
"""

import hashlib
import io
import json
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from storage_backends import services as files
from voicehelper import clock
from voicehelper.accounts.models import User

from .. import services
from ..models import ChatMessage, Spoken
from ..providers.base import Audio
from ..providers.base import Speech as Sound
from ..relay.audio import NotARecording, Recording, TooLong, measure
from ..relay.settling import Completed
from ..relay.threads import in_thread
from . import conversations
from .continued import whole_text

MOST_SECONDS = 60
# A minute of CD sound is 10.6 MB.
MOST_BYTES = 12 * 1024**2
VOICE = "alloy"

# What models take, with the ending by which they know it.
_ENDINGS = {
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/ogg": "ogg",
    "audio/mp4": "m4a",
    "audio/webm": "webm",
    "audio/x-flac": "flac",
    "video/mp4": "mp4",
    "video/webm": "webm",
}


class NothingToSay(Exception):
    """There is no text in it that could be spoken."""


@dataclass(frozen=True)
class Heard:
    """What was said; `seconds` is what was charged for."""

    text: str
    seconds: float
    model: str
    quota: int


def recording_of(user: User, path: str) -> Recording:
    """A user's own recording. Raises NotARecording, TooLong, FileNotFound, StoreDown."""
    file = files.file_of(user, path)
    ending = _ENDINGS.get(file.content_type)
    if ending is None:
        raise NotARecording
    if file.size > MOST_BYTES:
        raise TooLong(MOST_SECONDS)
    _file, content = files.read_file(user, path, MOST_BYTES)
    # Whoever stops it after a minute is a little late.
    return measure(Audio(content, f"recording.{ending}", file.content_type), MOST_SECONDS + 1)


async def transcribe(user: User, recording: Recording, language: str = "") -> Heard:
    """Raises what `services.chat` raises."""
    fields = {"language": language} if language else {}
    done = await services.transcribe(user, recording, fields)
    seconds = done.result.seconds
    return Heard(_text(done.result.body), done.used.input if seconds is None else seconds, done.model, done.quota)


def _text(body: bytes) -> str:
    """Of a transcript: JSON, or the text itself."""
    try:
        said: Any = json.loads(body)
    except ValueError:
        return body.decode(errors="replace").strip()
    return str(said.get("text", "")).strip() if isinstance(said, dict) else ""


# --- Speaking --------------------------------------------------------------------------------------------------------
def claim(user: User, *, message_id: str = "", text: str = "", voice: str = VOICE) -> tuple[Spoken, str]:
    """The row of what is to be spoken, and the text: with a path when there is a file already, else ours to make.

    Raises NothingToSay, and conversations' NotFound and UnderWay.
    """
    message = conversations.message_of(user, message_id) if message_id else None
    words = plain(whole_text(message) if message else text)[: settings.LLM_SPEECH_CHARACTERS]
    if not words or (message and message.role != ChatMessage.Role.ASSISTANT):
        raise NothingToSay
    if message and message.state == "writing":
        raise conversations.AnswerUnderWay
    digest = hashlib.sha256(f"{message_id}\n{voice}\n{words}".encode()).hexdigest()
    found = Spoken.objects.filter(user=user, digest=digest).first()
    if found is not None and not _is_over(found):
        return found, words
    try:
        with transaction.atomic():
            return Spoken.objects.create(user=user, message=message, digest=digest), words
    except IntegrityError:
        raise conversations.AnswerUnderWay from None


def _is_over(spoken: Spoken) -> bool:
    """Whether it has to be spoken anew: its file is gone, or whoever was at it has died. Raises UnderWay."""
    if not spoken.path:
        if spoken.created > clock.now() - timedelta(seconds=settings.LLM_TOTAL_SECONDS):
            raise conversations.AnswerUnderWay
        return _forget(spoken)
    try:
        files.file_of(spoken.user, spoken.path)
    except files.FileNotFound:
        return _forget(spoken)
    return False


def _forget(spoken: Spoken) -> bool:
    Spoken.objects.filter(pk=spoken.pk).delete()
    return True


async def speak(spoken: Spoken, text: str, voice: str = VOICE) -> tuple[Spoken, Completed[Sound]]:
    """Have a claimed text spoken, and keep it. `path` stays empty when the store is down: the sound is paid for and has
    to be given away as it is. Raises what `services.chat` raises."""
    try:
        body = {"input": text, "voice": voice, "response_format": "mp3"}
        done = await services.speak(spoken.user, body)
    except BaseException:
        await in_thread(_forget, spoken)
        raise
    done = done._replace(result=replace(done.result, content=await services.labelled(done)))
    await in_thread(_keep, spoken, done)
    return spoken, done


def _keep(spoken: Spoken, done: Completed[Sound]) -> None:
    content = io.BytesIO(done.result.content)
    try:
        file = files.store_file(spoken.user, "answer.mp3", content, purpose=files.Purpose.SPEECH)
    except (files.StoreDown, files.FileRefused):
        _forget(spoken)
        return
    spoken.path = file.key
    Spoken.objects.filter(pk=spoken.pk).update(path=file.key, model_name=done.model, quota=done.quota)


_CODE = re.compile(r"```.*?(```|\Z)", re.DOTALL)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARKS = re.compile(r"^\s{0,3}(#{1,6}\s+|>\s?|[-*+]\s+|\|?[\s|:-]+\|?$)|[*_`~|]", re.MULTILINE)


def plain(markdown: str) -> str:
    """What one would read aloud: no code, no addresses, no marks."""
    text = _LINK.sub(r"\1", _CODE.sub(" ", markdown))
    return "\n".join(filter(None, (" ".join(line.split()) for line in _MARKS.sub(" ", text).splitlines())))
