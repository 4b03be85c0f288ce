"""Which of several credentials: the highest priority first, and of those of one priority a conversation's own.

By rendezvous hashing each credential draws a number for a conversation, which its weight raises, and the highest wins:
so a conversation, and what a provider remembers of it, stays where it is while credentials come, go and rest.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from .catalogue import CredentialSpec

# As much of the first messages as tells conversations apart.
_MOST_BYTES = 4096


def in_order(credentials: Iterable[CredentialSpec], conversation: str) -> list[CredentialSpec]:
    """Whom to ask first, second, …"""
    credentials = list(credentials)
    if len(credentials) < 2:
        return credentials
    return sorted(credentials, key=lambda each: (-each.priority, -_drawn(each, conversation)))


def _drawn(credential: CredentialSpec, conversation: str) -> float:
    digest = hashlib.blake2b(f"{credential.id}\n{conversation}".encode(), digest_size=8).digest()
    share = (int.from_bytes(digest) + 1) / (2**64 + 2)
    return credential.weight / -math.log(share)


def conversation_of(body: Mapping[str, Any]) -> str:
    """What marks a conversation, in a request of any dialect: the client's own word for it, else how it begins. Empty:
    it is none."""
    metadata = body.get("metadata")
    told = body.get("prompt_cache_key") or (metadata.get("user_id") if isinstance(metadata, Mapping) else None)
    if isinstance(told, str) and told:
        return f"told:{told}"
    messages = body.get("messages") or body.get("input")
    if not messages or (isinstance(messages, str) and "messages" not in body):
        return ""
    first = _until_asked(messages) if isinstance(messages, list) else messages
    begins = orjson.dumps([body.get("system") or body.get("instructions"), first], default=str)
    return hashlib.blake2b(begins[:_MOST_BYTES], digest_size=16).hexdigest()


def _until_asked(messages: list[Any]) -> list[Any]:
    """The messages up to the first one of the user."""
    roles = [each.get("role") if isinstance(each, Mapping) else None for each in messages]
    return messages[: roles.index("user") + 1] if "user" in roles else messages[:1]
