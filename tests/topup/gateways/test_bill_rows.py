"""Bills row by row: each way to write the same is read, and what cannot be read is one odd row beside the others.

Cases change the published bills of both providers, of which the second row is the one that is changed.
"""

import gzip
import io
import zipfile
from collections.abc import Callable
from decimal import Decimal

import pytest

from topup.gateways.alipay import bills as alipay_bills
from topup.gateways.bills import Bill, BillDamaged, BillRow, OddRow
from topup.gateways.wechat.v2 import bills as wechat_bills

from .test_bills import ALIPAY, DAY, WECHAT, repacked

WECHAT_TEXT = WECHAT.decode("utf-8-sig")
TITLE = '额度,含逗号 "引号" 套餐'
WECHAT_FACTS = [(1990, "15:05:13"), (29, "16:00:01"), (10000, "17:30:00"), (1990, "18:00:00")]
ALIPAY_FACTS = [(1990, "15:05:13"), (29, "16:00:01"), (500, "18:00:09")]


def wechat(content: str | bytes) -> tuple[Bill, list[BillRow | OddRow]]:
    bill = wechat_bills.read(io.BytesIO(content.encode() if isinstance(content, str) else content), DAY)
    return bill, list(bill)


def alipay(content: bytes) -> tuple[Bill, list[BillRow | OddRow]]:
    bill = alipay_bills.read(io.BytesIO(content), DAY)
    return bill, list(bill)


def facts(rows: list[BillRow | OddRow]) -> list[tuple[int, str]]:
    """What was paid and when, of rows that were understood."""
    return [(row.amount_fen, f"{row.at:%H:%M:%S}") for row in rows if isinstance(row, BillRow)]


def odd(rows: list[BillRow | OddRow]) -> list[OddRow]:
    return [row for row in rows if isinstance(row, OddRow)]


def swap(old: str, new: str, times: int = 1) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text, old
        return text.replace(old, new, times)

    return change


def second(change: Callable[[str], str], start: str = "`2026-01-02 16") -> Callable[[str], str]:
    """Change the second row alone."""

    def changed(text: str) -> str:
        begin = text.index(start)
        end = text.index("\r\n", begin)
        return text[:begin] + change(text[begin:end]) + text[end:]

    return changed


def alipays(change: Callable[[str], str], part: str = "") -> bytes:
    """Change Alipay's list, or with "汇总" its summary."""
    return repacked(lambda name, text: change(text) if ("汇总" in name) == bool(part) else text)


