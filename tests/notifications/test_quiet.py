"""Alerts that lead to their record, in each channel's language; snoozed and muted with an end, and money never long."""

from datetime import datetime, timedelta
from email.headerregistry import Address
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils.translation import gettext_noop, override

from notifications import delivery, quiet
from notifications.delivery import deliver
from notifications.messages import digest, single
from notifications.models import Alert, Channel, Delivery, Mute
from notifications.routing import route
from notifications.services import raise_alert, resolve
from notifications.texts import Text
from notifications.transports import DingTalk, Sent
from notifications.transports.email import compose
from tests.notifications.channels import robot_channel
from tests.operators import browser_of, clerk
from topup.models import RechargeSettings
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.admin.base import change_url

pytestmark = pytest.mark.django_db

LIST = "/admin/notifications/alert/"


def alert_of(event: str = "late_payment", **more: Any) -> Alert:
    title = Text(gettext_noop("Order %(order)s was paid after it was closed"), order="202612010001")
    raise_alert(event, title=title, key=more.pop("key", event), **more)
    return Alert.objects.latest("pk")


def do(browser: Client, alert: Alert | Mute, name: str, **typed: str) -> str:
    return browser.post(change_url(alert).replace("/change/", f"/do/{name}/"), typed, follow=True).text


def at(hours: float) -> str:
    """A time as the page's input sends it."""
    return f"{(clock.now() + timedelta(hours=hours)).astimezone(clock.BEIJING):%Y-%m-%dT%H:%M}"


def told() -> int:
    """How many deliveries a sweep makes now."""
    Delivery.objects.all().delete()
    route()
    return Delivery.objects.count()


# --- Where it leads, in which language -------------------------------------------------------------------------------
def test_every_channel_names_record_and_platform_with_an_absolute_link_in_its_language(settings: Any) -> None:
    settings.SERVER_ADDRESS = "https://pay.example.com"
    row = RechargeSettings.load()
    content = Text(gettext_noop("%(quota)s quota were credited to %(user)s."), quota="5", user="li")
    alert = alert_of(about=row, platform="wechat", content=content)
    link = f"https://pay.example.com{change_url(row)}"
    for language, words in (
        ("zh-hans", ("订单 202612010001 在关闭后付款", "平台: 微信支付", "记录: 充值设置", "li 的 5 额度已到账。")),
        (
            "en",
            ("Order 202612010001 was paid after it was closed", "Platform: WeChat Pay", "Record: Recharge settings"),
        ),
    ):
        with override(language):
            message = single(alert)
            mail = compose(message, sender=Address("", "a", "example.com"), recipients=[]).as_string()
        assert message.link == link
        for text in words:
            assert text in f"{message.title}\n{message.content}"
    assert "https://pay.example.com" in mail
    _told, several = digest([alert, alert_of("audit_failed")], clock.now())
    assert link in several.content
    assert several.link.endswith("/admin/notifications/alert/?open=yes")


