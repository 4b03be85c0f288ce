"""A program of its own, which audio.py runs: a recording on stdin, its length in seconds on stdout.

ffmpeg is a large parser in C, and what it reads here was made by strangers. So it runs where it can do no harm: in a
process without environment, files or network, with little memory and time, of which only one number is believed. Nor
may a file choose the parser: only those of recordings are allowed, not playlists, which name other files.
"""

import io
import resource
import sys

import av

# PyAV would load it when it opens the first file.
import av.subtitles.stream
from av.audio import AudioStream

# What ffmpeg calls the readers and decoders of mp3, wav, m4a, webm, ogg, flac, and of what old telephones record.
_FORMATS = "aac,amr,flac,matroska,mov,mp3,ogg,wav"
_DECODERS = (
    "aac,alac,amrnb,amrwb,flac,mp3,mp3float,opus,vorbis,"
    "adpcm_ima_wav,adpcm_ms,pcm_alaw,pcm_f32le,pcm_mulaw,pcm_s16le,pcm_s24le,pcm_s32le,pcm_u8"
)
# A header cannot hide what follows: WAV's size and MP4's edits are not believed.
_OPTIONS = {
    "format_whitelist": _FORMATS,
    "codec_whitelist": _DECODERS,
    "protocol_whitelist": "",
    "max_streams": "8",
    "ignore_length": "1",
    "ignore_editlist": "1",
}
_LIMITS = (
    (resource.RLIMIT_CPU, 20),
    (resource.RLIMIT_AS, 1024**3),
    (resource.RLIMIT_FSIZE, 0),
    (resource.RLIMIT_CORE, 0),
    # Nothing more is opened, be it a file or a socket.
    (resource.RLIMIT_NOFILE, 0),
)
# How this program ends when the file is no recording; with anything else it has failed.
NO_RECORDING = 3


def seconds_of(content: bytes, most: float) -> float:
    """How long it sounds: its longest track, decoded to the end, or until it is longer than `most`. What cannot be
    decoded does not sound. Raises av.FFmpegError."""
    with av.open(io.BytesIO(content), "r", options=_OPTIONS) as container:
        tracks = tuple(filter(_is_decoded, container.streams.audio))
        lengths = dict.fromkeys((track.index for track in tracks), 0.0)
        for track in tracks:
            track.codec_context.thread_count = 1
            # Nor can a file say that most of its samples are to be thrown away.
            track.codec_context.flags2 |= av.codec.context.Flags2.skip_manual
        for packet in container.demux(tracks) if tracks else ():
            lengths[packet.stream_index] += _sound(packet)
            if lengths[packet.stream_index] > most:
                break
    return max(lengths.values(), default=0.0)


def _is_decoded(track: AudioStream) -> bool:
    # Of a codec that ffmpeg does not know there is no context.
    return track.codec_context is not None and track.codec_context.name in _DECODERS.split(",")


def _sound(packet: "av.Packet[AudioStream]") -> float:
    try:
        return sum(frame.samples / frame.sample_rate for frame in packet.decode() if frame.sample_rate)
    except av.FFmpegError:
        return 0.0


def main() -> int:
    content = sys.stdin.buffer.read()
    for what, limit in _LIMITS:
        resource.setrlimit(what, (limit, limit))
    try:
        seconds = seconds_of(content, float(sys.argv[1]))
    except av.FFmpegError:
        return NO_RECORDING
    if not seconds:
        return NO_RECORDING
    sys.stdout.write(repr(seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
