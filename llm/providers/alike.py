"""Chunks that are like an earlier one but for their text, which is most of a stream: known without reading their JSON.

What stands before and after the text was read once. Between the two stands a text without quotation marks, backslashes
and control characters: so it is the whole of one JSON string, and all the rest is as it was read.
"""

import orjson

# So many chunks may be learned from for nothing: some providers put something new into each.
_PATIENCE = 8


class Alike:
    """Of one stream. `model` is the model that those chunks name."""

    def __init__(self) -> None:
        self.model = ""
        self._head = self._tail = b""
        self._lessons = self._hits = 0

    def text_of(self, data: bytes) -> str:
        """The text of a chunk that is like the one that was learned; empty: it has to be read."""
        head, tail = self._head, self._tail
        if not head or not data.startswith(head) or not data.endswith(tail):
            return ""
        try:
            text = str(data[len(head) : -len(tail)], "utf-8")
        except UnicodeDecodeError:
            return ""
        if '"' in text or "\\" in text or not text.isprintable():
            return ""
        self._hits += 1
        return text

    def learn(self, data: bytes, text: str, model: str) -> None:
        """A chunk was read that shows nothing but this text, reports nothing and finishes nothing."""
        if self._lessons > self._hits + _PATIENCE or b"\\" in data or b"\n" in data:
            return
        self._lessons += 1
        written = orjson.dumps(text)
        # Without escapes the text stands there as it is; where it stands twice, we cannot tell which one is meant.
        at = data.find(written)
        if at < 0 or data.find(written, at + 1) >= 0:
            return
        self.model, self._head, self._tail = model, data[: at + 1], data[at + len(written) - 1 :]
