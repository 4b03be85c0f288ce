"""Reconciliation in the admin: both sides of a day, what each difference means, and who may settle it."""

import html
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils.translation import override

from notifications.messages import content_of
from notifications.models import Alert
from tests.conftest import sampled
from tests.merchants import WECHAT, WeChatMerchant
from tests.operators import browser_of, clerk
from tests.orders import pending_order
from topup.models import Difference, Order, Reconciliation
from topup.services import reconciliation
from topup.services.reconciliation.alerts import tell
from voicehelper.accounts.models import User
from voicehelper.admin import base
from voicehelper.celery import app

pytestmark = pytest.mark.django_db

DAY = "2026-01-02"
LIST = "/admin/topup/reconciliation/"


@pytest.fixture
def day(db: None) -> Reconciliation:
    return Reconciliation.objects.create(
        gateway="wechat",
        merchant_id=WECHAT.mch_id,
        live=False,
        day=date.fromisoformat(DAY),
        state="differs",
        theirs_payments=3,
        theirs_payments_fen=21900,
        ours_payments=2,
        ours_payments_fen=14600,
        theirs_refunds=1,
        theirs_refunds_fen=100,
        ours_refunds=1,
        ours_refunds_fen=100,
        fee="1.32000",
        compared=f"{DAY}T10:30:00+08:00",
        actor="schedule",
        runs=1,
    )


@pytest.fixture
def difference(day: Reconciliation, buyer: User) -> Difference:
    order = pending_order(buyer, WECHAT)
    return Difference.objects.create(
        reconciliation=day,
        kind="not_credited",
        order_no=order.order_no,
        transaction_id="4200",
        theirs_fen=7300,
        at=f"{DAY}T12:00:00+08:00",
        said="SUCCESS",
        seen=1,
    )


def do(browser: Client, record: Any, name: str, **data: str) -> str:
    """Press a button; the page that follows."""
    return str(browser.post(base.change_url(record).replace("/change/", f"/do/{name}/"), data, follow=True).text)


def test_a_day_shows_both_sides_and_what_differs(difference: Difference, staff: User) -> None:
    browser = browser_of(staff)
    listed = browser.get(LIST).text
    for shown in ("1 difference open", "¥219.00", "¥146.00", "¥73.00", "¥1.00 / ¥1.00"):
        assert shown in listed, shown
    page = browser.get(base.change_url(difference.reconciliation)).text
    for shown in ("¥219.00", "¥146.00", "¥73.00", "¥1.32", "the schedule", difference.order_no, "not credited here"):
        assert shown in page, shown
    page = browser.get(base.change_url(difference)).text
    for shown in ("Waiting for payment", "the quota is credited", "4200", "2026-01-02 12:00:00"):
        assert shown in page, shown
    assert base.change_url(Order.objects.get()) in page
    assert "平台已收款，本站未到账" in browser_of(staff, "zh-hans").get(base.change_url(difference)).text


@pytest.mark.parametrize("kind", sampled(Difference.Kind.values, keep=3))
def test_each_kind_says_what_to_do_in_both_languages(day: Reconciliation, staff: User, kind: str) -> None:
    difference = Difference.objects.create(reconciliation=day, kind=kind, order_no="ELSEWHERE", theirs_fen=1, seen=1)
    for language in ("en", "zh-hans"):
        page = browser_of(staff, language).get(base.change_url(difference))
        assert page.status_code == 200
        assert Difference.Kind(kind).value not in page.text


def test_the_front_page_and_the_menu_lead_there(difference: Difference, staff: User) -> None:
    page = browser_of(staff).get("/admin/").text
    assert "Differences with a bill" in page
    assert base.list_url(Difference, state="open") in page
    assert LIST in page
    Reconciliation.objects.update(state="no_bill")
    assert "Days without a bill" in browser_of(staff).get("/admin/").text


def test_both_lists_are_filtered_searched_and_exported(difference: Difference, staff: User) -> None:
    browser = browser_of(staff)
    assert difference.order_no in browser.get("/admin/topup/difference/", {"q": "4200", "state": "open"}).text
    assert difference.order_no not in browser.get("/admin/topup/difference/", {"state": "settled"}).text
    days = browser.get(f"{LIST}export.csv", {"gateway": "wechat", "day_from": DAY, "day_to": DAY})
    assert b"".join(days).decode().splitlines()[1].startswith(f"{DAY},wechat,{WECHAT.mch_id},False,differs,3,219.00,2")
    page = browser.get(base.change_url(difference.reconciliation)).text
    led_to = re.search(r'href="(/admin/topup/difference/\?gateway=[^"]+)"', page)
    assert led_to
    assert difference.order_no in browser.get(html.unescape(led_to[1])).text
    of_the_day = {"gateway": "wechat", "reconciliation__day_from": DAY, "reconciliation__day_to": DAY}
    rows = browser.get("/admin/topup/difference/export.csv", of_the_day)
    assert f"{difference.order_no},4200,,73.00,," in b"".join(rows).decode()


@pytest.mark.rare
def test_a_settled_difference_keeps_who_when_and_why_and_closes_the_day(difference: Difference, staff: User) -> None:
    tell(difference.reconciliation)
    browser = browser_of(staff)
    assert "Say why" in do(browser, difference, "settle")
    assert "Noted as settled" in do(browser, difference, "settle", reason="Paid out in cash")
    difference.refresh_from_db()
    assert (difference.state, difference.actor, difference.note) == ("settled", "operator", "Paid out in cash")
    assert difference.ended is not None
    assert Reconciliation.objects.get().state == "agreed"
    assert Alert.objects.get(event="reconciliation_difference").resolved_at is not None
    assert "Settled" in browser.get(LIST).text
    assert "Paid out in cash" in LogEntry.objects.latest("pk").change_message
    assert "It is open again" in do(browser, difference, "reopen", reason="It was not")
    assert Reconciliation.objects.get().state == "differs"


