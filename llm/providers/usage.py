"""Reports of usage, as providers write them. What is missing or makes no sense is no report; an explicit 0 is one."""

from typing import Any

from .base import Tokens

# Far beyond every context window: a larger number is a mistake, and would be charged.
_MOST = 100_000_000


def count(value: object) -> int | None:
    """A number of tokens, or None."""
    return value if type(value) is int and 0 <= value <= _MOST else None


def openai_tokens(usage: Any, *, final: bool = True) -> Tokens | None:
    """OpenAI's chat usage; also of images, where the names are input_tokens and output_tokens."""
    if type(usage) is not dict:
        return None
    read = count(usage.get("prompt_tokens", usage.get("input_tokens")))
    written = count(usage.get("completion_tokens", usage.get("output_tokens")))
    return None if read is None or written is None else Tokens(read, written, final)


def embedding_tokens(usage: Any) -> Tokens | None:
    """Usage of embeddings, where nothing is written."""
    read = count(usage.get("prompt_tokens")) if type(usage) is dict else None
    return None if read is None else Tokens(read, 0)


def claude_tokens(usage: Any, *, final: bool = True) -> Tokens | None:
    """Anthropic's usage: input_tokens excludes what went through the cache, so the three inputs are added up."""
    if type(usage) is not dict:
        return None
    cached = (usage.get(name) or 0 for name in ("cache_creation_input_tokens", "cache_read_input_tokens"))
    inputs = [count(value) for value in (usage.get("input_tokens"), *cached)]
    written = count(usage.get("output_tokens"))
    known = [value for value in inputs if value is not None]
    return None if written is None or len(known) < len(inputs) else Tokens(sum(known), written, final)
