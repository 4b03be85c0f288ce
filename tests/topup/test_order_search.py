"""The orders' one box understands what customers remember."""

from datetime import datetime, timedelta

import pytest
from django.test import Client

from tests.merchants import ALIPAY, WECHAT
from tests.operators import browser_of
from tests.orders import pending_order
from topup.admin.order_search import remembered, who_may_know
from topup.models import Order
from voicehelper.accounts.models import User
from voicehelper.clock import BEIJING, now

NOW = datetime(2026, 11, 30, 15, tzinfo=BEIJING)


def window(term: str) -> tuple[str, str] | None:
    found = remembered(term, NOW)
    times = dict(child for child in found.which.children if str(child[0]).startswith("created")) if found else {}  # type: ignore[misc]
    if not times:
        return None
    return f"{times['created__gte']:%d %H:%M}", f"{times['created__lt']:%d %H:%M}"


@pytest.mark.parametrize(
    ("term", "fen", "placed"),
    [
        ("73.00", 7300, None),
        ("73", 7300, None),
        ("¥73", 7300, None),
        ("￥７３．００", 7300, None),
        ("73元", 7300, None),
        ("73.5 元", 7350, None),
        ("1,060.00", 106000, None),
        ("73 rmb", 7300, None),
        ("0.01", 1, None),
        ("2026-11-30 14", None, ("30 13:15", "30 15:00")),
        ("11-30 14点", None, ("30 13:15", "30 15:00")),
        ("11月30日14时20分", None, ("30 13:35", "30 14:35")),
        ("14:20", None, ("30 13:35", "30 14:35")),
        ("14：20", None, ("30 13:35", "30 14:35")),
        ("14:20:55", None, ("30 13:35", "30 14:35")),
        ("23:50", None, ("29 23:05", "30 00:05")),
        ("2026-11-29", None, ("29 00:00", "30 00:00")),
        ("11/29", None, ("29 00:00", "30 00:00")),
        ("73.00 14:20", 7300, ("30 13:35", "30 14:35")),
        ("14:20 ¥73", 7300, ("30 13:35", "30 14:35")),
        ("73 2026-11-29 9", 7300, ("29 08:15", "29 10:00")),
        ("2026-11-29 9:05 73元", 7300, ("29 08:20", "29 09:20")),
    ],
)
def test_amounts_and_times_are_read_as_people_write_them(
    term: str, fen: int | None, placed: tuple[str, str] | None
) -> None:
    found = remembered(term, NOW)
    assert found is not None
    assert dict(found.which.children).get("amount_fen") == fen  # type: ignore[arg-type]
    assert window(term) == placed


@pytest.mark.parametrize(
    "term",
    ["buyer", "73.005", "-73", "1e3", "25:00", "2026-13-01", "2026-02-30", "¥", "buyer 14:20", "٧٣", "7 3", "0x10"],
)
def test_what_is_neither_is_left_to_the_names(term: str) -> None:
    assert remembered(term, NOW) is None


def test_only_who_may_know_a_number_is_asked() -> None:
    assert who_may_know("4200002611202611301234567890") == ["wechat"]
    assert who_may_know("2026113022001412341000000001") == ["alipay"]
    assert who_may_know("X" * 24) == ["wechat", "alipay"]
    for none in ("73.00", "buyer", "4200", "", "x" * 65):
        assert who_may_know(none) == []


@pytest.mark.django_db
def test_orders_are_found_by_amount_and_hour_and_a_name_of_digits_wins(
    buyer: User, other_user: User, staff: User
) -> None:
    browser: Client = browser_of(staff)
    mine, dear, old = pending_order(buyer, WECHAT), pending_order(buyer, ALIPAY, 20), pending_order(other_user, WECHAT)
    Order.objects.filter(pk=old.pk).update(created=now() - timedelta(hours=30))
    hour = f"{now().astimezone(BEIJING):%H:%M}"

    def found(term: str) -> set[str]:
        text = browser.get("/admin/topup/order/", {"q": term}).text
        return {order.order_no for order in (mine, dear, old) if order.order_no in text}

    assert found("73.00") == found("73") == {mine.order_no, old.order_no}
    assert found("146元") == {dear.order_no}
    assert found(f"73.00 {hour}") == {mine.order_no}
    assert found(hour) == {mine.order_no, dear.order_no}
    User.objects.filter(pk=buyer.pk).update(username="73")
    assert found("73") == {mine.order_no, dear.order_no}
