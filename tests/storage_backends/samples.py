"""Files as people send them, each as small as its kind can be."""

import io
import struct
import zlib
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82"
)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00" + bytes(64)
GIF = b"GIF89a\x01\x00\x01\x00\x00\xff\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x00;"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><html><body><script>alert(document.cookie)</script></body></html>"
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
# 16 kHz mono frames of 24 kbit/s, a little over a second of them.
MP3 = (b"\xff\xf3\x38\xc4" + bytes(104)) * 30


def wav(seconds: float, rate: int = 8000) -> bytes:
    """Silence, mono, 8 bits."""
    size = int(seconds * rate)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + size)
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 1, rate, rate, 1, 8)
        + b"data"
        + struct.pack("<I", size)
        + b"\x80" * size
    )


def huge_png() -> bytes:
    """A picture of 50,000 by 50,000 dots in a few bytes."""
    header = struct.pack(">II5B", 50_000, 50_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    return PNG[:8] + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


def send(client: Any, content: bytes, name: str = "a.bin", *, file_name: str | None = None, **more: Any) -> Any:
    """POST /api/files/upload as a form."""
    form: dict[str, Any] = {"file": SimpleUploadedFile(name, content)}
    if file_name is not None:
        form["fileName"] = file_name
    return client.post("/api/files/upload", form, format="multipart", **more)


def file(content: bytes) -> io.BytesIO:
    return io.BytesIO(content)
