"""The statistics page: figures that agree with the rows and lead to the list behind them, and the table as a file."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone, translation

from tests.conftest import sampled
from tests.merchants import AlipayMerchant, WeChatMerchant
from tests.orders import pending_order
from topup.admin.figures import OrderSums, figures
from topup.admin.statistics import StatisticsRow, page_context
from topup.models import Order, Refund
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.clock import BEIJING, midnight
from voicehelper.periods import ReportPeriod, asked_period

pytestmark = pytest.mark.django_db

PAGE = "/admin/topup/order/statistics/"


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


def today() -> date:
    return clock.now().astimezone(BEIJING).date()


def order(user: User, merchant: Any, *, days_ago: int = 0, paid_after_s: int | None = None, **facts: Any) -> Order:
    placed = midnight(today() - timedelta(days=days_ago)) + timedelta(seconds=1)
    made = pending_order(user, merchant, created=placed, **facts)
    if paid_after_s is not None:
        paid = {"credited_at": placed + timedelta(seconds=paid_after_s), "transaction_id": f"T{made.pk}"}
        Order.objects.filter(pk=made.pk).update(state="paid", credited_by="notice", **paid)
        made.refresh_from_db()
    return made


def refund(made: Order, fen: int, *, days_ago: int = 0, state: str = "succeeded") -> None:
    when = midnight(today() - timedelta(days=days_ago)) + timedelta(seconds=5)
    facts = {"ref": f"R{made.pk}{fen}", "refund_no": f"R{made.pk}{fen}", "quota_due": 0, "quota": 0}
    Refund.objects.create(
        order=made, number=1, amount_fen=fen, state=state, requested_by="op", finished_at=when, **facts
    )


@pytest.fixture
def shop(buyer: User, other_user: User, wechat: WeChatMerchant, alipay: AlipayMerchant) -> None:
    User.objects.filter(pk=other_user.pk).update(group="vip")
    order(buyer, wechat, days_ago=40, paid_after_s=10)
    first = order(buyer, wechat, days_ago=3, paid_after_s=20)
    order(other_user, alipay, days_ago=3, paid_after_s=40)
    order(other_user, alipay, days_ago=3, paid_after_s=86_500)
    order(buyer, alipay, days_ago=3, state="closed")
    order(buyer, wechat, paid_after_s=30, amount=20)
    order(buyer, wechat)
    refund(first, 1000)
    refund(order(buyer, wechat, days_ago=50, paid_after_s=5), 500, state="failed")


@pytest.mark.usefixtures("shop")
def test_the_figures_are_those_of_the_rows() -> None:
    found = figures(today(), 30)
    total = found.total
    assert (total.placed, total.still_open, total.converted) == (6, 1, 4)
    assert (total.payments, total.income_fen, total.average_fen) == (4, 3 * 7300 + 14600, 9125)
    assert (total.refunds, total.refunded_fen, total.net_fen) == (1, 1000, 35500)
    # The buyer had paid before these days; the other user pays for the first time in them, twice.
    assert total.newcomers == 1
    assert (total.mean_wait_s, total.wait_s(50), total.wait_s(95)) == ((20 + 40 + 30 + 86_500) // 4, 30, 86_400)
    days = found.by(0)
    before = today() - timedelta(days=3)
    assert (days[before].placed, days[before].payments) == (4, 2)
    # Credited the day after it was placed.
    assert days[before + timedelta(days=1)].payments == 1
    assert {name: sums.income_fen for name, sums in found.by(1).items()} == {"wechat": 21900, "alipay": 14600}
    assert {name: sums.newcomers for name, sums in found.by(2).items()} == {"default": 0, "vip": 1}
    assert found.states == {"paid": (4, 36500), "closed": (1, 7300), "pending": (1, 7300)}
    assert figures(today(), 1).total.income_fen == 14600


def cells(row: StatisticsRow) -> list[str]:
    return [cell.text for cell in row.cells]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("by", sampled(["day", "group"], keep=1))
def test_each_number_counts_the_rows_of_the_list_that_it_leads_to(browser: Client, by: str) -> None:
    page = browser.get(PAGE, {"days": "7", "by": by})
    links = re.findall(r'<td class="vh-num"><a class="vh-quiet-link" href="([^"]+)">([\d,]+)</a>', page.text)
    assert links
    for address, number in set(links):
        assert browser.get(unescape(address)).context["cl"].result_count == int(number), address


@pytest.mark.usefixtures("shop")
def test_the_page_says_what_happened(browser: Client) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", browser.get(PAGE).text))
    for words in ("Income ¥365.00", "Conversion 80.0%", "Refunded ¥10.00", "Net income ¥355.00", "New payers 1"):
        assert words in text, words
    # The thirty days before had the payments of forty and fifty days ago.
    assert "¥146.00 before · ¥91.25 on average" in text
    assert "4 of 5 ended orders were paid" in text
    assert "1 refunds, 2.7% of the income" in text
    assert "Closed 1 16.7% ¥73.00" in text


@pytest.mark.rare
def test_a_new_installation_is_told_so(browser: Client) -> None:
    for days in ("1", "7", "30", "90", "rubbish"):
        assert "Nobody has placed an order" in browser.get(PAGE, {"days": days, "by": "rubbish"}).text


@pytest.mark.usefixtures("shop")
def test_the_file_holds_the_table_in_plain_numbers(browser: Client) -> None:
    answer = browser.get("/admin/topup/order/statistics.csv", {"days": "7", "by": "gateway"})
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [line["gateway"] for line in lines] == ["wechat", "alipay"]
    assert lines[0]["income_yuan"] == "219.00"
    assert (lines[0]["orders_placed"], lines[0]["orders_ended"], lines[0]["refunded_yuan"]) == ("3", "2", "10.00")
    assert lines[1]["mean_seconds_to_credit"] == "43270"


def test_more_refunded_than_paid_is_less_than_nothing(buyer: User, wechat: WeChatMerchant) -> None:
    refund(order(buyer, wechat, days_ago=40, paid_after_s=1), 7300)
    found = figures(today(), 7)
    assert found.total.net_fen == -7300
    cards = {card.title: card.value for card in _cards(found)}
    assert (cards["Net income"], cards["Conversion"], cards["Mean time to credit"]) == ("−¥73.00", "—", "—")


def _cards(found: Any) -> Any:
    from topup.admin.statistics import Links

    period = ReportPeriod("7", found.days[0], found.days[-1])
    return page_context(found, found, period, "day", Links(found.days, refunds=True))["cards"]


def test_sandbox_money_is_left_out_in_production(buyer: User, wechat: WeChatMerchant, settings: Any) -> None:
    order(buyer, wechat, paid_after_s=1)
    real = order(buyer, wechat, paid_after_s=1, live=True)
    refund(real, 100)
    settings.SANDBOX = False
    assert (figures(today(), 1).total.income_fen, figures(today(), 1).total.refunds) == (7300, 1)
    assert figures(today(), 1).total.placed == 1


def test_a_percentile_is_the_least_that_so_many_did_not_exceed() -> None:
    sums = OrderSums(payments=20, waits=Counter({5: 18, 7: 1, 90: 1}))
    assert (sums.wait_s(50), sums.wait_s(95), sums.wait_s(100)) == (5, 7, 90)
    assert OrderSums().wait_s(95) is None


def test_days_are_beijings(buyer: User, wechat: WeChatMerchant) -> None:
    """Half past midnight in Beijing is still yesterday in UTC."""
    made = order(buyer, wechat)
    half_past = midnight(today()) + timedelta(minutes=30)
    assert half_past.astimezone(timezone.get_fixed_timezone(0)).date() < today()
    Order.objects.filter(pk=made.pk).update(created=half_past)
    assert figures(today(), 7).by(0)[today()].placed == 1


@pytest.mark.parametrize(
    ("asked", "first", "last", "before_first", "before_last"),
    [
        ({"period": "last_week"}, "2026-11-23", "2026-11-29", "2026-11-16", "2026-11-22"),
        ({"period": "week"}, "2026-11-30", "2026-12-02", "2026-11-23", "2026-11-25"),
        ({"period": "last_month"}, "2026-11-01", "2026-11-30", "2026-10-01", "2026-10-31"),
        ({"period": "month"}, "2026-12-01", "2026-12-02", "2026-11-01", "2026-11-02"),
        ({"period": "yesterday"}, "2026-12-01", "2026-12-01", "2026-11-30", "2026-11-30"),
        ({"days": "7"}, "2026-11-26", "2026-12-02", "2026-11-19", "2026-11-25"),
        ({"from": "2026-02-01", "to": "2026-02-28"}, "2026-02-01", "2026-02-28", "2026-01-01", "2026-01-31"),
        ({"from": "2026-02-03", "to": "2026-02-04"}, "2026-02-03", "2026-02-04", "2026-02-01", "2026-02-02"),
        ({"from": "2026-02-04", "to": "2026-02-03"}, "2026-11-03", "2026-12-02", "2026-10-04", "2026-11-02"),
        ({"from": "9999-12-31"}, "2026-11-03", "2026-12-02", "2026-10-04", "2026-11-02"),
    ],
)
def test_a_period_is_of_the_calendar_and_has_one_before_it(
    asked: dict[str, str], first: str, last: str, before_first: str, before_last: str
) -> None:
    found = asked_period(asked, date(2026, 12, 2), "30")
    assert (str(found.first), str(found.last)) == (first, last)
    assert (str(found.before.first), str(found.before.last)) == (before_first, before_last)
    assert bool(found.problem) == ("from" in asked and first == "2026-11-03")


def test_a_number_of_days_has_as_many_just_before_on_every_day_of_the_year() -> None:
    for number in range(366):
        on = date(2028, 1, 1) + timedelta(days=number)
        for name, days in {"today": 1, "yesterday": 1, "7": 7, "30": 30, "90": 90}.items():
            found = asked_period({"period": name}, on, "30")
            assert len(found.days) == len(found.before.days) == days, (name, on)
            assert found.before.last + timedelta(days=1) == found.first, (name, on)
        for name in ("month", "last_month"):
            found = asked_period({"period": name}, on, "30")
            assert found.before.first == (found.first - timedelta(days=1)).replace(day=1), (name, on)
            assert found.before.last < found.first, (name, on)


@pytest.mark.usefixtures("shop")
def test_any_period_stands_beside_the_one_before(browser: Client) -> None:
    first, last = today() - timedelta(days=4), today() - timedelta(days=1)
    page = browser.get(PAGE, {"from": f"{first}", "to": f"{last}", "by": "gateway"})
    rows = {row.head.text: cells(row) for row in page.context["rows"]}
    # Today's payment is not in it, and the one of forty days ago not in the days before.
    assert {name: (row[3], row[-3:]) for name, row in rows.items()} == {
        "WeChat Pay": ("¥73.00", ["¥0.00", "¥0.00", "—"]),
        "Alipay": ("¥146.00", ["¥0.00", "¥0.00", "—"]),
    }
