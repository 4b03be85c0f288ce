"""L: alerts. A storm stays within the robot's limit, nothing is lost, and nobody waits for a channel that is down.

D6, D7, D8: `kill -9` between an alert and what arrives. I6 has nothing to try: no text with a code goes to users.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.test import Client

from notifications import jobs
from notifications.delivery import CLAIM, WINDOW, deliver
from notifications.models import Alert, Channel, Delivery, JobRun
from notifications.services import raise_alert
from notifications.tasks import deliver_alerts
from sandbox.models import Arrival
from tests.conftest import full, rarely
from tests.far_side import FarSide, http
from tests.merchants import WeChatMerchant
from tests.notifications.channels import arrived, mail_channel, refused, robot_channel
from tests.notifications.conftest import Mailbox, mailbox, messengers  # noqa: F401  # fixtures
from tests.orders import pending_order
from topup.services.options import write_options
from voicehelper.accounts.models import User

from .conftest import at_once, credited_once
from .workers import Workers

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("messengers")]

TAKEN = http(b'{"errcode":0,"errmsg":"ok"}')


def pass_time(by: timedelta) -> None:
    """As if so much time had passed, for us and for the stand-in."""
    Alert.objects.update(tell_at=F("tell_at") - by, created=F("created") - by)
    Delivery.objects.filter(next_try_at__isnull=False).update(next_try_at=F("next_try_at") - by)
    Arrival.objects.update(at=F("at") - by)
    for channel in Channel.objects.all():
        moved = {name: getattr(channel, name) for name in ("busy_until", "rest_until")}
        facts: dict[str, Any] = {name: moment and moment - by for name, moment in moved.items()}
        Channel.objects.filter(pk=channel.pk).update(recent=[moment - by for moment in channel.recent], **facts)


def counts_of_arrived(kind: str) -> int:
    """The highest count with which a kind of alert was told."""
    lines = [line for text in arrived() for line in text.splitlines() if kind in line and "×" in line]
    return max((int(line.rpartition("×")[2].replace(",", "")) for line in lines), default=0)


def slow(seconds: float) -> Callable[[Any], Any]:
    return lambda _seen: iter([seconds, TAKEN])


# --- L1 --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kinds", [*rarely(1), 7])
def test_L1_ten_thousand_failures_in_a_minute_are_at_most_twenty_messages_and_every_kind_has_its_count(
    kinds: int,
) -> None:
    """Of each kind, half of the failures are the same and half differ. Each step of the storm is five seconds."""
    robot_channel()
    total = full(10_000, 600)
    steps = 12
    for step in range(steps):
        for number in range(step, total, steps):
            kind = f"storm_{number % kinds}"
            key = kind if number // kinds % 2 else f"{kind}:{number}"
            raise_alert(kind, level="critical", title=key, key=key)
        deliver()
        pass_time(timedelta(seconds=5))
    in_the_minute = len(arrived())
    assert 1 <= in_the_minute <= 20
    for _ in range(60):
        deliver()
        pass_time(timedelta(seconds=5))
    assert refused() == []
    assert not Delivery.objects.filter(next_try_at__isnull=False).exists()
    assert not Alert.objects.filter(deliveries=None).exists()
    assert sum(Alert.objects.values_list("count", flat=True)) == total
    for number in range(kinds):
        repeated = Alert.objects.get(key=f"storm_{number}")
        assert max(repeated.deliveries.values_list("count", flat=True)) == repeated.count
        assert counts_of_arrived(f"storm_{number}") >= repeated.count


@pytest.mark.rare
def test_L1_a_trickle_that_never_becomes_a_storm_stays_within_the_limit_too() -> None:
    """Three new failures every two seconds: few enough to go one by one, and ninety in a minute."""
    robot_channel()
    for number in range(90):
        raise_alert("trickle", level="critical", title=f"alert {number}.")
        if number % 3 == 2:
            deliver()
            pass_time(timedelta(seconds=2))
    assert 10 <= len(arrived()) <= 20
    for _ in range(30):
        deliver()
        pass_time(timedelta(seconds=5))
    assert refused() == []
    assert not Delivery.objects.filter(next_try_at__isnull=False).exists()
    assert not Alert.objects.filter(deliveries=None).exists()


def test_L1_no_window_of_a_minute_holds_more_than_twenty_however_late_a_message_arrives() -> None:
    assert timedelta(seconds=60 + 7) < WINDOW


# --- L2 --------------------------------------------------------------------------------------------------------------
def test_L2_the_same_failure_in_many_workers_is_one_alert_and_every_one_is_counted() -> None:
    def fail() -> None:
        for _ in range(10):
            raise_alert("gateway_unreachable", title="wechat", key="unreachable:wechat")

    at_once(*[fail] * 8)
    assert list(Alert.objects.values_list("count", flat=True)) == [80]


def test_L2_many_workers_deliver_an_alert_once(settings: Any) -> None:
    """Some begin together, others while the message is on its way."""

    def deliver_later() -> int:
        time.sleep(0.5)
        return deliver()

    with FarSide(answer=slow(1)) as dingtalk:
        settings.DINGTALK_BASE_URL = dingtalk.url
        robot_channel()
        raise_alert("gateway_unreachable", title="wechat")
        assert sum(at_once(*[deliver] * 4, *[deliver_later] * 4)) == 1
        assert len(dingtalk.seen) == 1


# --- L3 --------------------------------------------------------------------------------------------------------------
def test_L3_a_slow_channel_does_not_keep_another_waiting(settings: Any, mailbox: Mailbox) -> None:  # noqa: F811
    with FarSide(answer=slow(3)) as dingtalk:
        settings.DINGTALK_BASE_URL = dingtalk.url
        robot_channel()
        mail_channel(mailbox.port)
        raise_alert("audit_failed", title="T")
        started = time.monotonic()
        (_sent, mailed_after) = at_once(deliver, lambda: _wait_for_mail(mailbox, started))
    assert mailed_after < 2.5


def _wait_for_mail(box: Mailbox, started: float) -> float:
    while not box.mails and time.monotonic() - started < 10:
        time.sleep(0.02)
    return time.monotonic() - started


def test_L3_a_channel_that_is_down_rests_and_loses_nothing(settings: Any, mailbox: Mailbox) -> None:  # noqa: F811
    working = settings.DINGTALK_BASE_URL
    settings.DINGTALK_BASE_URL = "http://127.0.0.1:9"
    robot = robot_channel()
    mail_channel(mailbox.port)
    raise_alert("audit_failed", title="first")
    deliver()
    assert len(mailbox.mails) == 1
    raise_alert("refund_failed", title="second")
    deliver()
    assert len(mailbox.mails) == 2
    for _ in range(3):
        pass_time(timedelta(minutes=5))
        deliver()
    assert any("告警无法通过“robot”送达" in mail.subject for mail in mailbox.mails)
    settings.DINGTALK_BASE_URL = working
    pass_time(timedelta(minutes=5))
    deliver()
    told = "\n".join(arrived())
    assert "first" in told
    assert "second" in told
    assert not Delivery.objects.filter(channel=robot, next_try_at__isnull=False).exists()
    assert not Alert.objects.filter(event="channel_failed", resolved_at=None).exists()


def test_L3_money_never_waits_for_a_channel(
    settings: Any, buyer: User, wechat: WeChatMerchant, provider: Client, books_agree: Callable[[], None]
) -> None:
    """A payment that raises an alert is answered while the only channel hangs, and before anything is sent."""
    with FarSide(answer=slow(30)) as dingtalk:
        settings.DINGTALK_BASE_URL = dingtalk.url
        robot_channel()
        order = pending_order(buyer, wechat)
        write_options({"WechatEnabled": False})
        started = time.monotonic()
        answer = provider.post("/api/wechat/notify", wechat.notice(order), content_type="text/xml")
        assert time.monotonic() - started < 2
        assert b"SUCCESS" in answer.content
        assert dingtalk.seen == []
    credited_once(order)
    assert Alert.objects.filter(event="notice_while_off").exists()
    books_agree()


def test_L3_a_database_that_refuses_the_alert_does_not_undo_the_callers_work(
    buyer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from notifications import services

    monkeypatch.setattr(services, "_RAISE", "INSERT INTO no_such_table VALUES (%s, %s, %s, %s, %s)")
    with transaction.atomic():
        User.objects.filter(pk=buyer.pk).update(group="vip")
        raise_alert("audit_failed", title="T")
    buyer.refresh_from_db()
    assert buyer.group == "vip"


def test_L3_a_database_that_is_gone_does_not_break_whoever_raises_an_alert(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(*_args: Any) -> None:
        raise DatabaseError("server closed the connection unexpectedly")

    monkeypatch.setattr(connection, "cursor", gone)
    raise_alert("audit_failed", title="账目不平", content="wallet 7")
    monkeypatch.undo()
    assert "账目不平: wallet 7" in caplog.text


# --- L6 --------------------------------------------------------------------------------------------------------------
@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this process had run for a while."""
    monkeypatch.setattr(jobs, "SETTLE_S", 0)


