"""Recordings as browsers, telephones and forgers make them."""

import io
import struct
from functools import cache

import av

# The containers that are taken, each with the codec it usually holds and its rate.
KINDS = {
    "mp3": ("libmp3lame", 16_000),
    "wav": ("pcm_s16le", 16_000),
    "ipod": ("aac", 44_100),
    "webm": ("libopus", 48_000),
    "ogg": ("libopus", 48_000),
    "flac": ("flac", 8_000),
}


@cache
def sound(kind: str, seconds: float, *, streamed: bool = False) -> bytes:
    """Silence. `streamed`: written without going back, as browsers record: no length stands anywhere."""
    codec, rate = KINDS[kind]
    file = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov"} if streamed and kind == "ipod" else {}
    with av.open(_Forwards(file) if streamed else file, "w", format=kind, options=options) as container:
        track = container.add_stream(codec, rate=rate, layout="mono")
        left = round(seconds * rate)
        while left:
            samples = min(left, 65_536)
            frame = av.AudioFrame(format="s16", layout="mono", samples=samples)
            frame.sample_rate = rate
            frame.planes[0].update(bytes(2 * samples))
            container.mux(track.encode(frame))
            left -= samples
        container.mux(track.encode(None))
    return file.getvalue()


class _Forwards:
    """A file that can only be written on."""

    def __init__(self, file: io.BytesIO) -> None:
        self.write = file.write


def with_word(content: bytes, mark: bytes, offset: int, value: int, order: str = ">") -> bytes:
    """A header that lies: another 32-bit number so many bytes after a mark."""
    at = content.index(mark) + offset
    return content[:at] + struct.pack(f"{order}I", value) + content[at + 4 :]


def three_seconds_by_its_header(kind: str, seconds: float) -> bytes:
    """A recording whose header says that it lasts three."""
    content = sound(kind, seconds)
    if kind == "wav":
        return with_word(content, b"data", 4, 3 * 16_000 * 2, "<")
    if kind == "mp3":
        # Frames of 36 ms, in the header of Xing.
        return with_word(content, b"Xing" if b"Xing" in content else b"Info", 8, 84)
    assert kind == "ipod"
    # mvhd counts in milliseconds, mdhd in samples; and an edit list says it once more.
    content = with_word(content, b"mvhd", 20, 3000)
    content = with_word(content, b"mdhd", 20, 3 * 44_100)
    return with_word(content, b"elst", 12, 3000)
