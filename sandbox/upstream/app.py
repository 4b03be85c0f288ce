"""Who answers what: the routes of the three providers, as an ASGI application."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from . import completions, embeddings, messages, pictures, responses, sound
from .catalogue import BASE_PATHS, MODELS
from .exchange import (
    Answer,
    Asked,
    Cut,
    Events,
    Receive,
    Refused,
    Send,
    WebPage,
    json_answer,
    read,
    send_events,
    send_whole,
)
from .vendors import Anthropic, Ark, OpenAI, Vendor

log = logging.getLogger(__name__)

_LIMIT = 32 * 1024 * 1024

Act = Callable[[Any], Awaitable[Answer | Events]]
_SHARED: Mapping[str, Act] = {
    "/chat/completions": completions.answer,
    "/responses": responses.answer,
    "/embeddings": embeddings.answer,
    "/images/generations": pictures.answer,
}
_ROUTES: Mapping[type[Vendor], Mapping[str, Act]] = {
    Ark: _SHARED,
    OpenAI: {**_SHARED, "/audio/speech": sound.speech, "/audio/transcriptions": sound.transcription},
    Anthropic: {"/v1/messages": messages.answer, "/v1/messages/count_tokens": messages.answer},
}


async def application(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request below /sandbox/llm/."""
    content = await read(scope, receive, _LIMIT)
    asked = _asked(scope, content or b"")
    try:
        answer = await _answer(asked, too_large=content is None)
    except Refused as refused:
        answer = Answer(orjson.dumps(refused.body), status=refused.status, headers=refused.headers)
    except WebPage:
        answer = Answer(b"<!DOCTYPE html><title>502 Bad Gateway</title><h1>502 Bad Gateway</h1>", "text/html", 502)
    except Cut:
        # Before the first byte a server cannot cut the connection; it can say that it failed.
        return
    if isinstance(answer, Events):
        await send_events(receive, send, answer, asked.request_id)
    else:
        await send_whole(send, answer, asked.request_id)


def _asked(scope: Mapping[str, Any], content: bytes) -> Asked:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return Asked(scope["method"], scope["path"], headers, content, f"http://{headers.get('host', '127.0.0.1')}")


async def _answer(asked: Asked, *, too_large: bool) -> Answer | Events:
    for kind, routes in _ROUTES.items():
        base = BASE_PATHS[kind.name]
        if asked.path.startswith(f"{base}/"):
            return await _at(kind(replace(asked, path=asked.path.removeprefix(base))), routes, too_large=too_large)
    return await pictures.picture(asked) or Answer(b"Not found", "text/plain", 404)


async def _at(vendor: Vendor, routes: Mapping[str, Act], *, too_large: bool) -> Answer | Events:
    """One provider's answer. Who is not known learns nothing else."""
    vendor.admit()
    if too_large:
        raise vendor.too_large()
    path = vendor.asked.path
    _, models, name = path.partition("/models")
    if vendor.asked.method == "GET" and models:
        return json_answer(_one(vendor, name[1:]) if name else _all(vendor))
    act = routes.get(path)
    if act is None or vendor.asked.method != "POST":
        raise vendor.no_route()
    try:
        return await act(vendor)
    except (AttributeError, TypeError, KeyError, IndexError, ValueError):
        # A schema whose minimum is a text, say. If the request is not at fault, the log shows who is.
        log.warning("A request to %s could not be read", path, exc_info=True)
        raise vendor.bad("the request has not the expected shape", "body") from None


def _all(vendor: Vendor) -> dict[str, Any]:
    rows = [_one(vendor, name) for name in MODELS[vendor.name]]
    ends = {"has_more": False, "first_id": rows[0]["id"], "last_id": rows[-1]["id"]}
    return {"data": rows, **(ends if isinstance(vendor, Anthropic) else {"object": "list"})}


def _one(vendor: Vendor, name: str) -> dict[str, Any]:
    if name not in MODELS[vendor.name]:
        raise vendor.no_model(name)
    if isinstance(vendor, Anthropic):
        return {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
    return {"id": name, "object": "model", "created": 1767225600, "owned_by": vendor.name}