def late_by(name: str, by: timedelta) -> None:
    JobRun.objects.update_or_create(name=name, defaults={"succeeded": Now() - by})


def test_L6_a_process_that_has_just_started_lets_the_jobs_catch_up_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_started", time.monotonic())
    late_by("audit", timedelta(days=1))
    deliver_alerts()
    assert not Alert.objects.exists()
    monkeypatch.setattr(jobs, "_started", time.monotonic() - jobs.SETTLE_S)
    deliver_alerts()
    assert Alert.objects.get().key == "job:audit"


@pytest.mark.usefixtures("settled")
def test_L6_a_job_that_stopped_succeeding_is_an_alert_until_it_succeeds_again() -> None:
    robot_channel()
    deliver_alerts()
    assert not Alert.objects.exists(), "a job is not late when it was never expected before"
    late_by("audit", timedelta(minutes=30))
    deliver_alerts()
    alert = Alert.objects.get(event="job_missed")
    assert (alert.level, alert.key) == ("critical", "job:audit")
    assert "“增量审计”自" in arrived()[0]
    deliver_alerts()
    assert Alert.objects.get().count == 1
    jobs.succeeded("voicehelper.wallet.tasks.audit", {})
    deliver_alerts()
    assert Alert.objects.get().resolved_by == "VoiceHelper"


