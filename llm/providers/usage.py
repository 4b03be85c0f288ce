"""Reports of usage, as providers write them: one reader, by the shape of the report and not by who wrote it.

What is missing or makes no sense is no report; an explicit 0 is one. Cached tokens are inside the input, but for
Anthropic's shape, where they stand beside it; reasoning is inside the output, unless the total says otherwise.
"""

from typing import Any

from ..kinds import INPUT, OUTPUT
from .base import Tokens

# Far beyond every context window: a larger number is a mistake, and would be charged.
_MOST = 100_000_000
_JSON = dict[str, Any]

# What the same part is called in OpenAI's chat, in its Responses and images, and in its realtime API.
_READ_DETAILS = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
_WROTE_DETAILS = ("completion_tokens_details", "output_tokens_details", "output_token_details")
# OpenAI's own name for what went into a cache, and those of LiteLLM, DashScope and Together.
_WRITTEN = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens", "created_cache_tokens")
# What was read from one, told beside the details: DeepSeek, Anthropic through gateways, Moonshot and Together.
_CACHED = ("prompt_cache_hit_tokens", "cache_read_input_tokens", "cached_tokens")
_PLAIN = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})
_BESIDE = ("cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation")


class _Nonsense(ValueError):
    """A part that is there and no count: then nothing of the report is believed."""


def count(value: object) -> int | None:
    """A number of tokens, or None."""
    return value if type(value) is int and 0 <= value <= _MOST else None


def tokens_of(usage: Any, *, final: bool = True, service_tier: Any = None, tool_usage: Any = None) -> Tokens | None:
    """What a report says, whoever wrote it. `service_tier` and `tool_usage` are what the answer says beside it."""
    if type(usage) is not dict:
        return None
    if _is_plain(usage) and not tool_usage:
        return Tokens(usage["prompt_tokens"], usage["completion_tokens"], final, service_tier=_tier(service_tier))
    try:
        kinds = _kinds(usage)
        if kinds is not None and (searches := _searches(usage, tool_usage)):
            kinds["web_search"] = searches
    except _Nonsense:
        return None
    return None if kinds is None else _tokens(kinds, final, usage.get("service_tier") or service_tier)


def embedding_tokens(usage: Any, meta: Any = None) -> Tokens | None:
    """Usage of what is only read: embeddings, ranks. Cohere and SiliconFlow report ranks' in `meta`."""
    if type(usage) is not dict:
        usage = meta.get("tokens") if type(meta) is dict else None
    if type(usage) is not dict:
        return None
    told = (usage.get(name) for name in ("prompt_tokens", "input_tokens", "total_tokens"))
    read = next((number for number in told if number is not None), None)
    return tokens_of({**usage, "prompt_tokens": read, "completion_tokens": 0})


def image_tokens(usage: Any) -> Tokens | None:
    """Usage of drawn pictures: what is written is picture, but for what is said to be text."""
    found = tokens_of(usage)
    if found is None or "output" not in found.kinds:
        return found
    kinds = dict(found.kinds)
    text = min(kinds["output"], count(_details(usage, _WROTE_DETAILS).get("text_tokens")) or 0)
    kinds["output_image"] = kinds.pop("output") - text + kinds.get("output_image", 0)
    return _tokens(kinds | {"output": text}, found.final, found.service_tier)


def _is_plain(usage: _JSON) -> bool:
    """Whether it only says how much came in and went out. Most do, some with every chunk."""
    if count(usage.get("prompt_tokens")) is None or count(usage.get("completion_tokens")) is None:
        return False
    for name, value in usage.items():
        if value and name not in _PLAIN and (type(value) is not dict or any(value.values())):
            return False
    return not _beside(usage, usage["prompt_tokens"], usage["completion_tokens"])


def _tier(said: Any) -> str:
    return said[:16] if type(said) is str else ""


def _tokens(kinds: dict[str, int], final: bool, service_tier: Any) -> Tokens:
    kinds = {kind: number for kind, number in kinds.items() if number}
    read = sum(number for kind, number in kinds.items() if kind in INPUT)
    wrote = sum(number for kind, number in kinds.items() if kind in OUTPUT)
    return Tokens(read, wrote, final, kinds, _tier(service_tier))


