"""POST /audio/speech and /audio/transcriptions: a chime as long as the text, and words about a recording's length.

Speech is WAV, PCM (24 kHz, 16 bit, mono) or MP3. Looser than OpenAI: it cannot write opus, aac and flac, and says so.
"""

import io
import math
import struct
import wave
from functools import cache
from pathlib import Path
from typing import Any

from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.http.request import QueryDict

from . import faults as misfortune
from . import words
from .exchange import Answer, json_answer
from .requests import Body, check_number, read_json, required
from .vendors import OpenAI

RATE = 24_000
_LONGEST_INPUT = 4096
_VOICES = ("alloy", "ash", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer")
_SPOKEN = {"mp3": "audio/mpeg", "wav": "audio/wav", "pcm": "audio/pcm"}
_SILENT = ("opus", "aac", "flac")
_FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
# A character takes so long to be spoken.
_SECONDS_PER_CHARACTER = 0.12
# A second of a chime: MP3, 24 kHz, mono, 32 kbit/s; every frame has the same size.
_CHIME = Path(__file__).with_name("chime.mp3")
_FRAME_BYTES, _FRAMES_PER_SECOND = 96, RATE / 576
_NOTES = (523.25, 587.33, 659.25, 783.99, 880.0)


# --- Speech ----------------------------------------------------------------------------------------------------------
async def speech(vendor: OpenAI) -> Answer:
    """Answer one request. Raises Refused, Cut."""
    body = read_json(vendor)
    required(vendor, body, "model", "input", "voice")
    vendor.model(body["model"], "speech")
    text = body["input"]
    if not isinstance(text, str) or len(text) > _LONGEST_INPUT:
        raise vendor.bad(f"'input' must be a text of at most {_LONGEST_INPUT} characters", "input")
    if body["voice"] not in _VOICES:
        raise vendor.bad(f"'voice' must be one of: {', '.join(_VOICES)}", "voice")
    form = body.get("response_format") or "mp3"
    if form in _SILENT:
        raise vendor.bad(f"This stand-in writes {', '.join(_SPOKEN)} only; OpenAI itself can {form}", "response_format")
    if form not in _SPOKEN:
        raise vendor.bad(f"'response_format' must be one of: {', '.join((*_SPOKEN, *_SILENT))}", "response_format")
    check_number(vendor, body, "speed", 0.25, 4)
    faults = await misfortune.take(vendor.name, body["model"], [text])
    vendor.fail(faults)
    await misfortune.before(faults)
    text = misfortune.without_marks(text)
    seconds = max(1.0, len(text) * _SECONDS_PER_CHARACTER / float(body.get("speed") or 1))
    return Answer(spoken(text, seconds, form), _SPOKEN[form], half="cut" in faults)


def spoken(text: str, seconds: float, form: str) -> bytes:
    """So many seconds of sound."""
    if form == "mp3":
        frames = math.ceil(seconds * _FRAMES_PER_SECOND)
        chime = _CHIME.read_bytes()
        times = frames * _FRAME_BYTES // len(chime) + 1
        return (chime * times)[: frames * _FRAME_BYTES]
    pcm = b"".join(_note(ord(character) % len(_NOTES)) for character in text or " ")
    size = int(seconds * RATE) * 2
    pcm = (pcm * (size // len(pcm) + 1))[:size]
    if form == "pcm":
        return pcm
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(pcm)
    return file.getvalue()


@cache
def _note(number: int) -> bytes:
    """A soft note, as long as a character."""
    length = int(RATE * _SECONDS_PER_CHARACTER)
    steps = (
        math.sin(2 * math.pi * _NOTES[number] * at / RATE) * math.sin(math.pi * at / length) for at in range(length)
    )
    return struct.pack(f"<{length}h", *(int(8000 * step) for step in steps))


# --- Transcription ---------------------------------------------------------------------------------------------------
async def transcription(vendor: OpenAI) -> Answer:
    """Answer one request. Raises Refused, Cut."""
    fields, recording, name = _form(vendor)
    required(vendor, fields, "model")
    vendor.model(fields["model"], "transcription")
    form = fields.get("response_format") or "json"
    if form not in _FORMATS:
        raise vendor.bad(f"'response_format' must be one of: {', '.join(_FORMATS)}", "response_format")
    faults = await misfortune.take(vendor.name, fields["model"], [fields.get("prompt", ""), name])
    vendor.fail(faults)
    await misfortune.before(faults)
    seconds = _length(vendor, recording)
    text = _heard(seconds, fields)
    content, content_type = _written(form, text, seconds, fields)
    return json_answer(content, half="cut" in faults) if isinstance(content, dict) else Answer(content, content_type)


class _InMemory(MemoryFileUploadHandler):
    """Keeps files in memory whatever their size."""

    def handle_raw_input(self, *_arguments: Any, **_more: Any) -> None:
        self.activated = True


def _form(vendor: OpenAI) -> tuple[dict[str, str], bytes, str]:
    """The form's fields, and the recording with its name. Raises Refused."""
    content, kind = vendor.asked.content, vendor.asked.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        raise vendor.bad("the content type must be multipart/form-data", "body")
    meta = {"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(content))}
    try:
        form, files = MultiPartParser(meta, io.BytesIO(content), [_InMemory()], "utf-8").parse()
    except (MultiPartParserError, ValueError) as error:
        raise vendor.bad(f"Could not parse multipart form: {error}", "body") from None
    upload = files.get("file")
    if upload is None:
        raise vendor.bad("Missing required parameter: 'file'.", "file", "missing_required_parameter")
    return _fields(form), upload.read(), upload.name or ""


def _fields(form: QueryDict) -> dict[str, str]:
    return {name: str(form[name]) for name in form}


def _length(vendor: OpenAI, recording: bytes) -> float:
    """Seconds: exactly for WAV, for the rest at 32 kbit/s."""
    try:
        with wave.open(io.BytesIO(recording)) as sound:
            seconds: float = sound.getnframes() / sound.getframerate()
    except (wave.Error, EOFError, ZeroDivisionError):
        seconds = len(recording) / 4000
    if seconds < 0.1:
        raise vendor.bad("Audio file is too short. Minimum audio length is 0.1 seconds.", "file", "audio_too_short")
    return seconds


def _heard(seconds: float, fields: dict[str, str]) -> str:
    chinese = fields.get("language", "zh") == "zh" or words.is_chinese(fields.get("prompt", ""))
    if chinese:
        return f"你好，这是一段 {seconds:.1f} 秒的录音。"
    return f"Hello, this is a recording of {seconds:.1f} seconds."


def _written(form: str, text: str, seconds: float, fields: dict[str, str]) -> tuple[Body | bytes, str]:
    """The transcript as it was asked for, and its content type."""
    stamp = _stamp(seconds)
    if form == "text":
        return f"{text}\n".encode(), "text/plain; charset=utf-8"
    if form == "srt":
        return f"1\n00:00:00,000 --> {stamp.replace('.', ',')}\n{text}\n\n".encode(), "text/plain; charset=utf-8"
    if form == "vtt":
        return f"WEBVTT\n\n00:00:00.000 --> {stamp}\n{text}\n\n".encode(), "text/plain; charset=utf-8"
    usage = {"type": "duration", "seconds": math.ceil(seconds)}
    if form == "json":
        return {"text": text, "usage": usage}, ""
    segment = {
        "id": 0, "seek": 0, "start": 0.0, "end": round(seconds, 2), "text": text, "tokens": [50364, 50365],
        "temperature": 0.0, "avg_logprob": -0.2, "compression_ratio": 1.0, "no_speech_prob": 0.01,
    }  # fmt: skip
    language = {"zh": "chinese", "en": "english"}.get(fields.get("language", "zh"), fields.get("language", ""))
    said = {"task": "transcribe", "language": language, "duration": round(seconds, 2), "text": text}
    return said | {"segments": [segment], "usage": usage}, ""


def _stamp(seconds: float) -> str:
    whole, rest = divmod(seconds, 60)
    return f"{int(whole) // 60:02d}:{int(whole) % 60:02d}:{rest:06.3f}"
