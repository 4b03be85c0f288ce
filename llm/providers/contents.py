"""Whether a 200 answer holds what was asked for. Error pages and empty lists come with that status too, and nobody
should pay for them."""

import re
from collections.abc import Mapping
from typing import Any

from . import json_text

# How an answer of text may be wanted; any other format of a transcript is JSON.
_TEXTS = ("text", "srt", "vtt")
# Bytes that no text has, in whatever encoding, and samples of sound soon have.
_UNWRITTEN = re.compile(rb"[\x00-\x08\x0e-\x1f]")
# Those that begin with a number or a mark.
_SUBTITLES = ("srt", "vtt")
# How what stands in front of a provider says that nobody answered it.
_EXCUSES = re.compile(
    rb"(?i)(data:|event:|<|error code: ?[45]|upstream (connect|request)|no healthy upstream|bad gateway"
    rb"|internal server error|service (temporarily )?unavailable|gateway time-?out|too many requests)"
)


def inputs(body: Mapping[str, Any]) -> int:
    """How many vectors a request for embeddings asks for: texts, or token numbers, may come alone."""
    given = body.get("input")
    return len(given) if isinstance(given, list) and given and not isinstance(given[0], int) else 1


def vectors(said: Mapping[str, Any]) -> int:
    """How many vectors came, as numbers or base64."""
    return sum(bool(row.get("embedding")) for row in _rows(said))


def pictures(said: Mapping[str, Any]) -> int:
    """How many pictures came. In place of one that failed there may be its error."""
    return sum(bool(row.get("url") or row.get("b64_json")) for row in _rows(said))


# As many as Seedream draws at the most of one request.
MOST_IN_SEQUENCE = 15


def drawings(body: Mapping[str, Any]) -> int:
    """How many pictures a request may make: OpenAI's word for it, SiliconFlow's, and Seedream's sequences."""
    # In forms they are texts.
    said = (str(body.get(name)) for name in ("n", "batch_size"))
    most = max((int(number) for number in said if number.isdecimal()), default=1)
    if body.get("sequential_image_generation") != "auto":
        return most
    options = body.get("sequential_image_generation_options")
    return max(most, (options.get("max_images") if isinstance(options, dict) else None) or MOST_IN_SEQUENCE)


def _rows(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    data = said.get("data")
    return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []


def is_transcript(body: bytes, wanted: str) -> bool:
    """Whether this is a transcript in the format that was wanted."""
    said = _json(body)
    if wanted not in _TEXTS:
        return isinstance(said, dict) and isinstance(said.get("text"), str) and not said.get("error")
    if wanted in _SUBTITLES and _EXCUSES.match(body.lstrip()):
        return False
    # What is said is no object, however it is said.
    return bool(body) and not _is_page(body) and not isinstance(said, dict)


def is_sound(body: bytes, content_type: str) -> bool:
    """Whether this can be sound: what is written in words is none, whatever it calls itself."""
    if content_type.startswith(("application/json", "text/")) or not body.strip():
        return False
    if _UNWRITTEN.search(body[:1024]):
        return True
    return not (_is_page(body) or _EXCUSES.match(body.lstrip())) and _json(body) is None


def is_events(body: bytes) -> bool:
    """Whether this is a stream of events, whatever it calls itself."""
    return body[:64].removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"data:", b"event:", b"id:", b":"))


def _is_page(body: bytes) -> bool:
    return body[:200].lstrip().lower().startswith((b"<!doctype", b"<html"))


def _json(body: bytes) -> Any:
    try:
        return json_text.read(body)[0]
    except ValueError:
        return None
