"""Lists as CSV: what the filters leave, as a spreadsheet takes it, in constant memory."""

import csv
import io
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.merchants import WeChatMerchant
from tests.orders import pending_order
from topup.models import Refund
from voicehelper import spreadsheet
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry
from voicehelper.wallet.services import credit

ORDERS = "/admin/topup/order/"


def lines(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_what_the_filters_leave_is_exported(browser: Client, buyer: User, wechat: WeChatMerchant) -> None:
    waiting, failed = pending_order(buyer, wechat), pending_order(buyer, wechat, state="failed")
    page = browser.get(f"{ORDERS}?state=pending").content.decode()
    assert f"{ORDERS}export.csv?state=pending" in page
    (line,) = lines(browser.get(f"{ORDERS}export.csv?state=pending"))
    assert (line["order_no"], line["money_yuan"], line["user"]) == (waiting.order_no, "73.00", "buyer")
    both = [line["order_no"] for line in lines(browser.get(f"{ORDERS}export.csv"))]
    assert both == [failed.order_no, waiting.order_no]


def test_slices_lose_nothing_and_repeat_nothing(browser: Client, buyer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheet, "SLICE", 3)
    for number in range(10):
        credit(buyer, 1, kind=Entry.Kind.GIFT, ref=f"gift {number}", actor="test")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        found = [line["ref"] for line in lines(browser.get("/admin/wallet/entry/export.csv"))]
    assert found == [f"gift {number}" for number in reversed(range(10))]
    slices = [query["sql"] for query in queries if "LIMIT 3" in query["sql"]]
    assert len(slices) == 4


def test_a_name_is_no_formula(browser: Client) -> None:
    user = User.objects.create_user("=cmd|calc")
    credit(user, 1, kind=Entry.Kind.GIFT, ref="gift", actor="+1", reason="-2+3")
    (line,) = lines(browser.get("/admin/wallet/entry/export.csv"))
    assert (line["user"], line["actor"], line["reason"]) == ("'=cmd|calc", "'+1", "'-2+3")
    assert line["amount"] == "1"


def test_refunds_are_exported_like_orders(browser: Client, buyer: User, wechat: WeChatMerchant) -> None:
    order = pending_order(buyer, wechat)
    for number, state in ((1, "failed"), (2, "succeeded")):
        facts = {"quota_due": 9, "quota": 7, "requested_by": "operator", "finished_at": order.created}
        Refund.objects.create(
            order=order, number=number, ref=f"r{number}", refund_no=f"r{number}", amount_fen=1234, reason="=1+1",
            state=state, **facts,
        )  # fmt: skip
    assert "/admin/topup/refund/export.csv?state=succeeded" in browser.get("/admin/topup/refund/?state=succeeded").text
    with CaptureQueriesContext(connection) as queries:
        (line,) = lines(browser.get("/admin/topup/refund/export.csv?state=succeeded"))
    assert (line["refund_no"], line["order_no"], line["user"]) == ("r2", order.order_no, "buyer")
    assert (line["money_yuan"], line["quota_due"], line["quota"], line["reason"]) == ("12.34", "9", "7", "'=1+1")
    assert len([query for query in queries if "LIMIT 2000" in query["sql"]]) == 1
