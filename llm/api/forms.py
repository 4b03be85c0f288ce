"""The multipart forms of recordings and pictures: fields, which may come several times, and files."""

import asyncio
import io
from collections.abc import Callable
from typing import Any, TypeVar

from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http import QueryDict
from django.http.multipartparser import MultiPartParser, MultiPartParserError

from ..providers.base import Audio
from ..relay.audio import Recording, measured
from ..relay.errors import CallRefused

T = TypeVar("T")
# What is charged, and who is asked, hangs on these: two readers must not take different ones.
_ONCE = ("model", "n", "size", "quality", "service_tier", "response_format", "stream")
# Parsing a larger form takes long enough to be done beside the event loop.
_QUICK = 256 * 1024


async def read(content: bytes, content_type: bytes) -> tuple[dict[str, Any], Recording]:
    """The form's fields and its recording, with its length. Raises CallRefused."""
    fields, audio = await _parsed(_parse, content, content_type)
    return fields, await measured(audio)


async def read_pictures(content: bytes, content_type: bytes) -> tuple[dict[str, Any], list[tuple[str, Audio]]]:
    """The form's fields, and its files with the names of their fields. Raises CallRefused."""
    fields, files = await _parsed(_read, content, content_type)
    if not any(name in ("image", "image[]") and file.content for name, file in files):
        raise CallRefused("image must be a picture.", param="image")
    return fields, files


def is_true(value: Any) -> bool:
    """Whether a field of a form says so: JavaScript writes true, Python True."""
    return type(value) is str and value.lower() in ("true", "1")


async def _parsed(parse: Callable[[bytes, str], T], content: bytes, content_type: bytes) -> T:
    kind = content_type.decode("latin-1")
    if not kind.lower().startswith("multipart/form-data"):
        raise CallRefused("The body must be multipart/form-data.", status=415)
    if len(content) <= _QUICK:
        return parse(content, kind)
    return await asyncio.to_thread(parse, content, kind)


def _parse(content: bytes, kind: str) -> tuple[dict[str, Any], Audio]:
    fields, files = _read(content, kind)
    audio = next((file for name, file in files if name == "file"), None)
    if audio is None or not audio.content:
        raise CallRefused("file must be a recording.", param="file")
    return fields, audio


def _read(content: bytes, kind: str) -> tuple[dict[str, Any], list[tuple[str, Audio]]]:
    form, uploads = _parts(content, kind)
    if twice := next((name for name in _ONCE if len(form.getlist(name)) > 1), None):
        raise CallRefused(f"{twice} comes twice.", param=twice)
    fields = {name: values if len(values) > 1 else values[0] for name, values in form.lists() if any(values)}
    files = [
        (name, Audio(each.read(), (each.name or "file")[:200], each.content_type or "application/octet-stream"))
        for name, several in uploads.lists()
        for each in several
    ]
    return fields, files


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
