"""What providers told us and what we asked them, kept with its verdict."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from .accounts import MerchantAccount
from .orders import Order


class Notice(models.Model):
    """One callback of a provider, as it came, and what we made of it."""

    class Verdict(models.TextChoices):
        RECEIVED = "received", _("Received, not finished")
        CREDITED = "credited", _("Credited")
        DUPLICATE = "duplicate", _("Known already")
        IGNORED = "ignored", _("Genuine, nothing to credit")
        REFUND = "refund", _("About a refund, which was looked after")
        MALFORMED = "malformed", _("Malformed")
        FORGED = "forged", _("Signature wrong")
        MISMATCH = "mismatch", _("Does not match the order")
        UNKNOWN_ORDER = "unknown_order", _("Order unknown")
        UNCONFIRMED = "unconfirmed", _("Waiting for the provider to confirm")
        FAILED = "failed", _("Failed inside")

    # Verdicts that no signature stands behind; their rows are kept for a month only.
    UNVERIFIED = (Verdict.MALFORMED, Verdict.FORGED)
    # Genuine, and yet nobody was credited for it.
    UNFINISHED = (Verdict.RECEIVED, Verdict.UNCONFIRMED, Verdict.FAILED, Verdict.UNKNOWN_ORDER, Verdict.MISMATCH)

    gateway = models.CharField(_("gateway"), max_length=16, editable=False)
    # Whose keys vouch for it; null when none do.
    account = models.ForeignKey(
        MerchantAccount,
        models.PROTECT,
        null=True,
        related_name="notices",
        verbose_name=_("merchant account"),
        db_index=False,
        editable=False,
    )
    received = models.DateTimeField(_("received"), db_default=Now(), editable=False)
    source = models.GenericIPAddressField(_("source"), null=True, editable=False)
    body = models.TextField(_("body"), editable=False)
    # Of the callback, as far as its gateway signs them.
    headers = models.JSONField(default=dict, db_default={}, editable=False)
    query = models.TextField(default="", db_default="", editable=False)
    order_no = models.CharField(_("order number"), max_length=64, blank=True, editable=False)
    order = models.ForeignKey(
        Order, models.PROTECT, null=True, related_name="notices", verbose_name=_("order"), editable=False
    )
    verdict = models.CharField(_("verdict"), max_length=16, choices=Verdict, default=Verdict.RECEIVED, editable=False)
    detail = models.CharField(_("detail"), max_length=300, blank=True, editable=False)
    acknowledged = models.BooleanField(_("acknowledged"), default=False, editable=False)
    replay_of = models.ForeignKey(
        "self", models.SET_NULL, null=True, related_name="replays", verbose_name=_("replay of"), editable=False
    )
    actor = models.CharField(_("replayed by"), max_length=150, blank=True, editable=False)

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        indexes = [
            models.Index(fields=["-received"], name="notice_newest"),
            models.Index(fields=["order_no"], name="notice_by_order"),
            models.Index(fields=["account", "-received"], name="notice_by_account"),
            models.Index(fields=["gateway", "verdict", "-received"], name="notice_by_verdict"),
        ]

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} #{self.pk}"


class GatewayCall(models.Model):
    """One request to a provider and its answer, without secrets and signatures."""

    gateway = models.CharField(_("gateway"), max_length=16, editable=False)
    # In whose name; null where that is not kept yet. The log is none of what keeps an account from being deleted, and
    # no call may wait for an account's row, or fail with it, to be logged.
    account = models.ForeignKey(
        MerchantAccount,
        models.SET_NULL,
        null=True,
        related_name="calls",
        verbose_name=_("merchant account"),
        db_constraint=False,
        db_index=False,
        editable=False,
    )
    operation = models.CharField(_("operation"), max_length=24, editable=False)
    order_no = models.CharField(_("order number"), max_length=64, blank=True, editable=False)
    request = models.TextField(_("request"), editable=False)
    response = models.TextField(_("response"), editable=False)
    outcome = models.CharField(_("outcome"), max_length=12, editable=False)
    elapsed_ms = models.PositiveIntegerField(_("took (ms)"), editable=False)
    created = models.DateTimeField(_("time"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("gateway call")
        verbose_name_plural = _("gateway calls")
        indexes = [
            models.Index(fields=["-created"], name="call_newest"),
            models.Index(fields=["order_no"], name="call_by_order"),
            models.Index(fields=["account", "-created"], name="call_by_account"),
            models.Index(fields=["gateway", "operation", "-created"], name="call_by_gateway"),
            # Most calls are of two operations and go well, and are found without an index of their own.
            models.Index(
                fields=["operation", "-created"],
                condition=~Q(operation__in=["create", "query"]),
                name="call_by_operation",
            ),
            models.Index(fields=["outcome", "-created"], condition=~Q(outcome="ok"), name="call_unwell"),
        ]

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} #{self.pk}"
