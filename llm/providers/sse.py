"""Server-sent events, incrementally: bytes in as the network cuts them, the data of complete events out.

Source: the HTML standard, 9.2.6. An event ends with an empty line; what is left at the end of the body counts as one
too, because some servers forget it.
"""

MAX_EVENT_BYTES = 1024 * 1024

_FIELDS = (b"event", b"id", b"retry")


class EventTooLarge(ValueError):
    """An event grew beyond the limit without ending."""


class Events:
    """A parser for one body. `broken` counts lines that are no field and no comment."""

    def __init__(self, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self.broken = 0
        self._max_bytes = max_bytes
        self._rest = bytearray()
        self._after_cr = False

    def feed(self, data: bytes) -> list[bytes]:
        """The data of every event that is now complete; several data lines are joined by a line feed."""
        # Nearly every packet is one event of one line.
        plain = not self._after_cr and b"\r" not in data
        single = plain and not self._rest and data.startswith(b"data: ") and data.find(b"\n") == len(data) - 2
        if single and data.endswith(b"\n"):
            return [data[6:-2]]
        if not plain:
            data = self._line_feeds(data)
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
        found: list[bytes] = []
        if end < 0:
            return found
        for block in data.split(b"\n\n"):
            if block.startswith(b"data: ") and b"\n" not in block:
                found.append(block[6:])
            elif block:
                self._read(block, found)
        return found

    def end(self) -> list[bytes]:
        """The data of an event that the end of the body completes."""
        found: list[bytes] = []
        self._read(bytes(self._rest), found)
        self._rest.clear()
        return found

    def _line_feeds(self, data: bytes) -> bytes:
        """CRLF and CR as LF, also when the two arrive apart."""
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        # An empty packet tells nothing about what follows the CR.
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _read(self, block: bytes, found: list[bytes]) -> None:
        lines: list[bytes] = []
        for line in block.split(b"\n"):
            name, colon, value = line.partition(b":")
            if name == b"data":
                lines.append(value.removeprefix(b" "))
            elif name and not (colon and name in _FIELDS):
                self.broken += 1
        if any(lines):
            found.append(b"\n".join(lines))
