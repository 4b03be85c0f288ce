"""The front page: figures that agree with the orders, problems that lead to their lists, nothing for strangers."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from notifications.models import Channel
from notifications.services import raise_alert
from tests.merchants import AlipayMerchant, WeChatMerchant
from tests.operators import browser_of, clerk
from tests.orders import pending_order
from topup.admin import chart, dashboard
from topup.models import Notice, Order
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.clock import midnight, today
from voicehelper.wallet.models import AuditRun

pytestmark = pytest.mark.django_db


def credited(order: Order, *, after: timedelta = timedelta(seconds=30)) -> None:
    when = order.created + after
    number = f"T{order.pk}"
    Order.objects.filter(pk=order.pk).update(state="paid", credited_at=when, transaction_id=number, credited_by="poll")


def test_an_empty_shop_is_shown_as_such(browser: Client) -> None:
    Channel.objects.create(kind="email", name="mail", options={"users": True})
    page = browser.get("/admin/").text
    assert "¥0.00" in page
    assert "Nothing is waiting for you." in page
    assert "No income in the last 30 days." in page


def test_the_cards_say_what_came_in_today(
    browser: Client, buyer: User, wechat: WeChatMerchant, alipay: AlipayMerchant
) -> None:
    morning = midnight(today()) + timedelta(seconds=1)
    yesterday = midnight(today()) - timedelta(seconds=10)
    credited(pending_order(buyer, wechat, created=morning))
    credited(pending_order(buyer, alipay, amount=100, created=morning), after=timedelta(seconds=90))
    credited(pending_order(buyer, wechat, created=yesterday), after=timedelta(seconds=5))
    pending_order(buyer, wechat, created=morning)
    Order.objects.filter(pk=pending_order(buyer, wechat, created=morning).pk).update(state="closed")
    with translation.override("en"):
        cards = dashboard.cards(today())
    assert [card.note for card in cards[:2]] == ["2 payments · ¥73.00 yesterday", "1 still open · 1 yesterday"]
    assert {card.title: card.value for card in cards} == {
        "Income today": "¥766.50",
        "Orders today": "4",
        "Success rate today": "66.7%",
        "Mean time to credit": "1 min 0 s",
    }
    assert "¥766.50" in browser.get("/admin/").text


def test_a_payment_counts_on_the_day_it_was_credited(buyer: User, wechat: WeChatMerchant) -> None:
    late = midnight(today()) - timedelta(seconds=10)
    credited(pending_order(buyer, wechat, created=late), after=timedelta(seconds=20))
    assert dashboard.cards(today())[0].value == "¥73.00"
    drawn = dashboard.income_chart(today())
    assert [row[1] for row in drawn.table if row[0] == today()] == [["¥73.00", "¥0.00"]]


def test_sandbox_money_is_no_income_in_production(buyer: User, wechat: WeChatMerchant, settings: Any) -> None:
    credited(pending_order(buyer, wechat))
    settings.SANDBOX = False
    assert dashboard.cards(today())[0].value == "¥0.00"


def test_each_problem_leads_to_the_list_that_mends_it(browser: Client, buyer: User, wechat: WeChatMerchant) -> None:
    raise_alert("x", level="critical", title="Alert")
    order = pending_order(buyer, wechat, review="look")
    Notice.objects.create(gateway="wechat", body="", order=order, order_no=order.order_no, verdict="mismatch")
    AuditRun.objects.create(full=True, finished=clock.now(), findings=["a", "b"])
    found = browser.get("/admin/").context["problems"]
    assert [problem.count for problem in found] == [1, 1, 1, 2, 1]
    for problem in found:
        assert browser.get(problem.url).status_code == 200


def test_the_front_page_costs_few_queries(browser: Client, buyer: User, wechat: WeChatMerchant) -> None:
    def asked() -> int:
        browser.get("/admin/")
        with CaptureQueriesContext(connection) as queries:
            browser.get("/admin/")
        return len(queries)

    for _ in range(5):
        credited(pending_order(buyer, wechat))
    few = asked()
    # Two of them are about the jobs that are late.
    assert few < 30
    for number in range(20):
        credited(pending_order(buyer, wechat))
        raise_alert("x", level="critical", title=f"{number}")
    assert asked() <= few


def test_figures_and_menu_show_only_what_an_operator_may_see() -> None:
    raise_alert("x", level="critical", title="Alert")
    page = browser_of(clerk("view_alert")).get("/admin/").text
    assert "Open alerts" in page
    assert "Income today" not in page
    assert "/admin/topup/" not in page
    assert "/admin/wallet/" not in page


MENU = {
    "": ["Overview"],
    "Recharge": [
        "All orders", "Refunds", "Reconciliation", "Differences", "Recharge statistics", "Notices", "Gateway calls",
        "Redemption codes",
        "Single codes",
    ],
    "Large models": [
        "Provider accounts", "Models and prices", "Aliases", "Model statistics",
        "Who spent what", "Usage log", "API keys",
        "Chat sessions", "Content safety", "Forbidden words", "Safety verdicts",
    ],
    "Files": ["Files", "Buckets", "Retention", "Archives"],
    "Ledger": ["Wallets", "Entries", "Holds", "Adjustments", "Audit runs", "Closed periods"],
    "Users": ["Users", "Account deletions", "Roles", "Shares", "Legal texts", "Consents"],
    "Alerts": [
        "Alerts", "Deliveries", "Alert channels", "Alert rules", "Muted alerts", "Operators’ log", "Scheduled jobs",
    ],
    "Settings": [
        "Recharge settings",
        "WeChat Pay settings",
        "Alipay settings",
        "Mini program settings",
        "WeChat sign-in on the web",
        "Site information",
        "Wallet settings",
        "Encryption keys",
    ],
}  # fmt: skip


def test_the_menu_names_every_page_in_its_order(browser: Client) -> None:
    groups = browser.get("/admin/").context["sidebar_navigation"]
    assert {str(group["title"]): [str(item["title"]) for item in group["items"]] for group in groups} == MENU
    links = [str(item["link"]) for group in groups for item in group["items"]]
    assert len(set(links)) == len(links)


@pytest.mark.parametrize(
    ("fen", "top"),
    [(0, 400), (1, 400), (400, 400), (401, 600), (99_999, 100_000), (310_000, 400_000), (730_000, 800_000)],
)
def test_the_scale_ends_at_a_round_amount(fen: int, top: int) -> None:
    assert chart.ceiling(fen) == top