# --- Read ------------------------------------------------------------------------------------------------------------
WECHAT_READ: dict[str, Callable[[str], str]] = {
    "B04b, full-width colons": swap("16:00:01", "16：00：01"),
    "B04c, two blanks between date and time": swap("2026-01-02 16:00:01", "2026-01-02  16:00:01"),
    "slashes": swap("2026-01-02 16:00:01", "2026/1/2 16:00:01"),
    "dots, and a T": swap("2026-01-02 16:00:01", "2026.01.02T16:00:01"),
    "in Chinese": swap("2026-01-02 16:00:01", "2026年1月2日 16时00分01秒"),
    "digits alone": swap("2026-01-02 16:00:01", "20260102160001"),
    "a time zone": swap("2026-01-02 16:00:01", "2026-01-02T08:00:01+00:00"),
    "fractions of a second": swap("16:00:01", "16:00:01.000"),
    "a yuan sign": swap("`0.29,`0.00,`0,`0", "`¥0.29,`0.00,`0,`0"),
    "a full-width yuan sign": swap("`0.60%,`0.29", "`0.60%,`￥0.29"),
    "a plus": swap("`0.60%,`0.29", "`0.60%,`+0.29"),
    "full-width digits": swap("`0.60%,`0.29", "`0.60%,`０．２９"),
    "yuan behind it": swap("`0.60%,`0.29", "`0.60%,`0.29元"),
    "blanks around": swap("`0.60%,`0.29", "`0.60%,` 0.29 "),
    "more decimals": swap("`0.60%,`0.29", "`0.60%,`0.2900"),
    "a coupon that is not told": second(swap("`0.29,`0.00,", "`0.29,`,")),
    "a fee that is not told": second(swap("`0.00000", "`")),
    "a fee that is no number": second(swap("`0.00000", "`--")),
    "a title over two lines": swap(TITLE, "额度\r\n充值"),
    "a title over five lines, one of them blank": swap(TITLE, "a\n\nb,c\nd\re\n总交易单数"),
    "a title with values in it": swap(TITLE, "a,`b,`2026-01-02 15:00:00,`0.01,`"),
    "a title with quotes and backticks": swap(TITLE, "'\"`a``\"\"`"),
    "a title with a formula": swap(TITLE, "=cmd|' /C calc'!A1"),
    "a title with tabs": swap(TITLE, "a\tb\t"),
    "an attachment with commas": second(swap(f"{TITLE},`,", f"{TITLE},`a,b,`c,")),
    "a remark over two lines": lambda text: text.replace("`0.60%,`0.29,`0.00,`", "`0.60%,`0.29,`0.00,`费率\r\n说明", 1),
    "a device with commas": second(swap("`0,`,`42", "`0,`a,b,`42")),
    "no backticks at all": lambda text: text.replace("`", ""),
    "no backtick before the time": swap("`2026-01-02 16", "2026-01-02 16"),
    "no backticks in a row": second(lambda row: row.replace("`", "")),
    "blanks behind commas": second(lambda row: row.replace(",`", ", `")),
    "no trailing remark": second(lambda row: row.removesuffix(",`")),
    "a comma at each end": lambda text: text.replace("\r\n", ",\r\n"),
    "blank lines between rows": lambda text: "\r\n \r\n" + text.replace("\r\n", "\r\n\r\n"),
    "marks everywhere": lambda text: "\ufeff\ufeff" + text.replace("\r\n", "\r\n\ufeff"),
    "line feeds alone": lambda text: text.replace("\r\n", "\n"),
    "no end of the last line": lambda text: text.removesuffix("\r\n"),
    "B19h, an end of old": lambda text: f"{text}\x1a",
    "B19h, NULs behind it": lambda text: f"{text}\x00\x00\r\n",
    "names with blanks and backticks": lambda text: text.replace("交易时间,公众账号ID", " `交易时间 , 公众帐号ID"),
    "a column more": lambda text: "\r\n".join(
        line + (",新列" if "公众" in line else ",`x" if line.count("`") > 20 else "") for line in text.split("\r\n")
    ),
    "numbers as text of a spreadsheet": second(swap("4200000000202601020000000002", '="4200000000202601020000000002"')),
    "a lower-case state": second(swap("`SUCCESS", "`success ")),
    "the count like an amount, with separators": swap("\r\n`4,`120.19", "\r\n`+4.0,`¥120.19"),
    "a sum that is not told of a column that is not there": swap("总交易单数,", "总交易单数,"),
    "B17b, a fee total rounded": swap(",`0.60000,`120.19", ",`0.6,`120.19"),
}  # fmt: skip


@pytest.mark.parametrize("case", WECHAT_READ)
def test_wechats_bill_is_read_however_it_is_written(case: str) -> None:
    bill, rows = wechat(WECHAT_READ[case](WECHAT_TEXT))
    assert (facts(rows), bill.totals.odd, bill.remarks) == (WECHAT_FACTS, 0, [])


def tabless(text: str) -> str:
    """As Alipay's real lines are: no tab behind titles, times and remarks."""
    for end in ("充值\t", "01\t", "13\t", "58\t", "50\t", "09\t"):
        text = text.replace(f"{end},", f"{end[:-1]},")
    return text.replace(",\t\r\n", ",\r\n")


