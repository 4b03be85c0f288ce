"""Channels, rules, alerts and deliveries, as operators meet them."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db.models.functions import Now
from django.test import Client

from notifications.delivery import deliver
from notifications.models import Alert, Channel, Delivery, Rule
from notifications.services import raise_alert
from tests.conftest import sampled
from tests.notifications.channels import aliyun_channel, arrived, mail_channel, robot_channel
from tests.operators import browser_of, clerk, errors
from voicehelper.accounts.models import User
from voicehelper.secrets import Secret

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a long operator password"
CHANNELS = "/admin/notifications/channel/"
RULES = "/admin/notifications/rule/"
WEBHOOK = "https://oapi.dingtalk.com/robot/send?access_token=0123456789abcdef0123456789abcdef"
ROBOT = {
    "name": "robot",
    "enabled": "on",
    "webhook": WEBHOOK,
    "secret": "SEC0123456789abcdef",
    "mobiles": "13800138000",
}
MAIL = {
    "name": "mail",
    "enabled": "on",
    "host": "smtp.example.com",
    "port": "587",
    "security": "starttls",
    "username": "mailer",
    "secret": "a mail password",
    "sender": "alerts@example.com",
    "sender_name": "VoiceHelper",
    "recipients": "ops@example.com, boss@example.com",
}
ALIYUN = {
    "name": "texts",
    "enabled": "on",
    "key_id": "LTAI5t0123456789",
    "secret": "an AccessKey secret",
    "sign_name": "智能助手",
    "template": "SMS_123456789",
    "patterns": "title = {title}\ntime = {time}",
    "most": "35",
    "phones": "13800138000",
}
TENCENT = ALIYUN | {"patterns": "{title}\n{time}", "sdk_app_id": "1400006666", "region": "ap-guangzhou", "most": "12"}
FORMS = {"dingtalk": ROBOT, "email": MAIL, "sms_aliyun": ALIYUN, "sms_tencent": TENCENT}


def add(browser: Client, kind: str, **changes: str) -> Any:
    form = FORMS[kind] | {"current_password": PASSWORD} | changes
    return browser.post(f"{CHANNELS}add/?kind={kind}", form)


def page_of(channel: Channel) -> str:
    return f"{CHANNELS}{channel.pk}/change/"


# --- Channels --------------------------------------------------------------------------------------------------------
def test_adding_asks_for_the_kind_first(browser: Client) -> None:
    page = browser.get(f"{CHANNELS}add/").text
    for kind in FORMS:
        assert f"?kind={kind}" in page
        assert browser.get(f"{CHANNELS}add/?kind={kind}").status_code == 200
    assert "?kind=dingtalk" in browser.get(f"{CHANNELS}add/?kind=pigeon").text


@pytest.mark.parametrize("kind", sampled(FORMS, keep=2))
def test_a_channel_of_each_kind_can_be_made_and_its_secrets_are_never_shown(browser: Client, kind: str) -> None:
    response = add(browser, kind)
    assert response.status_code == 302, errors(response)
    channel = Channel.objects.get()
    assert response.headers["Location"] == page_of(channel)
    assert (channel.kind, channel.enabled) == (kind, True)
    assert channel.secret.reveal() == FORMS[kind]["secret"]
    assert "secret" not in channel.options
    page = browser.get(page_of(channel)).text
    assert FORMS[kind]["secret"] not in page
    assert "0123456789abcdef0123456789abcdef" not in page
    assert "Send a test message" in page
    assert browser.get(CHANNELS).status_code == 200


def test_what_was_entered_is_kept_as_the_transports_want_it(browser: Client) -> None:
    add(browser, "email")
    assert Channel.objects.get().options == {
        "host": "smtp.example.com",
        "port": 587,
        "security": "starttls",
        "username": "mailer",
        "sender": "alerts@example.com",
        "sender_name": "VoiceHelper",
        "recipients": ["ops@example.com", "boss@example.com"],
    }
    page = browser.get(page_of(Channel.objects.get())).text
    assert "ops@example.com\nboss@example.com" in page


def test_a_secret_wants_the_operators_password(browser: Client) -> None:
    response = add(browser, "dingtalk", current_password="")
    assert list(errors(response)) == ["current_password"]
    assert not Channel.objects.exists()


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    sampled(
        [
            ("dingtalk", "webhook", "https://oapi.dingtalk.com/robot/send"),
            ("dingtalk", "mobiles", "13800138000\n12345"),
            ("email", "recipients", "ops@example.com, nobody"),
            ("email", "port", "70000"),
            ("email", "sender", "nobody"),
            ("email", "secret", ""),
            ("sms_aliyun", "phones", "123"),
            ("sms_aliyun", "patterns", "title"),
            ("sms_aliyun", "patterns", "title = {password}"),
            ("sms_aliyun", "secret", ""),
            ("sms_tencent", "sdk_app_id", ""),
            ("sms_tencent", "most", "0"),
        ],
        keep=4,
    ),
)
def test_what_cannot_work_is_refused_at_its_field(browser: Client, kind: str, field: str, value: str) -> None:
    assert field in errors(add(browser, kind, **{field: value}))
    assert not Channel.objects.exists()


def test_one_robot_is_one_channel(browser: Client) -> None:
    add(browser, "dingtalk")
    assert list(errors(add(browser, "dingtalk", name="another"))) == ["webhook"]


def test_blank_keeps_the_secrets_and_saving_does_not_touch_what_sending_writes(browser: Client) -> None:
    add(browser, "dingtalk")
    channel = Channel.objects.get()
    form = ROBOT | {"webhook": "", "secret": "", "mobiles": "", "name": "renamed"}
    assert browser.get(page_of(channel)).status_code == 200
    Channel.objects.update(recent=[channel.last_ok] if channel.last_ok else [], failures=7, last_error="down")
    assert browser.post(page_of(channel), form).status_code == 302
    channel.refresh_from_db()
    assert (channel.name, channel.secret.reveal(), channel.webhook.reveal()) == ("renamed", ROBOT["secret"], WEBHOOK)
    assert (channel.failures, channel.last_error, channel.options) == (7, "down", {"mobiles": []})


def test_I11_a_password_is_never_sent_to_a_host_it_was_not_entered_for(browser: Client) -> None:
    add(browser, "email")
    moved = MAIL | {"secret": "", "host": "smtp.thief.example"}
    assert "secret" in errors(browser.post(page_of(Channel.objects.get()), moved))
    assert Channel.objects.get().options["host"] == "smtp.example.com"


@pytest.mark.usefixtures("messengers")
def test_the_test_sends_a_real_message_and_shows_what_came_of_it(browser: Client) -> None:
    channel = robot_channel()
    page = browser.post(f"{CHANNELS}{channel.pk}/test/", headers={"HX-Request": "true"}).text
    assert "The message was taken" in page
    assert "测试消息" in arrived()[0]
    Channel.objects.update(secret=Secret("SECwrong"))
    page = browser.post(f"{CHANNELS}{channel.pk}/test/", follow=True).text
    assert "sign not match" in page
    assert "How to mend it" in page
    assert "Failing" in page
    assert LogEntry.objects.filter(change_message__contains="sign not match").exists()


@pytest.mark.usefixtures("messengers")
def test_a_test_that_works_sends_again_what_failed(browser: Client) -> None:
    channel = robot_channel()
    raise_alert("audit_failed", title="T")
    deliver()
    Delivery.objects.update(state="failed")
    page = browser.post(f"{CHANNELS}{channel.pk}/test/", headers={"HX-Request": "true"}).text
    assert "1 delivery is sent again" in page
    assert Delivery.objects.get().state == "waiting"


def test_who_may_only_look_cannot_test_or_save(db: None) -> None:
    channel = robot_channel()
    viewer = browser_of(clerk("view_channel", "view_rule"))
    assert viewer.get(page_of(channel)).status_code == 200
    assert viewer.post(page_of(channel), ROBOT).status_code == 403
    assert viewer.post(f"{CHANNELS}{channel.pk}/test/").status_code == 403
    assert viewer.get(f"{CHANNELS}add/").status_code == 403
    assert viewer.post(RULES, {}).status_code == 403
    assert viewer.get(RULES).status_code == 200


# --- Rules -----------------------------------------------------------------------------------------------------------
def test_the_rules_are_a_table_saved_as_a_whole(browser: Client) -> None:
    robot, mail = robot_channel(), mail_channel(25)
    page = browser.get(RULES).text
    assert "Forged notice → robot" in page
    cells = {f"rule-{robot.pk}-*": "critical", f"rule-{mail.pk}-*": "never", f"rule-{mail.pk}-late_payment": "info"}
    assert browser.post(RULES, cells | {f"rule-{robot.pk}-late_payment": ""}).status_code == 302
    found = set(Rule.objects.values_list("channel__name", "event", "least"))
    assert found == {("robot", "*", "critical"), ("mail", "*", "never"), ("mail", "late_payment", "info")}
    assert LogEntry.objects.count() == 3
    browser.post(RULES, {f"rule-{mail.pk}-late_payment": ""})
    assert not Rule.objects.filter(event="late_payment").exists()


def test_a_value_that_is_no_choice_changes_nothing(browser: Client) -> None:
    robot = robot_channel()
    cells = {f"rule-{robot.pk}-*": "critical", f"rule-{robot.pk}-late_payment": "sometimes"}
    page = browser.post(RULES, cells, follow=True).text
    assert "Saving failed" in page
    assert not Rule.objects.exists()


def test_without_channels_the_rules_page_says_what_to_do(browser: Client) -> None:
    page = browser.get(RULES).text
    assert "There is no channel yet" in page
    assert f"{CHANNELS}add/" in page


# --- Alerts and deliveries -------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("messengers")
def test_an_alert_shows_what_became_of_it_and_can_be_sent_again(browser: Client) -> None:
    robot_channel()
    raise_alert("audit_failed", title="账目不平")
    address = f"/admin/notifications/alert/{Alert.objects.get().pk}/"
    assert "No channel was told of it." in browser.get(f"{address}change/").text
    deliver()
    page = browser.get(f"{address}change/").text
    assert "Audit failure" in page
    assert "Sent" in page
    assert ">robot<" in browser.get("/admin/notifications/alert/").text
    assert "It is sent through 1 channel." in browser.post(f"{address}do/tell/", follow=True).text
    deliver()
    assert len(arrived()) == 2


def test_the_deliveries_can_be_filtered_and_sent_again(browser: Client) -> None:
    channel = robot_channel()
    raise_alert("audit_failed", title="账目不平")
    alert = Alert.objects.get()
    Delivery.objects.create(alert=alert, channel=channel, state="failed", next_try_at=None, outcome="<b>why</b>")
    address = "/admin/notifications/delivery/"
    page = browser.get(address, {"state": "failed", "channel": channel.pk}).text
    assert "账目不平" in page
    assert "&lt;b&gt;why" in page
    assert "账目不平" not in browser.get(address, {"state": "sent"}).text
    delivery = Delivery.objects.get()
    assert browser.get(f"{address}{delivery.pk}/change/").status_code == 200
    action = {"action": "send_selected_again", "_selected_action": str(delivery.pk)}
    assert "1 delivery is sent again." in browser.post(address, action, follow=True).text
    delivery.refresh_from_db()
    assert delivery.state == "waiting"
    assert delivery.next_try_at is not None


def test_the_list_of_alerts_asks_the_database_a_bounded_number_of_questions(
    browser: Client, django_assert_max_num_queries: Any
) -> None:
    robot_channel()
    aliyun_channel()
    for number in range(40):
        raise_alert("x", level="critical", title=f"{number}", about=User.objects.create_user(f"user {number}"))
    for alert in Alert.objects.all():
        for channel in Channel.objects.all():
            Delivery.objects.create(alert=alert, channel=channel, state="sent", next_try_at=None, sent_at=Now())
    with django_assert_max_num_queries(20):
        page = browser.get("/admin/notifications/alert/").text
    assert "User user 39" in page


# --- Users' letters --------------------------------------------------------------------------------------------------
def test_only_a_superuser_says_which_server_users_letters_go_through() -> None:
    """Whoever does could read them, and have anybody's password set anew."""
    letters, alerts = mail_channel(2525, users=True), robot_channel()
    helper = browser_of(clerk("view_channel", "change_channel", "add_channel", "delete_channel"))
    path = f"{CHANNELS}{letters.pk}/change/"
    assert helper.get(path).status_code == 200
    stolen = MAIL | {"host": "smtp.evil.example", "users": "on", "current_password": PASSWORD}
    assert helper.post(path, stolen).status_code == 403
    assert helper.post(f"{CHANNELS}{letters.pk}/delete/", {"post": "yes"}).status_code == 403
    helper.post(CHANNELS, {"action": "delete_selected", "_selected_action": [letters.pk], "post": "yes"})
    letters.refresh_from_db()
    assert letters.options["host"] == "127.0.0.1"
    # Neither do they make another channel that carries them, or have one of alerts do so.
    assert add(helper, "email", name="mine", users="on").status_code == 302
    mine = Channel.objects.get(name="mine")
    assert "users" not in mine.options
    page = f"{CHANNELS}{mine.pk}/change/"
    assert "Only a superuser switches it" in helper.get(page).text
    assert helper.post(page, MAIL | {"name": "mine", "users": "on", "current_password": PASSWORD}).status_code == 302
    mine.refresh_from_db()
    assert (mine.options["host"], "users" in mine.options) == ("smtp.example.com", False)
    assert helper.get(f"{CHANNELS}{alerts.pk}/change/").status_code == 200
