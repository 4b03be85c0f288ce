"""Telling the operators which differences of a day are open, once."""

from datetime import timedelta

from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import gettext_noop

from notifications.models import Alert
from notifications.services import raise_alert
from notifications.texts import Text, in_our_language, kept

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
        told = in_our_language(kept(content))[:4000]
        if not count:
            resolve(each)
        # The same news is told once, however often it is found again.
        elif not Alert.objects.filter(key=key, resolved_at=None, content=told).exists():
            title = Text(gettext_noop("%(day)s: %(count)s differences with the bill"), day=each.day, count=count)
            raise_alert(
                "reconciliation_difference",
                title=title,
                content=content,
                key=key,
                about=each,
                platform=each.gateway,
            )


def key_of(reconciliation: Reconciliation) -> str:
    return f"reconciliation:{reconciliation.pk}"


def resolve(reconciliation: Reconciliation) -> None:
    """Nothing is open any more."""
    alerts = Alert.objects.filter(key=key_of(reconciliation), resolved_at=None)
    alerts.update(resolved_at=Now(), resolved_by="VoiceHelper")


def _content(reconciliation: Reconciliation, differences: list[Difference], count: int) -> list[str | Text]:
    lines: list[str | Text] = [
        Text("%(difference)s: %(kind)s", difference=each, kind=Difference.Kind(each.kind).label) for each in differences
    ]
    if count > len(lines):
        lines.append(Text(gettext_noop("… and %(count)s more"), count=count - len(lines)))
    page = reverse("admin:topup_reconciliation_change", args=[reconciliation.pk])
    return [*lines, f"{RechargeSettings.load().address}{page}"]
