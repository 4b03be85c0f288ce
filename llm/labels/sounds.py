"""The label in sound: a TXXX frame of an ID3 tag (mp3, aac; wav: in a chunk of its own) or a comment (flac, opus). What
has no room for one, such as bare samples, stays as it is."""

import io
from collections.abc import Callable
from typing import Any

from mutagen import MutagenError, PaddingInfo
from mutagen.flac import FLAC
from mutagen.id3 import ID3, TXXX, Encoding, ID3NoHeaderError
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

from .label import KEY, AILabel


def label_sound(content: bytes, label: AILabel) -> bytes:
    """The same sound with its label, in place of one it had. What its bytes show decides, not what it is called."""
    write = _writer(content)
    if write is None:
        return content
    file = io.BytesIO(content)
    try:
        write(file, label.json())
    except (MutagenError, ValueError, OverflowError):
        # A stream with lengths that are not known yet, or nothing we understand: it is played as it came.
        return content
    return file.getvalue()


def _writer(content: bytes) -> Callable[[io.BytesIO, str], None] | None:
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return _wave
    if content[:4] in (b"fLaC", b"OggS"):
        return _comment
    if content[:3] == b"ID3" or (len(content) > 1 and content[0] == 0xFF and content[1] & 0xE0 == 0xE0):
        # Frames of MPEG, or of ADTS: both begin with eleven bits that are set.
        return _id3
    return None


def _frame(text: str) -> TXXX:
    return TXXX(encoding=Encoding.UTF8, desc=KEY, text=[text])


def _no_room(_info: PaddingInfo) -> int:
    """For later tags: nobody writes any."""
    return 0


def _id3(file: io.BytesIO, text: str) -> None:
    try:
        tags = ID3(file)
    except ID3NoHeaderError:
        tags = ID3()
    tags.setall(f"TXXX:{KEY}", [_frame(text)])
    file.seek(0)
    tags.save(file, padding=_no_room)


def _wave(file: io.BytesIO, text: str) -> None:
    sound = WAVE(file)
    if sound.tags is None:
        sound.add_tags()
    sound.tags.setall(f"TXXX:{KEY}", [_frame(text)])
    file.seek(0)
    sound.save(file, padding=_no_room)


def _comment(file: io.BytesIO, text: str) -> None:
    content = file.getvalue()
    sound = FLAC(file) if content[:4] == b"fLaC" else _ogg(content)(file)
    if sound.tags is None:
        sound.add_tags()
    sound.tags[KEY] = [text]
    file.seek(0)
    sound.save(file)


def _ogg(content: bytes) -> Any:
    return OggOpus if b"OpusHead" in content[:128] else OggVorbis
