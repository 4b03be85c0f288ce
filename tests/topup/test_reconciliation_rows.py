"""A bill is read row by row, through the command: what is odd or not ours is told, and the rest is compared."""

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from tests.conftest import sampled
from tests.merchants import ALIPAY, WECHAT
from topup.models import Difference, Order, Reconciliation
from voicehelper.accounts.models import User
from voicehelper.admin.base import change_url

from .day_bills import (
    DAY,
    NOON,
    Provider,
    alipay_bill,
    given_back,
    kinds,
    paid,
    refund_row,
    run,
    wechat_bill,
    wechat_row,
)

pytestmark = pytest.mark.django_db

OTHER_APP = "wx1111111111111111"


def number() -> str:
    """Of an order in our form that is not ours."""
    return Order.new_number(datetime.fromisoformat(f"{NOON}+08:00"))


def day() -> Reconciliation:
    return Reconciliation.objects.get(day=DAY)


def odd() -> Difference:
    return Difference.objects.get(kind="not_understood")


# --- Not ours --------------------------------------------------------------------------------------------------------
def test_B11_rows_of_another_app_are_counted_apart_and_no_difference(biller: Provider, buyer: User) -> None:
    ours = paid(buyer, WECHAT, "4200")
    biller.content = wechat_bill(
        [
            wechat_row(ours.order_no, "4200"),
            *(wechat_row(f"SHOP{n}", f"43{n}", app=OTHER_APP) for n in range(37)),
            refund_row("SHOP1", "R1", 500, app=OTHER_APP),
            wechat_row("SHOP2", "44", app=OTHER_APP, state="NEW"),
        ]
    )
    code, said = run("wechat")
    assert (code, Difference.objects.count()) == (0, 0), said
    row = day()
    assert (row.state, row.theirs_payments, row.theirs_payments_fen, row.theirs_refunds) == ("agreed", 1, 7300, 0)
    assert row.apart == {"app": {"payments": 37, "payments_fen": 270100, "refunds": 1, "refunds_fen": 500, "others": 1}}
    assert str(row.fee) == "0.44000"
    assert "not ours, of other apps: 37 payments / 2701.00, 1 refunds / 5.00" in said


@pytest.mark.parametrize("known", ["configured", "of an order"])
def test_B11_an_app_is_ours_that_is_configured_or_has_an_order(
    biller: Provider, buyer: User, known: str, settings: Any
) -> None:
    """Then an order that is not known is a difference, as it was."""
    if known == "of an order":
        paid(buyer, WECHAT, "4200", app_id="wxmini", paid_at="2026-01-01 12:00:00+08:00")
    app = "wxmini" if known == "of an order" else WECHAT.app_id
    biller.content = wechat_bill([wechat_row("SHOP1", "43", app=app)])
    assert run("wechat")[0] == 1
    assert (kinds(), day().apart) == ({"unknown_here": 1}, {})


def test_an_order_of_ours_is_never_taken_for_anothers(biller: Provider, buyer: User) -> None:
    """Whatever app or sub-merchant its row names."""
    one, two = (paid(buyer, WECHAT, f"420{n}") for n in range(2))
    biller.content = wechat_bill(
        [wechat_row(one.order_no, "4200", app=OTHER_APP), wechat_row(two.order_no, "4201", sub="1600000001")]
    )
    assert run("wechat")[0] == 1
    assert (kinds(), day().apart) == ({"other_account": 2}, {})


@pytest.mark.parametrize(
    "facts", sampled([{"sub": "1600000001"}, {"merchant": "1999999999"}, {"sub": "1600000001", "app": ""}], keep=1)
)
def test_B15_rows_of_a_sub_merchant_or_another_merchant_are_counted_apart(
    biller: Provider, buyer: User, facts: dict[str, str]
) -> None:
    ours = paid(buyer, WECHAT, "4200")
    biller.content = wechat_bill([wechat_row(ours.order_no, "4200"), wechat_row(number(), "43", **facts)])
    assert run("wechat")[0] == 0
    assert day().apart["merchant"]["payments_fen"] == 7300
    assert (day().theirs_payments, Difference.objects.count()) == (1, 0)


def test_alipays_rows_that_cannot_be_ours_by_their_number_are_of_other_shops(biller: Provider, buyer: User) -> None:
    ours, strange = paid(buyer, ALIPAY, "2026"), number()
    biller.content = alipay_bill([(ours.order_no, "2026"), ("T200P1", "2027"), ("", "2028"), (strange, "2029")])
    assert run("alipay")[0] == 1
    assert list(Difference.objects.values_list("kind", "order_no")) == [("unknown_here", strange)]
    assert day().apart == {"shop": {"payments": 2, "payments_fen": 14600, "refunds": 0, "refunds_fen": 0, "others": 0}}


def test_an_old_order_of_ours_is_known_by_its_number_whatever_that_is(biller: Provider, buyer: User) -> None:
    old = paid(buyer, ALIPAY, "2026", order_no="ref_1234567890")
    biller.content = alipay_bill([(old.order_no, "2026")])
    assert run("alipay")[0] == 0
    assert (day().theirs_payments, day().apart) == (1, {})


