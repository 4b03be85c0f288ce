"""Which channel is told of which alert: the rules, and how often an alert that goes on happening is told again."""

from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import DurationField, Exists, ExpressionWrapper, F, OuterRef, Q, Value
from django.db.models.functions import Greatest, Least, Now

from .models import Alert, Channel, Delivery, Mute, Rule

BATCH = 2000
# An alert that goes on happening is told again when it is twice as old, within these bounds.
SOONEST = timedelta(minutes=1)
LATEST = timedelta(hours=6)
# What a channel without any rule tells.
DEFAULT = Rule.Least.WARNING


def route() -> int:
    """Make the deliveries of all alerts that have something new to tell. Returns how many alerts."""
    routed = 0
    while batch := _route_some():
        routed += batch
    return routed


def _route_some() -> int:
    _forget_what_passed_unheard()
    new = Alert.objects.filter(Q(resolved_at=None) | Q(told=0), count__gt=F("told"), tell_at__lte=Now())
    new = new.exclude(snoozed_until__gt=Now()).exclude(is_muted())
    with transaction.atomic():
        alerts = list(new.select_for_update(skip_locked=True).order_by("pk")[:BATCH])
        make_deliveries(alerts)
        Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(told=F("count"), tell_at=_again())
    return len(alerts)


def is_muted() -> Exists:
    """Whether an alert's kind is muted now, for its record or for all."""
    own = Q(about="") | Q(about=OuterRef("about")) | Q(about=OuterRef("key"))
    return Exists(Mute.objects.filter(own, event=OuterRef("event"), ended=None, until__gt=Now()))


def _forget_what_passed_unheard() -> None:
    """What was over before anybody wanted to hear of it is not told afterwards."""
    over = Alert.objects.filter(resolved_at__isnull=False, count__gt=F("told"), told=0)
    over.filter(Q(snoozed_until__isnull=False) | Q(is_muted())).update(told=F("count"))


def make_deliveries(alerts: Sequence[Alert]) -> int:
    """One for each alert and channel whose rules want it, unless one waits already. Returns how many were wanted."""
    rules = Rules()
    rows = [
        Delivery(alert=alert, channel=channel)
        for alert in alerts
        for channel in rules.channels
        if rules.of(channel, alert.event).wants(alert.level)
    ]
    Delivery.objects.bulk_create(rows, batch_size=BATCH, ignore_conflicts=True)
    return len(rows)


class Rules:
    """The rules as they are now."""

    def __init__(self) -> None:
        self.channels = list(Channel.objects.filter(enabled=True))
        self._rules = {(rule.channel_id, rule.event): rule for rule in Rule.objects.all()}

    def of(self, channel: Channel, event: str) -> Rule:
        """The event's own rule, else the channel's for every event."""
        own = self._rules.get((channel.pk, event))
        every = self._rules.get((channel.pk, Rule.EVERY))
        return own or every or Rule(channel=channel, event=Rule.EVERY, least=DEFAULT)


def _again() -> object:
    age = ExpressionWrapper(Now() - F("created"), output_field=DurationField())
    return Now() + Greatest(Value(SOONEST), Least(Value(LATEST), age))
