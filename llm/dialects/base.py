"""What a dialect is: how much of a request must be known, and how it is said in OpenAI's chat shape and back.

Its meter, which looks on while an answer passes, is the reader of its events in `providers`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..providers.base import Chunk
from ..relay.catalogue import ModelSpec
from ..relay.settling import Completed


class Translator(Protocol):
    """Turns the chat chunks of one answer into the dialect's events."""

    def feed(self, chunk: Chunk, model: ModelSpec) -> bytes:
        """The events that follow from a chunk; may be none."""

    def end(self, completed: Completed[None]) -> bytes:
        """The last events."""


@dataclass(frozen=True)
class Dialect:
    """`check` raises CallRefused for what cannot be read at all. `headers` says which of the client's go up with the
    body. `to_chat`, `from_chat` and `translator` are for providers that do not speak it; the first raises Unsupported
    for what cannot be said in OpenAI's shape, the others are given the request as it came. `end` is what a
    stream's last bytes are."""

    name: str
    check: Callable[[Mapping[str, Any]], None]
    weigh: Callable[[Mapping[str, Any]], float]
    needs: Callable[[Mapping[str, Any]], list[str]]
    headers: Callable[[str], bool]
    capability: str = "chat"
    to_chat: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    from_chat: Callable[[Mapping[str, Any], Completed[Any]], dict[str, Any]] | None = None
    translator: Callable[[Mapping[str, Any], str], Translator] | None = None
    end: bytes = b""


# Who we are to a provider is not the client's to say.
_OURS = ("openai-organization", "openai-project")


def header_names(prefix: str) -> Callable[[str], bool]:
    """Headers of a vendor's own; the only ones that go up."""
    return lambda name: name.startswith(prefix) and name not in _OURS
