"""The multipart form of a transcription: its fields, and the recording."""

import asyncio
import io
from typing import Any

from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http import QueryDict
from django.http.multipartparser import MultiPartParser, MultiPartParserError

from ..providers.base import Audio
from ..relay.audio import Recording, measured
from ..relay.errors import CallRefused

# Parsing a larger form takes long enough to be done beside the event loop.
_QUICK = 256 * 1024
_FIELDS = (
    "model",
    "language",
    "prompt",
    "response_format",
    "temperature",
    "timestamp_granularities[]",
    "provider",
    "priority",
)


async def read(content: bytes, content_type: bytes) -> tuple[dict[str, Any], Recording]:
    """The form's fields and its recording, with its length. Raises CallRefused."""
    kind = content_type.decode("latin-1")
    if not kind.lower().startswith("multipart/form-data"):
        raise CallRefused("The body must be multipart/form-data.", status=415)
    if len(content) <= _QUICK:
        fields, audio = _parse(content, kind)
    else:
        fields, audio = await asyncio.to_thread(_parse, content, kind)
    return fields, await measured(audio)


def _parse(content: bytes, kind: str) -> tuple[dict[str, Any], Audio]:
    form, files = _parts(content, kind)
    upload = files.get("file")
    if upload is None or not upload.size:
        raise CallRefused("file must be a recording.", param="file")
    if form.get("stream", "").lower() == "true":
        raise CallRefused("Transcriptions are not streamed here.", param="stream", code="unsupported")
    fields = {name: form[name] for name in _FIELDS if form.get(name)}
    audio = Audio(upload.read(), (upload.name or "audio.mp3")[:200], upload.content_type or "audio/mpeg")
    return fields, audio


class _InMemory(MemoryFileUploadHandler):
    """Keeps files in memory whatever their size: the whole body is there already, and its size was checked."""

    def handle_raw_input(self, *_arguments: Any, **_more: Any) -> None:
        self.activated = True


def _parts(content: bytes, kind: str) -> tuple[QueryDict, Any]:
    meta = {"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(content))}
    try:
        return MultiPartParser(meta, io.BytesIO(content), [_InMemory()], "utf-8").parse()
    except (MultiPartParserError, ValueError) as error:
        raise CallRefused(f"The form cannot be read: {error}") from None
