"""What a dialect is: how much of a request must be known, and how it is said in OpenAI's chat shape and back.

Its meter, which looks on while an answer passes, is the reader of its events in `providers`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import orjson

from voicehelper.api.errors import ErrorAnswer

from ..providers import json_text
from ..providers.base import Chunk
from ..relay.catalogue import ModelSpec
from ..relay.questions import Addressee
from ..relay.settling import Completed


class Translator(Protocol):
    """Makes the dialect's events of the chunks of one answer, or the dialect's answer of a whole one."""

    def whole(self, completed: Completed[Any]) -> bytes:
        """An answer that came in one piece."""

    def feed(self, chunk: Chunk, model: ModelSpec, credential_id: int) -> bytes:
        """The events that follow from a chunk; may be none. `credential_id` is the account that answers."""

    def end(self, completed: Completed[Any]) -> bytes:
        """The last events."""

    def fail(self, answer: ErrorAnswer, completed: Completed[Any] | None) -> bytes:
        """The last events of an answer that broke off: why, and what it cost all the same (None: nothing)."""


def event(name: str, data: Mapping[str, Any]) -> bytes:
    """One event of a stream, in bytes."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), json_text.write(data))


def renamed(data: bytes, was: str, name: str) -> bytes:
    """JSON that calls the model by the name users know. Inside of texts quotation marks are escaped, so what is
    replaced is a whole value."""
    if was == name:
        return data
    before, after = _named(was), _named(name)
    if before in data:
        return data.replace(before, after, 1)
    spaced = rb'("model"\s*:\s*)%b' % re.escape(orjson.dumps(was))
    return re.sub(spaced, lambda found: found[1] + orjson.dumps(name), data, count=1)


@lru_cache(100)
def _named(model: str) -> bytes:
    return b'"model":%b' % orjson.dumps(model)


@dataclass(frozen=True)
class Dialect:
    """`check` raises CallRefused for what cannot be read at all. `headers` says which of the client's go up with the
    body. `to_chat` and `translator` are for providers that do not speak it; the first raises Unsupported for what
    cannot be said in OpenAI's shape, the other is given the request as it came. `upward` is the body for those that do,
    where it is not the one that came, and `follower` follows their answers, where there is more to do than to pass them
    on. `end` is what a stream's last bytes are, `broken` those of one that broke off and nobody else has told so: why,
    and the request's id."""

    name: str
    check: Callable[[Mapping[str, Any]], None]
    weigh: Callable[[Mapping[str, Any]], float]
    needs: Callable[[Mapping[str, Any]], list[str]]
    headers: Callable[[str], bool]
    broken: Callable[[ErrorAnswer, str], bytes]
    capability: str = "chat"
    to_chat: Callable[[Mapping[str, Any], Addressee], dict[str, Any]] | None = None
    translator: Callable[[Mapping[str, Any], str], Translator] | None = None
    upward: Callable[[Mapping[str, Any], Addressee], dict[str, Any]] | None = None
    follower: Callable[[Mapping[str, Any], str], Translator] | None = None
    end: bytes = b""


# Who we are to a provider is not the client's to say.
_OURS = ("openai-organization", "openai-project", "anthropic-workspace-id", "anthropic-user-profile-id")


def header_names(prefix: str) -> Callable[[str], bool]:
    """Headers of a vendor's own; the only ones that go up."""
    return lambda name: name.startswith(prefix) and name not in _OURS