def test_several_differences_are_settled_with_one_reason_that_each_keeps(difference: Difference, staff: User) -> None:
    odd = [
        Difference.objects.create(
            reconciliation=difference.reconciliation,
            kind="not_understood",
            transaction_id=f"odd{line}",
            line=line,
            seen=1,
        )
        for line in (1, 2, 3)
    ]
    rows, other = [difference, *odd[:2]], odd[2]
    chosen = {"action": "settle_together", "_selected_action": [row.pk for row in rows]}
    url = "/admin/topup/difference/"
    browser = browser_of(staff)
    asked = browser.post(url, chosen)
    assert "Note 3 differences as settled" in asked.text
    assert "Say why" in browser.post(url, chosen | {"asked": "1", "reason": " "}).text
    assert Difference.objects.filter(state="open").count() == 4
    done = browser.post(url, chosen | {"asked": "1", "reason": "Test merchant"}, follow=True).text
    assert "3 of 3 noted as settled." in done
    assert set(Difference.objects.filter(state="settled").values_list("note", "actor")) == {
        ("Test merchant", "operator")
    }
    assert LogEntry.objects.filter(change_message__contains="Test merchant").count() == 3
    assert Reconciliation.objects.get().state == "differs"
    browser.post(url, chosen | {"_selected_action": [other.pk], "reason": "x"})
    assert Reconciliation.objects.get().state == "agreed"
    assert "None of them is open any more" in browser.post(url, chosen, follow=True).text
    Difference.objects.update(state="open")
    helper = browser_of(clerk("view_difference"))
    helper.post(url, chosen | {"reason": "x"})
    assert not Difference.objects.filter(state="settled").exists()


def test_the_alert_names_the_orders_and_leads_to_the_page(difference: Difference) -> None:
    tell(difference.reconciliation)
    tell(difference.reconciliation)
    alert = Alert.objects.get(event="reconciliation_difference")
    assert (alert.count, alert.level) == (1, "critical")
    with override("en"):
        assert f"{difference.order_no}: Paid there, not credited here" in content_of(alert)
    assert base.change_url(difference.reconciliation) in alert.content


def test_J3_only_who_may_settles_or_compares(difference: Difference, wechat: WeChatMerchant) -> None:
    """Looking is one permission, settling another; nobody edits a difference or a day."""
    user = clerk("view_difference", "view_reconciliation")
    browser = browser_of(user)
    page = browser.get(base.change_url(difference)).text
    assert "/do/" not in page
    assert "/do/" not in browser.get(base.change_url(difference.reconciliation)).text
    assert "ask/" not in browser.get(LIST).text
    for record, name in ((difference, "settle"), (difference, "ask"), (difference.reconciliation, "compare")):
        url = base.change_url(record).replace("/change/", f"/do/{name}/")
        assert browser.post(url, {"reason": "x"}).status_code == 403
    assert browser.post(f"{LIST}ask/", {"gateway": "wechat", "day": DAY}).status_code == 403
    user.user_permissions.set(Permission.objects.filter(codename__in=("view_difference", "change_difference")))
    browser = browser_of(User.objects.get(pk=user.pk))
    # Asking may credit an order: that wants the permission for orders as well.
    assert browser.post(base.change_url(difference).replace("/change/", "/do/ask/")).status_code == 403
    assert "Noted as settled" in do(browser, difference, "settle", reason="x")
    assert browser.post(base.change_url(difference), {"state": "vanished"}).status_code == 403
    difference.refresh_from_db()
    assert difference.state == "settled"


@pytest.fixture
def _at_once() -> Iterator[None]:
    """Tasks are run where they are queued."""
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.mark.usefixtures("_at_once")
def test_a_day_is_compared_in_the_background(day: Reconciliation, staff: User, wechat: WeChatMerchant) -> None:
    browser = browser_of(staff)
    assert "is asked for its bill of 2026-01-02" in do(browser, day, "compare")
    day.refresh_from_db()
    # Nobody answers at that address; what was known before stays.
    assert (day.actor, day.state, bool(day.problem), day.theirs_payments) == ("operator", "agreed", True, 3)
    assert "gave no usable bill" in browser.get(base.change_url(day)).text
    browser.post(f"{LIST}ask/", {"gateway": "wechat", "day": "2026-01-05"})
    assert Reconciliation.objects.get(day="2026-01-05").state == "no_bill"
    for wrong in (
        {"gateway": "wechat", "day": ""},
        {"gateway": "cash", "day": DAY},
        {"gateway": "wechat", "day": "2999-01-01"},
    ):
        assert "Choose" in browser.post(f"{LIST}ask/", wrong, follow=True).text
    assert Reconciliation.objects.count() == 2


def test_asking_about_a_difference_of_a_merchant_without_keys_is_refused(
    difference: Difference, staff: User, wechat: WeChatMerchant
) -> None:
    Reconciliation.objects.update(merchant_id="1999999999")
    assert "keys of merchant 1999999999 at wechat are not known" in do(browser_of(staff), difference, "ask")
    assert not reconciliation.reopen(difference, by="operator", reason="x")
