"""Telling the operators which differences of a day are open, once."""

from datetime import timedelta

from django.db.models.functions import Now
from django.urls import reverse
from django.utils import translation

from notifications.models import Alert
from notifications.services import raise_alert

from ...models import Difference, RechargeSettings, Reconciliation

_NAMED = 20


def tell(reconciliation: Reconciliation) -> None:
    """Raise or resolve the alert of this day, and that of the day before: its differences may have waited for this."""
    account = {name: getattr(reconciliation, name) for name in ("gateway", "merchant_id", "live")}
    yesterday = reconciliation.day - timedelta(days=1)
    for each in Reconciliation.objects.filter(**account, day__in=[yesterday, reconciliation.day]):
        key = key_of(each)
        opened = each.differences.filter(state=Difference.State.OPEN)
        count = opened.count()
        content = _content(each, list(opened.order_by("pk")[:_NAMED]), count)
        if not count:
            resolve(each)
        # The same news is told once, however often it is found again.
        elif not Alert.objects.filter(key=key, resolved_at=None, content=content[:4000]).exists():
            title = f"{each.gateway} {each.day}: {count} differences with the bill"
            raise_alert("reconciliation_difference", title=title, content=content, key=key)


def key_of(reconciliation: Reconciliation) -> str:
    return f"reconciliation:{reconciliation.pk}"


def resolve(reconciliation: Reconciliation) -> None:
    """Nothing is open any more."""
    alerts = Alert.objects.filter(key=key_of(reconciliation), resolved_at=None)
    alerts.update(resolved_at=Now(), resolved_by="VoiceHelper")


def _content(reconciliation: Reconciliation, differences: list[Difference], count: int) -> str:
    with translation.override("en"):
        lines = [f"{difference}: {difference.get_kind_display()}" for difference in differences]
    more = [f"… and {count - len(lines)} more"] if count > len(lines) else []
    page = reverse("admin:topup_reconciliation_change", args=[reconciliation.pk])
    return "\n".join([*lines, *more, f"{RechargeSettings.load().address}{page}"])
