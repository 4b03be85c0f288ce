"""The operators' log: who changed what, from what to what, when and from where; and nothing else, for ever."""

import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import Error, connection, transaction
from django.test import Client
from django.utils.translation import override

from llm.models import Alias, Model
from llm.seeds import plant
from notifications.models import Alert
from notifications.services import raise_alert
from tests.accounts.test_admin import tokens_form
from tests.notifications.channels import robot_channel
from tests.operators import PASSWORD, browser_of, clerk
from tests.topup.test_admin_changes import RECHARGE, as_shown, saved
from topup.models import RechargeSettings
from voicehelper.accounts.models import LoggedChange, User
from voicehelper.accounts.services import issue_token
from voicehelper.admin.base import change_url
from voicehelper.change_log import read

pytestmark = pytest.mark.django_db

LOG = "/admin/admin/logentry/"


def lines() -> list[str]:
    """What the log says of every field, oldest first."""
    entries = LogEntry.objects.select_related("logged", "content_type").order_by("pk")
    with override("en"):
        return [str(change) for entry in entries for change in read(entry)]


def put(client: Client, token: str, **options: Any) -> Any:
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": "203.0.113.9"}
    typed = json.dumps(options | {"CurrentPassword": PASSWORD})
    return client.put("/api/option", typed, content_type="application/json", headers=headers)


def test_a_user_changed_on_a_page_is_logged_field_by_field_with_the_address(browser: Client, buyer: User) -> None:
    form = {"username": "buyer", "email": "b@example.com", "group": "vip", "is_active": "on"} | tokens_form()
    assert browser.post(change_url(buyer), form, REMOTE_ADDR="198.51.100.7").status_code == 302
    assert lines() == ["Email address: — → b@example.com", "Group: default → vip"]
    logged = LoggedChange.objects.get()
    assert (logged.address, logged.way, logged.fields) == ("198.51.100.7", "page", ["email", "group"])
    assert browser.post(change_url(buyer), form).status_code == 302
    assert LogEntry.objects.count() == 1, "saved as it was"


def test_another_users_password_is_logged_as_changed_and_its_hash_nowhere(browser: Client, buyer: User) -> None:
    page = change_url(buyer).replace("/change/", "/password/")
    typed = {"password1": "quite another password", "password2": "quite another password", "usable_password": "true"}
    assert browser.post(page, typed).status_code == 302
    assert lines() == ["Password: changed"]
    buyer.refresh_from_db()
    kept = json.dumps([LoggedChange.objects.get().values, LogEntry.objects.get().change_message])
    assert buyer.password not in kept + browser.get(LOG).text


def test_a_role_is_logged_permission_by_permission(browser: Client) -> None:
    role = Group.objects.create(name="Support")
    view, change = Permission.objects.filter(codename__in=["view_user", "change_user"]).order_by("codename")
    role.permissions.add(view)
    page = f"/admin/auth/group/{role.pk}/change/"
    assert browser.post(page, {"name": "Support", "permissions": [change.pk]}).status_code == 302
    assert [line.rpartition(": ")[2] for line in lines()] == ["On → Off", "Off → On"]


def test_a_change_by_the_api_says_so_and_reads_in_the_language_of_its_reader(
    staff: User, browser: Client, settings: Any
) -> None:
    settings.TRUSTED_PROXIES = 1
    assert put(Client(), issue_token(staff), Price="9", AmountDiscount={"100": "0.950"}).status_code == 200
    logged = LoggedChange.objects.get()
    assert (logged.way, logged.address, logged.fields) == ("api", "203.0.113.9", ["price"])
    english = browser.get(LOG).text
    for shown in ("<b>Price</b> <del>7.3</del> → <ins>9</ins>", "API · 203.0.113.9", "operator"):
        assert shown in english
    chinese = browser_of(staff, "zh-hans")
    for page in (chinese.get(LOG).text, chinese.get(f"{RECHARGE.removesuffix('change/')}history/").text):
        assert "价格（元/份）" in page
        assert ">7.3<" in page.replace("<td>", ">").replace("</td>", "<")
        assert "Price" not in page


