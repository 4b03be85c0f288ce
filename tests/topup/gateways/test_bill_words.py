"""What is said in the place of a bill, and values of one, in words of every kind."""

import gzip
import io
from datetime import date, datetime

import pytest

from topup.gateways.bill_texts import Unreadable, beijing, number
from topup.gateways.bills import BillDamaged, BillNotReady, BillRefused, says_no_bill
from topup.gateways.wechat.v2 import bills as wechat_bills
from voicehelper.clock import BEIJING

from .test_bill_rows import wechat
from .test_bills import NO_BILL, complaint

NONE = [
    b"\r\n \n" + NO_BILL,
    b"\xef\xbb\xbf" + NO_BILL,
    b"\xef\xbb\xbf\r\n<?xml version='1.0'?>\n" + NO_BILL,
    gzip.compress(NO_BILL),
    NO_BILL.replace(b"xml>", b"root>"),
    "<xml><return_code>FAIL</return_code><return_msg>账单不存在</return_msg></xml>".encode(),
    "<xml><return_code>SUCCESS</return_code><err_code_des>没有对账单</err_code_des></xml>".encode(),
    b'{"code":"NO_STATEMENT_EXIST","message":"\xe8\xb4\xa6\xe5\x8d\x95\xe4\xb8\x8d\xe5\xad\x98\xe5\x9c\xa8"}',
    b'\n{"code": "NO_STATEMENT_EXIST"}\n',
    b"No Bill Exist",
]


@pytest.mark.parametrize("body", NONE, ids=range(len(NONE)))
def test_B19h_a_complaint_is_known_however_it_begins(body: bytes) -> None:
    assert wechat(body)[1] == []
    with pytest.raises(BillNotReady):
        wechat_bills.read(io.BytesIO(body), datetime.now(BEIJING).date())


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"\r\n" + complaint("Bill Creating"), BillNotReady),
        (b'{"code":"STATEMENT_CREATING","message":"..."}', BillNotReady),
        (b"\n\n" + complaint("sign error"), BillRefused),
        (b'{"code":"NO_AUTH","message":"no"}', BillRefused),
        (b"<html><body>No Bill Exist</body></html>", BillDamaged),
        (b"", BillDamaged),
    ],
)
def test_other_complaints_are_told_apart(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        wechat(body)


@pytest.mark.parametrize(
    "said",
    ["isv.bill-not-exist", "isp.bill_not_exist", "ACQ.BILL_NOT_EXIST", "NO_BILL_DATA", "NO_STATEMENT_EXIST",
     "No Bill Exist", "账单不存在", "无账单", "当日无交易账单", "BILL_DATA_NOT_EXIST", "The bill does not exist"],
)  # fmt: skip
def test_B44b_what_says_that_there_was_no_bill(said: str) -> None:
    assert says_no_bill(said)


@pytest.mark.parametrize("said", ["Bill Creating", "账单生成中", "sign error", "BILL_DATE_ERROR", "无权限"])
def test_what_does_not_say_it(said: str) -> None:
    assert not says_no_bill(said)


# --- Values ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text", ["1,23", "1,2345", "12,34.00", "--1", "+-1", "1.", ".5", "1 2", "¥", "", "½", "1e0", "NaN"]
)
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(Unreadable):
        number(text, "")


def test_times_without_seconds_or_without_a_time_of_day() -> None:
    assert beijing("2026-01-02 14:22", "") == datetime(2026, 1, 2, 14, 22, tzinfo=BEIJING)
    assert beijing("2026/1/2", "") == datetime(2026, 1, 2, tzinfo=BEIJING)
    assert beijing("20260102", "").date() == date(2026, 1, 2)
    for text in ("2026-02-30 00:00:00", "12:00:00", "tomorrow", "2026-01-02 25:00:00", ""):
        with pytest.raises(Unreadable):
            beijing(text, "")
