"""Bills of both providers: what they say, and everything that must not pass for one."""

import gzip
import io
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import IO, Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import vectors
from tests.conftest import full
from tests.far_side import FarSide, Seen, http
from tests.topup.gateways import alipay_side, wechat_side
from topup.gateways.alipay import Alipay
from topup.gateways.alipay import bills as alipay_bills
from topup.gateways.bills import Bill, BillDamaged, BillKind, BillNotReady, BillRefused, BillRow
from topup.gateways.errors import Retryable, Unknown
from topup.gateways.exchanges import Exchange
from topup.gateways.wechat.v2 import WeChatPayV2
from topup.gateways.wechat.v2 import bills as wechat_bills
from voicehelper.clock import BEIJING

DAY = date(2026, 1, 2)
FOLDER = vectors.HERE / "bills"
EXPECTED: dict[str, Any] = vectors.load("bills/expected")
WECHAT = (FOLDER / "wechat_ALL.csv").read_bytes()
ALIPAY = (FOLDER / "alipay_trade_20260102.csv.zip").read_bytes()
NO_BILL = (FOLDER / "wechat_error_no_bill.xml").read_bytes()


def read_wechat(content: bytes) -> tuple[Bill, list[BillRow]]:
    return understood(wechat_bills.read(io.BytesIO(content), DAY))


def read_alipay(content: bytes) -> tuple[Bill, list[BillRow]]:
    return understood(alipay_bills.read(io.BytesIO(content), DAY))


def understood(bill: Bill) -> tuple[Bill, list[BillRow]]:
    rows = list(bill)
    assert not bill.totals.odd, rows
    return bill, [row for row in rows if isinstance(row, BillRow)]


# --- WeChat Pay ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_bill_of_wechat_reads_as_published(pack: Callable[[bytes], bytes]) -> None:
    bill, rows = read_wechat(pack(WECHAT))
    assert [row.raw for row in rows] == EXPECTED["wechat_ALL.csv"]["rows"]
    first, comma, _h5, refund = rows
    assert (first.kind, first.amount_fen, first.refund_no) == (BillKind.PAYMENT, 1990, "")
    assert first.at == datetime(2026, 1, 2, 7, 5, 13, tzinfo=UTC)
    assert (first.fee, first.transaction_id) == (Decimal("0.12"), "4200000000202601020000000001")
    assert comma.raw["商品名称"] == '额度,含逗号 "引号" 套餐'
    assert (refund.kind, refund.amount_fen, refund.state) == (BillKind.REFUND, 1990, "SUCCESS")
    assert (refund.refund_no, refund.refund_id) == ("R20260102180000abcdef0123456789", "50000000000202601020000000001")
    totals = bill.totals
    assert (totals.payments, totals.payments_fen, totals.refunds, totals.refunds_fen) == (3, 12019, 1, 1990)


def test_the_older_layout_has_other_columns_in_another_order_and_a_count_like_an_amount() -> None:
    header = (
        "商户订单号,交易时间,公众账号ID,商户号,子商户号,微信订单号,交易状态,总金额,企业红包金额,"
        "微信退款单号,商户退款单号,退款金额,新列"
    )
    rows = [
        "`20260102150405abcdef0123456789AB,`2026-01-02 15:05:13,`wx,`1,`0,`42001,`SUCCESS,`0.29,`0.00,`0,`0,`0.00,`x",
        "`20260102150405abcdef0123456789AB,`2026-01-02 16:05:13,`wx,`1,`0,`42001,`REFUND,`0.29,`0.00,`5,`R1,`0.10,`",
    ]
    summary = "总交易单数,总交易额,总退款金额,总企业红包退款金额\r\n`2.0,`0.58,`0.10,`0.00\r\n"
    _bill, (paid, refund) = read_wechat(("\r\n".join([header, *rows, ""]) + summary).encode())
    assert (paid.amount_fen, refund.amount_fen, refund.refund_no) == (29, 10, "R1")