SECOND = "2026010222001437030512345679"
ALIPAY_TITLE = "语音助手 AI额度充值"
ALIPAY_READ: dict[str, Callable[[str], str]] = {
    "no tab behind titles, times and remarks": tabless,
    "no tabs at all": lambda text: text.replace("\t", ""),
    "without tabs, a title with commas": lambda text: tabless(text).replace(ALIPAY_TITLE, "a,b,,c"),
    "without tabs, a title like a row": lambda text: tabless(text).replace(
        ALIPAY_TITLE, "2026,交易,2026-01-02 00:00:00,0.01,,"
    ),
    "without tabs, a title over two lines": lambda text: tabless(text).replace(ALIPAY_TITLE, "语音\r\n#助手"),
    "a title with full-width commas": swap(ALIPAY_TITLE, "语音，助手（AI）"),
    "a remark with commas": second(lambda row: row.removesuffix("\t") + "a,b,1.00", SECOND),
    "a remark over two lines": second(lambda row: row.removesuffix("\t") + "备注\r\n说明", SECOND),
    "a buyer with commas": second(swap("*晓(159****5620)", "*a,b,c"), SECOND),
    "a shop with commas": second(swap("01\t,\t,\t,", "01\t,\t,一店,二店\t,"), SECOND),
    "B04b, full-width colons": swap("16:00:01", "16：00：01"),
    "B04c, two blanks between date and time": swap("2026-01-02 16:00:01", "2026-01-02  16:00:01"),
    "slashes": swap("2026-01-02 16:00:01", "2026/01/02 16:00:01"),
    "yuan signs and a plus": second(swap("0.29,0.29", "+¥0.29,￥0.29"), SECOND),
    "full-width digits": second(swap("0.29,0.29", "０．２９,0.29"), SECOND),
    "a full-width minus": swap("-5.00,-5.00", "－5.00,−5.00"),
    "quotes": second(lambda row: ",".join(f'"{value}"' for value in row.replace("\t", "").split(",")), SECOND),
    "a comma at each end": lambda text: text.replace(",备注", ",备注,").replace(",\t\r\n", ",\t,\r\n"),
    "ASCII brackets and blanks in names": lambda text: text.replace("（元）", " (元)"),
    "received is not told": lambda text: text.replace("商家实收（元）", "某列").replace("商家实收", "收"),
    "a column more": lambda text: text.replace("支付宝交易号", "新列,支付宝交易号").replace("\r\n2026", "\r\nx,2026"),
    "B19h, an end of old": lambda text: f"{text}\x1a",
    "blank lines": lambda text: "\r\n" + text.replace("\r\n", "\r\n\r\n"),
    "a mark in front": lambda text: text,
    "other ends": lambda text: text.replace("#-----------------------------------------业务", "# 业务"),
    "no comments in front": lambda text: text[text.index("支付宝交易号,") :],
    "an unknown line in front": lambda text: "商户账单\r\n" + text,
}  # fmt: skip


@pytest.mark.parametrize("case", ALIPAY_READ)
def test_alipays_bill_is_read_however_it_is_written(case: str) -> None:
    bill, rows = alipay(alipays(ALIPAY_READ[case]))
    assert (facts(rows), bill.totals.odd, bill.remarks) == (ALIPAY_FACTS, 0, [])
    assert [row.refund_no for row in rows if isinstance(row, BillRow)][2] == "R20260102180000abcdef0123456789"


def test_a_real_line_of_alipay_is_read() -> None:
    """As one came, with other numbers: tabs behind what a spreadsheet would spoil, and nowhere else."""
    line = (
        "2026010222001437030512345679\t,20260102155955abcdef0123456789AC\t,交易\t,支付宝APP支付,2026-01-02 15:59:58,"
        "2026-01-02 16:00:01,,,,,*晓(159****5620)\t,0.29,0.29,0.00,0.00,0.00,0.00,0.00,,0.00,0.00,,0.00,0.00,"
    )
    _bill, rows = alipay(alipays(second(lambda _row: line, SECOND)))
    assert facts(rows) == ALIPAY_FACTS


