"""Bills as they really come, byte by byte, through the command: what each says, and what must not pass for one."""

import gzip
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from tests.conftest import sampled
from tests.merchants import ALIPAY, WECHAT
from tests.orders import pending_order
from topup.models import Difference, Reconciliation
from voicehelper.accounts.models import User

from .day_bills import DAY, Provider, alipay_bill, given_back, kinds, paid, refund_row, run, wechat_bill, wechat_row

pytestmark = pytest.mark.django_db


def refund_sums(day: date = DAY) -> tuple[int, int, int, int]:
    """Theirs and ours: how many, and fen."""
    row = Reconciliation.objects.get(day=day)
    return row.theirs_refunds, row.theirs_refunds_fen, row.ours_refunds, row.ours_refunds_fen


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_bill_of_wechat_that_agrees(biller: Provider, buyer: User, pack: Callable[[bytes], bytes]) -> None:
    """UTF-8 with a mark in front, commas in titles, packed or not."""
    orders = [paid(buyer, WECHAT, f"42000{number}") for number in range(3)]
    biller.content = pack(wechat_bill([wechat_row(o.order_no, o.transaction_id or "") for o in orders]))
    code, said = run("wechat")
    assert (code, Difference.objects.count()) == (0, 0), said
    day = Reconciliation.objects.get()
    assert (day.theirs_payments_fen, day.ours_payments_fen, str(day.fee)) == (21900, 21900, "1.32000")


def test_what_one_bill_can_say_of_an_order_more_than_once(biller: Provider, buyer: User) -> None:
    twice, again, late = (paid(buyer, WECHAT, f"4200{number}") for number in range(3))
    unpaid = pending_order(buyer, WECHAT)
    biller.content = wechat_bill(
        [
            wechat_row(twice.order_no, "42000"),
            wechat_row(twice.order_no, "43000"),
            wechat_row(again.order_no, "42001"),
            wechat_row(again.order_no, "42001"),
            wechat_row(again.order_no, "42001"),
            wechat_row(late.order_no, "42002"),
            wechat_row(unpaid.order_no, "44000"),
            wechat_row(unpaid.order_no, "44001"),
            wechat_row("SOMEBODY", "45000"),
            wechat_row("SOMEBODY", "45001"),
            wechat_row("SOMEBODY", "45001"),
            wechat_row("SOMETHING", "46000", state="NEW"),
            wechat_row("x" * 300, "47000"),
        ]
    )
    assert run("wechat")[0] == 1
    expected = {"paid_twice": 2, "listed_twice": 2, "not_credited": 1, "unknown_here": 3, "not_understood": 1}
    assert kinds() == expected
    assert Difference.objects.get(kind="paid_twice", order_no=twice.order_no).transaction_id == "43000"
    assert run("wechat")[0] == 1
    assert kinds() == expected


def test_an_order_of_another_app_of_the_same_merchant_is_compared_with_its_own_app(
    biller: Provider, buyer: User
) -> None:
    """A mini program's orders stand in the same bill, under the mini program's id."""
    mini = paid(buyer, WECHAT, "4200", app_id="wxmini")
    lost = paid(buyer, WECHAT, "4201", app_id="wxmini")
    other = paid(buyer, WECHAT, "4202", app_id="wxother")
    rows = [wechat_row(mini.order_no, "4200", app="wxmini"), wechat_row(other.order_no, "4202", app="wxmini")]
    biller.content = wechat_bill(rows)
    assert run("wechat")[0] == 1
    found = set(Difference.objects.values_list("kind", "order_no"))
    assert found == {("missing_there", lost.order_no), ("other_account", other.order_no)}


def test_an_order_of_another_app_is_missed_in_a_bill_without_any_of_that_app(biller: Provider, buyer: User) -> None:
    lost = paid(buyer, WECHAT, "4200", app_id="wxmini")
    biller.content = wechat_bill([])
    assert run("wechat")[0] == 1
    assert list(Difference.objects.values_list("kind", "order_no")) == [("missing_there", lost.order_no)]


@pytest.mark.parametrize("other", [{"live": True}, {"merchant_id": "1999999999"}], ids=["real money", "merchant"])
def test_real_money_in_a_bill_of_the_sandbox_is_another_accounts_and_never_missed_there(
    biller: Provider, buyer: User, other: dict[str, Any]
) -> None:
    listed, unlisted = (paid(buyer, WECHAT, number, **other) for number in ("4200", "4201"))
    refund = given_back(listed, 100)
    given_back(unlisted, 200)
    biller.content = wechat_bill(
        [wechat_row(listed.order_no, "4200"), refund_row(listed.order_no, refund.refund_no, 100)]
    )
    assert run("wechat")[0] == 1
    found = Difference.objects.values_list("kind", "order_no", "refund_no", "ours_fen")
    assert set(found) == {
        ("other_account", listed.order_no, "", None),
        ("other_account", listed.order_no, refund.refund_no, None),
    }
    day = Reconciliation.objects.get()
    assert (day.theirs_payments_fen, day.ours_payments_fen) == (7300, 0)
    assert refund_sums() == (1, 100, 0, 0)