def test_a_bill_without_rows_but_with_its_summary_is_an_empty_day() -> None:
    header, *_rest = WECHAT.split(b"\r\n")
    zeros = "总交易单数,应结订单总金额,退款总金额\r\n`0,`0.00,`0.00\r\n".encode()
    assert read_wechat(header + b"\r\n" + zeros)[1] == []


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_bill_cut_off_anywhere_is_refused(pack: Callable[[bytes], bytes]) -> None:
    """The last two bytes are the last line's end."""
    whole = pack(WECHAT)
    for length in range(0, len(whole) - 2, 7):
        with pytest.raises(BillDamaged, match=r"download it again"):
            read_wechat(whole[:length])


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("`120.19,`19.90,`0.00,`0.60000", "`120.20,`19.90,`0.00,`0.60000", "应结订单总金额 is 120.20"),
        ("`19.90,`0.00,`0.60000,`120.19,`19.90", "`19.90,`0.00,`0.60000,`120.19,`19.91", "申请退款总金额"),
        ("`4,`120.19", "`5,`120.19", "there are 4 rows"),
        ("`4,`120.19", "`1e0,`120.19", "not a number"),
        ("`0.29,`0.00,`0,`0", "`0.295,`0.00,`0,`0", "应结订单总金额"),
        ("微信订单号", "订单号", "微信订单号"),
        ("`19.90\r\n", "`19.90\r\n`more\r\n", "something follows"),
    ],
)
def test_a_bill_whose_sums_or_rows_are_wrong_is_refused(old: str, new: str, problem: str) -> None:
    text = WECHAT.decode()
    at = text.rindex(old) if old in ("`4,`120.19", "`19.90\r\n") else text.index(old)
    with pytest.raises(BillDamaged, match=problem):
        read_wechat((text[:at] + new + text[at + len(old) :]).encode())


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    content = WECHAT[:-2] + b"x" * 10_000_000
    tracemalloc.start()
    try:
        with pytest.raises(BillDamaged, match="not a number"):
            read_wechat(content)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_state_nobody_knows_is_left_to_people() -> None:
    _bill, rows = read_wechat(WECHAT.replace(b"`SUCCESS,`OTHERS,`CNY,`0.29", b"`NEW,`OTHERS,`CNY,`0.29"))
    assert [row.kind for row in rows] == [BillKind.PAYMENT, BillKind.OTHER, BillKind.PAYMENT, BillKind.REFUND]


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_fail_otherwise(noise: bytes) -> None:
    for reader in (read_wechat, read_alipay):
        with pytest.raises((BillDamaged, Unknown, BillRefused)):
            reader(noise)


def complaint(text: str, **more: str) -> bytes:
    return wechat_side.document({"return_code": "FAIL", "return_msg": text} | more)


def test_a_day_without_trades_is_an_empty_bill_once_it_is_long_over() -> None:
    assert read_wechat(NO_BILL)[1] == []
    today = datetime.now(BEIJING).date()
    with pytest.raises(BillNotReady, match="after 10:00"):
        wechat_bills.read(io.BytesIO(NO_BILL), today)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Bill Creating", BillNotReady),
        ("CompressGZip Error", Retryable),
        ("system error", Retryable),
        ("sign error", BillRefused),
        ("invalid bill_type", BillRefused),
    ],
)
def test_what_wechat_says_instead_of_a_bill(said: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=said):
        read_wechat(complaint(said, error_code="20001"))


# --- Alipay ----------------------------------------------------------------------------------------------------------
def test_a_bill_of_alipay_reads_as_published() -> None:
    bill, rows = read_alipay(ALIPAY)
    assert [row.raw for row in rows] == EXPECTED["alipay_trade_20260102.csv.zip"]["rows"]
    assert [(row.kind, row.amount_fen) for row in rows] == [("payment", 1990), ("payment", 29), ("refund", 500)]
    assert rows[2].refund_no == "R20260102180000abcdef0123456789"
    assert rows[0].at == datetime(2026, 1, 2, 7, 5, 13, tzinfo=UTC)
    assert (bill.totals.refunds_fen, bill.totals.fee) == (500, Decimal("-0.09"))


