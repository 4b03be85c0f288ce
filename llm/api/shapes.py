"""What goes in and out of the user routes: the forms, and rows as their owner may see them."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import serializers

from voicehelper import clock
from voicehelper.accounts.key_limits import MOST_ADDRESSES, MOST_MODELS, limits_of, model_pattern
from voicehelper.accounts.models import ApiKey
from voicehelper.net.addresses import network
from voicehelper.wallet.models import Budget
from voicehelper.wallet.services import MAX_QUOTA

from ..chat import attachments, conversations, export, sessions, words
from ..chat.choices import AUTO
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


def _system_prompt() -> PlainText:
    return PlainText(max_length=sessions.LONGEST_PROMPT, required=False, allow_blank=True)


def _temperature() -> serializers.DecimalField:
    bounds: dict[str, Any] = {"max_digits": 3, "decimal_places": 2, "min_value": 0, "max_value": sessions.WARMEST}
    return serializers.DecimalField(**bounds, coerce_to_string=False, required=False, allow_null=True)


# --- In --------------------------------------------------------------------------------------------------------------
class QuestionShape(serializers.Serializer[Any]):
    """`sessionId`: without it, or with one not seen before, a session is made. `model`: a name, "auto", "auto:cost",
    "auto:speed" or "auto:quality"; "auto:balanced:5" chooses among those that cost at most five times what the cheapest
    does; without it the session's last choice. `parentId`: the message it follows, "root" where the conversation
    begins; without it, the last question. Another question in the place of one (an edited one, or the same again for
    another answer) begins a branch; a model is sent its own branch only. `continues`: go on with the answer `parentId`,
    which broke off; `content` is not needed then. `systemPrompt` and `temperature` are the session's from then on.
    `attachments`: paths of uploaded pictures (PNG, JPEG, GIF, WebP) and texts."""

    sessionId = PlainText(max_length=64, default="", allow_blank=True, allow_null=True)  # noqa: N815  # the mission's names
    content = PlainText(max_length=conversations.LONGEST_QUESTION, trim_whitespace=False, required=False)
    contentType = PlainText(max_length=32, default="text")  # noqa: N815
    model = PlainText(max_length=64, default="", allow_blank=True, allow_null=True)
    attachments = serializers.ListField(child=PlainText(max_length=128), max_length=attachments.MOST, required=False)
    parentId = PlainText(max_length=40, required=False, allow_blank=True, allow_null=True)  # noqa: N815
    continues = serializers.BooleanField(default=False)
    systemPrompt = _system_prompt()  # noqa: N815
    temperature = _temperature()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["continues"]:
            if not attrs.get("parentId"):
                raise serializers.ValidationError({"parentId": _("the answer to go on with")})
            attrs["content"] = conversations.GO_ON
        elif "content" not in attrs:
            raise serializers.ValidationError({"content": self.fields["content"].error_messages["required"]})
        return attrs

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


class SessionShape(serializers.Serializer[Any]):
    """What of a session is to change. An empty `systemPrompt` is none; `temperature` null: as the model likes."""

    title = PlainText(max_length=sessions.TITLE_LENGTH, required=False)
    pinned = serializers.BooleanField(required=False)
    systemPrompt = _system_prompt()  # noqa: N815
    temperature = _temperature()


class SearchShape(serializers.Serializer[Any]):
    q = PlainText(max_length=words.LONGEST_SEARCH)


class FileShape(serializers.Serializer[Any]):
    fileType = serializers.ChoiceField([export.MARKDOWN, export.JSON], default=export.MARKDOWN)  # noqa: N815


def setting_of(form: dict[str, Any]) -> dict[str, Any]:
    """Of a checked form, what it sets of a session, by the names of its columns."""
    names = {"title": "title", "pinned": "pinned", "systemPrompt": "system_prompt", "temperature": "temperature"}
    return {column: form[name] for name, column in names.items() if name in form}


class Checked(PlainText):
    """A JSON string as `check` returns it; `problem` says what it should be."""

    def __init__(self, check: Callable[[str], object], problem: Any) -> None:
        super().__init__(max_length=128, error_messages={"invalid": problem})
        self._check = check

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            return str(self._check(text))
        except ValueError:
            self.fail("invalid")


class KeyShape(serializers.Serializer[Any]):
    """What a key is called and may be used for; null, or an empty list, is no limit."""

    name = PlainText(max_length=64)
    quota = serializers.IntegerField(min_value=1, max_value=MAX_QUOTA, allow_null=True, required=False)
    period = serializers.ChoiceField(Budget.Period.values, required=False)
    expiresAt = serializers.DateTimeField(source="expires_at", allow_null=True, required=False)  # noqa: N815
    models = serializers.ListField(
        child=Checked(model_pattern, gettext_lazy("names of models, such as doubao-pro or claude-*")),
        max_length=MOST_MODELS,
        allow_null=True,
        required=False,
    )
    addresses = serializers.ListField(
        child=Checked(network, gettext_lazy("addresses or networks, such as 203.0.113.0/24")),
        max_length=MOST_ADDRESSES,
        allow_null=True,
        required=False,
    )
    rpm = serializers.IntegerField(min_value=1, max_value=1_000_000, allow_null=True, required=False)
    tpm = serializers.IntegerField(min_value=1, max_value=2_000_000_000, allow_null=True, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        # One that is not known would be a limit that is not kept.
        for name in sorted(set(self.initial_data) - set(self.fields)):
            raise serializers.ValidationError({name: _("there is no such setting")})
        return {k: tuple(v or ()) if k in ("models", "addresses") else v for k, v in attrs.items()}

    def validate_expiresAt(self, value: datetime | None) -> datetime | None:  # noqa: N802
        if value is not None and value <= clock.now():
            raise serializers.ValidationError(_("this moment is over"))
        return value


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


class StopShape(serializers.Serializer[Any]):
    """Which answer to stop. Without a `messageId`, that to the question with the Idempotency-Key."""

    messageId = PlainText(max_length=40, default="")  # noqa: N815  # the mission's names


class EventsShape(serializers.Serializer[Any]):
    """`after`: how much of the answer is there already, in characters (Unicode code points)."""

    after = serializers.IntegerField(min_value=0, default=0)


class StreamEvent(serializers.Serializer[Any]):
    """A server-sent event. Its data is JSON: start {sessionId, messageId, model, and `failed`: the models that were
    asked before and did not answer, if any}, delta {content}, done or stopped (the whole answer, or as much as there
    is, with balance, usageSource and latencyMs), error {message, code, and sessionId and messageId when the question
    was kept because no model answered}."""

    event = serializers.ChoiceField(["start", "delta", "done", "stopped", "error"])
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
        "model": session.model_name or AUTO,
        "pinned": session.pinned is not None,
        "systemPrompt": session.system_prompt,
        "temperature": None if session.temperature is None else float(session.temperature),
        "created": clock.beijing_iso(session.created),
        "last": clock.beijing_iso(session.last),
    }


def hit_json(hit: words.Hit) -> dict[str, Any]:
    """`excerpt` is in pieces; those that are `hit` were looked for."""
    return {
        "sessionId": hit.session.public_id,
        "title": hit.session.title,
        "messageId": hit.message.public_id if hit.message else None,
        "role": hit.message.role if hit.message else None,
        "excerpt": [{"text": text, "hit": is_hit} for text, is_hit in hit.excerpt],
        "created": clock.beijing_iso(hit.message.created if hit.message else hit.session.created),
    }


def message_json(message: ChatMessage) -> dict[str, Any]:
    """`parentId`: of an answer its question, of a question the one it follows, or null where it begins."""
    before = message.question if message.question_id else message.parent if message.placed else None
    return {
        "messageId": message.public_id,
        "parentId": before.public_id if before else None,
        "role": message.role,
        "content": message.content,
        "attachments": message.attachments,
        "complete": message.complete,
        "state": message.state,
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


def key_json(key: ApiKey, now: datetime) -> dict[str, Any]:
    """`used` and `remaining` are of the period that `now` is in; what is held for calls under way does not remain."""
    limits, budget = limits_of(key), key.budget or Budget()
    used, held = budget.counted(now)
    return {
        "id": key.pk,
        "name": key.name,
        "shown": key.shown,
        "created": clock.beijing_iso(key.created),
        "last_used_at": clock.beijing_iso(key.last_used_at),
        "quota": limits.quota,
        "period": limits.period,
        "used": used,
        "remaining": None if limits.quota is None else max(0, limits.quota - used - held),
        "expiresAt": clock.beijing_iso(limits.expires_at),
        "models": limits.models,
        "addresses": limits.addresses,
        "rpm": limits.rpm,
        "tpm": limits.tpm,
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
