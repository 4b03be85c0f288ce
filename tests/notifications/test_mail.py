"""Mail to users: it waits for a channel that works, gives way to alerts, and is not sent too late."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from notifications import mail
from notifications.models import Alert, Channel, Mail
from tests.notifications.channels import mail_channel
from tests.notifications.conftest import Mailbox
from voicehelper.secrets import Secret

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _here(settings: Any) -> None:
    settings.SMTP_PRIVATE_HOSTS = ["127.0.0.1"]


def test_only_a_channel_that_was_chosen_mails_to_users(mailbox: Mailbox) -> None:
    channel = mail_channel(mailbox.port)
    mail.post("user@example.com", "S", "T", good_for=HOUR)
    assert not mail.can_mail()
    assert mail.deliver() == 0
    Channel.objects.update(options=channel.options | {"users": True})
    assert mail.can_mail()
    assert mail.deliver() == 1
    (sent,) = mailbox.mails
    # Operators get nothing of it.
    assert (sent.recipients, sent.subject, sent.part("plain").strip()) == (("user@example.com",), "S", "T")


def test_a_mail_waits_for_a_channel_that_fails_and_operators_are_told(mailbox: Mailbox) -> None:
    channel = mail_channel(mailbox.port, password="wrong", users=True)
    mail.post("user@example.com", "S", "T", good_for=HOUR)
    assert mail.deliver() == 0
    channel.refresh_from_db()
    assert channel.last_error
    assert channel.rest_until is not None
    assert Alert.objects.filter(event="channel_failed", resolved_at=None).count() == 1
    row = Mail.objects.get()
    assert row.next_try_at is not None
    Channel.objects.update(secret=Secret("mail-password"), rest_until=None)
    Mail.objects.update(next_try_at=Now())
    assert mail.deliver() == 1
    assert not Alert.objects.filter(resolved_at=None).exists()


def test_an_address_that_is_refused_is_not_the_channels_fault(mailbox: Mailbox) -> None:
    channel = mail_channel(mailbox.port, users=True)
    mail.post("x@nobody.invalid", "S", "T", good_for=HOUR)
    mail.post("user@example.com", "S", "T", good_for=HOUR)
    assert mail.deliver() == 1
    channel.refresh_from_db()
    assert (channel.failures, channel.busy_until) == (0, None)
    refused = Mail.objects.get(to="x@nobody.invalid")
    assert (refused.next_try_at, bool(refused.text)) == (None, False)
    assert "550" in refused.outcome


def test_a_link_that_is_dead_is_not_sent(mailbox: Mailbox) -> None:
    mail_channel(mailbox.port, users=True)
    mail.post("user@example.com", "S", "T", good_for=-HOUR)
    assert mail.deliver() == 0
    row = Mail.objects.get()
    assert (row.next_try_at, bool(row.text), row.sent_at) == (None, False, None)


def test_half_of_a_minute_is_left_to_alerts(mailbox: Mailbox) -> None:
    mail_channel(mailbox.port, users=True)
    for number in range(12):
        mail.post(f"user{number}@example.com", "S", "T", good_for=HOUR)
    assert mail.deliver() == 10
    assert Mail.objects.filter(next_try_at__isnull=False).count() == 2


def test_what_was_sent_long_ago_is_forgotten(mailbox: Mailbox) -> None:
    mail_channel(mailbox.port, users=True)
    for to in ("old@example.com", "young@example.com", "waiting@example.com"):
        mail.post(to, "S", "T", good_for=HOUR)
    Mail.objects.exclude(to="waiting@example.com").update(next_try_at=None)
    Mail.objects.exclude(to="young@example.com").update(created=Now() - timedelta(days=31))
    assert mail.forget_old() == 1
    assert not Mail.objects.filter(to="old@example.com").exists()
