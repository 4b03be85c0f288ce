"""Sending what waits, channel by channel: within the far side's limits, in a digest when there is too much at once.

A sender claims a channel under SKIP LOCKED, writes down that a message leaves now, and sends it in no transaction.
Killed before or after sending, its claim runs out and the message is sent (again): an alert may repeat, and is never
lost. Each channel has a thread, so that one which is slow keeps nobody waiting; one which fails rests for a while.
"""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now
from django.utils import translation
from django.utils.translation import gettext, gettext_noop, ngettext

from voicehelper import clock
from voicehelper.net.probe import Probe, nothing_called, since_ms

from . import messages
from .channels import open_transport
from .models import Alert, Channel, Delivery
from .routing import route
from .services import raise_alert, send_failed_again
from .texts import Text
from .transports import TRANSPORTS, Message, Sent, TransportError

log = logging.getLogger(__name__)

# The far side counts by the arrival of messages, and one may arrive seven seconds after it was noted here.
WINDOW = timedelta(seconds=70)
# Longer than the slowest transport takes.
CLAIM = timedelta(seconds=40)
# A digest gathers for at least so long after the message before it.
GATHER = timedelta(seconds=15)
# After the first, second … failure in a row.
REST_S = (10, 30, 60, 120, 300)
BROKEN_REST_S = 60
GIVE_UP = timedelta(days=1)
UNKNOWN_TRIES = 3
# So many failures in a row are told through the other channels.
REPORT_AFTER = 3
# No sweep begins another message after so long; its place in the worker belongs to others too.
SWEEP_S = 15.0


@dataclass(frozen=True)
class Dispatch:
    """One message about to leave, and the deliveries it settles; the first of them stands for a digest."""

    channel: Channel
    deliveries: list[int]
    message: Message


def deliver(seconds: float = SWEEP_S) -> int:
    """Tell the channels what is new, and send what is due. Returns how many messages left."""
    route()
    due = Delivery.objects.filter(next_try_at__lte=Now(), channel__enabled=True)
    waiting = list(due.order_by("channel_id").values_list("channel_id", flat=True).distinct())
    until = time.monotonic() + seconds
    if len(waiting) < 2:
        return sum(_send_all(pk, until) for pk in waiting)
    with ThreadPoolExecutor(len(waiting), "alerts") as pool:
        return sum(pool.map(lambda pk: _send_in_thread(pk, until), waiting))


def _send_in_thread(pk: int, until: float) -> int:
    try:
        return _send_all(pk, until)
    finally:
        connection.close()


def _send_all(pk: int, until: float) -> int:
    """Send through one channel until nothing is due, it must wait, or it fails."""
    sent = 0
    try:
        while time.monotonic() < until:
            parcel = _claim(pk)
            if parcel is None:
                break
            sent += 1
            if not _send(parcel):
                break
    except Exception:
        # What is wrong with this channel must not keep the others from sending; its claim runs out.
        log.exception("Delivering through channel %s failed", pk)
    return sent


def _claim(pk: int) -> Dispatch | None:
    """Take the channel and the next message for it. None: it is busy, rests, is at its limit, or has nothing due."""
    with transaction.atomic():
        channel = free_channels().select_for_update(skip_locked=True).filter(pk=pk).first()
        if channel is None:
            return None
        now = clock.now()
        room = Room.of(channel, now)
        due = Delivery.objects.filter(channel=channel, next_try_at__lte=now)
        with translation.override(channel.language):
            chosen, message = _choose(due, room, now)
        if message is None:
            return None
        note_departure(channel, room, now)
        happened = Alert.objects.filter(pk=OuterRef("alert_id")).values("count")
        Delivery.objects.filter(pk__in=chosen).update(tries=F("tries") + 1, count=Subquery(happened))
    return Dispatch(channel, chosen, message)


def free_channels() -> QuerySet[Channel]:
    idle = Q(busy_until=None) | Q(busy_until__lte=Now())
    rested = Q(rest_until=None) | Q(rest_until__lte=Now())
    return Channel.objects.filter(idle & rested, enabled=True)


@dataclass(frozen=True)
class Room:
    """What the far side still stands: when messages left within its minute, and how many may."""

    recent: list[datetime]
    limit: int

    @classmethod
    def of(cls, channel: Channel, now: datetime) -> "Room":
        return cls([moment for moment in channel.recent if moment > now - WINDOW], TRANSPORTS[channel.kind].per_minute)

    @property
    def left(self) -> int:
        return self.limit - len(self.recent)

    @property
    def singly(self) -> int:
        """How many may go one by one; half the limit is kept for digests, so that none waits long."""
        return self.left - self.limit // 2


def _choose(due: QuerySet[Delivery], room: Room, now: datetime) -> tuple[list[int], Message | None]:
    """The worst alert by itself while there is room for all; else everything in one digest, now and then."""
    rows = due.select_related("alert").order_by("pk")
    few = sorted(rows[: max(room.singly, 1) + 1], key=lambda row: messages.rank(row.alert.level))
    if not few or room.left <= 0:
        return [], None
    if len(few) <= max(room.singly, 1):
        return [few[0].pk], messages.single(few[0].alert)
    if room.recent and now - room.recent[-1] < GATHER:
        return [], None
    all_rows = list(rows.defer("alert__content")[: messages.MOST])
    told, message = messages.digest([row.alert for row in all_rows], now)
    return [row.pk for row in all_rows if row.alert_id in told], message


