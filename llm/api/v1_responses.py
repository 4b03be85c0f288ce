"""The door for OpenAI's Responses, and what is kept behind it for its user."""

import logging
import secrets
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

import orjson
import psycopg

from ..dialects import responses
from ..dialects.chat_completions import MAX_MESSAGES, said, text
from ..dialects.responses.answer import stored
from ..dialects.responses.checks import check_pairs, items_of, kind_of
from ..dialects.responses.request import leaves_out_searches
from ..dialects.responses.stream import unsealed
from ..dialects.responses.tools import toolbox
from ..providers import json_text
from ..relay.call import new_request_id
from ..relay.engine import Engine
from ..relay.errors import CallRefused
from ..relay.kept import Kept
from ..relay.questions import Addressee
from .v1_request import V1Request
from .v1_talk import Talk

log = logging.getLogger(__name__)

ROOT = "/v1/responses"
_MOST_LISTED = 100


def not_found(public_id: str, *, status: int = 400) -> CallRefused:
    text = f"{public_id[:128]!r} was not found: it is none of yours, was not stored, or is gone."
    if status == 400:
        text = f"previous_response_id {text} Send the whole conversation in input."
    return CallRefused(text, status=status, param="previous_response_id", code="previous_response_not_found")


# --- Asking ----------------------------------------------------------------------------------------------------------
async def create(exchange: V1Request, relay: Engine) -> None:
    """Answer a request, passed through where the provider speaks Responses, else translated; and keep the answer."""
    given = await exchange.read_object()
    body = said(given)
    responses.DIALECT.check(body)
    text(body, "model", longest=128)
    own = [dict(item) for item in items_of(body)]
    whole = await _made_whole(exchange.owner.user_id, relay, body, own)
    check_pairs(body)
    # What nothing was put into goes up as it came.
    await _Responses(exchange, relay, body if whole else given, body, own).answer()


async def _made_whole(user_id: int, relay: Engine, body: dict[str, Any], own: list[dict[str, Any]]) -> bool:
    """Put what is kept in place of what refers to it: the answers before, and items by their ids. Whether anything
    was."""
    references = [item["id"] for item in own if kind_of(item) == "item_reference"]
    previous = body.get("previous_response_id")
    if not references and previous is None:
        return False
    if references:
        known = await relay.kept.items(user_id, references)
        for number, item in enumerate(own):
            if kind_of(item) != "item_reference":
                continue
            if item["id"] not in known:
                raise _no_item(item["id"], f"input[{number}]")
            own[number] = known[item["id"]]
    before: list[Mapping[str, Any]] = []
    if previous is not None:
        chain = await relay.kept.chain(user_id, previous)
        if not chain:
            raise not_found(previous)
        before = [item for kept in chain for item in (*kept.input, *kept.body["output"])]
    # What is both before and referred to is said once.
    ids = {item["id"] for item in before if item.get("id")}
    body["input"] = [*before, *(item for item in own if item.get("id") not in ids or item.get("id") not in references)]
    if len(body["input"]) > MAX_MESSAGES:
        raise CallRefused(f"The conversation has more than {MAX_MESSAGES} items.", param="input")
    return True


def _no_item(item_id: str, where: str) -> CallRefused:
    text = (
        f"{item_id[:128]!r} was not found: it is none of yours, was not stored, or is gone. Send the item itself;"
        " with the AI SDK: providerOptions {openai: {store: false}}."
    )
    return CallRefused(text, param=where, code="item_reference_not_supported")


