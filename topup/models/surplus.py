"""Surplus payments: an order that was paid is paid once more. Nothing is credited for it, and it goes back."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from .orders import Order


class SurplusPayment(models.Model):
    """One payment too many of an order, known by the provider's own number. What is given back of it takes no quota."""

    class State(models.TextChoices):
        OPEN = "open", _("To be given back")
        REFUNDED = "refunded", _("Given back")
        SETTLED = "settled", _("Noted as settled")

    order = models.ForeignKey(
        Order, models.PROTECT, related_name="surplus_payments", verbose_name=_("order"), editable=False
    )
    transaction_id = models.CharField(_("transaction"), max_length=64, editable=False)
    amount_fen = models.BigIntegerField(_("money (fen)"), editable=False)
    paid_at = models.DateTimeField(_("paid"), null=True, editable=False, help_text=_("By the provider's clock."))
    found_by = models.CharField(_("found by"), max_length=16, editable=False)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.OPEN, editable=False)
    note = models.CharField(_("note"), max_length=300, blank=True, editable=False)
    actor = models.CharField(_("settled by"), max_length=150, blank=True, editable=False)
    created = models.DateTimeField(_("found"), db_default=Now(), editable=False)
    ended = models.DateTimeField(_("settled"), null=True, editable=False)

    class Meta:
        verbose_name = _("surplus payment")
        verbose_name_plural = _("surplus payments")
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["order", "transaction_id"], name="surplus_payment_once"),
            models.CheckConstraint(condition=Q(amount_fen__gt=0), name="surplus_payment_positive"),
        ]
        indexes = [models.Index(fields=["transaction_id"], name="surplus_by_transaction")]

    def __str__(self) -> str:
        return self.transaction_id
