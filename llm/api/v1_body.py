"""Bodies that come compressed: unpacked, and never to more than they may have."""

import zlib

from ..relay.errors import CallRefused
from .errors import too_large

# gzip and deflate are in Python; a library for zstd and br is not among what we depend on.
_WINDOWS = {b"gzip": 16 + zlib.MAX_WBITS, b"x-gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}


def unpacked(body: bytes, encoding: bytes, limit: int) -> bytes:
    """The body as it was before it was compressed. Raises CallRefused."""
    for name in reversed([each.strip().lower() for each in encoding.split(b",")]):
        if name in (b"", b"identity"):
            continue
        if name not in _WINDOWS:
            text = f"Bodies compressed with {name.decode('latin-1')} are not understood here: gzip and deflate are."
            raise CallRefused(text, status=415, code="unsupported_encoding")
        body = _inflated(body, name, limit)
    return body


def _inflated(body: bytes, name: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj(_WINDOWS[name])
    if name == b"deflate" and body[:1] and body[0] & 0x0F != 8:
        # Some send what is meant by the name and not what is written in the standard: no head, no checksum.
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        out = unpacker.decompress(body, limit + 1)
    except zlib.error:
        raise CallRefused(f"The body is no {name.decode()}.", code="invalid_encoding") from None
    if len(out) > limit or unpacker.unconsumed_tail:
        raise too_large()
    if not unpacker.eof:
        raise CallRefused(f"The body is no complete {name.decode()}.", code="invalid_encoding")
    return out