def test_thousands_are_read_and_never_taken_for_two_columns() -> None:
    text = WECHAT_TEXT.replace("`100.00", "`1,100.00").replace("`120.19", "`1,120.19")
    assert facts(wechat(text)[1])[2] == (110000, "17:30:00")
    plain = second(swap("0.29,0.29", "1,234.29,1,234.29"), SECOND)
    total = swap("20.19元", "1,254.19元")
    content = repacked(lambda name, text: text.replace("15.19", '"1,249.19"') if "汇总" in name else total(plain(text)))
    assert facts(alipay(content)[1])[1] == (123429, "16:00:01")
    # A buyer who is called "a,1" does not make 1234 of 234: what was paid is what was received.
    called = second(lambda row: row.replace("*晓(159****5620)\t,0.29,0.29", "*a,1,234.29,234.29"), SECOND)
    total = swap("20.19元", "254.19元")
    content = repacked(lambda name, text: text.replace("15.19", "249.19") if "汇总" in name else total(called(text)))
    assert facts(alipay(content)[1])[1] == (23429, "16:00:01")
    unlikely = second(lambda row: row.replace("*晓(159****5620)\t,0.29,0.29", "*a,1,234.29,200.00"), SECOND)
    assert [row.problem for row in odd(alipay(alipays(unlikely))[1])] == [
        "Its 26 values fit the 25 columns in more than one way"
    ]


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
def test_the_encoding_shows_in_the_text(codec: str) -> None:
    assert facts(wechat(WECHAT_TEXT.encode(codec))[1]) == WECHAT_FACTS
    assert facts(wechat(gzip.compress(WECHAT_TEXT.encode(codec)))[1]) == WECHAT_FACTS
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(ALIPAY)) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.infolist():
            new.writestr(member.filename.encode("cp437").decode("gbk"), old.read(member).decode("gbk").encode(codec))
    assert facts(alipay(out.getvalue())[1]) == ALIPAY_FACTS


def test_one_title_in_another_encoding_spoils_nothing() -> None:
    broken = WECHAT.replace(TITLE.encode(), "中文标题".encode("gbk"))
    assert facts(wechat(broken)[1]) == WECHAT_FACTS
    assert facts(wechat(WECHAT.replace(TITLE.encode(), b"\xff\xfe\x80"))[1]) == WECHAT_FACTS


# --- Odd rows --------------------------------------------------------------------------------------------------------
WECHAT_ODD: dict[str, tuple[Callable[[str], str], str]] = {
    "B38, an impossible sign": (swap("`0.60%,`0.29", "`0.60%,`-0.29"), "wrong sign"),
    "a refund with a minus": (swap("`0.00,`19.90,`\r\n总", "`0.00,`-19.90,`\r\n总"), "wrong sign"),
    "no amount": (swap("`0.60%,`0.29", "`0.60%,`"), "not a number"),
    "nothing was paid": (
        lambda text: text.replace("`0.60%,`0.29", "`0.60%,`0.00").replace("`0.60000,`120.19", "`0.60000,`119.90"),
        "it was nothing",
    ),
    "an amount in words": (swap("`0.60%,`0.29", "`0.60%,`贰角玖分"), "not a number"),
    "an exponent": (swap("`0.60%,`0.29", "`0.60%,`29e-2"), "not a number"),
    "Arabic digits": (swap("`0.60%,`0.29", "`0.60%,`٠.٢٩"), "not a number"),
    "a superscript": (swap("`0.60%,`0.29", "`0.60%,`0.2²"), "not a number"),
    "a tenth of a fen": (swap("`0.60%,`0.29", "`0.60%,`0.291"), "fen"),
    "no time": (swap("`2026-01-02 16:00:01", "`"), "not a time"),
    "a time that cannot be": (swap("`2026-01-02 16:00:01", "`2026-13-02 16:00:01"), "not a time"),
    "half of a row": (second(lambda row: row[:90]), "values for 27 columns"),
    "a value less": (second(swap("`SUCCESS,`OTHERS", "`OTHERS")), "values for 27 columns"),
    "nothing but noise": (second(lambda _row: "%PDF-1.7 \x00\x01"), "values for 27 columns"),
    "no transaction number": (second(swap("`4200000000202601020000000002", "`")), "no transaction number"),
    "hundreds of values": (second(lambda row: row + ",`x" * 900), "values for 27 columns"),
}  # fmt: skip


@pytest.mark.parametrize("case", WECHAT_ODD)
def test_one_row_of_wechats_that_is_not_understood_is_one_odd_row(case: str) -> None:
    change, problem = WECHAT_ODD[case]
    bill, rows = wechat(change(WECHAT_TEXT))
    (row,) = odd(rows)
    assert (problem in row.problem, bill.totals.odd, len(facts(rows))) == (True, 1, 3), row
    assert row.at == (5 if "refund" in case else 3)