# --- Odd rows --------------------------------------------------------------------------------------------------------
def changed(rows: list[str], change: Callable[[str], str]) -> bytes:
    """The bill of these rows, with the last row changed after its sums were made."""
    return wechat_bill(rows).replace(rows[-1].encode(), change(rows[-1]).encode())


@pytest.mark.parametrize(
    ("change", "problem"),
    sampled(
        [
            (lambda row: row.replace("`73.00,`0.00,`", "`-73.00,`0.00,`", 2), "wrong sign"),
            (lambda row: row.replace("`73.00,`0.00,`", "`,`0.00,`", 2), "not a number"),
            (lambda row: row[:120], "values for 27 columns"),
        ],
        keep=1,
    ),
)
def test_B38_one_row_that_is_not_understood_is_one_difference_and_the_rest_is_compared(
    biller: Provider, buyer: User, change: Callable[[str], str], problem: str
) -> None:
    good, bad, lost = (paid(buyer, WECHAT, f"420{n}") for n in range(3))
    unpaid = number()
    rows = [wechat_row(good.order_no, "4200"), wechat_row(unpaid, "43"), wechat_row(bad.order_no, "4201")]
    biller.content = changed(rows, change)
    code, said = run("wechat")
    assert code == 1, said
    # The order in the odd row is not missed as well.
    assert kinds() == {"not_understood": 1, "unknown_here": 1, "missing_there": 1}
    assert Difference.objects.get(kind="missing_there").order_no == lost.order_no
    row = odd()
    assert (row.line, row.order_no, problem in row.problem) == (4, bad.order_no, True), row.problem
    assert (row.text, row.theirs_fen, row.transaction_no) == (change(rows[-1]), None, "")
    assert f"Not understood: line 4 {bad.order_no}: `{NOON}" in said


def test_B38_an_impossible_sign_at_alipay_is_one_difference(biller: Provider, buyer: User) -> None:
    orders = [paid(buyer, ALIPAY, f"2026{n}") for n in range(3)]
    bill = alipay_bill([(order.order_no, order.transaction_id or "") for order in orders], minus=1)
    biller.content = bill
    assert run("alipay")[0] == 1
    assert (kinds(), odd().order_no) == ({"not_understood": 1}, orders[1].order_no)


def test_B04b_B04c_times_of_any_kind_are_read(biller: Provider, buyer: User) -> None:
    times = ["2026-01-02 14：22：37", "2026-01-02  14:22:37", "2026/1/2 14:22"]
    orders = [paid(buyer, WECHAT, f"420{n}") for n in range(3)]
    rows = [wechat_row(o.order_no, o.transaction_id or "", at=at) for o, at in zip(orders, times, strict=True)]
    biller.content = wechat_bill(rows)
    assert (run("wechat")[0], Difference.objects.count()) == (0, 0)


def test_B17b_a_fee_total_rounded_in_the_summary_is_a_remark(biller: Provider, buyer: User, staff: User) -> None:
    order = paid(buyer, WECHAT, "4200")
    biller.content = wechat_bill([wechat_row(order.order_no, "4200")]).replace(
        b"`0.44000,`73.00,`0.00\r", b"`0.4,`73.00,`0.00\r"
    )
    code, said = run("wechat")
    assert (code, day().remarks) == (0, [["手续费总金额", "0.4", "0.44000"]]), said
    assert "手续费总金额 in the file: 0.4; its rows add up to 0.44000" in said
    browser = Client(headers={"Accept-Language": "zh-hans"})
    browser.force_login(staff)
    assert "文件中的手续费总金额：0.4；各行合计为 0.44000。" in browser.get(change_url(day())).text


def test_B19h_a_complaint_behind_blank_lines_is_a_day_without_a_bill(biller: Provider) -> None:
    biller.content = b"\r\n\xef\xbb\xbf\n<root><return_msg>No Bill Exist</return_msg></root>"
    assert (run("wechat")[0], day().state) == (0, "agreed")


@pytest.mark.parametrize(
    ("sub_code", "words"),
    sampled(
        [
            ("isv.bill-not-exist", "账单不存在"),
            ("isp.bill_not_exist", "账单不存在"),
            ("isv.unknown-error", "账单不存在"),
            ("aop.no-data", "当日无账单"),
        ],
        keep=2,
    ),
)
def test_B44b_alipays_words_for_no_bill(biller: Provider, sub_code: str, words: str) -> None:
    biller.no_bill = (sub_code, words)
    assert (run("alipay")[0], day().state) == (0, "agreed")


# --- Days ------------------------------------------------------------------------------------------------------------
def test_a_row_dated_outside_of_the_day_is_one_difference(biller: Provider, buyer: User) -> None:
    """Most are of the day: it is its bill. Number and amount are compared as ever."""
    orders = [paid(buyer, WECHAT, f"420{n}") for n in range(3)]
    at = [NOON, NOON, "2062-01-02 12:00:00"]
    rows = [wechat_row(o.order_no, o.transaction_id or "", at=when) for o, when in zip(orders, at, strict=True)]
    biller.content = wechat_bill(rows)
    assert run("wechat")[0] == 1
    assert list(Difference.objects.values_list("kind", "order_no", "state")) == [
        ("dated_outside", orders[2].order_no, "open")
    ]
    assert (day().theirs_payments, day().ours_payments) == (3, 3)