def test_a_number_written_another_way_is_no_change(staff: User, browser: Client) -> None:
    saved(browser, RECHARGE, price="7.300", confirm_above="1000.00")
    token = issue_token(staff)
    for price in ("7.30", 7.3, "7.3000"):
        assert put(Client(), token, Price=price, AmountDiscount={"100": 0.95}, ConfirmAbove="1000.0").status_code == 200
    assert (RechargeSettings.load().price, LogEntry.objects.exists()) == (RechargeSettings().price, False)


def test_what_is_added_and_deleted_is_logged_with_what_it_was(browser: Client) -> None:
    plant(Model)
    model = Model.objects.get(name="gpt-4")
    page = "/admin/llm/alias/add/"
    assert browser.post(page, as_shown(browser, page) | {"pattern": "gpt-*", "model": str(model.pk)}).status_code == 302
    alias = Alias.objects.get(pattern="gpt-*")
    assert browser.post(f"/admin/llm/alias/{alias.pk}/delete/", {"post": "yes"}).status_code == 302
    came, went = LogEntry.objects.select_related("logged", "content_type").order_by("pk")
    assert "gpt-*" in {change.new for change in read(came)}
    assert {"gpt-*", "gpt-4"} <= {change.old for change in read(went)}
    shown = browser.get(LOG).text
    assert "<del>gpt-*</del>" in shown


def test_a_button_and_a_rule_say_what_they_changed(browser: Client) -> None:
    raise_alert("late_payment", title="A late one")
    alert = Alert.objects.get()
    browser.post(change_url(alert).replace("/change/", "/do/resolve/"))
    assert [line.partition(":")[0] for line in lines()] == ["Resolved"]
    robot = robot_channel()
    browser.post("/admin/notifications/rule/", {f"rule-{robot.pk}-late_payment": "info"})
    assert lines()[1:] == ["From: — → Everything"]


def test_the_list_is_narrowed_by_person_kind_field_and_day_and_searched_by_value(browser: Client) -> None:
    write = browser_of(clerk("change_rechargesettings", name="clerk"))
    saved(write, RECHARGE, order_life_minutes="45")
    saved(browser, "/admin/topup/wechatsettings/1/change/", min_topup="7")
    kind = ContentType.objects.get_for_model(RechargeSettings).pk
    assert "Order life" in browser.get(f"{LOG}?kind={kind}").text
    for query, found in (
        ("username=clerk", 1),
        (f"kind={kind}", 1),
        (f"kind={kind}&field=order_life_minutes", 1),
        (f"kind={kind}&field=price", 0),
        ("action_time_from=2000-01-01&action_time_to=2000-01-02", 0),
        ("q=45", 1),
        ("way=api", 0),
        ("way=page", 2),
        ("", 2),
    ):
        assert browser.get(f"{LOG}?{query}").context["cl"].result_count == found, query


def test_nobody_changes_or_deletes_a_line_of_the_log(browser: Client) -> None:
    saved(browser, RECHARGE, order_life_minutes="45")
    entry = LogEntry.objects.get()
    assert browser.post(f"{LOG}{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    assert browser.post(f"{LOG}{entry.pk}/change/", {"object_repr": "x"}).status_code == 403
    assert "delete_selected" not in browser.get(LOG).text
    for statement in (
        "UPDATE django_admin_log SET change_message = 'nothing'",
        "DELETE FROM django_admin_log",
        "UPDATE accounts_loggedchange SET values = '[]'",
        "DELETE FROM accounts_loggedchange",
    ):
        with pytest.raises(Error, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_an_operator_whose_acts_are_in_the_log_is_not_deleted(browser: Client) -> None:
    helper = clerk("change_rechargesettings")
    saved(browser_of(helper), RECHARGE, order_life_minutes="45")
    page = change_url(helper).replace("/change/", "/delete/")
    assert browser.post(page, {"post": "yes"}).status_code == 403
    assert LogEntry.objects.count() == 1