ALIPAY_ODD: dict[str, tuple[Callable[[str], str], str]] = {
    "B38, an impossible sign": (swap("\t,-5.00,-5.00", "\t,5.00,5.00"), "wrong sign"),
    "a payment with a minus": (second(swap("\t,0.29,0.29", "\t,-0.29,-0.29"), SECOND), "wrong sign"),
    "no amount": (second(swap("\t,0.29,0.29", "\t,,0.29"), SECOND), "not a number"),
    "a tenth of a fen": (second(swap("\t,0.29", "\t,0.291"), SECOND), "fen"),
    "no time": (second(swap("2026-01-02 16:00:01", ""), SECOND), "not a time"),
    "half of a row": (second(lambda row: row[:60], SECOND), "values for 25 columns"),
    "two rows in one": (second(lambda row: row + row, SECOND), "Its 49 values fit the 25 columns"),
    "no kind": (second(swap("交易\t", "\t"), SECOND), "no transaction number or no kind"),
}  # fmt: skip


@pytest.mark.parametrize("case", ALIPAY_ODD)
def test_one_row_of_alipays_that_is_not_understood_is_one_odd_row(case: str) -> None:
    change, problem = ALIPAY_ODD[case]
    bill, rows = alipay(alipays(change))
    (row,) = odd(rows)
    assert (problem in row.problem, bill.totals.odd, len(facts(rows))) == (True, 1, 2), row


def test_neighbours_that_are_not_understood_are_two_odd_rows() -> None:
    lines = WECHAT_TEXT.split("\r\n")
    lines[2], lines[3] = lines[2][:90], lines[3][:90]
    assert [row.at for row in odd(wechat("\r\n".join(lines))[1])] == [3, 4]


@pytest.mark.parametrize(
    ("cut", "problem"),
    [
        (swap("\r\n`4,`120.19", "\r\n`6,`120.19"), "there are 4 rows"),
        (swap("\r\n`4,`120.19", "\r\n`4,`120.20"), "应结订单总金额 is 120.20"),
        (lambda text: text[: text.index("总交易单数")], "cut off"),
        (
            lambda text: text.replace("\r\n`2026-01-02 17:30", "\r\n总交易单数,应结订单总金额\r\n`4,`20.19\r\n`x"),
            "follows",
        ),
    ],
)
def test_a_row_that_is_not_understood_explains_no_more_than_itself(cut: Callable[[str], str], problem: str) -> None:
    """Its 0.29 may stand in the sums with either sign, or not; a row that is lost shows as before."""
    with pytest.raises(BillDamaged, match=problem):
        wechat(cut(second(swap("`0.60%,`0.29", "`0.60%,`-0.29"))(WECHAT_TEXT)))
    for said in ("120.19", "119.61", "119.90"):
        text = second(swap("`0.60%,`0.29", "`0.60%,`-0.29"))(WECHAT_TEXT)
        assert len(odd(wechat(text.replace("`0.60000,`120.19", f"`0.60000,`{said}"))[1])) == 1
    with pytest.raises(BillDamaged, match=r"订单总金额 is 119\.62"):
        wechat(text.replace("`0.60000,`120.19", "`0.60000,`119.62"))


def test_a_file_of_which_the_greater_part_is_not_understood_is_none() -> None:
    header, *rest = WECHAT_TEXT.split("\r\n")
    rows = [rest[0].replace("`19.90", "`?")] * 200 + rest[:3]
    with pytest.raises(BillDamaged, match="200 of its rows are not understood, 3 are"):
        wechat("\r\n".join([header, *rows, rest[4], "`203"]) + ",`120.19,`0,`0,`0,`0,`0\r\n")


def test_B17b_a_fee_total_that_its_rows_do_not_make_is_a_remark() -> None:
    bill, rows = wechat(WECHAT_TEXT.replace(",`0.60000,`120.19", ",`0.61,`120.19"))
    assert (facts(rows), bill.totals.fee) == (WECHAT_FACTS, Decimal("0.6"))
    assert [(each.label, each.said, each.found) for each in bill.remarks] == [("手续费总金额", "0.61", "0.60000")]
    bill, _rows = alipay(alipays(swap("-0.09", "-0.1"), "汇总"))
    assert [(each.label, each.said, each.found) for each in bill.remarks] == [("服务费（元）", "-0.1", "-0.09")]