def repacked(change: Callable[[str, str], str]) -> bytes:
    """The published bill, its texts changed: change(name, text)."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(ALIPAY)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            name = member.filename.encode("cp437").decode("gbk")
            new.writestr(name, change(name, old.read(member).decode("gbk")).encode("gb18030"))
    return out.getvalue()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("交易合计：2笔", "交易合计：3笔", "there are 2 rows"),
        ("商家实收共20.19元", "商家实收共20.18元", "交易合计 is 20.18"),
        ("退款共-5.00元", "退款共-5.01元", "退款合计"),
        ("\t,2,1,15.19", "\t,2,1,15.20", "订单金额（元） is 15.20"),
        ("合计\t,\t,2,1", "合计\t,\t,2,2", "退款订单总笔数"),
        ("合计\t,", "\t,", "no line 合计"),
        ("业务明细列表结束", "业务明细", "cut off"),
        ("支付宝交易号", "交易号码", "支付宝交易号"),
        ("#导出时间", "x\r\n#导出时间", "follows the end"),
    ],
)
def test_a_bill_of_alipay_whose_sums_or_rows_are_wrong_is_refused(old: str, new: str, problem: str) -> None:
    with pytest.raises(BillDamaged, match=problem):
        read_alipay(repacked(lambda _name, text: text.replace(old, new, 1)))


def test_commas_in_a_title_do_not_move_the_columns() -> None:
    _bill, rows = read_alipay(repacked(lambda _name, text: text.replace("语音助手 AI额度充值", "a,b,,c")))
    assert [row.raw["商品名称"] for row in rows] == ["a,b,,c"] * 3
    assert rows[0].amount_fen == 1990


def test_a_tail_in_other_words_is_made_up_for_by_the_summary_and_neither_is_too_little() -> None:
    reworded = repacked(lambda _name, text: text.replace("交易合计", "交易共").replace("退款合计", "退款共"))
    assert len(read_alipay(reworded)[1]) == 3
    with zipfile.ZipFile(io.BytesIO(reworded)) as archive:
        detail = next(member for member in archive.infolist() if "汇总" not in member.filename)
        content = archive.read(detail)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(detail.filename, content)
    with pytest.raises(BillDamaged, match="what the rows should add up to"):
        read_alipay(out.getvalue())


def test_a_zip_file_cut_off_anywhere_is_refused() -> None:
    for length in range(0, len(ALIPAY) - 1, 11):
        with pytest.raises(BillDamaged):
            read_alipay(ALIPAY[:length])


def test_a_byte_changed_in_the_zip_file_is_noticed() -> None:
    broken = bytearray(ALIPAY)
    broken[200] ^= 0xFF
    with pytest.raises(BillDamaged):
        read_alipay(bytes(broken))


def test_a_zip_bomb_is_refused_before_it_is_opened() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("业务明细.csv", b"0" * 50_000_000)
    with pytest.raises(BillDamaged, match="more than a bill"):
        read_alipay(out.getvalue())


# --- Downloading -----------------------------------------------------------------------------------------------------
@pytest.fixture
def far() -> Iterator[FarSide]:
    with FarSide() as far_side:
        yield far_side


def test_wechats_bill_is_asked_for_by_its_day_and_not_kept_in_the_log(far: FarSide) -> None:
    calls: list[Exchange] = []
    pay = WeChatPayV2(replace(wechat_side.CONFIG, base_url=far.url), record=calls.append)
    far.answer = lambda _seen: http(gzip.compress(WECHAT))
    with pay.bill(DAY) as bill:
        assert len(list(bill)) == 4
    sent = far.seen[-1]
    assert sent.line.startswith("POST /pay/downloadbill")
    for part in (b"<bill_date><![CDATA[20260102]]>", b"<bill_type><![CDATA[ALL]]>", b"<tar_type><![CDATA[GZIP]]>"):
        assert part in sent.body
    assert (calls[-1].operation, calls[-1].order_no, calls[-1].outcome) == ("bill", "20260102", "ok")
    assert "bytes)" in calls[-1].response


def test_alipays_bill_is_fetched_from_the_address_it_gives_which_is_not_logged(far: FarSide) -> None:
    calls: list[Exchange] = []
    pay = Alipay(replace(alipay_side.CONFIG, gateway_url=f"{far.url}/gateway.do"), record=calls.append)

    def answer(seen: Seen) -> bytes:
        if seen.line.startswith("GET"):
            return http(ALIPAY)
        node = f'{{"code":"10000","msg":"Success","bill_download_url":"{far.url}/b?token=hush"}}'.replace("/", "\\/")
        name = "alipay_data_dataservice_bill_downloadurl_query_response"
        return http(f'{{"{name}":{node},"sign":"{alipay_side.sign(node)}"}}'.encode())

    far.answer = answer
    with pay.bill(DAY) as bill:
        assert len(list(bill)) == 3
    asked = dict(parse_qsl(far.seen[0].body.decode()))
    assert asked["method"] == "alipay.data.dataservice.bill.downloadurl.query"
    assert '"bill_date":"2026-01-02"' in asked["biz_content"]
    assert [call.operation for call in calls] == ["bill", "bill"]
    assert "hush" not in calls[1].request + calls[1].response


def test_alipay_without_a_bill_is_an_empty_day_or_one_too_young(far: FarSide) -> None:
    pay = Alipay(replace(alipay_side.CONFIG, gateway_url=f"{far.url}/gateway.do"))
    node = '{"code":"40004","msg":"Business Failed","sub_code":"isp.bill_not_exist","sub_msg":"账单不存在"}'
    name = "alipay_data_dataservice_bill_downloadurl_query_response"
    far.answer = lambda _seen: http(f'{{"{name}":{node},"sign":"{alipay_side.sign(node)}"}}'.encode())
    with pay.bill(DAY) as bill:
        assert list(bill) == []
    with pytest.raises(BillNotReady):
        pay.bill(datetime.now(BEIJING).date())


# --- Many rows -------------------------------------------------------------------------------------------------------
class Endless(io.RawIOBase):
    """A bill of so many rows that never lies anywhere as a whole."""

    def __init__(self, count: int) -> None:
        header, row, *_rest = WECHAT.split(b"\r\n")
        fees = f"{Decimal('0.12') * count:.5f}"
        sums = f"`{count},`{Decimal('19.90') * count},`0.00,`0.00,`{fees},`{Decimal('19.90') * count},`0.00\r\n"
        summary = b"\r\n".join(WECHAT.split(b"\r\n")[-3:-2])
        self._parts = self._make(header, row, count, summary + b"\r\n" + sums.encode())
        self._left = b""

    @staticmethod
    def _make(header: bytes, row: bytes, count: int, tail: bytes) -> Iterator[bytes]:
        yield header + b"\r\n"
        block = (row + b"\r\n") * 1000
        for _ in range(count // 1000):
            yield block
        yield tail

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._left = self._left or next(self._parts, b"")
        part, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def test_many_rows_take_no_more_memory_than_few() -> None:
    count = full(1_000_000, 5_000)
    file: IO[bytes] = io.BufferedReader(Endless(count))  # type: ignore[assignment]
    tracemalloc.start()
    try:
        assert sum(1 for _row in wechat_bills.rows(file)) == count
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000
