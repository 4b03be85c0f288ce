"""Something in every table that has a page: a stand-in row of each model, whatever it needs."""

from typing import Any

from django.db import models

from voicehelper import clock, retention
from voicehelper.accounts.models import User

# What a constraint, or a page, wants of a model beyond what its fields say.
FACTS: dict[str, dict[str, Any]] = {
    "llm.alias": {"pattern": "claude-*", "provider": "ark"},
    "llm.model": {"capabilities": ["chat"], "provider": "ark", "name": "deep"},
    "llm.credential": {"base_url": "http://127.0.0.1:9/v1", "provider": "ark"},
    "llm.usage": {"usage_source": "provider", "outcome": "ok", "operation": "chat", "request_id": "req_1"},
    "notifications.alert": {"event": "late_payment", "level": "warning"},
    "notifications.channel": {"kind": "dingtalk"},
    "notifications.rule": {"event": "*", "least": "info"},
    "topup.difference": {"kind": "not_credited"},
    "topup.notice": {"gateway": "wechat", "body": "<xml/>"},
    "topup.gatewaycall": {"gateway": "wechat", "operation": "query"},
    "topup.reconciliation": {"gateway": "wechat"},
    "topup.refund": {"quota": 0, "quota_due": 0},
    "wallet.adjustment": {"state": "waiting", "needs_approval": True},
    "storage_backends.bucket": {"kind": "local"},
    "storage_backends.archive": {"log": "topup.notice"},
    "storage_backends.storedfile": {"state": "stored", "content_type": "text/plain"},
}


def row_of(model: type[models.Model], owner: User) -> models.Model:
    """A row of a table, made where there is none."""
    if found := model._default_manager.first():
        return found
    if model._meta.label_lower == "storage_backends.retention":
        return model._default_manager.create(log=next(iter(retention.every_log())).name)
    facts = FACTS.get(model._meta.label_lower, {})
    needed = [field for field in model._meta.concrete_fields if field.name not in facts and _is_needed(field)]
    return model._default_manager.create(**{field.name: _value(field, owner) for field in needed}, **facts)


def _is_needed(field: Any) -> bool:
    given = field.has_default() or field.db_default is not models.NOT_PROVIDED or field.null
    return not (given or (field.primary_key and isinstance(field, models.AutoField)) or field.blank)


def _value(field: Any, owner: User) -> Any:
    if isinstance(field, models.ForeignKey):
        return owner if field.related_model is User else row_of(field.related_model, owner)
    if field.choices:
        return field.flatchoices[0][0]
    for kinds, value in (
        (models.DateTimeField, clock.now()),
        (models.DateField, clock.today()),
        (models.BooleanField, False),
        (models.JSONField, {}),
        (models.EmailField, "x@example.org"),
        ((models.IntegerField, models.DecimalField), 1),
    ):
        if isinstance(field, kinds):  # type: ignore[arg-type]
            return value
    return "x"