# --- Compared again, and many of them --------------------------------------------------------------------------------
def test_odd_rows_are_listed_once_however_often_they_are_found(biller: Provider, buyer: User) -> None:
    """Wherever they stand the next time; a settled one stays settled, one that is gone is marked so."""
    order = paid(buyer, WECHAT, "4200")
    rows = [wechat_row(order.order_no, "4200"), wechat_row("x" * 20, "43"), wechat_row("y" * 20, "44")]
    broken = [rows[0], *(row.replace("`73.00", "`?") for row in rows[1:])]

    def bill(order_of: list[int]) -> bytes:
        content = wechat_bill([rows[n] for n in order_of])
        for good, bad in zip(rows, broken, strict=True):
            content = content.replace(good.encode(), bad.encode())
        return content

    biller.content = bill([0, 1, 2])
    assert run("wechat")[0] == 1
    assert dict(Difference.objects.values_list("line", "state")) == {3: "open", 4: "open"}
    Difference.objects.filter(line=3).update(state="settled")
    biller.content = bill([0, 2, 1])
    assert run("wechat")[0] == 1
    assert dict(Difference.objects.values_list("line", "state")) == {4: "settled", 3: "open"}
    biller.content = bill([0, 1])
    assert run("wechat")[0] == 0
    assert set(Difference.objects.values_list("state", flat=True)) == {"settled", "vanished"}


@pytest.mark.rare
def test_what_is_odd_or_not_ours_is_folded_and_settled_with_one_reason(
    biller: Provider, buyer: User, staff: User
) -> None:
    ours = paid(buyer, WECHAT, "4200")
    rows = [wechat_row(f"SHOP{n}", f"43{n}") for n in range(150)]
    others = [wechat_row("SHOP", f"5{n}", app=OTHER_APP) for n in range(200)]
    content = wechat_bill([wechat_row(ours.order_no, "4200"), *rows, *others])
    for row in rows:
        content = content.replace(row.encode(), row.replace("`73.00", "`<b>?").encode())
    biller.content = content
    assert run("wechat")[0] == 1
    browser = Client(headers={"Accept-Language": "en"})
    browser.force_login(staff)
    url = change_url(day())
    page = browser.get(url).text
    for shown in ("150 rows of the bill were not understood", "In the bill and not ours", "200 payments, ¥14,600.00"):
        assert shown in page, shown
    assert (page.count("/admin/topup/difference/") < 110, "<b>?" in page, "&lt;b&gt;?" in page) == (True, False, True)
    page = browser.get(change_url(Difference.objects.filter(line=3).get())).text
    for shown in ("Text of the line", "SHOP0", "which is not a number"):
        assert shown in page, shown
    do = url.replace("/change/", "/do/settle_odd/")
    looker = User.objects.create_user("looker", password="a long looking password", is_staff=True)
    looker.user_permissions.set(Permission.objects.filter(codename__in=["view_reconciliation", "view_difference"]))
    other = Client()
    other.force_login(looker)
    assert other.post(do, {"reason": "x"}).status_code == 403
    assert "Say why" in browser.post(do, follow=True).text
    assert "150 noted as settled" in browser.post(do, {"reason": "Not ours"}, follow=True).text
    assert set(Difference.objects.values_list("state", "note", "actor")) == {("settled", "Not ours", "operator")}
    assert day().state == "agreed"
    assert run("wechat")[0] == 0


def test_a_refund_in_a_row_that_is_not_understood_is_not_missed_as_well(biller: Provider, buyer: User) -> None:
    order = paid(buyer, WECHAT, "4200")
    refund = given_back(order, 100)
    rows = [wechat_row(order.order_no, "4200"), refund_row(order.order_no, refund.refund_no, 100)]
    biller.content = changed(rows, lambda row: row.replace("`1.00,`\r", "`\r").removesuffix("`1.00,`") + "`zz,`")
    assert run("wechat")[0] == 1
    assert kinds() == {"not_understood": 1}


def test_what_others_call_their_goods_never_ends_the_day(biller: Provider, buyer: User) -> None:
    """A merchant number is shared with shops whose titles hold anything."""
    titles = [
        "a,`b",
        "第一行\r\n第二行",
        "`",
        ",`,`,`",
        "=1+1",
        "\t",
        "总交易单数,应结订单总金额",
        "😀",
        secrets.token_hex(40),
        "#x",
    ]
    ours = paid(buyer, WECHAT, "4200")
    rows = [wechat_row(ours.order_no, "4200")]
    rows += [wechat_row("SHOP", f"43{n}", app=OTHER_APP, title="TITLE") for n in range(len(titles))]
    content = wechat_bill(rows)
    for title in titles:
        content = content.replace(b"TITLE", title.encode(), 1)
    biller.content = content
    code, said = run("wechat")
    assert (code, day().apart["app"]["payments"]) == (0, len(titles)), said
