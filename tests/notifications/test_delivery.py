"""From a raised alert to what arrives at the stand-ins."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from notifications.delivery import GATHER, WINDOW, deliver, send_test
from notifications.messages import MOST_KINDS
from notifications.models import Alert, Channel, Delivery, Rule
from notifications.services import raise_alert, resolve, send_again, send_failed_again, tell_again
from sandbox.models import Messenger
from tests.notifications.channels import (
    aliyun_channel,
    arrived,
    mail_channel,
    refused,
    robot_channel,
    tencent_channel,
)
from tests.notifications.conftest import Mailbox
from voicehelper.secrets import Secret

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("messengers")]


def later(by: timedelta) -> None:
    """As if so much time had passed."""
    Alert.objects.update(tell_at=F("tell_at") - by, created=F("created") - by)
    Delivery.objects.filter(next_try_at__isnull=False).update(next_try_at=F("next_try_at") - by)
    for channel in Channel.objects.all():
        channel.recent = [moment - by for moment in channel.recent]
        channel.busy_until = channel.busy_until and channel.busy_until - by
        channel.rest_until = channel.rest_until and channel.rest_until - by
        channel.save()


def states() -> list[str]:
    return list(Delivery.objects.order_by("pk").values_list("state", flat=True))


def test_one_alert_reaches_every_kind_of_channel(mailbox: Mailbox) -> None:
    robot_channel()
    aliyun_channel()
    tencent_channel()
    mail_channel(mailbox.port)
    raise_alert("audit_failed", title="账目不平", content="wallet 7")
    assert deliver() == 4
    assert states() == ["sent"] * 4
    assert arrived()[0].startswith("🚨 [CRITICAL] 账目不平\n\n事件: ")
    assert "wallet 7" in arrived()[0]
    assert arrived("sms_aliyun")[0].startswith("【智能助手】title: 账目不平 time: 20")
    assert arrived("sms_tencent")[0].startswith("【智能助手】账目不平 20")
    assert mailbox.mails[0].subject == "[VoiceHelper Alert - CRITICAL] 账目不平"
    assert deliver() == 0


def test_what_is_rolled_back_is_never_told() -> None:
    robot_channel()
    with transaction.atomic():
        raise_alert("audit_failed", title="账目不平")
        transaction.set_rollback(True)
    assert deliver() == 0
    assert not Alert.objects.exists()


def test_a_rule_of_its_own_goes_before_the_rule_for_every_event() -> None:
    channel = robot_channel()
    Rule.objects.create(channel=channel, event=Rule.EVERY, least="critical")
    Rule.objects.create(channel=channel, event="late_payment", least="info")
    Rule.objects.create(channel=channel, event="forged_notice", least="never")
    for event in ("late_payment", "forged_notice", "audit_failed", "provider_low_balance"):
        raise_alert(event, title=event)
    deliver()
    assert sorted(text.split()[2] for text in arrived()) == ["audit_failed", "late_payment"]


def test_a_channel_without_rules_tells_warnings_and_worse() -> None:
    robot_channel()
    raise_alert("late_payment", title="info only")
    raise_alert("provider_low_balance", title="warned")
    deliver()
    assert len(arrived()) == 1
    assert "warned" in arrived()[0]


def test_the_worst_goes_first() -> None:
    robot_channel()
    for level in ("warning", "critical"):
        raise_alert("x", title=level, level=level)
    deliver()
    assert [text.split()[2] for text in arrived()] == ["critical", "warning"]


def test_an_alert_that_goes_on_is_told_again_with_its_count_and_less_and_less_often() -> None:
    robot_channel()
    raise_alert("audit_failed", title="again", key="k")
    deliver()
    raise_alert("audit_failed", title="again", key="k")
    assert deliver() == 0
    later(timedelta(minutes=2))
    assert deliver() == 1
    assert arrived()[-1].startswith("🚨 [CRITICAL] again ×2")
    raise_alert("audit_failed", title="again", key="k")
    later(timedelta(seconds=90))
    assert deliver() == 0, "it is two minutes old: the next time is when it is four"
    later(timedelta(minutes=1))
    assert deliver() == 1
    later(timedelta(hours=7))
    assert deliver() == 0, "it has not happened again"


def test_a_resolved_alert_is_not_told_again() -> None:
    robot_channel()
    raise_alert("audit_failed", title="again", key="k")
    deliver()
    raise_alert("audit_failed", title="again", key="k")
    assert resolve(Alert.objects.get(), by="operator")
    later(timedelta(hours=1))
    assert deliver() == 0


def test_a_channel_that_is_switched_off_is_told_nothing() -> None:
    robot_channel(enabled=False)
    raise_alert("audit_failed", title="T")
    assert deliver() == 0
    assert states() == []


def test_a_wrong_secret_fails_at_once_and_the_other_channels_report_it(mailbox: Mailbox) -> None:
    robot = robot_channel(secret=Secret("SECwrong"))
    mail_channel(mailbox.port)
    raise_alert("audit_failed", title="T")
    deliver()
    failed = Delivery.objects.get(channel=robot)
    assert (failed.state, failed.next_try_at) == ("failed", None)
    assert "sign not match" in failed.outcome
    deliver()
    assert any("告警无法通过“robot”送达" in mail.subject for mail in mailbox.mails)


def test_what_failed_is_sent_again_once_the_channel_works() -> None:
    robot = robot_channel(secret=Secret("SECwrong"))
    raise_alert("audit_failed", title="T")
    deliver()
    assert send_test(robot).ok is False
    Channel.objects.update(secret=Secret(Messenger.objects.get().secret))
    (again,) = send_test(robot).details.values()
    assert "1" in again
    assert send_failed_again(robot) == 0, "they wait already"
    deliver()
    assert any("[CRITICAL] T" in text for text in arrived())
    assert not Alert.objects.filter(event="channel_failed", resolved_at=None).exists()


def test_what_failed_is_sent_again_when_the_channel_works_by_itself_but_not_for_ever() -> None:
    robot_channel(secret=Secret("SECwrong"))
    raise_alert("audit_failed", title="first")
    deliver()
    Delivery.objects.filter(alert__event="channel_failed").delete()
    Channel.objects.update(secret=Secret(Messenger.objects.get().secret))
    raise_alert("audit_failed", title="second")
    later(timedelta(minutes=5))
    deliver()
    deliver()
    assert {text.split()[2] for text in arrived() if "CRITICAL" in text} >= {"first", "second"}
    Delivery.objects.update(state="failed", next_try_at=None, tries=5)
    assert send_failed_again(Channel.objects.get()) == 0


def test_sending_again_by_hand_sends_once_more() -> None:
    robot_channel()
    raise_alert("audit_failed", title="T")
    deliver()
    assert send_again(Delivery.objects.all()) == 1
    assert send_again(Delivery.objects.all()) == 0, "it waits already"
    deliver()
    assert len(arrived()) == 2
    assert tell_again(Alert.objects.get()) == 1
    deliver()
    assert len(arrived()) == 3


def test_test_messages_count_against_the_robots_limit() -> None:
    channel = robot_channel()
    assert [send_test(channel).ok for _ in range(21)] == [True] * 20 + [False]
    assert refused() == []


def test_a_silenced_robot_is_left_alone_for_ten_minutes() -> None:
    channel = robot_channel()
    Messenger.objects.update(silenced_until=Now() + timedelta(minutes=10))
    raise_alert("audit_failed", title="T")
    deliver()
    (waiting,) = Delivery.objects.all()
    assert waiting.state == "waiting"
    assert "130101" in waiting.outcome
    assert waiting.next_try_at is not None
    later(timedelta(minutes=9))
    assert deliver() == 0
    Messenger.objects.update(silenced_until=None)
    later(timedelta(minutes=2))
    assert deliver() == 1
    channel.refresh_from_db()
    assert (channel.failures, channel.last_error) == (0, "")


def test_a_text_that_may_have_arrived_is_not_sent_for_ever(settings: Any) -> None:
    from tests.far_side import FarSide

    with FarSide(answer=lambda _seen: b"") as mute:
        settings.ALIYUN_SMS_URL = mute.url
        aliyun_channel()
        raise_alert("audit_failed", title="T")
        for _ in range(5):
            deliver()
            later(timedelta(minutes=10))
        first = Delivery.objects.filter(alert__event="audit_failed").get()
        assert (first.state, first.tries, first.next_try_at) == ("unknown", 3, None)


def test_many_at_once_become_one_digest_with_every_kind_and_its_count() -> None:
    robot_channel()
    for number in range(30):
        raise_alert("notice_mismatch", title=f"Order {number}", key=f"m{number}")
    for _ in range(5):
        raise_alert("audit_failed", title="账目不平", key="a")
    raise_alert("something_new", title="?", level="warning")
    assert deliver() == 1
    (text,) = arrived()
    lines = text.splitlines()
    assert lines[0] == "🚨 [CRITICAL] 3 类告警，32 条，共 36 次"
    assert "🚨 审计不通过 ×5" in lines
    assert "  · 账目不平 ×5" in lines
    assert "🚨 回调与订单不符 ×30" in lines
    assert "  · 另有 27 条" in lines
    assert "⚠️ something_new ×1" in lines
    assert sorted(states()) == ["digested"] * 31 + ["sent"]
    assert Delivery.objects.get(state="sent").told.count() == 31


def test_a_digest_of_many_long_alerts_names_every_kind_and_leaves_the_rest_for_the_next() -> None:
    robot_channel()
    for kind in range(50):
        for number in range(4):
            raise_alert(f"种类{kind:02}" + "长" * 36, level="critical", title="标题" * 100, key=f"{kind} {number}")
    deliver()
    later(GATHER)
    deliver()
    first, second = arrived()
    assert [f"种类{kind:02}" in first for kind in range(50)] == [True] * MOST_KINDS + [False] * (50 - MOST_KINDS)
    assert all(f"种类{kind:02}" in second for kind in range(MOST_KINDS, 50))
    assert not Delivery.objects.filter(next_try_at__isnull=False).exists()


def test_a_digest_gathers_before_the_next_one() -> None:
    robot_channel()
    for number in range(30):
        raise_alert("x", title=f"{number}", level="critical")
    assert deliver() == 1
    for number in range(30, 60):
        raise_alert("x", title=f"{number}", level="critical")
    assert deliver() == 0
    later(GATHER)
    assert deliver() == 1
    later(WINDOW)
    assert deliver() == 0


def test_an_alert_channel_with_an_unreadable_secret_fails_and_says_so(settings: Any) -> None:
    from cryptography.fernet import Fernet

    robot_channel()
    settings.SECRET_KEYS = [Fernet.generate_key().decode()]
    raise_alert("audit_failed", title="T")
    deliver()
    assert "VOICEHELPER_SECRET_KEYS" in Delivery.objects.order_by("pk")[0].outcome
