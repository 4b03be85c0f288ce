"""The label in pictures: XMP in PNG, JPEG and WebP, and a text of its own in PNG. The picture's points stay as they are
to the byte: a block is put in, nothing is drawn anew."""

import io
import struct
import zlib
from collections.abc import Iterator
from html import escape

from PIL import Image, UnidentifiedImageError

from .label import KEY, AILabel

_NAMESPACE = "http://www.tc260.org.cn/ns/AIGC/1.0/"
_PNG, _XMP_NAME = b"\x89PNG\r\n\x1a\n", b"http://ns.adobe.com/xap/1.0/\0"
_XMP_KEYWORD = "XML:com.adobe.xmp"
# Flags of a WebP's extended header.
_HAS_XMP, _HAS_ALPHA = 0x04, 0x10


def label_picture(content: bytes, label: AILabel) -> bytes:
    """The same picture with its label; what is none of the three stays as it is."""
    text = label.json()
    try:
        if content.startswith(_PNG):
            return _png(content, text)
        if content.startswith(b"\xff\xd8"):
            return _jpeg(content, text)
        if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            return _webp(content, text)
    except (ValueError, struct.error, UnidentifiedImageError):
        # It breaks off, or is something else than it begins as.
        return content
    return content


def _xmp(text: str) -> bytes:
    packet = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        f' xmlns:TC260="{_NAMESPACE}"><TC260:AIGC>{escape(text)}</TC260:AIGC></rdf:Description></rdf:RDF></x:xmpmeta>'
        '<?xpacket end="w"?>'
    )
    return packet.encode()


def _png(content: bytes, text: str) -> bytes:
    """Behind the header, where every program reads it."""
    ends = len(_PNG) + 25
    if content[12:16] != b"IHDR" or len(content) < ends:
        raise ValueError("no header")
    texts = _png_text(_XMP_KEYWORD, _xmp(text)) + _png_text(KEY, text.encode())
    return content[:ends] + texts + content[ends:]


def _png_text(keyword: str, text: bytes) -> bytes:
    data = b"iTXt" + keyword.encode() + b"\0\0\0\0\0" + text
    return struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))


def _jpeg(content: bytes, text: str) -> bytes:
    """Behind the marks of its format (JFIF, Exif), which come first."""
    data = _XMP_NAME + _xmp(text)
    at = 2
    while content[at : at + 1] == b"\xff" and content[at + 1] in (0xE0, 0xE1):
        (length,) = struct.unpack_from(">H", content, at + 2)
        at += 2 + length
    if content[at : at + 1] != b"\xff":
        raise ValueError("no segment")
    return content[:at] + b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data + content[at:]


def _webp(content: bytes, text: str) -> bytes:
    """At the end, announced in the extended header, which a simple one gets."""
    blocks = list(_blocks(content))
    if not blocks:
        raise ValueError("no blocks")
    if blocks[0][0] == b"VP8X":
        header = bytearray(blocks.pop(0)[1])
    else:
        with Image.open(io.BytesIO(content)) as picture:
            (width, height), alpha = picture.size, "A" in picture.mode
        header = bytearray(bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))
        header[0] |= _HAS_ALPHA if alpha else 0
    header[0] |= _HAS_XMP
    blocks = [(b"VP8X", bytes(header)), *(block for block in blocks if block[0] != b"XMP "), (b"XMP ", _xmp(text))]
    data = b"WEBP" + b"".join(
        name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for name, body in blocks
    )
    return b"RIFF" + struct.pack("<I", len(data)) + data


def _blocks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(content):
        (length,) = struct.unpack_from("<I", content, at + 4)
        if at + 8 + length > len(content):
            raise ValueError("it breaks off")
        yield content[at : at + 4], content[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
