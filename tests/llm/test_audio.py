"""How long recordings are: as long as they sound. What a file says of itself is not believed, and cannot hurt."""

import asyncio
import io
import os
import time
import zlib
from pathlib import Path

import av
import pytest

from llm.providers.base import Audio
from llm.relay import audio
from llm.relay.audio import NotARecording, TooLong, measure, measured
from tests.conftest import sampled

from .sounds import KINDS, sound, three_seconds_by_its_header
from .test_billing import mp3, wav


def seconds(content: bytes) -> int:
    return measure(Audio(content)).seconds


@pytest.mark.parametrize("kind", sampled(KINDS, keep=2))
def test_O1_every_kind_of_recording_is_as_long_as_it_sounds(kind: str) -> None:
    assert [seconds(sound(kind, length)) for length in (5, 14.5)] == [5, 15]


@pytest.mark.parametrize("kind", sampled(["webm", "ogg", "ipod", "mp3", "wav"], keep=2))
def test_O1_what_a_browser_records_without_a_length_is_measured_too(kind: str) -> None:
    assert seconds(sound(kind, 14.5, streamed=True)) == 15


@pytest.mark.parametrize("kind", sampled(["wav", "mp3", "ipod"], keep=1))
def test_O1_a_header_that_says_three_seconds_hides_no_minute(kind: str) -> None:
    assert seconds(three_seconds_by_its_header(kind, 60)) == 60


def test_O1_a_header_that_says_an_hour_is_charged_as_the_second_it_is() -> None:
    assert seconds(wav(1)[:4] + b"\xff\xff\xff\x7f" + wav(1)[8:40] + b"\xff\xff\xff\x7f" + wav(1)[44:]) == 1


def test_O1_a_second_track_hides_nothing() -> None:
    """A provider may listen to either."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        tracks = [container.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in range(2)]
        for track, length in zip(tracks, (3, 20), strict=True):
            frame = av.AudioFrame(format="s16", layout="mono", samples=16_000 * length)
            frame.sample_rate = 16_000
            container.mux(track.encode(frame))
    assert seconds(file.getvalue()) == 20


def test_a_cover_and_tags_do_not_count() -> None:
    cover = b"\x03image/png\0\x03\0" + b"\x89PNG\r\n\x1a\n" + bytes(50_000)
    frame = b"APIC" + len(cover).to_bytes(4, "big") + b"\0\0" + cover
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    assert seconds(b"ID3\x03\0\0" + size + frame + sound("mp3", 5)) == 5


def test_junk_between_frames_is_passed_over() -> None:
    content = mp3(100)
    assert seconds(content + b"junk" * 1000 + content[20:]) == 7


HOSTILE = {
    "nothing": b"",
    "text": b"x" * 40_000,
    "only a beginning": b"RIFFxx",
    "a header and nothing": wav(1)[:44],
    "noise": os.urandom(100_000),
    "noise behind a magic number": b"OggS\x00\x02" + os.urandom(100_000),
    "an empty webm": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webmA_OPUS"
    + bytes(900_000),
    "a codec nobody has": wav(1)[:20] + b"\x99\x99" + wav(1)[22:],
    "no channels": wav(1)[:22] + b"\0\0" + wav(1)[24:],
    "no rate": wav(1)[:24] + bytes(8) + wav(1)[32:],
    "a list of other files": b"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n/etc/hostname\n#EXT-X-ENDLIST\n",
    "a concatenation of other files": b"ffconcat version 1.0\nfile '/etc/hostname'\n",
    "a description of a session": b"v=0\nm=audio 9 RTP/AVP 0\nc=IN IP4 127.0.0.1\n",
    "compressed": zlib.compress(wav(10)),
}


@pytest.mark.parametrize("content", sampled(HOSTILE.values(), keep=5), ids=HOSTILE)
def test_what_cannot_be_decoded_is_no_recording(content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """And nothing that an operator would have to look at."""
    with pytest.raises(NotARecording):
        seconds(content)
    assert caplog.text == ""


def test_a_list_does_not_lead_to_a_file_of_the_servers(tmp_path: Path) -> None:
    there = tmp_path / "there.wav"
    there.write_bytes(wav(3))
    for text in (f"ffconcat version 1.0\nfile '{there}'\n", f"#EXTM3U\n#EXTINF:3,\n{there}\n#EXT-X-ENDLIST\n"):
        with pytest.raises(NotARecording):
            seconds(text.encode())


@pytest.mark.rare
def test_hours_of_silence_in_a_small_file_are_refused() -> None:
    """It is not decoded to its end."""
    bomb = sound("flac", 3 * 3600)
    assert len(bomb) < 3_000_000
    with pytest.raises(TooLong):
        seconds(bomb)
    with pytest.raises(TooLong, match="60"):
        measure(Audio(sound("flac", 75)), 60)


def test_a_decoder_that_works_for_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "_PATIENCE_S", 0.01)
    with pytest.raises(NotARecording):
        seconds(wav(1))


@pytest.mark.parametrize(
    "program",
    [
        "import os; os.kill(os.getpid(), 11)",
        "import sys; sys.stdin.buffer.read(); bytearray(2**40)",
        "import sys; sys.exit('no such library')",
    ],
    ids=["crashes", "out of memory", "cannot start"],
)
def test_a_decoder_that_dies_takes_nobody_along(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The file is refused, and the operator can read why."""
    (tmp_path / "decoder.py").write_text(program)
    monkeypatch.setattr(audio, "_PROGRAM", tmp_path / "decoder.py")
    with pytest.raises(NotARecording):
        seconds(wav(1))
    assert "The decoder ended with" in caplog.text


def test_the_decoder_sees_none_of_our_secrets_and_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should a file ever take it over."""
    monkeypatch.setenv("VOICEHELPER_SECRET_KEYS", "secret")
    program = "import os, socket\n" + audio._PROGRAM.read_text().replace(
        "        seconds = seconds_of(content, float(sys.argv[1]))\n",
        "        seconds = len(os.environ)\n"
        "        for act in (lambda: open('/etc/hostname'), socket.socket, os.pipe):\n"
        "            try:\n"
        "                act()\n"
        "                seconds += 100\n"
        "            except OSError:\n"
        "                seconds += 1\n",
    )
    (tmp_path / "decoder.py").write_text(program)
    monkeypatch.setattr(audio, "_PROGRAM", tmp_path / "decoder.py")
    # One variable is Python's own (LC_CTYPE).
    assert seconds(wav(1)) <= 4


def test_the_event_loop_goes_on_meanwhile() -> None:
    async def scenario() -> float:
        longest, last = 0.0, time.monotonic()
        measuring = asyncio.gather(*(measured(Audio(sound("mp3", 60))) for _ in range(4)))
        while not measuring.done():
            await asyncio.sleep(0.005)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert [recording.seconds for recording in await measuring] == [60] * 4
        return longest

    sound("mp3", 60)
    assert asyncio.run(scenario()) < 0.5