class _Responses(Talk):
    """A request for a response; `own` are the items it sent itself, which are kept with the answer."""

    def __init__(
        self,
        exchange: V1Request,
        relay: Engine,
        given: Mapping[str, Any],
        body: dict[str, Any],
        own: list[dict[str, Any]],
    ) -> None:
        super().__init__(exchange, relay, responses.DIALECT, given, body)
        self._relay = relay
        self._own = own

    def put(self, to: Addressee, *, translated: bool) -> None:
        left_out: Iterable[str] = ()
        if translated:
            left_out = dict.fromkeys(toolbox(self.body).left_out)
        elif leaves_out_searches(self.body, to):
            left_out = ["tools.web_search"]
        told = ", ".join(left_out).encode("latin-1", "replace")
        self.exchange.more = [(b"x-left-out", told)] if told else []

    async def finished(self, telling: Any) -> None:
        """Keep the answer, before its last byte leaves. That it cannot be kept is no reason to keep it from its user,
        who has paid for it."""
        body = telling.kept()
        if not stored(self.body) or body is None or self.call.gone:
            return
        for item in self._own:
            if not item.get("id"):
                item["id"] = f"{_PREFIXES.get(kind_of(item), 'item')}_{secrets.token_hex(12)}"
        try:
            await self._relay.kept.keep(self.exchange.owner.user_id, body, self._own)
        except psycopg.Error:
            log.exception("%s could not be kept", body["id"])


_PREFIXES = {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc"}


# --- What is kept ----------------------------------------------------------------------------------------------------
async def one(exchange: V1Request, relay: Engine) -> None:
    """GET and DELETE of an answer, GET of what it answered."""
    public_id, _, more = exchange.path.removeprefix(f"{ROOT}/").partition("/")
    method, user_id = exchange.method, exchange.owner.user_id
    exchange.request_id = new_request_id()
    if more == "cancel" and method == "POST":
        await _found(relay, user_id, public_id)
        raise CallRefused("Only responses in the background can be cancelled, and there are none here.")
    if more not in ("", "input_items") or method == "POST" or (more and method != "GET"):
        raise CallRefused(f"There is no {method} {exchange.path} here.", status=404, code="unknown_url")
    if method == "GET":
        kept = await _found(relay, user_id, public_id)
        await exchange.answer(json_text.write(_listed(kept, exchange.query) if more else _shown(kept)))
    elif method == "DELETE":
        if not await relay.kept.delete(user_id, public_id):
            raise not_found(public_id, status=404)
        await exchange.answer(orjson.dumps({"id": public_id, "object": "response", "deleted": True}))
    else:
        raise CallRefused(f"{exchange.path} takes GET and DELETE.", status=405, code="method_not_allowed")


async def _found(relay: Engine, user_id: int, public_id: str) -> Kept:
    chain = await relay.kept.chain(user_id, public_id, most=1)
    if not chain:
        raise not_found(public_id, status=404)
    return chain[0]


def _shown(kept: Kept) -> dict[str, Any]:
    return {**kept.body, "output": [unsealed(item) for item in kept.body["output"]]}


def _listed(kept: Kept, query: bytes) -> dict[str, Any]:
    """A page of the items that were answered: the newest first, unless `order` is asc."""
    asked = parse_qs(query.decode("latin-1"))
    limit = asked.get("limit", ["20"])[0]
    if not limit.isdecimal() or not 1 <= int(limit) <= _MOST_LISTED:
        raise CallRefused(f"limit must be a whole number between 1 and {_MOST_LISTED}.", param="limit")
    items = [unsealed(item) for item in kept.input]
    if asked.get("order", ["desc"])[0] != "asc":
        items.reverse()
    ids = [item["id"] for item in items]
    after = asked.get("after", [""])[0]
    begin = ids.index(after) + 1 if after in ids else 0
    page = items[begin : begin + int(limit)]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return {"object": "list", "data": page, "has_more": begin + int(limit) < len(items), **ends}


async def input_tokens(exchange: V1Request, relay: Engine) -> None:
    """An estimate: nobody is asked, nothing is charged."""
    body = said(await exchange.read_object())
    responses.DIALECT.check(body)
    name = text(body, "model", longest=128)
    await _made_whole(exchange.owner.user_id, relay, body, [dict(item) for item in items_of(body)])
    exchange.request_id = new_request_id()
    count = relay.calibration.tokens(name, responses.DIALECT.weigh(body))
    await exchange.answer(orjson.dumps({"object": "response.input_tokens", "input_tokens": count}))