def note_departure(channel: Channel, room: Room, now: datetime) -> None:
    """That a message leaves now: before it does, or a crash could make one more than the far side stands."""
    Channel.objects.filter(pk=channel.pk).update(recent=[*room.recent, now], busy_until=now + CLAIM)


def _send(parcel: Dispatch) -> bool:
    try:
        with translation.override(parcel.channel.language):
            sent = open_transport(parcel.channel).send(parcel.message)
    except TransportError as error:
        _settle_failure(parcel, error)
        return False
    except Exception as error:
        log.exception("The transport of channel %s broke", parcel.channel.pk)
        _settle_failure(parcel, TransportError(f"{type(error).__name__}: {error}", permanent=False))
        return False
    _settle_success(parcel, sent)
    return True


def _settle_success(parcel: Dispatch, sent: Sent) -> None:
    first, *others = parcel.deliveries
    facts = {"next_try_at": None, "sent_at": Now(), "outcome": sent.detail[:300]}
    with transaction.atomic():
        Delivery.objects.filter(pk=first).update(state=Delivery.State.SENT, **facts)
        Delivery.objects.filter(pk__in=others).update(state=Delivery.State.DIGESTED, digest_id=first, **facts)
        note_success(parcel.channel)


def note_success(channel: Channel) -> int:
    """After failures, what was given up is sent again. Returns how many deliveries."""
    facts = {"failures": 0, "rest_until": None, "last_error": "", "last_ok": Now()}
    Channel.objects.filter(pk=channel.pk).update(busy_until=None, **facts)
    if not channel.failures:
        return 0
    trouble = Alert.objects.filter(key=_trouble_key(channel), resolved_at=None)
    trouble.update(resolved_at=Now(), resolved_by="VoiceHelper")
    return send_failed_again(channel)


def _settle_failure(parcel: Dispatch, error: TransportError) -> None:
    """Permanent: these deliveries have failed, until the channel works again. Else they are due once it has rested."""
    channel = parcel.channel
    rest_s = max(error.retry_after_s, REST_S[min(channel.failures, len(REST_S) - 1)])
    rest = timedelta(seconds=max(rest_s, BROKEN_REST_S) if error.permanent else rest_s)
    mine = Delivery.objects.filter(pk__in=parcel.deliveries)
    over = Q(created__lt=Now() - GIVE_UP)
    state = Delivery.State.UNKNOWN if error.unknown else Delivery.State.WAITING
    if error.unknown:
        over |= Q(tries__gte=UNKNOWN_TRIES)
    with transaction.atomic():
        mine.update(outcome=error.text[:300], state=state, next_try_at=Now() + rest)
        if error.permanent:
            mine.update(state=Delivery.State.FAILED, next_try_at=None)
        else:
            end = state if error.unknown else Delivery.State.FAILED
            mine.filter(over).update(state=end, next_try_at=None)
        Channel.objects.filter(pk=channel.pk).update(
            busy_until=None, failures=F("failures") + 1, rest_until=Now() + rest, last_error=error.text[:300]
        )
    if error.permanent or channel.failures + 1 == REPORT_AFTER:
        report_trouble(channel, error)


def _trouble_key(channel: Channel) -> str:
    return f"channel:{channel.pk}"


def report_trouble(channel: Channel, error: TransportError) -> None:
    raise_alert(
        "channel_failed",
        title=Text(gettext_noop("Alerts do not get through %(channel)s"), channel=channel.name),
        content=[error.text[:500], *([str(error.hint)] if error.hint else [])],
        key=_trouble_key(channel),
        about=channel,
    )


def send_test(channel: Channel) -> Probe:
    """Send a real message through a channel, enabled or not, within its limit like any other."""
    with transaction.atomic():
        row = Channel.objects.select_for_update(skip_locked=True).filter(pk=channel.pk).first()
        now = clock.now()
        if row is None or (row.busy_until and row.busy_until > now):
            return nothing_called(gettext("A message is leaving through this channel just now. Try again."))
        room = Room.of(row, now)
        if room.left <= 0:
            text = gettext("%(limit)d messages left within the last minute; the far side stands no more. Try again.")
            return nothing_called(text % {"limit": room.limit})
        note_departure(row, room, now)
    started = time.monotonic_ns()
    transport = TRANSPORTS[row.kind].target
    try:
        with translation.override(row.language):
            sent = open_transport(row).send(messages.test(row.name, now))
    except TransportError as error:
        Channel.objects.filter(pk=row.pk).update(busy_until=None, last_error=error.text[:300])
        return Probe(False, transport, since_ms(started), error.text, str(error.hint))
    details = {gettext("Its receipt"): sent.detail} if sent.detail else {}
    if again := note_success(row) + send_failed_again(row):
        text = ngettext("%(count)d delivery is sent again.", "%(count)d deliveries are sent again.", again)
        details[gettext("Failed before")] = text % {"count": again}
    return Probe(True, transport, since_ms(started), gettext("The message was taken. Did it arrive?"), details=details)
