"""What is kept of a user's talks with models, as parts of the copy of their data: each conversation as Markdown and as
JSON, answers kept for /v1/responses, and what was used."""

from collections.abc import Iterator
from typing import Any

import orjson

from voicehelper.accounts.exports import Part, Source, as_json
from voicehelper.accounts.forgetting import batches
from voicehelper.accounts.models import User
from voicehelper.clock import beijing_iso

from .chat.export import JSON, MARKDOWN, whole
from .models import ChatSession, KeptResponse, Usage, UsageSum


def _count(user: User) -> int:
    return 3 + 2 * ChatSession.objects.filter(user=user).count()


def _parts(user: User) -> Iterator[Part]:
    for sessions in batches(ChatSession.objects.filter(user=user)):
        for session in sessions:
            yield Part(f"conversations/{session.pk}.md", whole(session, MARKDOWN))
            yield Part(f"conversations/{session.pk}.json", whole(session, JSON))
    # Each may be megabytes.
    yield Part("responses.json", as_json(KeptResponse.objects.filter(user=user), _response, 1))
    yield Part("usage.json", as_json(Usage.objects.filter(user=user), _usage))
    yield Part("usage_before.json", as_json(UsageSum.objects.filter(user=user), _sum))


TALKS = Source(_count, _parts)


def _response(row: KeptResponse) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "input": orjson.Fragment(row.input),
        "response": orjson.Fragment(row.body),
        "created": beijing_iso(row.created),
        "expires": beijing_iso(row.expires),
    }


def _usage(row: Usage) -> dict[str, Any]:
    return {
        "request_id": row.request_id,
        "model": row.model_name,
        "operation": row.operation,
        "input": row.input_tokens,
        "output": row.output_tokens,
        "quota": row.quota,
        "outcome": row.outcome,
        "created": beijing_iso(row.created),
    }


def _sum(row: UsageSum) -> dict[str, Any]:
    facts = {"calls": row.calls, "input": row.input_tokens, "output": row.output_tokens, "quota": row.quota}
    return {"hour": beijing_iso(row.hour), "model": row.model_name, "operation": row.operation, **facts}
