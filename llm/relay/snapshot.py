"""The catalogue as it is in the database: read again after five seconds, or when PostgreSQL says that it changed."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from django.db import connection as django_connection

from voicehelper.postgres import Connection, Statement
from voicehelper.secrets import SecretUnreadable, decrypt
from voicehelper.wallet.worth import list_price

from ..providers.base import Account
from .catalogue import (
    PATIENCE_S,
    AliasSpec,
    Catalogue,
    CredentialSpec,
    ModelSpec,
    Price,
    PriceTable,
    Pricing,
    SafetyPolicy,
    fits,
)
from .threads import in_thread

LIFE_S = 5.0
# Read again in the background from here on, so that no call waits for it.
_EARLY_S = 2.5

_SQL = """
    SELECT json_build_object(
        'credentials', (
            SELECT COALESCE(json_agg(json_build_object(
                'id', id, 'name', name, 'provider', provider, 'base_url', base_url, 'api_key', api_key,
                'organization', organization, 'api_version', api_version, 'timeout_s', timeout_s,
                'tries', max_retries, 'retry_delay_ms', retry_delay_ms, 'from_environment', from_environment,
                'priority', priority, 'weight', weight, 'served', served, 'responses_api', responses_api
            ) ORDER BY id), '[]') FROM llm_credential WHERE enabled
        ),
        'models', (
            SELECT COALESCE(json_agg(json_build_object(
                'name', m.name, 'provider', m.provider, 'provider_model_id', m.provider_model_id,
                'credential', m.credential_id,
                'capabilities', m.capabilities, 'max_tokens', m.max_tokens, 'cost_per_1k', m.cost_per_1k::text,
                'latency_ms', m.latency_ms, 'quality', m.quality::text, 'measure', m.measure,
                'patience_s', m.patience_s, 'context_tokens', m.context_tokens, 'responses_api', m.responses_api,
                'created', EXTRACT(epoch FROM m.created)::bigint,
                'input_price', m.input_price::text, 'output_price', m.output_price::text,
                'prices', (
                    SELECT COALESCE(json_agg(json_build_object(
                        'kind', kind, 'per', per, 'price', price::text, 'cost', cost::text,
                        'from_tokens', from_tokens, 'variant', variant
                    ) ORDER BY id), '[]') FROM llm_modelprice WHERE model_id = m.id
                ),
                'factors', (
                    SELECT COALESCE(json_object_agg(tier, factor::text), '{}') FROM llm_servicetierfactor
                    WHERE model_id = m.id
                ),
                'fallbacks', (
                    SELECT COALESCE(json_agg(other.name ORDER BY f.id), '[]') FROM llm_model_fallbacks f
                    JOIN llm_model other ON other.id = f.to_model_id WHERE f.from_model_id = m.id
                )
            ) ORDER BY m.name), '[]') FROM llm_model m WHERE m.enabled
        ),
        'aliases', (
            SELECT COALESCE(json_agg(json_build_array(a.pattern, COALESCE(m.name, ''), a.provider, a.shown)
                   ORDER BY length(replace(a.pattern, '*', '')) DESC, a.pattern), '[]')
            FROM llm_alias a LEFT JOIN llm_model m ON m.id = a.model_id
        ),
        'safety', (SELECT row_to_json(s) FROM llm_safetysettings s),
        'words', (SELECT COALESCE(json_agg(word ORDER BY word), '[]') FROM llm_safetyword WHERE enabled)
    )
"""
_READ = Statement("llm_catalogue", f"{_SQL} WHERE $1::json IS NOT NULL")


class Snapshot:
    """Keeps the catalogue of one process fresh. `changed` is called with each new one."""

    def __init__(self, connection: Connection, changed: Callable[[Catalogue], None]) -> None:
        self._connection = connection
        self._changed = changed
        self._catalogue: Catalogue | None = None
        self._made_of: tuple[Any, Pricing] | None = None
        self._read_at = -LIFE_S
        self._changes = 0
        self._reading: asyncio.Task[Catalogue] | None = None

    async def current(self) -> Catalogue:
        """Not older than five seconds. Raises psycopg.Error when it has to be read and cannot."""
        age_s = time.monotonic() - self._read_at
        if self._catalogue is not None and age_s < LIFE_S:
            if age_s > _EARLY_S:
                self._start_reading()
            return self._catalogue
        return await asyncio.shield(self._start_reading())

    def forget(self) -> None:
        """Something changed: what is being read may be old already."""
        self._changes += 1
        self._read_at = -LIFE_S
        self._reading = None

    def _start_reading(self) -> "asyncio.Task[Catalogue]":
        if self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(self._read())
            self._reading.add_done_callback(self._read_or_not)
        return self._reading

    def _read_or_not(self, task: "asyncio.Task[Catalogue]") -> None:
        if self._reading is task:
            self._reading = None
        if not task.cancelled():
            # Whoever waits for it gets the error; nobody may.
            task.exception()

    async def _read(self) -> Catalogue:
        started, changes = time.monotonic(), self._changes
        rows = await self._connection.run(_READ, True)
        made_of = rows, await in_thread(pricing)
        # When something changed while it was read it serves whoever waits for it, and nobody after them.
        self._read_at = started if changes == self._changes else -LIFE_S
        if self._catalogue is None or made_of != self._made_of:
            self._catalogue, self._made_of = _catalogue(*made_of), made_of
            self._changed(self._catalogue)
        return self._catalogue


def read_now() -> Catalogue:
    """The catalogue, for synchronous callers: read through Django's connection."""
    with django_connection.cursor() as cursor:
        cursor.execute(_SQL)
        (rows,) = cursor.fetchone()
    return _catalogue(rows, pricing())


