"""Raising and resolving alerts."""

from django.db.models import F
from django.db.models.functions import Now

from .models import Alert


def raise_alert(event: str, *, level: str, title: str, content: str = "", key: str = "") -> None:
    """Tell the operators. An alert whose key is open already is counted, not repeated. Safe inside a transaction, and
    then written only if that commits."""
    fresh = Alert(
        event=event, level=level, title=title[:200], content=content[:4000], key=(key or f"{event}:{title}")[:200]
    )
    known = Alert.objects.filter(key=fresh.key, resolved_at=None)
    again = {"count": F("count") + 1, "last": Now(), "content": fresh.content}
    if not known.update(**again):
        # A conflict means that another process raised the same in between; that row says it.
        Alert.objects.bulk_create([fresh], ignore_conflicts=True)


def resolve(alert: Alert, *, by: str) -> bool:
    """Close an alert. False: it was closed already."""
    return Alert.objects.filter(pk=alert.pk, resolved_at=None).update(resolved_at=Now(), resolved_by=by) == 1
