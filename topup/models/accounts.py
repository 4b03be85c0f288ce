"""A merchant account at a payment platform: who is paid by an order, for as long as the order exists."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from voicehelper.secrets import EncryptedField, Secret, SecretUnreadable

# So long do providers repeat notices that are signed with a key that was replaced.
FORMER_FOR = timedelta(hours=25)
# Values of a configuration that no signature hangs on.
_NO_KEYS = {"app_id", "app_secret", "login_url", "other_app_ids", "version"}


class MerchantAccount(models.Model):
    """One account of ours, known by its gateway, protocol, mode, merchant and app. Those never change: another identity
    is another account, and this one is retired. It goes only when nothing refers to it.

    One per gateway is active: then its settings section is the truth, and `kept` a copy for later.
    """

    IDENTITY = ("gateway", "version", "live", "merchant_id", "app_id")
    SECRETS = ("kept", "former")

    gateway = models.CharField(_("gateway"), max_length=16, editable=False)
    # Of those that the gateway has; empty when it has one only.
    version = models.CharField(_("protocol"), max_length=8, blank=True, editable=False)
    merchant_id = models.CharField(_("merchant"), max_length=32, editable=False)
    # Empty where an account has many apps; `app_ids` are then all whose orders it ever took.
    app_id = models.CharField(_("app id"), max_length=32, blank=True, editable=False)
    live = models.BooleanField(_("live"), editable=False, help_text=_("Off: paid to a sandbox."))
    app_ids = models.JSONField(default=list, editable=False)

    active = models.BooleanField(_("active"), default=False, editable=False)
    created = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    retired_at = models.DateTimeField(_("retired"), null=True, editable=False)
    # JSON: what the gateway is built from once the section holds another account's; empty when nobody knows the keys.
    kept = EncryptedField(editable=False)
    # JSON: configurations whose keys were replaced, [{"values": …, "until": …}].
    former = EncryptedField(editable=False)

    class Meta:
        verbose_name = _("merchant account")
        verbose_name_plural = _("merchant accounts")
        ordering = ["-active", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["gateway", "version", "live", "merchant_id", "app_id"], name="account_identity"
            ),
            models.UniqueConstraint(fields=["gateway"], condition=Q(active=True), name="account_active_once"),
        ]

    def __str__(self) -> str:
        return " · ".join(filter(None, [self.merchant_id, self.app_id, self.version]))

    @property
    def identity(self) -> dict[str, Any]:
        """What no other account shares."""
        return {name: getattr(self, name) for name in self.IDENTITY}

    @property
    def values(self) -> dict[str, Any]:
        """The kept configuration; empty when nobody knows the keys, or no key of ours opens it."""
        return _opened(self.kept) or {}

    def keys_until(self, now: datetime) -> list[dict[str, Any]]:
        """Configurations whose keys were replaced and verify still, the latest first."""
        found = [each for each in _opened(self.former) or [] if datetime.fromisoformat(each["until"]) > now]
        return [each["values"] for each in reversed(found)]

    def keep(self, values: Mapping[str, Any], now: datetime) -> None:
        """Keep a configuration. Keys that it replaces go on verifying notices for a while. Saves nothing."""
        values, before = json.loads(json.dumps(values)), self.values
        again = [each for each in _opened(self.former) or [] if datetime.fromisoformat(each["until"]) > now]
        if before:
            again.append({"values": before, "until": (now + FORMER_FOR).isoformat()})
        replaced = [each for each in again if _keys(each["values"]) != _keys(values)]
        self.kept = Secret(json.dumps(values))
        self.former = Secret(json.dumps(replaced) if replaced else "")


def _keys(values: Mapping[str, Any]) -> dict[str, Any]:
    # What is empty replaces nothing that was not known when a configuration was kept.
    return {name: value for name, value in values.items() if value and name not in _NO_KEYS}


def _opened(secret: Secret) -> Any:
    try:
        return json.loads(secret.reveal() or "null")
    except SecretUnreadable:
        return None
