"""How long a recording is, as far as its bytes say: exactly for WAV and MP3, at a guess for the rest."""

import io
import wave
from dataclasses import dataclass

from .providers.base import Audio

# Bytes per second of compressed speech: what is likely (32 kbit/s), and the least (8 kbit/s) for what is held.
_LIKELY = 4000
_LEAST = 1000

# MPEG audio layer III: bit rates in kbit/s by index, for version 1 and for versions 2 and 2.5; sampling rates in Hz.
_RATES_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_RATES_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_SAMPLING = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording and its length in whole seconds, rounded up: likely, and at the most."""

    audio: Audio
    seconds: int
    most_seconds: int


def measure(audio: Audio, most_seconds: int = 0) -> Recording:
    """The recording with its length; where that is guessed, `most_seconds` at the most, if given."""
    exact = _wav_seconds(audio.content) or _mp3_seconds(audio.content)
    if exact is not None:
        seconds = max(1, -int(-exact // 1))
        return Recording(audio, seconds, seconds)
    size, most = len(audio.content), most_seconds or len(audio.content)
    return Recording(audio, max(1, min(most, -(-size // _LIKELY))), max(1, min(most, -(-size // _LEAST))))


def _wav_seconds(content: bytes) -> float | None:
    if content[:4] != b"RIFF":
        return None
    try:
        with wave.open(io.BytesIO(content)) as sound:
            rate, width = sound.getframerate(), sound.getsampwidth() * sound.getnchannels()
    except (wave.Error, EOFError):
        return None
    # By the bytes there are: a header can claim anything.
    return len(content) / (rate * width) if rate and width else None


def _mp3_seconds(content: bytes) -> float | None:
    """The sum of all frames; None when it is no MP3 from its first frame to nearly its end."""
    position = 0
    if content[:3] == b"ID3" and len(content) > 10:
        size = content[6:10]
        position = 10 + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3])
    seconds = 0.0
    while position + 4 <= len(content):
        frame = _frame(content, position)
        if frame is None:
            break
        length, duration = frame
        position += length
        seconds += duration
    read_enough = position >= len(content) * 0.98 - 256
    return seconds if seconds and read_enough else None


def _frame(content: bytes, at: int) -> tuple[int, float] | None:
    """Length in bytes and seconds of the frame that begins here."""
    first, second, third = content[at], content[at + 1], content[at + 2]
    version, layer = second >> 3 & 3, second >> 1 & 3
    if first != 0xFF or second & 0xE0 != 0xE0 or layer != 1 or version not in _SAMPLING or third >> 2 & 3 == 3:
        return None
    rate = (_RATES_1 if version == 3 else _RATES_2)[third >> 4] * 1000
    sampling = _SAMPLING[version][third >> 2 & 3]
    if not rate:
        return None
    samples = 1152 if version == 3 else 576
    return samples // 8 * rate // sampling + (third >> 1 & 1), samples / sampling
