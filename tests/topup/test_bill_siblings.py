"""Siblings of the bills' incidents, through the command: files packed and written in other ways, columns and words of
tomorrow, rows of other programs. One odd thing is no reason to refuse a day.
"""

import gzip
import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from sandbox import alipay_refunds, wechat_refunds
from tests.merchants import ALIPAY, WECHAT
from topup.models import Reconciliation
from voicehelper.accounts.models import User

from .day_bills import (
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
Change = Callable[[str], str]


def swap(old: str, new: str) -> Change:
    def change(text: str) -> str:
        assert old in text, old
        return text.replace(old, new)

    return change


# --- Alipay ----------------------------------------------------------------------------------------------------------
SUMMARY = (
    "#支付宝业务汇总查询\r\n{header}\r\n\t,合计\t,2\t,0\t,146.00\t,146.00\t,0.00\t,0.00\t,146.00\t{more}\r\n"
    "#业务汇总列表结束\r\n"
)


def packed(
    change: Change = str, *, name: str = "20881_业务明细.csv", codec: str = "gb18030", summary: str = "",
    flag: bool = False, **more: bytes,
) -> Callable[[bytes], bytes]:  # fmt: skip
    """The bill packed anew: names in bytes of `codec`, with the flag of UTF-8 or not."""

    def repack(content: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as old:
            detail = change(old.read(old.infolist()[0]).decode("gb18030"))
        out = io.BytesIO()
        members = {name: detail.encode("gb18030")} | (
            {"20881_业务明细(汇总).csv": summary.encode("gb18030")} if summary else {}
        )
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
            for each, text in (members | more).items():
                new.writestr(each if flag else Raw(each.encode(codec)), text)
        return out.getvalue()

    return repack


class Raw(zipfile.ZipInfo):
    """A member whose name is these bytes, and nobody says in what they are."""

    def __init__(self, name: bytes) -> None:
        super().__init__(name.decode("cp437"))
        self.compress_type = zipfile.ZIP_DEFLATED

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode("cp437"), self.flag_bits


BOTH = SUMMARY.format(header=alipay_refunds.SUMMARY, more="")
TOMORROW = SUMMARY.format(header=f"{alipay_refunds.SUMMARY},新列（元）", more=",1.00")
ACCOUNT = f"#账号：[{ALIPAY.seller_id}0156]"
ALIPAY_READ: dict[str, Callable[[bytes], bytes]] = {
    "names in GBK": packed(summary=BOTH),
    "names in UTF-8, and nobody says so": packed(summary=BOTH, codec="utf-8"),
    "names in UTF-8": packed(summary=BOTH, flag=True),
    "a file in a folder": packed(name="20260102/20881_业务明细.csv"),
    "a capital ending": packed(name="20881_业务明细.CSV"),
    "a note beside it": packed(**{"readme.txt": b"x"}),
    "a column of tomorrow in the summary": packed(summary=TOMORROW),
    "an account with stars": packed(swap(ACCOUNT, "#账号：[2088****6225135]")),
    "an account by its mail": packed(swap(ACCOUNT, "#账号：[2026shop@example.com]")),
    "an account by its phone": packed(swap(ACCOUNT, "#账号：[13800138000]")),
    "an account without a suffix": packed(swap(ACCOUNT, f"#账号：[{ALIPAY.seller_id}]")),
    "an account with blanks": packed(swap(ACCOUNT, f"# 账号: [ {ALIPAY.seller_id}0156 ]")),
    "no account": packed(swap(ACCOUNT, "#")),
    "sums without a count": packed(swap("交易合计：2笔，商家", "交易合计：商家"), summary=BOTH),
    "thousands in the tail": packed(swap("商家优惠共0.00元", "商家优惠共1,000.00元")),
    "apostrophes before numbers": packed(lambda text: text.replace("\r\n2026", "\r\n'2026")),
    "a kind with blanks": packed(swap("交易\t", " 交易 \t")),
    "an empty time of making": packed(swap(f"{NOON}\t,{NOON}\t", f"\t,{NOON}\t")),
}


@pytest.mark.parametrize("name", ALIPAY_READ)
def test_P_a_bill_of_alipays_is_compared_however_it_is_packed_and_headed(
    name: str, biller: Provider, buyer: User
) -> None:
    orders = [paid(buyer, ALIPAY, f"2026{number}") for number in range(2)]
    biller.content = ALIPAY_READ[name](alipay_bill([(o.order_no, o.transaction_id or "") for o in orders]))
    code, said = run("alipay")
    assert (code, kinds()) == (0, {}), said
    assert Reconciliation.objects.get().theirs_payments_fen == 14600


ALIPAY_ODD: dict[str, tuple[Change, dict[str, int]]] = {
    "B38 a kind of tomorrow": (lambda text: text.replace("交易\t", "分账\t", 1), {"not_understood": 1}),
    "B38 nothing was paid": (lambda text: text.replace("73.00,73.00", "0.00,0.00", 1), {"not_understood": 1}),
    "B38 half of a row": (lambda text: text.replace(f"{NOON}\t,{NOON}\t", "", 1), {"not_understood": 1}),
    "B38 a time that cannot be": (lambda text: text.replace(NOON, "2026-02-30 12:00:00", 2), {"not_understood": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", ALIPAY_ODD)
def test_B38_one_row_of_alipays_that_is_strange_is_one_difference(name: str, biller: Provider, buyer: User) -> None:
    change, expected = ALIPAY_ODD[name]
    orders = [paid(buyer, ALIPAY, f"2026{number}") for number in range(3)]
    biller.content = packed(change)(alipay_bill([(o.order_no, o.transaction_id or "") for o in orders]))
    code, said = run("alipay")
    assert (code, kinds()) == (1, expected), said


def test_an_empty_day_of_alipays_may_be_a_file_without_rows(biller: Provider, buyer: User) -> None:
    biller.content = alipay_bill([])
    code, said = run("alipay")
    assert (code, kinds()) == (0, {}), said


SAID = [
    "账单不存在", '{"code":"40004","sub_code":"isp.bill_not_exist"}', "<xml><msg>当日无交易账单</msg></xml>",
    "\r\n\ufeffNo bill data", '{"error":"BILL_NOT_EXIST"}',
]  # fmt: skip


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("codec", ["utf-8", "gb18030"])
def test_B44b_at_the_address_of_a_file_it_may_be_said_that_there_is_none(
    said: str, codec: str, biller: Provider
) -> None:
    biller.content = said.encode(codec)
    assert (run("alipay")[0], Reconciliation.objects.get().state) == (0, "agreed")


# --- WeChat Pay ------------------------------------------------------------------------------------------------------
WECHAT_READ: dict[str, Callable[[bytes], bytes]] = {
    "packed, with NULs behind": lambda content: gzip.compress(content) + b"\0" * 512,
    "packed in two pieces": lambda content: gzip.compress(content[:300]) + gzip.compress(content[300:]),
    "a sum of tomorrow": lambda content: text_changed(
        content, swap(wechat_refunds.SUMMARY, f"{wechat_refunds.SUMMARY},手续费返还总金额"), "`1.00"
    ),
    "a sum of tomorrow in front": lambda content: text_changed(
        content, swap(wechat_refunds.SUMMARY, wechat_refunds.SUMMARY.replace(",退款", ",优惠总金额,退款", 1)), "",
        swap("`146.00,`0.00,`0.00,`0.88000", "`146.00,`5.00,`0.00,`0.00,`0.88000"),
    ),
    "fewer sums": lambda content: text_changed(
        content, swap(wechat_refunds.SUMMARY, "总交易单数,订单总金额"), "",
        swap("\r\n`2,`146.00,`0.00,`0.00,`0.88000,`146.00,`0.00", "\r\n`2,`146.00"),
    ),
    "the sums in another order": lambda content: text_changed(
        content, swap(wechat_refunds.SUMMARY, "订单总金额,总交易单数"), "",
        swap("\r\n`2,`146.00,`0.00,`0.00,`0.88000,`146.00,`0.00", "\r\n`146.00,`2"),
    ),
    "a column of tomorrow": lambda content: text_changed(
        content, swap(wechat_refunds.HEADER, wechat_refunds.HEADER.replace(",费率备注", ",新列,费率备注")), "",
        swap("`0.00,`\r\n", "`0.00,`新值,`\r\n"),
    ),
    "names of columns in quotes": lambda content: text_changed(content, swap("交易时间,", '"交易时间",'), ""),
    "a title above": lambda content: "微信支付对账单\r\n\r\n".encode() + content.removeprefix(b"\xef\xbb\xbf"),
    "a comment below": lambda content: content + b"\r\n \r\n",
}  # fmt: skip


def text_changed(content: bytes, change: Change, more: str, then: Change = str) -> bytes:
    """Changed, with `more` behind the last line."""
    text = then(change(content.decode("utf-8-sig")))
    return (text.rstrip("\r\n") + (f",{more}" if more else "") + "\r\n").encode()


@pytest.mark.parametrize("name", WECHAT_READ)
def test_P_a_bill_of_wechats_is_compared_however_it_is_packed_and_summed_up(
    name: str, biller: Provider, buyer: User
) -> None:
    orders = [paid(buyer, WECHAT, f"4200{number}") for number in range(2)]
    rows = [wechat_row(o.order_no, o.transaction_id or "") for o in orders]
    biller.content = WECHAT_READ[name](wechat_bill(rows))
    code, said = run("wechat")
    assert (code, kinds()) == (0, {}), said
    assert Reconciliation.objects.get().theirs_payments_fen == 14600


WECHAT_ROWS: dict[str, tuple[dict[str, str], dict[str, int]]] = {
    "B15 no sub-merchant at all": ({"sub": ""}, {}),
    "B15 a sub-merchant of noughts": ({"sub": "0000"}, {}),
    "B11 no app": ({"app": ""}, {}),
    "a type of tomorrow": ({"type": "PALM"}, {}),
    "another bank": ({"bank": "招商银行(信用卡)"}, {}),
    "a fee that was given back": ({"fee": "-0.44000"}, {}),
    "no rate": ({"rate": ""}, {}),
    "coupons paid all of it": ({"paid": "0.00", "coupon": "73.00"}, {}),
    "a title that is a summary": ({"title": "总交易单数,订单总金额"}, {}),
    "a title of the columns": ({"title": "交易时间,公众账号ID"}, {}),
    "another currency": ({"currency": "HKD"}, {"not_understood": 1}),
    "B38 a state of tomorrow": ({"state": "FROZEN"}, {"not_understood": 1}),
    "B38 nothing was paid": ({"amount": "0.00", "paid": "0.00"}, {"not_understood": 1}),
}


@pytest.mark.parametrize("name", WECHAT_ROWS)
def test_P_a_row_of_wechats_is_one_difference_at_most(name: str, biller: Provider, buyer: User) -> None:
    facts, expected = WECHAT_ROWS[name]
    good, changed = (paid(buyer, WECHAT, f"4200{number}") for number in range(2))
    biller.content = wechat_bill([wechat_row(good.order_no, "42000"), wechat_row(changed.order_no, "42001", **facts)])
    code, said = run("wechat")
    assert (code, kinds()) == (1 if expected else 0, expected), said


REFUND_ROWS: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "M4 no number of its own": ({"refund_no": ""}, {}),
    "M4 a number that is nought": ({"refund_no": "0"}, {}),
    "a state in small letters": ({"state": "success"}, {}),
    "no state": ({"state": ""}, {}),
    "coupons were given back too": ({"refund": "0.50", "asked": "1.00"}, {}),
}


@pytest.mark.parametrize("name", REFUND_ROWS)
def test_P_a_refund_in_wechats_bill_is_known_by_either_number(name: str, biller: Provider, buyer: User) -> None:
    facts, expected = REFUND_ROWS[name]
    order = paid(buyer, WECHAT, "42000")
    refund = given_back(order, 100)
    refund_no = facts.pop("refund_no", refund.refund_no) if "refund_no" in facts else refund.refund_no
    more = dict(facts)
    if refund_no != refund.refund_no:
        # One that was made in the console, and mirrored under WeChat Pay's number.
        type(refund).objects.filter(pk=refund.pk).update(refund_no="50")
        more |= {"refund_id": "50"}
    state = more.pop("state", "SUCCESS")
    biller.content = wechat_bill(
        [wechat_row(order.order_no, "42000"), refund_row(order.order_no, refund_no, 100, state, **more)]
    )
    code, said = run("wechat")
    assert (code, kinds()) == (1 if expected else 0, expected), said
