"""Answers to /v1/responses that are kept for their user, so that a later request can go on from them.

Upstream nothing is kept: a request that names an earlier answer, or an item of one, is made whole here before it goes
up. Nobody but their user finds them, and nobody after they expired.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from django.conf import settings

from voicehelper.postgres import Connection, Statement

from ..providers import json_text

# How many answers a conversation may be made of, and how much of all that is read at once.
MOST_LINKS = 1000
_MOST_CHARACTERS = 64 * 1024 * 1024
_DAY_S = 86_400
# So many of the oldest answers go at most when a new one comes: more than one makes room for is left only where the
# room was made smaller.
_MOST_GONE = 1000

# Texts hold JSON as it was written: there is nothing that JSON can say and they cannot (NUL in a string, say).
_KEEP = Statement(
    "llm_keep_response",
    """
    WITH given AS (
        SELECT * FROM json_to_record($1::json) AS r(
            public_id text, user_id bigint, previous text, body text, input text, item_ids text[], life_s bigint,
            size bigint, room bigint, most_gone int
        )
    ), counted AS (
        INSERT INTO llm_kepttotal (user_id, bytes) SELECT user_id, size FROM given
        ON CONFLICT (user_id) DO UPDATE SET bytes = llm_kepttotal.bytes + excluded.bytes
        RETURNING user_id, bytes
    ), gone AS (
        DELETE FROM llm_keptresponse WHERE id IN (
            SELECT k.id FROM llm_keptresponse k JOIN counted c ON c.user_id = k.user_id, given
            WHERE k.position < c.bytes - room ORDER BY k.position LIMIT (SELECT most_gone FROM given)
        )
    )
    INSERT INTO llm_keptresponse (public_id, user_id, previous, body, input, item_ids, expires, position)
    SELECT public_id, user_id, previous, body, input, item_ids, now() + life_s * interval '1 second', c.bytes - size
    FROM given JOIN counted c USING (user_id)
    ON CONFLICT (public_id) DO NOTHING
    RETURNING to_json(public_id)
    """,
)
# An answer, and those before it that it goes on from, the first one first: [[previous, body, input], …].
_CHAIN = Statement(
    "llm_kept_chain",
    """
    WITH RECURSIVE asked AS (
        SELECT * FROM json_to_record($1::json) AS r(
            public_id text, user_id bigint, most int, most_characters bigint
        )
    ), chain AS (
        SELECT k.user_id, k.previous, k.body, k.input, 1 AS depth, 0::bigint AS before FROM llm_keptresponse k
        JOIN asked a USING (public_id, user_id) WHERE k.expires > now()
        UNION ALL
        SELECT k.user_id, k.previous, k.body, k.input, c.depth + 1, c.before + length(c.body) + length(c.input)
        FROM chain c
        JOIN llm_keptresponse k ON k.public_id = c.previous AND k.user_id = c.user_id AND k.expires > now()
        WHERE c.depth < (SELECT most FROM asked) AND c.before < (SELECT most_characters FROM asked)
    )
    SELECT json_agg(json_build_array(previous, body, input) ORDER BY depth DESC) FROM chain
    """,
)
_ITEMS = Statement(
    "llm_kept_items",
    """
    SELECT json_agg(json_build_array(previous, body, input) ORDER BY id) FROM (
        SELECT k.*, most_characters, sum(length(k.body) + length(k.input)) OVER (ORDER BY k.id DESC) AS characters
        FROM llm_keptresponse k
        JOIN json_to_record($1::json) AS r(user_id bigint, item_ids varchar[], most_characters bigint) USING (user_id)
        WHERE k.item_ids && r.item_ids AND k.expires > now()
    ) found WHERE characters <= most_characters
    """,
)
_DELETE = Statement(
    "llm_delete_response",
    """
    WITH gone AS (
        DELETE FROM llm_keptresponse k USING json_to_record($1::json) AS r(public_id text, user_id bigint)
        WHERE k.public_id = r.public_id AND k.user_id = r.user_id AND k.expires > now() RETURNING k.id
    )
    SELECT to_json(count(*)) FROM gone
    """,
)


@dataclass(frozen=True)
class Kept:
    """An answer that was kept, and what it answered: `input` is what that request sent itself."""

    previous: str
    body: dict[str, Any]
    input: list[dict[str, Any]]


class KeptResponses:
    """Those of all users, by a session of its own. Every method raises psycopg.Error."""

    def __init__(self) -> None:
        self._connection = Connection()

    async def keep(self, user_id: int, body: Mapping[str, Any], given: Sequence[Mapping[str, Any]]) -> None:
        """Keep an answer of which the user is to hear; `given` are the items that it answers. The oldest go when there
        is no room for all: those that begin before the last LLM_RESPONSES_BYTES of what was ever kept for the user."""
        item_ids = [item["id"] for item in (*given, *body["output"]) if _storable(item.get("id"))]
        said, asked = json_text.write(body), json_text.write(list(given))
        row = {
            "public_id": body["id"],
            "user_id": user_id,
            "previous": body.get("previous_response_id") or "",
            "body": said.decode("utf-8", "replace"),
            "input": asked.decode("utf-8", "replace"),
            "item_ids": item_ids,
            "life_s": settings.LLM_RESPONSES_DAYS * _DAY_S,
            "size": len(said) + len(asked),
            "room": settings.LLM_RESPONSES_BYTES,
            "most_gone": _MOST_GONE,
        }
        await self._connection.run(_KEEP, row)

    async def chain(self, user_id: int, public_id: str, *, most: int = MOST_LINKS) -> list[Kept]:
        """An answer and all before it, the first one first; empty when one of them is not there."""
        if not _storable(public_id):
            return []
        asked = {"public_id": public_id, "user_id": user_id, "most": most, "most_characters": _MOST_CHARACTERS}
        found = _read(await self._connection.run(_CHAIN, asked))
        return found if found and (most == 1 or not found[0].previous) else []

    async def items(self, user_id: int, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Items of kept answers and of what they answered, by their ids, as far as they are there."""
        wanted = {each for each in ids if _storable(each)}
        if not wanted:
            return {}
        asked = {"user_id": user_id, "item_ids": sorted(wanted), "most_characters": _MOST_CHARACTERS}
        rows = _read(await self._connection.run(_ITEMS, asked))
        items = (item for row in rows for item in (*row.input, *row.body["output"]))
        return {item["id"]: item for item in items if item.get("id") in wanted}

    async def delete(self, user_id: int, public_id: str) -> bool:
        """Whether there was anything to delete."""
        if not _storable(public_id):
            return False
        return bool(await self._connection.run(_DELETE, {"public_id": public_id, "user_id": user_id}))

    async def close(self) -> None:
        await self._connection.close()


def _read(rows: Any) -> list[Kept]:
    return [Kept(previous, orjson.loads(body), orjson.loads(given)) for previous, body, given in rows or ()]


def _storable(text: Any) -> bool:
    """Whether it is an id that can be one of ours, or of a provider's."""
    return type(text) is str and 0 < len(text) <= 128 and text.isascii() and text.isprintable()