# --- Shapes ----------------------------------------------------------------------------------------------------------
def _kinds(usage: _JSON) -> dict[str, int] | None:
    kinds = _of_answer(usage)
    given = usage.get("iterations")
    if kinds is None or type(given) is not list:
        return kinds
    # What Claude read and wrote to sum a conversation up stands beside the totals; its other iterations are in them.
    for each in given:
        summed = _anthropic(each) if type(each) is dict and each.get("type") == "compaction" else None
        for kind, number in (summed or {}).items():
            kinds[kind] = kinds.get(kind, 0) + number
    return kinds


def _of_answer(usage: _JSON) -> dict[str, int] | None:
    if "promptTokenCount" in usage:
        return _gemini(usage)
    if "generated_images" in usage:
        pieces = count(usage["generated_images"])
        return None if pieces is None else {"image": pieces}
    details = _details(usage, _READ_DETAILS)
    if "prompt_tokens" not in usage and not details and any(name in usage for name in _BESIDE):
        return _anthropic(usage)
    return _openai(usage, details)


def _openai(usage: _JSON, details: _JSON) -> dict[str, int] | None:
    read = count(usage.get("prompt_tokens", usage.get("input_tokens")))
    wrote = count(usage.get("completion_tokens", usage.get("output_tokens")))
    if read is None or wrote is None:
        return None
    written = _details(usage, _WROTE_DETAILS)
    cached = next(filter(None, (_part(usage, name) for name in _CACHED)), 0)
    stored, stored_long = _into_cache(usage, details)
    beside, thought = _beside(usage, read, wrote), _part(written, "reasoning_tokens")
    if beside and beside == cached + stored and beside != thought:
        # Of a gateway that left its Claude's cache beside the prompt.
        read += beside
    elif beside and (thought == beside or not (thought or cached or stored)):
        # Thoughts, told or not (Gemini through gateways, some of xAI's versions): router-for-me/CLIProxyAPI#5733,
        # mozilla-ai/any-llm#1290.
        wrote += beside
    audio = min(wrote, _part(written, "audio_tokens"))
    image = min(wrote - audio, _part(written, "image_tokens"))
    kinds = {"output": wrote - audio - image, "output_audio": audio, "output_image": image}
    if not (details or cached or stored):
        return {"input": read, **kinds}
    by_kind = details.get("cached_tokens_details")
    by_kind = by_kind if type(by_kind) is dict else {}
    found = kinds | _inside(
        read,
        audio=_part(details, "audio_tokens"),
        image=_part(details, "image_tokens"),
        cached=_part(details, "cached_tokens") or cached,
        cached_audio=_part(by_kind, "audio_tokens") or _part(details, "audio_cached_tokens"),
        cached_image=_part(by_kind, "image_tokens"),
        written=stored,
    )
    long = min(stored_long, found["cache_write"])
    return found | {"cache_write": found["cache_write"] - long, "cache_write_long": long}


def _into_cache(usage: _JSON, details: _JSON) -> tuple[int, int]:
    """What went into a cache, and how much of it for an hour: LiteLLM repeats Claude's words for it."""
    split = details.get("cache_creation_token_details")
    split = split if type(split) is dict else usage.get("cache_creation")
    long = _part(split, "ephemeral_1h_input_tokens") if type(split) is dict else 0
    short = _part(split, "ephemeral_5m_input_tokens") if type(split) is dict else 0
    told = next(filter(None, (_part(details, name) for name in _WRITTEN)), 0)
    return max(told or _part(usage, "cache_creation_input_tokens"), long + short), long


def _beside(usage: _JSON, read: int, wrote: int) -> int:
    """How much more the total is than what came in and went out."""
    return max(0, (count(usage.get("total_tokens")) or 0) - read - wrote)


def _anthropic(usage: _JSON) -> dict[str, int] | None:
    plain, wrote = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
    if plain is None or wrote is None:
        return None
    split = usage.get("cache_creation")
    split = split if type(split) is dict else {}
    long = _part(split, "ephemeral_1h_input_tokens")
    written = max(_part(usage, "cache_creation_input_tokens"), long + _part(split, "ephemeral_5m_input_tokens"))
    cached = _part(usage, "cache_read_input_tokens")
    kinds = {"input": plain, "cache_read": cached, "cache_write": written - long, "cache_write_long": long}
    return kinds | {"output": wrote}


