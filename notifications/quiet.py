"""Quiet for a while: snoozing an alert, and muting a kind of event, for a record or for all. Both have an end.

A snoozed alert that is still open afterwards is told again. What is muted is written down, and told afterwards if it is
still open. Money is never out of sight for long: what can be critical and is about money is quiet for a day at most.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from voicehelper import clock

from . import events
from .models import Alert, Delivery, Mute

LONGEST = timedelta(days=90)
LONGEST_MONEY = timedelta(days=1)


class TooQuiet(Exception):
    """It may not be quiet for so long, or at all; the text says why, in the reader's language."""


def longest(event: str) -> timedelta:
    """How long this kind of event may be quiet."""
    kind = events.EVENTS.get(event)
    return LONGEST_MONEY if kind is not None and kind.money else LONGEST


def _check(until: datetime, event: str) -> None:
    now = clock.now()
    if until <= now:
        raise TooQuiet(_("That time is over already."))
    if until > now + longest(event):
        money = longest(event) == LONGEST_MONEY
        raise TooQuiet(
            _("Money may be at stake: a day is the longest.") if money else _("Ninety days are the longest.")
        )


@transaction.atomic
def snooze(alert: Alert, until: datetime) -> None:
    """Say nothing of it until then; what waits is not sent. Raises TooQuiet."""
    _check(until, alert.event)
    if not Alert.objects.filter(pk=alert.pk, resolved_at=None).update(snoozed_until=until, tell_at=until, told=0):
        raise TooQuiet(_("It is resolved already."))
    Delivery.objects.filter(alert=alert, next_try_at__isnull=False).delete()


def wake(alert: Alert) -> bool:
    """End a snooze: it is told at once. False: there was none."""
    asleep = Alert.objects.filter(pk=alert.pk, snoozed_until__gt=Now())
    return asleep.update(snoozed_until=Now(), tell_at=Now()) == 1


def mute(alert: Alert, until: datetime, *, by: str, reason: str, only_this: bool) -> Mute:
    """Tell nobody of this kind of event until then, or only of those about the same record. Raises TooQuiet."""
    _check(until, alert.event)
    about = (alert.about or alert.key) if only_this else ""
    return Mute.objects.create(event=alert.event, about=about, until=until, by=by, reason=reason[:200])


def unmute(mute: Mute) -> bool:
    """End it now. False: it had ended."""
    return Mute.objects.filter(pk=mute.pk, ended=None, until__gt=Now()).update(ended=Now()) == 1


def mute_of(alert: Alert) -> Mute | None:
    """What mutes this alert now, the one that ends last."""
    own = Q(about="") | Q(about__in=[name for name in (alert.about, alert.key) if name])
    return Mute.objects.filter(own, event=alert.event, ended=None, until__gt=Now()).order_by("-until").first()


def is_asleep() -> Q:
    """The alerts that are snoozed now, for queries."""
    return Q(resolved_at=None, snoozed_until__gt=Now())


def asleep(alert: Alert, now: datetime) -> bool:
    return alert.resolved_at is None and alert.snoozed_until is not None and alert.snoozed_until > now
