"""Bodies that come compressed: unpacked, and never to more than they may have."""

import zlib
from collections.abc import Callable, Mapping

import brotli
from backports import zstd

from ..relay.errors import CallRefused
from .errors import too_large

# RFC 9659: who unpacks need not remember more than 8 MiB.
_ZSTD: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}


def unpacked(body: bytes, encoding: bytes, limit: int) -> bytes:
    """The body as it was before it was compressed. Raises CallRefused."""
    for name in reversed([each.strip().lower() for each in encoding.split(b",")]):
        if name in (b"", b"identity"):
            continue
        unpack = _UNPACK.get(name)
        if unpack is None:
            text = f"Bodies compressed with {name.decode('latin-1')} are not understood here: {UNDERSTOOD} are."
            raise CallRefused(text, status=415, code="unsupported_encoding")
        try:
            body, whole = unpack(body, limit + 1)
        except (zlib.error, zstd.ZstdError, brotli.error):
            raise CallRefused(f"The body is no {name.decode()}.", code="invalid_encoding") from None
        if len(body) > limit:
            raise too_large()
        if not whole:
            raise CallRefused(f"The body is no complete {name.decode()}.", code="invalid_encoding")
    return body


# What a body holds, about `most` bytes of it at the most, and whether that is all and it is whole.
_Unpacked = tuple[bytes, bool]


def _gzip(body: bytes, most: int) -> _Unpacked:
    return _zlib(zlib.decompressobj(16 + zlib.MAX_WBITS), body, most)


def _deflate(body: bytes, most: int) -> _Unpacked:
    # Some send what is meant by the name and not what is written in the standard: no head, no checksum.
    bare = body[:1] and body[0] & 0x0F != 8
    return _zlib(zlib.decompressobj(-zlib.MAX_WBITS if bare else zlib.MAX_WBITS), body, most)


def _zlib(unpacker: "zlib._Decompress", body: bytes, most: int) -> _Unpacked:
    return unpacker.decompress(body, most), unpacker.eof


def _zstd(body: bytes, most: int) -> _Unpacked:
    """One frame or several."""
    found: list[bytes] = []
    while True:
        frame = zstd.ZstdDecompressor(options=_ZSTD)
        found.append(frame.decompress(body, most))
        most -= len(found[-1])
        body = frame.unused_data
        if not frame.eof or not body or most <= 0:
            return b"".join(found), frame.eof


def _brotli(body: bytes, most: int) -> _Unpacked:
    unpacker = brotli.Decompressor()
    out = unpacker.process(body, output_buffer_limit=most)
    while len(out) < most and not unpacker.is_finished() and not unpacker.can_accept_more_data():
        out += unpacker.process(b"", output_buffer_limit=most - len(out))
    return out, unpacker.is_finished()


_UNPACK: Mapping[bytes, Callable[[bytes, int], _Unpacked]] = {
    b"gzip": _gzip, b"x-gzip": _gzip, b"deflate": _deflate, b"zstd": _zstd, b"br": _brotli,
}  # fmt: skip
UNDERSTOOD = "gzip, deflate, zstd, br"
