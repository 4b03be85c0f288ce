"""A Responses request for whoever is asked: as a chat request, or, where Responses are spoken, as it came but for what
would be state at our account.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from ...relay.estimates import weigh, weigh_data
from ...relay.questions import Addressee
from ...relay.searching import is_search, search_is_optional, searches
from . import sealed
from .checks import OUTPUTS, items_of, kind_of, parts_of
from .items import messages_of
from .tools import chosen, toolbox

_SAME = ("model", "temperature", "top_p", "prompt_cache_key", "safety_identifier", "user", "service_tier")
_OPENAI = ("prompt_cache_options", "prompt_cache_retention")
# What Claude has no room for, and no answer changes by.
_NOT_FOR_CLAUDE = ("verbosity", "prompt_cache_key", "safety_identifier", "logprobs", "top_logprobs", *_OPENAI)
_LONGEST_KEY = 64
_PER_ITEM = 5
_PER_ATTACHMENT = 1000


# --- What must be known ----------------------------------------------------------------------------------------------
def weigh_request(body: Mapping[str, Any]) -> float:
    """About how many tokens a request has."""
    total = weigh(body.get("instructions") or "")
    for item in items_of(body):
        total += _PER_ITEM + _weigh_item(item)
    return total + sum(weigh_data(body[name]) for name in ("tools", "text") if body.get(name))


def _weigh_item(item: Mapping[str, Any]) -> float:
    kind = kind_of(item)
    if kind == "message" or kind in OUTPUTS:
        content = item.get("content" if kind == "message" else "output")
        if type(content) is str:
            return weigh(content)
        return sum(map(_weigh_part, content if type(content) is list else ()))
    if kind == "reasoning":
        # Once: what is sealed is what is summed up, or about as long.
        summed_up = sum(map(_weigh_part, item.get("summary") or ()))
        return summed_up + weigh(item.get("encrypted_content") or "") / 2
    return weigh_data({name: value for name, value in item.items() if name not in ("id", "status", "type")})


def _weigh_part(part: Mapping[str, Any]) -> float:
    words = part.get("text") or part.get("refusal")
    return weigh(words) if type(words) is str else _PER_ATTACHMENT


def needs(body: Mapping[str, Any]) -> list[str]:
    """What else a model must be able to do when it is we who choose it."""
    items = items_of(body)
    found = []
    if body.get("tools") or any(kind_of(item) == "additional_tools" for item in items):
        found.append("function_call")
    if any(part.get("type") in ("input_image", "input_file", "input_audio", "input_video") for part in parts_of(items)):
        found.append("multimodal")
    return found


# --- As a chat -------------------------------------------------------------------------------------------------------
def to_chat(given: Mapping[str, Any], to: Addressee) -> dict[str, Any]:
    """The chat request that asks the same. Raises CannotSay for what cannot be said there."""
    body: dict[str, Any] = {name: given[name] for name in (*_SAME, *_OPENAI) if given.get(name) is not None}
    body["messages"] = messages_of(given, to)
    body |= chosen(given, toolbox(given))
    if given.get("max_output_tokens"):
        body["max_completion_tokens"] = given["max_output_tokens"]
    body |= _text(given.get("text") or {})
    body |= _reasoning((given.get("reasoning") or {}).get("effort"), to)
    if "message.output_text.logprobs" in (given.get("include") or ()):
        body["logprobs"] = True
        if given.get("top_logprobs"):
            body["top_logprobs"] = given["top_logprobs"]
    if given.get("stream"):
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if to.provider == "ark" and given.get("thinking"):
        body["thinking"] = given["thinking"]
    return _fit(body, to)


def _fit(body: dict[str, Any], to: Addressee) -> dict[str, Any]:
    if to.provider == "claude":
        return {name: value for name, value in body.items() if name not in _NOT_FOR_CLAUDE}
    if "prompt_cache_key" in body:
        body["prompt_cache_key"] = cache_key(body["prompt_cache_key"], to.user_id)
    return body


def cache_key(key: str, user_id: int) -> str:
    """Keys are those of an account at the provider, which serves many users: each has his own."""
    whole = f"{user_id}-{key}"
    if len(whole) <= _LONGEST_KEY:
        return whole
    return f"{user_id}-{hashlib.blake2b(key.encode('utf-8', 'replace'), digest_size=16).hexdigest()}"


def _text(given: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    wanted = given.get("format") or {}
    if wanted.get("type") == "json_schema":
        schema = {name: value for name, value in wanted.items() if name != "type" and value is not None}
        out["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif wanted.get("type") == "json_object":
        out["response_format"] = {"type": "json_object"}
    if given.get("verbosity"):
        out["verbosity"] = given["verbosity"]
    return out


def _reasoning(effort: Any, to: Addressee) -> dict[str, Any]:
    if effort is None:
        return {}
    if to.provider == "claude" and effort in ("none", "minimal"):
        return {"thinking": {"type": "disabled"}} if effort == "none" else {"reasoning_effort": "low"}
    return {"reasoning_effort": effort}


# --- As it came ------------------------------------------------------------------------------------------------------
_OURS = ("client_metadata", "previous_response_id")


def upward(given: Mapping[str, Any], to: Addressee) -> dict[str, Any]:
    """The body for a provider that speaks Responses. Nothing is kept there: it would be our account's."""
    body = {name: value for name, value in given.items() if name not in _OURS}
    body["store"] = False
    if type(body.get("input")) is list:
        body["input"] = _openable(body["input"], to)
    if leaves_out_searches(given, to):
        body |= _without_searches(body)
    if type(body.get("prompt_cache_key")) is str:
        body["prompt_cache_key"] = cache_key(body["prompt_cache_key"], to.user_id)
    return body


def leaves_out_searches(given: Mapping[str, Any], to: Addressee) -> bool:
    """Whether searches of the web stay behind: they have no price, and the request can do without."""
    return not to.searches and searches(given) and search_is_optional(given)


def _without_searches(holder: Mapping[str, Any]) -> dict[str, Any]:
    """The tools of a request, and those among its items, that are left."""
    found: dict[str, Any] = {}
    if type(holder.get("tools")) is list:
        found["tools"] = [tool for tool in holder["tools"] if not is_search(tool)]
    if type(holder.get("input")) is list:
        found["input"] = [{**item, **_without_searches(item)} if "tools" in item else item for item in holder["input"]]
    return found


def _openable(items: Sequence[Mapping[str, Any]], to: Addressee) -> list[Mapping[str, Any]]:
    """Items with the reasoning that this account can read. Where one is left out, those after it lose their ids: with
    them they are refused for lacking it."""
    kept: list[Mapping[str, Any]] = []
    dropped = False
    ark = to.provider == "ark"
    for item in items:
        # OpenAI finds reasoning that is not sealed in what it stored, which is nothing.
        if kind_of(item) != "reasoning" or (ark and not item.get("encrypted_content")):
            kept.append({name: value for name, value in item.items() if name != "id"} if dropped else item)
            continue
        found = sealed.opened(item.get("encrypted_content"))
        own = sealed.ARK if ark else sealed.OPENAI
        if found is None or found.kind != own or found.tag != sealed.tag_of(to.credential_id):
            dropped = True
            continue
        kept.append({**item, "encrypted_content": found.payload})
    return kept
