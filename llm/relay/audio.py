"""How long a recording is: decoded, whatever the file says of itself. In a process of its own, see audio_decoder.py."""

import asyncio
import logging
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..providers.base import Audio
from .errors import CallRefused

log = logging.getLogger(__name__)

# The longest recording that is taken, unless somebody wants less.
MOST_SECONDS = 2 * 3600
# Encoders fill up their last frame, and put one or two before the first: so much at the end is nobody's speech.
_PADDING_S = 0.2
# The decoder has 20 s of CPU; a busy machine takes longer to give it that.
_PATIENCE_S = 60

_PROGRAM = Path(__file__).with_name("audio_decoder.py")
_NO_RECORDING = 3
# Decoders at once. Who waits for one keeps no thread that others need.
_decoders = ThreadPoolExecutor(2, thread_name_prefix="audio")


class NotARecording(CallRefused):
    """The file is no sound that can be decoded."""

    def __init__(self) -> None:
        text = "The file is no recording that can be decoded: send mp3, wav, m4a, ogg, webm or flac."
        super().__init__(text, code="not_a_recording", param="file")


class TooLong(CallRefused):
    """The recording is longer than it may be."""

    def __init__(self, most_seconds: int = MOST_SECONDS) -> None:
        super().__init__(f"The recording is longer than {most_seconds} s.", code="too_long", param="file")


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording and its length in whole seconds, rounded up."""

    audio: Audio
    seconds: int

    @property
    def weight(self) -> float:
        """About how many tokens it is: OpenAI's models make one of 100 ms."""
        return 10.0 * self.seconds


async def measured(audio: Audio) -> Recording:
    """The recording with its length. Raises NotARecording, TooLong."""
    return await asyncio.wrap_future(_decoders.submit(_measure, audio, MOST_SECONDS))


def measure(audio: Audio, most_seconds: int = MOST_SECONDS) -> Recording:
    """The same, for synchronous callers."""
    return _decoders.submit(_measure, audio, most_seconds).result()


def _measure(audio: Audio, most_seconds: int) -> Recording:
    exact = _decode(audio.content, most_seconds + 2)
    seconds = max(1, math.ceil(exact - _PADDING_S))
    if seconds > most_seconds:
        raise TooLong(most_seconds)
    return Recording(audio, seconds)


def _decode(content: bytes, most_seconds: int) -> float:
    """Seconds of sound. What makes the decoder crash, or work for too long, is no recording either."""
    command = [sys.executable, "-I", str(_PROGRAM), str(most_seconds)]
    try:
        done = subprocess.run(  # noqa: S603  # nothing of the caller's is in it
            command, input=content, capture_output=True, timeout=_PATIENCE_S, env={}, check=False
        )
    except subprocess.TimeoutExpired:
        log.warning("A recording of %d bytes was not decoded in %d s", len(content), _PATIENCE_S)
        raise NotARecording from None
    if done.returncode:
        if done.returncode != _NO_RECORDING:
            log.warning("The decoder ended with %d: %s", done.returncode, done.stderr[-500:].decode(errors="replace"))
        raise NotARecording
    return float(done.stdout)