# --- What a day's refunds add up to ----------------------------------------------------------------------------------
def test_a_closed_refund_counts_on_neither_side_and_one_under_way_on_both(biller: Provider, buyer: User) -> None:
    order = paid(buyer, WECHAT, "4200", paid_at="2026-01-01 12:00:00+08:00")
    # Here, there, and whether it counts there and here.
    ends = [
        ("succeeded", "SUCCESS", True, True),
        ("failed", "REFUNDCLOSE", False, False),
        ("failed", "FAIL", False, False),
        ("unknown", "PROCESSING", True, True),
        ("succeeded", "PROCESSING", True, True),
        ("failed", "PROCESSING", True, False),
        ("unknown", "REFUNDCLOSE", False, False),
        ("unknown", "SUCCESS", True, False),
        ("succeeded", "REFUNDCLOSE", False, True),
    ]
    rows, theirs, ours = [], [], []
    for power, (here, there, counts_there, counts_here) in enumerate(ends):
        # Each sum can be made in one way only.
        fen = 2**power
        rows.append(refund_row(order.order_no, given_back(order, fen, here).refund_no, fen, there))
        theirs += [fen] * counts_there
        ours += [fen] * counts_here
    biller.content = wechat_bill(rows)
    assert run("wechat")[0] == 1
    assert refund_sums() == (len(theirs), sum(theirs), len(ours), sum(ours))
    listed = Difference.objects.filter(state="open")
    assert sum((each.theirs_fen or 0) - (each.ours_fen or 0) for each in listed) == sum(theirs) - sum(ours)
    assert kinds() == {"refund_state_differs": 2, "refund_unfinished": 2, "other_day": 1}


def test_F3_a_refund_that_waited_for_the_next_days_bill_in_vain_is_ours_that_day(biller: Provider, buyer: User) -> None:
    before = DAY - timedelta(days=1)
    order = paid(buyer, WECHAT, "4200", paid_at="2025-12-30 12:00:00+08:00")
    lost = given_back(order, 100, at="2026-01-01 23:59:59")
    found = given_back(order, 200, at="2026-01-01 23:59:58")
    biller.content = wechat_bill([])
    assert run("wechat", before)[0] == 0
    assert (set(Difference.objects.values_list("state", flat=True)), refund_sums(before)) == ({"waiting"}, (0,) * 4)
    biller.content = wechat_bill([refund_row(order.order_no, found.refund_no, 200)])
    run("wechat")
    missing = Difference.objects.filter(kind="refund_missing_there")
    assert set(missing.values_list("refund_no", "state")) == {
        (lost.refund_no, "open"),
        (found.refund_no, "explained"),
    }
    assert (refund_sums(before), refund_sums()) == ((0, 0, 1, 100), (1, 200, 1, 200))
    assert Reconciliation.objects.get(day=before).state == "differs"


def test_F3_a_refund_that_a_bill_read_late_explains_is_no_more_ours_on_the_day_that_missed_it(
    biller: Provider, buyer: User
) -> None:
    before = DAY - timedelta(days=1)
    order = paid(buyer, WECHAT, "4200", paid_at="2025-12-30 12:00:00+08:00")
    refund = given_back(order, 100, at="2026-01-02 00:00:00")
    biller.content = wechat_bill([])
    assert run("wechat")[0] == 1
    assert refund_sums() == (0, 0, 1, 100)
    biller.content = wechat_bill([refund_row(order.order_no, refund.refund_no, 100, at="2026-01-01 23:59:59")])
    run("wechat", before)
    assert (refund_sums(before), refund_sums()) == ((1, 100, 1, 100), (0,) * 4)
    assert Reconciliation.objects.get(day=DAY).state == "agreed"


WRONG_DAY = "not the bill of 2026-01-02"
UNUSABLE = {
    "another merchant": ("wechat", wechat_bill([wechat_row("O", "4", merchant="1999999999")]), "merchant 1999999999"),
    "another day": ("wechat", wechat_bill([wechat_row("O", "4", at="2026-01-05 12:00:00")]), WRONG_DAY),
    "no file at all": ("wechat", b"", "does not name the columns"),
    "a web page": ("wechat", b"<html>busy</html>", "does not name the columns"),
    "another seller": ("alipay", alipay_bill([("O", "2")], seller="2088999999999999"), "account 20889999999999990156"),
    "another day of Alipay": ("alipay", alipay_bill([("O", "2")], at="2025-12-30 12:00:00"), WRONG_DAY),
    "a web page of Alipay": ("alipay", b"<html>busy</html>", "ZIP"),
}


@pytest.mark.parametrize("name", sampled(UNUSABLE, keep=3))
def test_what_is_no_bill_ends_as_2_with_the_reason(biller: Provider, buyer: User, name: str) -> None:
    gateway, biller.content, word = UNUSABLE[name]
    paid(buyer, WECHAT if gateway == "wechat" else ALIPAY, "4200")
    code, said = run(gateway)
    assert (code, word in said) == (2, True), said
    day = Reconciliation.objects.get()
    assert (day.state, word in day.problem, Difference.objects.count()) == ("no_bill", True, 0)


def test_a_provider_that_cannot_be_reached_ends_as_2(biller: Provider, settings: Any) -> None:
    settings.WECHAT_PAY_BASE_URL = "http://127.0.0.1:9"
    code, said = run("wechat")
    assert code == 2
    assert said.strip().endswith(".")
