"""What a file is, from its bytes; and what it may be called. Nothing that a client says is believed."""

import codecs
import re
import unicodedata

import filetype
from django.utils.http import content_disposition_header

# As much of a file's beginning as is looked at.
HEAD_BYTES = 8192
NAME_CHARS = 120
UNKNOWN = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"

# The types we tell apart, each with the ending its key gets; everything else is UNKNOWN. What a browser would run
# (HTML, SVG, XML, PDF with scripts) is never among those shown.
_SHOWN = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/ogg": "ogg",
    "audio/mp4": "m4a",
    "audio/webm": "webm",
}
_SAVED = {
    TEXT: "txt",
    UNKNOWN: "bin",
    "application/pdf": "pdf",
    "application/zip": "zip",
    "audio/aac": "aac",
    "audio/amr": "amr",
    "audio/x-flac": "flac",
    "video/mp4": "mp4",
    "video/webm": "webm",
}
_OTHER_NAMES = {"audio/x-wav": "audio/wav", "application/ogg": "audio/ogg", "video/ogg": "audio/ogg"}
# Controls, direction marks (they make exe.png out of gnp.exe), and what file systems or headers give a meaning.
_UNWANTED = re.compile(r'[\x00-\x1f\x7f-\x9f"*:<>?|\\/\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\uffff]')
# The codecs of a WebM file's tracks of pictures.
_PICTURES = re.compile(rb"V_(VP[89]|AV1|MPEG|THEORA)")
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?")


def type_of(head: bytes) -> str:
    """The content type that a file's first HEAD_BYTES show."""
    found = filetype.guess_mime(head)
    kind = _OTHER_NAMES.get(found, found)
    if kind == "video/webm" and not _PICTURES.search(head):
        # What browsers record.
        kind = "audio/webm"
    if kind in _SHOWN or kind in _SAVED:
        return str(kind)
    return TEXT if kind is None and _is_text(head) else UNKNOWN


def _is_text(head: bytes) -> bool:
    try:
        # The last character may be cut.
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not re.search(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]", text)


def ending_of(content_type: str) -> str:
    """What the key ends with."""
    return _SHOWN.get(content_type) or _SAVED.get(content_type, "bin")


def is_shown(content_type: str) -> bool:
    """Whether a browser may show it; everything else is saved as a file."""
    return content_type in _SHOWN


def clean_name(name: str, content_type: str) -> str:
    """A name that is safe to show and to save under; the file's own type gives one to a nameless file."""
    whole = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    last = re.split(r"[\\/]", whole)[-1]
    cleaned = " ".join(_UNWANTED.sub("", last).split()).strip(". ")
    if _DEVICES.fullmatch(cleaned):
        cleaned = f"_{cleaned}"
    if len(cleaned) > NAME_CHARS:
        stem, dot, ending = cleaned.rpartition(".")
        short = len(ending) <= 10
        cleaned = f"{stem[: NAME_CHARS - len(ending) - 1]}.{ending}" if dot and short else cleaned[:NAME_CHARS]
    return cleaned or f"file.{ending_of(content_type)}"


def disposition_of(name: str, content_type: str) -> str:
    """The Content-Disposition header of a file."""
    return content_disposition_header(not is_shown(content_type), name) or "attachment"


def readable(size: int) -> str:
    """1048576 → "1 MB"."""
    for unit, name in ((1024**3, "GB"), (1024**2, "MB"), (1024, "KB")):
        if size >= unit:
            return f"{size / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{size} B"