def _gemini(usage: _JSON) -> dict[str, int] | None:
    """Thoughts stand beside the candidates, the prompts of tools beside the prompt. Fields that are 0 are left out."""
    prompt = count(usage["promptTokenCount"])
    if prompt is None:
        return None
    wrote = _part(usage, "candidatesTokenCount") + _part(usage, "thoughtsTokenCount")
    audio = min(wrote, _modality(usage, "candidatesTokensDetails", "AUDIO"))
    image = min(wrote - audio, _modality(usage, "candidatesTokensDetails", "IMAGE"))
    return {"output": wrote - audio - image, "output_audio": audio, "output_image": image} | _inside(
        prompt + _part(usage, "toolUsePromptTokenCount"),
        audio=_modality(usage, "promptTokensDetails", "AUDIO"),
        image=_modality(usage, "promptTokensDetails", "IMAGE"),
        cached=_part(usage, "cachedContentTokenCount"),
        cached_audio=_modality(usage, "cacheTokensDetails", "AUDIO"),
        cached_image=_modality(usage, "cacheTokensDetails", "IMAGE"),
        written=0,
    )


def _inside(
    read: int, *, audio: int, image: int, cached: int, cached_audio: int, cached_image: int, written: int
) -> dict[str, int]:
    """Parts of the input, which never exceed it: sound, pictures, what was read from a cache, what was written to one.
    Of what kind cached tokens were is often not said: text first, then pictures, then sound."""
    audio = min(audio, read)
    image = min(image, read - audio)
    text, cached = read - audio - image, min(cached, read)
    known_audio = min(cached_audio, audio, cached)
    known_image = min(cached_image, image, cached - known_audio)
    unknown = _taken(cached - known_audio - known_image, text, image - known_image, audio - known_audio)
    of_text, of_image, of_audio = unknown[0], unknown[1] + known_image, unknown[2] + known_audio
    text, image, audio = text - of_text, image - of_image, audio - of_audio
    into = _taken(min(written, read - cached), text, image, audio)
    return {
        "input": text - into[0],
        "input_image": image - into[1],
        "input_audio": audio - into[2],
        "cache_read": of_text,
        "cache_read_image": of_image,
        "cache_read_audio": of_audio,
        "cache_write": sum(into),
    }


def _taken(number: int, *places: int) -> list[int]:
    """How much of a number each place takes, in order."""
    taken = []
    for room in places:
        taken.append(min(number, room))
        number -= taken[-1]
    return taken


# --- Parts -----------------------------------------------------------------------------------------------------------
def _part(report: _JSON, name: str) -> int:
    """A part of a report: 0 when it is missing or null."""
    value = report.get(name)
    if value is None:
        return 0
    number = count(value)
    if number is None:
        raise _Nonsense(name)
    return number


def _details(usage: _JSON, names: tuple[str, ...]) -> _JSON:
    return next((found for name in names if type(found := usage.get(name)) is dict), {})


def _modality(usage: _JSON, name: str, modality: str) -> int:
    listed = usage.get(name)
    parts = [part for part in listed if type(part) is dict] if type(listed) is list else []
    return sum(_part(part, "tokenCount") for part in parts if part.get("modality") == modality)


def _searches(usage: _JSON, tool_usage: Any) -> int:
    """Searches of the web that a provider made and bills: Perplexity's, xAI's, Anthropic's, OpenAI's and Ark's ways to
    say so. xAI bills by the source."""
    number = max(_part(usage, "num_search_queries"), _part(usage, "num_sources_used"))
    calls = usage.get("server_side_tool_usage_details")
    if type(calls) is dict:
        number = max(number, _part(calls, "web_search_calls") + _part(calls, "x_search_calls"))
    found = usage.get("server_tool_use")
    number = max(number, _part(found, "web_search_requests") if type(found) is dict else 0)
    for tools in (usage.get("tool_usage"), tool_usage):
        said = tools.get("web_search") if type(tools) is dict else None
        number = max(number, _part(said, "num_requests") if type(said) is dict else _part({"n": said}, "n"))
    return number