def test_a_channel_speaks_its_language_and_the_list_its_readers(
    browser: Client, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(DingTalk, "send", lambda _self, message: sent.append(message.title) or Sent())
    robot_channel("first")
    robot_channel("second", webhook="https://oapi.dingtalk.com/robot/send?access_token=second", language="en")
    alert_of("unknown_order")
    route()
    for channel in Channel.objects.order_by("name"):
        parcel = delivery._claim(channel.pk)
        assert parcel is not None
        delivery._send(parcel)
    assert sent == ["订单 202612010001 在关闭后付款", "Order 202612010001 was paid after it was closed"]
    assert "was paid after it was closed" in browser.get(LIST).text
    assert "在关闭后付款" in browser_of(staff, "zh-hans").get(LIST).text


# --- Snooze ----------------------------------------------------------------------------------------------------------
def test_a_snoozed_alert_is_told_nobody_until_its_end_and_then_again(browser: Client) -> None:
    robot_channel()
    alert = alert_of("job_missed")
    assert "Snoozed until" in do(browser, alert, "snooze", until=at(5))
    assert told() == 0
    alert_of("job_missed")
    assert told() == 0
    assert "Snoozed until" in browser.get(LIST).text
    assert "snooze" in LogEntry.objects.get().change_message.lower()
    Alert.objects.update(snoozed_until=clock.now(), tell_at=clock.now())
    assert told() == 1
    assert told() == 0


def test_a_snooze_is_ended_and_what_was_resolved_meanwhile_is_not_told(browser: Client) -> None:
    robot_channel()
    alert = alert_of("job_missed")
    do(browser, alert, "snooze", until=at(5))
    assert "It is told again." in do(browser, alert, "wake")
    assert told() == 1
    do(browser, alert, "snooze", until=at(5))
    resolve(alert, by="somebody")
    Alert.objects.update(snoozed_until=clock.now(), tell_at=clock.now())
    assert told() == 0


@pytest.mark.parametrize("until", ["", "tomorrow", "2020-01-01T00:00", "2099-01-01T00:00", "1e9"])
def test_a_time_that_is_none_or_past_or_too_far_changes_nothing(browser: Client, until: str) -> None:
    alert = alert_of("job_missed")
    do(browser, alert, "snooze", until=until)
    do(browser, alert, "mute_kind", until=until, reason="Because")
    alert.refresh_from_db()
    assert (alert.snoozed_until, Mute.objects.count()) == (None, 0)


# --- Mute ------------------------------------------------------------------------------------------------------------
def test_a_muted_kind_is_written_down_told_nobody_and_told_afterwards(browser: Client) -> None:
    robot_channel()
    first = alert_of("job_missed", key="a")
    do(browser, first, "mute_kind", until=at(48), reason="We move house")
    alert_of("job_missed", key="b")
    alert_of("channel_failed", key="c")
    assert told() == 1, "another kind is told"
    page = browser.get(LIST).text
    assert page.count("Muted until") >= 2
    assert "We move house" in browser.get("/admin/notifications/mute/").text
    assert "It is told again." in do(browser, Mute.objects.get(), "end")
    assert told() == 2


def test_a_record_is_muted_and_others_of_its_kind_are_not(browser: Client, staff: User, buyer: User) -> None:
    robot_channel()
    mine = alert_of("quota_adjusted", key="a", about=staff)
    do(browser, mine, "mute_record", until=at(3), reason="Known")
    alert_of("quota_adjusted", key="b", about=staff)
    alert_of("quota_adjusted", key="c", about=buyer)
    assert told() == 1


def test_money_is_not_muted_or_snoozed_for_more_than_a_day(browser: Client) -> None:
    for event in ("refund_failed", "reconciliation_difference", "forged_notice", "console_refund"):
        alert = alert_of(event)
        assert "a day is the longest" in do(browser, alert, "mute_kind", until=at(25), reason="No")
        assert "a day is the longest" in do(browser, alert, "snooze", until=at(25))
        with pytest.raises(quiet.TooQuiet):
            quiet.mute(alert, clock.now() + timedelta(hours=25), by="x", reason="", only_this=True)
    assert not Mute.objects.exists()
    assert "Muted until" in do(browser, alert, "mute_kind", until=at(23), reason="Known")


def test_several_are_made_quiet_from_the_list(browser: Client) -> None:
    alerts = [alert_of("job_missed", key=key) for key in "ab"]
    chosen = {"_selected_action": [alert.pk for alert in alerts]}
    browser.post(LIST, {"action": "snooze_till_morning", **chosen})
    ends = set(Alert.objects.values_list("snoozed_until", flat=True))
    assert all(isinstance(end, datetime) and end <= clock.now() + timedelta(days=1) for end in ends)
    browser.post(LIST, {"action": "mute_an_hour", **chosen})
    assert Mute.objects.count() == 1
    assert LogEntry.objects.count() == 3


def test_only_who_may_change_alerts_makes_them_quiet() -> None:
    alert = alert_of("job_missed")
    reader = browser_of(clerk("view_alert"))
    for name in ("snooze", "mute_kind", "mute_record", "wake"):
        assert reader.post(change_url(alert).replace("/change/", f"/do/{name}/"), {"until": at(1)}).status_code == 403
    reader.post(LIST, {"action": "snooze_an_hour", "_selected_action": [alert.pk]})
    alert.refresh_from_db()
    assert alert.snoozed_until is None


def test_an_alert_of_the_release_before_is_shown_as_it_was_written() -> None:
    Alert.objects.create(event="late_payment", level="info", title="Old %(title)s", content="100% old", key="k")
    message = single(Alert.objects.get())
    assert (message.title, "100% old" in message.content) == ("Old %(title)s", True)
    assert deliver() == 0
