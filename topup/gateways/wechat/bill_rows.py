"""The rows of WeChat Pay's bill (ALL, SUCCESS, REFUND, and what older accounts get): every value behind a backtick,
amounts in yuan.

Columns are found by their names. A title or a remark may hold anything, also line breaks.
"""

import gzip
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import IO

from ..bill_sums import BillSums
from ..bill_table import Holds, Table, column_name, find_header
from ..bill_texts import Unreadable, beijing, fen, is_number, lines, number, tidy
from ..bills import BillDamaged, BillKind, BillRow, OddRow, Remark
from ..refunds import RefundState

_SUMMARY, _FEES = "总交易单数", "手续费总金额"
# What the summary adds up, in the words of both layouts.
_SUMS = {
    "应结订单总金额": "应结订单金额",
    "退款总金额": "退款金额",
    "充值券退款总金额": "充值券退款金额",
    _FEES: "手续费",
    "订单总金额": "订单金额",
    "申请退款总金额": "申请退款金额",
    "总交易额": "总金额",
    "总退款金额": "退款金额",
    "总企业红包退款金额": "企业红包退款金额",
}
_NEEDED = ("交易时间", "微信订单号", "商户订单号", "交易状态")
_KINDS = {"SUCCESS": BillKind.PAYMENT, "REFUND": BillKind.REFUND, "REVOKED": BillKind.REFUND}
_YUAN = {"", "CNY", "RMB"}
# Any other word means that the refund is not over.
_REFUND_STATES = {
    "SUCCESS": RefundState.SUCCEEDED,
    "": RefundState.SUCCEEDED,
    "FAIL": RefundState.CLOSED,
    "REFUNDCLOSE": RefundState.CLOSED,
}
_TEXTS = {"设备号", "商品名称", "商户数据包", "费率备注"}
_TIMES = {"交易时间", "退款申请时间", "退款成功时间"}
_NUMBERS = {
    "公众账号ID", "商户号", "特约商户号", "子商户号", "微信订单号", "商户订单号", "用户标识", "交易类型", "交易状态",
    "货币种类", "微信退款单号", "商户退款单号", "退款类型", "退款状态",
}  # fmt: skip
_COMMA = re.compile(",`?")
# Before the values; some files have lost it here and there.
_MARK, _SEPARATORS = "`", (re.compile(",[ \t]*`"), _COMMA)


def rows(file: IO[bytes]) -> Iterator[BillRow | OddRow | Remark]:
    """Every row, then the comparison with the summary. Raises BillDamaged."""
    sums, end = BillSums(), list[str]()
    try:
        text = lines(file)
        header = find_header(text, _NEEDED, _COMMA)
        if not {"订单金额", "总金额"} & set(header):
            raise BillDamaged("No column says what was paid.")
        added = [name for name in header if name in _SUMS.values()]
        table = Table(header, [_holds(name) for name in header], _SEPARATORS, _row, _MARK)
        for row in table.rows(_until_summary(text, end)):
            if isinstance(row, BillRow):
                sums.add({name: row.raw[name] for name in added})
            else:
                sums.may_add({name: row.values[name] for name in added if row.values}, row.lines)
            yield row
        if not end:
            raise BillDamaged(f"The bill ends after {sums.count} rows, without its summary: it is cut off.")
        yield from _compared(sums, added, end[0], [line for _at, line in text if line.strip(" \t`,")])
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BillDamaged("The compressed file is cut off or broken.") from error


def _until_summary(text: Iterator[tuple[int, str]], end: list[str]) -> Iterator[tuple[int, str]]:
    """The lines before the summary, whose names go to `end`."""
    for at, line in text:
        if _SUMMARY in line and _is_summary(_names(line)):
            end.append(line)
            return
        yield at, line


def _is_summary(names: Sequence[str]) -> bool:
    """Whether these name the sums, whatever else is summed up tomorrow."""
    return len(set(names) & {_SUMMARY, *_SUMS}) > 1 and all(name.replace("（元）", "").isalpha() for name in names)


def _names(line: str) -> list[str]:
    return [column_name(name) for name in _COMMA.split(line.strip().rstrip(",`\t "))]


def _holds(name: str) -> Holds:
    if name in _TEXTS:
        return Holds.TEXT
    if name in _TIMES:
        return Holds.TIME
    if name in _NUMBERS:
        return Holds.NUMBER
    return Holds.AMOUNT if "金额" in name or name == "手续费" else Holds.WORD


def _row(row: Mapping[str, str]) -> BillRow:
    """Raises Unreadable."""
    state, refund_state = tidy(row["交易状态"]).upper(), tidy(row.get("退款状态", "")).upper()
    kind, currency = _KINDS.get(state, BillKind.OTHER), tidy(row.get("货币种类", "")).upper()
    if currency not in _YUAN:
        # Its amounts are compared with nothing of ours.
        kind, state = BillKind.OTHER, f"{state} {currency}"
    paid = row.get("订单金额", row.get("总金额", ""))
    # What was asked back; what reached the buyer is less when he had paid with coupons.
    refunded = row["申请退款金额"] if tidy(row.get("申请退款金额", "")) else row.get("退款金额", "")
    column, amount = ("退款金额", refunded) if kind is BillKind.REFUND else ("订单金额", paid)
    amount_fen, transaction_id = fen(amount, column), tidy(row["微信订单号"])
    if amount_fen < 0:
        raise Unreadable(f"{column} says {amount[:32]!r}, which has the wrong sign")
    if not amount_fen and state in ("SUCCESS", "REFUND"):
        raise Unreadable(f"{column} says that it was nothing")
    if not state or not transaction_id:
        raise Unreadable("It has no transaction number or no state")
    sub_merchant = row.get("特约商户号") or row.get("子商户号", "")
    return BillRow(
        kind=kind,
        order_no=tidy(row["商户订单号"]),
        transaction_id=transaction_id,
        amount_fen=amount_fen,
        at=beijing(row["交易时间"], "交易时间"),
        state=refund_state if kind is BillKind.REFUND else state,
        refund_no=_filled(row.get("商户退款单号", "")),
        refund_id=_filled(row.get("微信退款单号", "")),
        refund_state=_REFUND_STATES.get(refund_state, RefundState.PROCESSING),
        app_id=_filled(row.get("公众账号ID", "")),
        merchant_id=_filled(row["商户号"]) or None if "商户号" in row else None,
        sub_merchant_id=_filled(sub_merchant),
        fee=number(row["手续费"], "手续费") if is_number(row.get("手续费", "")) else number("0", ""),
        raw=row,
    )


def _filled(value: str) -> str:
    """0 stands for nothing: the number of a refund in a row about a payment, a sub-merchant where there is none."""
    text = tidy(value)
    return "" if text.strip("0") == "" else text


def _compared(sums: BillSums, added: Collection[str], header: str, rest: Sequence[str]) -> Iterator[Remark]:
    """What the summary says of fees. Raises BillDamaged unless the rest agrees with the rows, and ends the file."""
    names = _names(header)
    ways = [separator.split(rest[0].strip(" \t`,")) for separator in _SEPARATORS] if len(rest) == 1 else []
    values = next((way for way in ways if len(way) == len(names)), None)
    if values is None:
        raise BillDamaged("The summary is cut off, or something follows it.")
    said = dict(zip(names, map(tidy, values), strict=True))
    # The count is written like an amount by some: 45.0.
    sums.check_count(said[_SUMMARY], _SUMMARY)
    for label, column in _SUMS.items():
        if label in said and column in added and label != _FEES:
            sums.check(column, said[label], label)
    if remark := sums.remark("手续费", said.get(_FEES, ""), _FEES):
        yield remark
