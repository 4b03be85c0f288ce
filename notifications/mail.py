"""Mail to users: written down with what it belongs to, sent by the sweep through a channel that operators chose for it.

It shares the channel with alerts, one message at a time, and leaves half of its minute to them.
"""

import time
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from voicehelper import clock
from voicehelper.secrets import Secret, SecretUnreadable

from .channels import open_transport
from .delivery import (
    CLAIM,
    REPORT_AFTER,
    REST_S,
    SWEEP_S,
    Room,
    free_channels,
    note_departure,
    note_success,
    report_trouble,
)
from .models import Channel, Mail
from .transports import Email, RecipientRefused, Sent, TransportError

KEPT = timedelta(days=30)
_SETTLED = {"next_try_at": None, "text": Secret()}


def can_mail() -> bool:
    """Whether operators have set up a way for mail to users."""
    return for_users(Channel.objects.filter(enabled=True)).exists()


def for_users(channels: QuerySet[Channel]) -> QuerySet[Channel]:
    return channels.filter(kind="email", options__users=True)


def carries_letters(channel: Channel) -> bool:
    """Whether mail to users leaves through it while it is on: `for_users` of one row."""
    return channel.kind == "email" and channel.options.get("users") is True


def post(to: str, subject: str, text: str, *, good_for: timedelta) -> None:
    """Write a mail down; it leaves within seconds of the commit, or never once it is older than `good_for`."""
    facts: dict[str, Any] = {"to": to, "subject": subject[:200], "text": Secret(text)}
    Mail.objects.create(**facts, until=clock.now() + good_for)


def deliver(seconds: float = SWEEP_S) -> int:
    """Send what is due. Returns how many mails left."""
    waiting = Mail.objects.filter(next_try_at__isnull=False)
    waiting.filter(until__lt=Now()).update(**_SETTLED, outcome="It is too late for this mail.")
    ends, sent = time.monotonic() + seconds, 0
    while time.monotonic() < ends and (claimed := _claim()) is not None:
        sent += _send(*claimed)
    return sent


def forget_old() -> int:
    """Delete what was settled long ago. Returns how many rows."""
    return Mail.objects.filter(next_try_at=None, created__lt=Now() - KEPT).delete()[0]


@transaction.atomic
def _claim() -> tuple[Channel, Mail] | None:
    """The next mail and a channel that has room for it, both taken: killed now, both are free again after CLAIM."""
    mail = Mail.objects.select_for_update(skip_locked=True).filter(next_try_at__lte=Now()).order_by("pk").first()
    if mail is None:
        return None
    now = clock.now()
    for channel in for_users(free_channels()).select_for_update(skip_locked=True).order_by("failures", "name"):
        room = Room.of(channel, now)
        if room.singly > 0:
            note_departure(channel, room, now)
            Mail.objects.filter(pk=mail.pk).update(tries=F("tries") + 1, next_try_at=now + CLAIM)
            return channel, mail
    return None


def _send(channel: Channel, mail: Mail) -> bool:
    this = Mail.objects.filter(pk=mail.pk)
    try:
        sent = _sent(channel, mail)
    except RecipientRefused as error:
        _let_go(channel)
        rest = _rest(mail.tries)
        this.update(outcome=error.text[:300], **(_SETTLED if error.permanent else {"next_try_at": Now() + rest}))
    except SecretUnreadable as error:
        _let_go(channel)
        this.update(outcome=str(error)[:300], **_SETTLED)
    except TransportError as error:
        # The channel's fault, also when it is permanent: an operator may mend it while the mail is still good.
        rest = max(timedelta(seconds=error.retry_after_s), _rest(channel.failures))
        _let_go(channel, failures=F("failures") + 1, rest_until=Now() + rest, last_error=error.text[:300])
        this.update(outcome=error.text[:300], next_try_at=Now() + rest)
        if error.permanent or channel.failures + 1 == REPORT_AFTER:
            report_trouble(channel, error)
    else:
        note_success(channel)
        this.update(outcome=sent.detail[:300], sent_at=Now(), **_SETTLED)
        return True
    return False


def _sent(channel: Channel, mail: Mail) -> Sent:
    transport = open_transport(channel)
    assert isinstance(transport, Email)  # noqa: S101  # what for_users chose
    return transport.send_to(mail.to, mail.subject, mail.text.reveal(), clock.now())


def _let_go(channel: Channel, **facts: object) -> None:
    Channel.objects.filter(pk=channel.pk).update(busy_until=None, **facts)


def _rest(failures: int) -> timedelta:
    return timedelta(seconds=REST_S[min(failures, len(REST_S) - 1)])