def pricing() -> Pricing:
    """As whoever sells quota has it now."""
    price = list_price()
    return Pricing(price.quota_per_unit, price.ratios)


def _catalogue(rows: Mapping[str, Any], pricing: Pricing) -> Catalogue:
    credentials = {spec.id: spec for row in rows["credentials"] if (spec := _credential(row)) is not None}
    served = {row["id"]: row["served"] for row in rows["credentials"]}
    models = {}
    for row in rows["models"]:
        serving = tuple(
            spec.id
            for spec in credentials.values()
            if spec.account.provider == row["provider"] and row["credential"] in (None, spec.id)
            if not served[spec.id] or fits(row["name"], served[spec.id])
        )
        if serving:
            models[row["name"]] = spec_of(row, tuple(row["fallbacks"]), serving)
    aliases = tuple(AliasSpec(*row) for row in rows["aliases"])
    safety = _safety(rows["safety"] or {}, tuple(rows["words"]))
    return Catalogue(models, credentials, pricing, aliases=aliases, safety=safety)


def _safety(row: Mapping[str, Any], words: tuple[str, ...]) -> SafetyPolicy:
    """A moderator whose key no key of ours opens is away: whether calls go on is what the operator chose."""
    if not row:
        return SafetyPolicy(words=words)
    try:
        secret = decrypt(row["key_secret"])
    except SecretUnreadable:
        secret = ""
    names = ("questions", "answers", "moderator", "key_id", "service", "fail_open", "label_media", "producer")
    return SafetyPolicy(words=words, key_secret=secret, **{name: row[name] for name in names})


def _credential(row: Mapping[str, Any]) -> CredentialSpec | None:
    """None when no key of ours opens its secret: such an account does not exist."""
    try:
        api_key = decrypt(row["api_key"])
    except SecretUnreadable:
        return None
    if not api_key:
        return None
    account = provider_account(row, api_key)
    patience = row["tries"], row["retry_delay_ms"] / 1000
    return CredentialSpec(row["id"], row["name"], account, *patience, row["priority"], row["weight"])


# What a credential says of Responses; nothing: as its provider does.
_SPEAKS: Mapping[str, bool] = {"yes": True, "no": False}


def provider_account(row: Mapping[str, Any], api_key: str) -> Account:
    """A credential's columns as its provider takes them."""
    return Account(
        provider=row["provider"],
        base_url=row["base_url"],
        api_key=api_key,
        organization=row["organization"],
        api_version=row["api_version"],
        timeout_s=float(row["timeout_s"]),
        trusted=row["from_environment"],
        responses_api=_SPEAKS.get(row["responses_api"]),
    )


def spec_of(row: Mapping[str, Any], fallbacks: tuple[str, ...] = (), serving: tuple[int, ...] = ()) -> ModelSpec:
    """A model's columns as the relay sees it, with its `prices` and `factors` if it has any."""
    return ModelSpec(
        name=row["name"],
        provider=row["provider"],
        provider_model_id=row["provider_model_id"],
        capabilities=frozenset(row["capabilities"]),
        max_tokens=row["max_tokens"],
        cost=float(row["cost_per_1k"]),
        latency_ms=float(row["latency_ms"]),
        quality=float(row["quality"]),
        prices=price_table(row.get("prices") or prices_of_columns(row), row.get("factors") or {}),
        patience_s=row["patience_s"] or PATIENCE_S,
        context_tokens=row["context_tokens"],
        created=row["created"] if type(row["created"]) is int else 0,
        fallbacks=fallbacks,
        credentials=serving,
        responses_api=row["responses_api"],
    )


def price_table(rows: Iterable[Mapping[str, Any]], factors: Mapping[str, Any]) -> PriceTable:
    """Rows of prices as the relay reckons with them."""
    prices = (
        Price(
            row["kind"],
            Fraction(row["price"]) / row["per"],
            None if row["cost"] is None else Fraction(row["cost"]) / row["per"],
            row["from_tokens"],
            row["variant"],
        )
        for row in rows
    )
    return PriceTable.of(prices, {tier: Fraction(factor) for tier, factor in factors.items()})


# The kinds that each measure prices: kind, the column of its price, and how many that is for.
_OF_MEASURE: Mapping[str, Sequence[tuple[str, str, int]]] = {
    "1k_tokens": (("input", "input_price", 1000), ("output", "output_price", 1000)),
    "1k_characters": (("character", "input_price", 1000),),
    "second": (("second", "input_price", 1),),
    "image": (("image", "output_price", 1),),
}


def prices_of_columns(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a model that has none: one that code of the release before made, or that has just been planted. A
    price that is not set is its cost per 1,000 tokens."""
    return [
        {
            "kind": kind,
            "per": per,
            "price": row["cost_per_1k"] if row[column] is None else row[column],
            "cost": None,
            "from_tokens": 0,
            "variant": "",
        }
        for kind, column, per in _OF_MEASURE[row["measure"]]
    ]
