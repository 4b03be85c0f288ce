"""`/v1`: OpenAI's API (and Anthropic's /v1/messages) as a small ASGI application in front of Django.

No ORM and no Django on this path: see docs/decisions.md for what that saves. An API key is the only way in.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from voicehelper.accounts.keys import Owner
from voicehelper.api.errors import answer_to

from ..dialects import chat_completions, messages
from ..relay.engine import Engine, engine
from ..relay.errors import CallRefused
from . import limits, v1_account, v1_media, v1_responses, v1_talk
from .errors import wrong_key
from .v1_request import ClientLeft, Receive, Send, V1Request

Act = Callable[[V1Request, Engine], Awaitable[None]]


# Whose clients send the key as `api-key` write addresses so; the model is in the body as well.
_AZURE = re.compile(r"\A/openai/(?:v1|deployments/[^/]+)(?=/)")


async def application(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request to /v1."""
    exchange = V1Request(scope, receive, send, path_of(scope["path"]) or scope["path"])
    try:
        if exchange.method == "OPTIONS":
            await exchange.preflight()
        else:
            await _answer(exchange)
    except ClientLeft:
        return
    except Exception as error:  # noqa: BLE001  # the edge: every error has an answer
        answer = answer_to(error)
        if not exchange.begun:
            await exchange.refuse(answer)
        else:
            await exchange.end_events(exchange.broken(answer))


def path_of(path: str) -> str | None:
    """The path of /v1 that is meant: with a slash at the end or several in between, /v1 twice, or, for what is nothing
    else here, without it. None: it belongs to somebody else."""
    path = path.rstrip("/")
    while "//" in path:
        path = path.replace("//", "/")
    path = _AZURE.sub("/v1", path)
    while path.startswith("/v1/v1/") or path == "/v1/v1":
        path = path[3:]
    if path == "/v1" or path.startswith("/v1/"):
        return path
    found = f"/v1{path}"
    return found if found in _POST or found in _GET_BARE or path.startswith("/models/") else None


def route_of(path: str) -> str:
    """The pattern that a path as `path_of` gives it belongs to: one of ROUTES."""
    if path in ROUTES:
        return path
    return _BELOW.get(path.rsplit("/", 1)[0], ANYTHING_ELSE)


async def _answer(exchange: V1Request) -> None:
    relay = engine()
    owner = await _owner(exchange.headers, relay)
    limits.check(owner, exchange.address)
    exchange.owner = owner
    path, method = exchange.path, exchange.method
    if path in _GET or path.startswith("/v1/models/"):
        if method not in ("GET", "HEAD"):
            raise CallRefused(f"{path} takes GET.", status=405, code="method_not_allowed")
        await _GET.get(path, v1_account.models)(exchange, relay)
        return
    if path.startswith(f"{v1_responses.ROOT}/") and path not in _POST:
        await v1_responses.one(exchange, relay)
        return
    act = _POST.get(path)
    if act is None:
        raise CallRefused(f"There is no {path} here.", status=404, code="unknown_url")
    if method != "POST":
        raise CallRefused(f"{path} takes POST.", status=405, code="method_not_allowed")
    limits.enter(owner.key_id)
    try:
        await act(exchange, relay)
    finally:
        limits.leave(owner.key_id)


async def _owner(headers: Mapping[bytes, bytes], relay: Engine) -> Owner:
    """Whose key a request brings, wherever a client may put it; beside it there may be another provider's. Raises
    CallRefused(401)."""
    for key in _keys(headers):
        if owner := await relay.keys.owner(key):
            return owner
    raise wrong_key()


def _keys(headers: Mapping[bytes, bytes]) -> dict[bytes, None]:
    """What can be a key of ours, in the order in which it counts."""
    found: dict[bytes, None] = {}
    for name in (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"):
        # People paste it with the word before it, and in quotes.
        words = headers.get(name, b"").replace(b'"', b" ").split()
        while words and words[0].lower() == b"bearer":
            del words[0]
        if len(words) == 1 and words[0].startswith(b"sk-") and len(words[0]) <= 128:
            found[words[0]] = None
    return found


_POST: Mapping[str, Act] = {
    "/v1/chat/completions": v1_talk.door(chat_completions.DIALECT),
    "/v1/completions": v1_talk.door(chat_completions.COMPLETIONS_DIALECT),
    "/v1/responses": v1_responses.create,
    "/v1/responses/input_tokens": v1_responses.input_tokens,
    "/v1/messages": v1_talk.door(messages.DIALECT),
    "/v1/messages/count_tokens": v1_talk.count_tokens,
    "/v1/embeddings": v1_media.embeddings,
    "/v1/embeddings/multimodal": v1_media.embeddings_of_parts,
    "/v1/rerank": v1_media.rerank,
    "/v1/moderations": v1_media.moderations,
    "/v1/images/generations": v1_media.images,
    "/v1/images/edits": v1_media.edits,
    "/v1/images/variations": v1_media.variations,
    "/v1/audio/transcriptions": v1_media.transcriptions,
    "/v1/audio/translations": v1_media.translations,
    "/v1/audio/speech": v1_media.speech,
}
_GET_BARE: Mapping[str, Act] = {
    "/v1/models": v1_account.models,
    "/v1/dashboard/billing/subscription": v1_account.subscription,
    "/v1/dashboard/billing/usage": v1_account.usage,
}
_GET: Mapping[str, Act] = {**_GET_BARE, "/v1/key": v1_account.key}
_BELOW = {"/v1/models": "/v1/models/{model}", v1_responses.ROOT: f"{v1_responses.ROOT}/{{response}}"}
ANYTHING_ELSE = "/v1/*"
ROUTES = (*_POST, *_GET, *_BELOW.values(), ANYTHING_ELSE)