def test_L6_every_job_of_the_schedule_is_watched() -> None:
    jobs.late()
    schedule = django_settings.CELERY_BEAT_SCHEDULE
    assert set(JobRun.objects.values_list("name", flat=True)) == set(schedule)
    JobRun.objects.update(succeeded=Now() - timedelta(days=3))
    assert {job.name for job in jobs.late()} == set(schedule)


def test_L6_a_nightly_job_is_late_an_hour_after_its_time() -> None:
    from datetime import datetime

    from celery.schedules import crontab

    last = datetime.fromisoformat("2026-11-20T03:31:00+08:00")
    due = jobs.deadline(crontab(hour=3, minute=30), last)
    assert due == datetime.fromisoformat("2026-11-21T04:30:00+08:00")
    assert jobs.deadline(15, last) == last + timedelta(seconds=15 + 120)
    assert jobs.deadline(300, last) == last + timedelta(seconds=900)


def test_L6_a_task_marks_its_success_and_a_failure_marks_nothing() -> None:
    from notifications.tasks import deliver_alerts as task

    assert isinstance(task, jobs.Job)
    task.apply()
    assert set(JobRun.objects.filter(name="deliver_alerts").values_list("name", flat=True)) == {"deliver_alerts"}
    before = JobRun.objects.get(name="deliver_alerts").succeeded
    task.apply(args=("one argument too many",))
    assert JobRun.objects.get(name="deliver_alerts").succeeded == before


@pytest.mark.usefixtures("settled")
def test_L6_when_the_sweep_itself_is_dead_the_web_process_tells() -> None:
    robot_channel()
    jobs.late()
    late_by("audit", timedelta(minutes=30))
    jobs.look()
    assert arrived() == [], "the sweep is alive, and tells in its own time"
    late_by("deliver_alerts", timedelta(minutes=10))
    jobs.look()
    assert len(arrived()) == 2
    assert any("“发送告警”自" in text for text in arrived())


# --- D6, D7, D8 ------------------------------------------------------------------------------------------------------
def sweep_killed(workers: Workers, at: int | str, dingtalk_url: str) -> bool:
    """A worker that sweeps and kills itself on the way, if it gets there."""
    there = {"DINGTALK_BASE_URL": dingtalk_url}
    return bool(workers.forge.call("notifications.delivery:deliver", there, kill_at=at).where)


def killed_and_made_whole(workers: Workers, settings: Any, at: str) -> tuple[int, int]:
    """How many messages had arrived when the worker was killed, and when the next sweeps were done."""
    robot_channel()
    raise_alert("audit_failed", title="账目不平")
    assert sweep_killed(workers, at, settings.DINGTALK_BASE_URL)
    before = len(arrived())
    deliver()
    pass_time(CLAIM)
    deliver()
    assert list(Delivery.objects.values_list("state", flat=True)) == ["sent"]
    return before, len(arrived())


@pytest.mark.parametrize("at", ["notifications/delivery.py:deliver", "notifications/routing.py:make_deliveries"])
def test_D6_an_alert_that_was_committed_is_told_although_the_worker_died_first(
    workers: Workers, settings: Any, at: str
) -> None:
    assert killed_and_made_whole(workers, settings, at) == (0, 1)


def test_D7_a_message_that_was_claimed_and_not_sent_is_sent_within_a_minute(workers: Workers, settings: Any) -> None:
    assert killed_and_made_whole(workers, settings, "notifications/delivery.py:_send") == (0, 1)
    assert timedelta(seconds=50) > CLAIM


def test_D8_a_message_that_was_sent_and_not_marked_is_repeated_and_not_lost(workers: Workers, settings: Any) -> None:
    assert killed_and_made_whole(workers, settings, "notifications/delivery.py:_settle_success") == (1, 2)


@pytest.mark.rare
def test_D7_a_worker_killed_at_any_line_loses_no_alert(workers: Workers, settings: Any) -> None:
    robot_channel()
    total = 110
    step = max(1, total // full(total, 5))
    for number in range(1, total, step):
        raise_alert("audit_failed", title=f"alert {number}.", key=f"k{number}")
        sweep_killed(workers, number, settings.DINGTALK_BASE_URL)
        pass_time(CLAIM)
        deliver()
        pass_time(timedelta(minutes=2))
    told = "\n".join(arrived())
    assert all(f"alert {number}." in told for number in range(1, total, step))
    assert not Delivery.objects.filter(next_try_at__isnull=False).exists()
