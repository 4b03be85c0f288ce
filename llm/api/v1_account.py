"""The doors where programs ask what there is: the models, and what is left of the quota."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import orjson

from .. import usage as calls
from ..relay.billing import rates_of
from ..relay.call import new_request_id
from ..relay.catalogue import Catalogue, ModelSpec
from ..relay.engine import Engine
from ..relay.errors import CallRefused
from ..relay.threads import in_thread
from .rates import rate_json
from .shapes import key_json
from .v1_request import V1Request


async def models(exchange: V1Request, relay: Engine) -> None:
    """The models that can be asked for, in a shape for both vendors' clients. Names may hold slashes and colons."""
    catalogue, group = await relay.catalogue(), exchange.owner.group
    found = catalogue.offered(exchange.owner.models)
    name = exchange.path.removeprefix("/v1/models").removeprefix("/")
    if name:
        if name not in found:
            text = f"The model {name!r} does not exist or is not available."
            raise CallRefused(text, status=404, code="model_not_found", param="model")
        await _say(exchange, _shown(name, found[name], catalogue, group))
        return
    data = [_shown(each, model, catalogue, group) for each, model in found.items()]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    await _say(exchange, {"object": "list", "data": data, "has_more": False, **ends})


def _shown(name: str, model: ModelSpec, catalogue: Catalogue, group: str) -> dict[str, Any]:
    """A model under the name it is asked for by: OpenAI's fields, Anthropic's, the limits under the names both use, and
    what it costs its caller."""
    return {
        "id": name,
        "object": "model",
        "created": model.created,
        "owned_by": model.provider,
        "type": "model",
        "display_name": name,
        "created_at": datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "context_length": model.context_tokens,
        "max_input_tokens": model.context_tokens,
        "max_output_tokens": model.max_tokens,
        "max_tokens": model.max_tokens,
        "capabilities": sorted(model.capabilities),
        "prices": [rate_json(rate) for rate in rates_of(model, catalogue.pricing, group)],
    }


async def key(exchange: V1Request, _relay: Engine) -> None:
    """Whose key this is, what it and its owner may still spend, in quota and in units, and the key's own limits in the
    words of /api/user/keys."""
    owner = exchange.owner
    found = await in_thread(calls.account_of, owner.user_id, owner.key_id)
    data = {
        "label": found.key.name,
        "key": found.key.shown,
        "user": owner.username,
        "group": owner.group,
        "balance": found.balance,
        "available": found.available,
        "used": found.used,
        "quota_per_unit": found.quota_per_unit,
        "balance_units": found.units(found.balance),
        "used_units": found.units(found.used),
        "left": found.left,
        "left_units": found.units(found.left),
        "limits": key_json(found.key, found.now),
    }
    await _say(exchange, {"object": "key", "data": data})


async def subscription(exchange: V1Request, _relay: Engine) -> None:
    """OpenAI's old billing page, which many clients show: all that was ever there, in units where it has dollars."""
    found = await in_thread(calls.account_of, exchange.owner.user_id, exchange.owner.key_id)
    total = found.units(found.left + found.used)
    limits = dict.fromkeys(("soft_limit_usd", "hard_limit_usd", "system_hard_limit_usd"), total)
    more = {"has_payment_method": True, "access_until": 0}
    await _say(exchange, {"object": "billing_subscription", **more, **limits})


async def usage(exchange: V1Request, _relay: Engine) -> None:
    """The same page: what was used, in hundredths of a unit; of the days from `start_date` to `end_date` if named."""
    query = parse_qs(exchange.query.decode("latin-1"))
    dates = [_date(query.get(name, [""])[0], name) for name in ("start_date", "end_date")]
    found = await in_thread(calls.account_of, exchange.owner.user_id, exchange.owner.key_id)
    spent = found.used
    if any(dates):
        spent = await in_thread(calls.spent_between, exchange.owner.user_id, *dates)
    await _say(exchange, {"object": "list", "total_usage": found.units(100 * spent)})


def _date(text: str, name: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.strptime(text[:10], "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise CallRefused(f"{name} must be a date like 2026-01-31.", param=name) from None


async def _say(exchange: V1Request, body: dict[str, Any]) -> None:
    exchange.request_id = new_request_id()
    await exchange.answer(orjson.dumps(body))
