"""Server-sent events, incrementally: bytes in as the network cuts them, complete events out.

Source: the HTML standard, 9.2.6. An event ends with an empty line; what is left at the end of the body counts as one
too, because some servers forget it. A byte order mark before the first event is no part of it.
"""

from typing import NamedTuple

# Pictures and long results of tools come as one event.
MAX_EVENT_BYTES = 16 * 1024 * 1024

_FIELDS = (b"event", b"id", b"retry")
_BOM = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """An event grew beyond the limit without ending."""


class Frame(NamedTuple):
    """One event: its lines as they came, the empty one included (empty: it is nothing but `data: ` and its data); its
    data; its name, which is often missing."""

    block: bytes
    data: bytes
    name: bytes = b""


class Events:
    """A parser for one body. `broken` counts lines that are no field and no comment."""

    def __init__(self, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self.broken = 0
        self._max_bytes = max_bytes
        self._rest = bytearray()
        self._after_cr = False
        # What may yet turn out to be a byte order mark; None once the body has begun.
        self._mark: bytes | None = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Every event with data that is now complete; several data lines are joined by a line feed."""
        if self._mark is not None:
            data = self._without_mark(data)
        plain = not self._after_cr and b"\r" not in data
        # Nearly every packet is one event of one line.
        single = plain and data.find(b"\n") == len(data) - 2 and data.endswith(b"\n") and not self._rest
        if single and data.startswith(b"data: "):
            return [Frame(data, data[6:-2])]
        if not plain:
            data = self._line_feeds(data)
        found: list[Frame] = []
        for block in self._complete(data):
            if block.startswith(b"data: ") and b"\n" not in block:
                found.append(Frame(b"", block[6:]))
            elif block:
                self._read(block, found)
        return found

    def _complete(self, data: bytes) -> list[bytes]:
        """The blocks that are complete with this; the rest is kept."""
        rest = self._rest
        if rest:
            searched = len(rest) - 1
            rest += data
            end = rest.rfind(b"\n\n", searched)
            if end >= 0:
                data = bytes(rest[:end])
                del rest[: end + 2]
        else:
            end = data.rfind(b"\n\n")
            rest += data[end + 2 :] if end >= 0 else data
            data = data[:end]
        if len(rest) > self._max_bytes:
            raise EventTooLarge(f"An event is larger than {self._max_bytes} bytes.")
        return data.split(b"\n\n") if end >= 0 else []

    def end(self) -> list[Frame]:
        """An event that the end of the body completes."""
        found: list[Frame] = []
        self._read(bytes(self._rest), found)
        self._rest.clear()
        return found

    def _without_mark(self, data: bytes) -> bytes:
        data = (self._mark or b"") + data
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._mark = data
            return b""
        self._mark = None
        return data.removeprefix(_BOM)

    def _line_feeds(self, data: bytes) -> bytes:
        """CRLF and CR as LF, also when the two arrive apart."""
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        # An empty packet tells nothing about what follows the CR.
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _read(self, block: bytes, found: list[Frame]) -> None:
        block = block.strip(b"\n")
        lines: list[bytes] = []
        called = b""
        for line in block.split(b"\n"):
            name, colon, value = line.partition(b":")
            if name == b"data":
                lines.append(value.removeprefix(b" "))
            elif name == b"event":
                called = value.removeprefix(b" ")
            elif name and not (colon and name in _FIELDS):
                self.broken += 1
        if any(lines):
            found.append(Frame(block + b"\n\n", b"\n".join(lines), called))
