"""What goes in and out of the user routes: the forms, and rows as their owner may see them."""

import re
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers

from voicehelper import clock
from voicehelper.accounts.models import ApiKey

from ..chat import conversations
from ..models import ChatMessage, ChatSession, Usage
from ..relay.billing import amount, charge
from ..services import ModelOffer
from .rates import decimal, rate_json

_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class PlainText(serializers.CharField):
    """A JSON string; a number is none."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


# --- In --------------------------------------------------------------------------------------------------------------
class QuestionShape(serializers.Serializer[Any]):
    """`sessionId`: without it, or with one not seen before, a session is made. `model`: a name, "auto", "auto:cost",
    "auto:speed" or "auto:quality"; without it the session's last choice."""

    sessionId = PlainText(max_length=64, default="", allow_blank=True, allow_null=True)  # noqa: N815  # the mission's names
    content = PlainText(max_length=conversations.LONGEST_QUESTION, trim_whitespace=False)
    contentType = PlainText(max_length=32, default="text")  # noqa: N815
    model = PlainText(max_length=64, default="", allow_blank=True, allow_null=True)

    def validate_sessionId(self, value: str | None) -> str:  # noqa: N802
        if value and not _SESSION_ID.fullmatch(value):
            raise serializers.ValidationError(_("1 to 64 letters, digits, - and _"))
        return value or ""

    def validate_content(self, value: str) -> str:
        if not value.strip():
            self.fields["content"].fail("blank")
        return value

    def validate_contentType(self, value: str) -> str:  # noqa: N802
        if value != "text":
            raise serializers.ValidationError(_("only text is supported"))
        return value

    def validate_model(self, value: str | None) -> str:
        return value or ""


class Title(serializers.Serializer[Any]):
    title = PlainText(max_length=conversations.TITLE_LENGTH)


class KeyName(serializers.Serializer[Any]):
    name = PlainText(max_length=64)


class KeyId(serializers.Serializer[Any]):
    id = serializers.IntegerField(min_value=1, max_value=2**63 - 1)


# --- Out -------------------------------------------------------------------------------------------------------------
class TokensShape(serializers.Serializer[Any]):
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()


class AnswerShape(serializers.Serializer[Any]):
    sessionId = serializers.CharField()  # noqa: N815
    messageId = serializers.CharField()  # noqa: N815
    content = serializers.CharField()
    model = serializers.CharField()
    usage = TokensShape()
    quota = serializers.IntegerField()


class StreamEvent(serializers.Serializer[Any]):
    """A server-sent event. Its data is JSON: start {sessionId, messageId, model}, delta {content}, done (the whole
    answer, with balance, usageSource and latencyMs), error {message, code}."""

    event = serializers.ChoiceField(["start", "delta", "done", "error"])
    data = serializers.CharField()  # type: ignore[assignment]  # the format's name


def answer_json(answer: conversations.Answer) -> dict[str, Any]:
    return {
        "sessionId": answer.session_id,
        "messageId": answer.message_id,
        "content": answer.content,
        "model": answer.model,
        "usage": {
            "prompt_tokens": answer.input_tokens,
            "completion_tokens": answer.output_tokens,
            "total_tokens": answer.input_tokens + answer.output_tokens,
        },
        "quota": answer.quota,
    }


def session_json(session: ChatSession) -> dict[str, Any]:
    return {
        "sessionId": session.public_id,
        "title": session.title,
        "model": session.model_name or conversations.AUTO,
        "created": clock.beijing_iso(session.created),
        "last": clock.beijing_iso(session.last),
    }


def message_json(message: ChatMessage) -> dict[str, Any]:
    return {
        "messageId": message.public_id,
        "role": message.role,
        "content": message.content,
        "complete": message.complete,
        "model": message.model_name,
        "quota": message.quota,
        "settled": message.quota is not None,
        "created": clock.beijing_iso(message.created),
    }


def offer_json(offer: ModelOffer) -> dict[str, Any]:
    """Prices are units per measure, as text; quota per 1,000 tokens in and out is what this user pays."""
    model = offer.model
    return {
        "name": model.name,
        "provider": model.provider,
        "capabilities": sorted(model.capabilities),
        "maxTokens": model.max_tokens,
        "inputPrice": decimal(model.prices.per_measure[0]),
        "outputPrice": decimal(model.prices.per_measure[1]),
        "measure": model.prices.measure,
        "quotaPer1kIn": charge(offer.tariff, amount(input=1000)),
        "quotaPer1kOut": charge(offer.tariff, amount(output=1000)),
        "prices": [rate_json(rate) for rate in offer.rates],
    }


def key_json(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.pk,
        "name": key.name,
        "shown": key.shown,
        "created": clock.beijing_iso(key.created),
        "last_used_at": clock.beijing_iso(key.last_used_at),
    }


def usage_json(usage: Usage) -> dict[str, Any]:
    return {
        "requestId": usage.request_id,
        "model": usage.model_name,
        "operation": usage.operation,
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "kinds": usage.kinds,
        "quota": usage.quota,
        "latencyMs": usage.latency_ms,
        "usageSource": usage.usage_source,
        "outcome": usage.outcome,
        "created": clock.beijing_iso(usage.created),
    }
