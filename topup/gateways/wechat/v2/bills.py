"""WeChat Pay's bill (downloadbill, ALL): text in UTF-8, amounts in yuan, every value behind a backtick.

Columns are found by their names: older accounts have others, in another order. A complaint comes as XML in the place of
the file, compressed or not.
"""

import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import IO

from ...bills import (
    DOWNLOAD,
    Bill,
    BillDamaged,
    BillKind,
    BillNotReady,
    BillRefused,
    BillRow,
    BillSums,
    beijing,
    fen,
    fetched,
    lines,
    no_bill,
    number,
)
from ...errors import Retryable, Unknown
from ...exchanges import into_200
from ...refunds import RefundState
from . import xml
from .wire import WeChatWire

_SUMMARY = "总交易单数"
# What the summary adds up, in the words of both layouts.
_SUMS = {
    "应结订单总金额": "应结订单金额",
    "退款总金额": "退款金额",
    "充值券退款总金额": "充值券退款金额",
    "手续费总金额": "手续费",
    "订单总金额": "订单金额",
    "申请退款总金额": "申请退款金额",
    "总交易额": "总金额",
    "总退款金额": "退款金额",
    "总企业红包退款金额": "企业红包退款金额",
}
_NEEDED = ("交易时间", "微信订单号", "商户订单号", "交易状态")
_KINDS = {"SUCCESS": BillKind.PAYMENT, "REFUND": BillKind.REFUND, "REVOKED": BillKind.REFUND}
# Any other word means that the refund is not over.
_REFUND_STATES = {
    "SUCCESS": RefundState.SUCCEEDED,
    "": RefundState.SUCCEEDED,
    "FAIL": RefundState.CLOSED,
    "REFUNDCLOSE": RefundState.CLOSED,
}


def download(wire: WeChatWire, day: date) -> Bill:
    fields = {"bill_date": f"{day:%Y%m%d}", "bill_type": "ALL", "tar_type": "GZIP"}

    def get(file: IO[bytes]) -> Bill:
        request = wire.request("/pay/downloadbill", fields, into=file, limits=DOWNLOAD)
        return wire.exchange("bill", f"{day:%Y%m%d}", request, lambda answer: read(into_200(answer, file), day))

    return fetched(get)


def read(file: IO[bytes], day: date) -> Bill:
    """A downloaded bill. Raises BillNotReady, BillRefused, Retryable; its rows raise BillDamaged."""
    file.seek(0)
    opening = file.read(5)
    file.seek(0)
    if opening.startswith(b"<xml"):
        return _complaint(file.read(xml.MAX_BYTES), day)
    zipped = opening.startswith(b"\x1f\x8b")
    text: IO[bytes] = gzip.GzipFile(fileobj=file) if zipped else file  # type: ignore[assignment]  # it reads as one
    return Bill(day, rows(text))


def _complaint(body: bytes, day: date) -> Bill:
    """What came instead of a bill; nobody signs it."""
    try:
        answer = xml.parse(body)
    except xml.XMLError as error:
        raise Unknown(f"WeChat Pay's answer is not its XML: {error}") from error
    said = answer.get("return_msg", "") or answer.get("err_code_des", "")
    word = said.lower()
    if "no bill exist" in word or "账单不存在" in said:
        return no_bill(day, said)
    if "bill creating" in word:
        raise BillNotReady(day, said)
    if "gzip" in word or "system" in word or answer.get("err_code") == "SYSTEMERROR":
        raise Retryable(f"WeChat Pay cannot give the bill just now: {said}")
    raise BillRefused(
        f"WeChat Pay gives no bill: {said} ({answer.get('error_code', '-')}). Check the merchant number, the API key"
        " and that the day is not more than three months ago."
    )


def rows(file: IO[bytes]) -> Iterator[BillRow]:
    """Every row, then the comparison with the summary."""
    sums = BillSums()
    try:
        text = lines(file, "utf-8")
        header = _header(next(text, ""))
        added = [name for name in header if name in _SUMS.values()]
        for line in text:
            if line.lstrip("`").startswith(_SUMMARY):
                _check(sums, line, list(text))
                return
            row = dict(zip(header, _values(line, len(header), sums.count + 2), strict=True))
            sums.add({name: row[name] for name in added})
            yield _row(row)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BillDamaged("The compressed file is cut off or broken.") from error
    raise BillDamaged(f"The bill ends after {sums.count} rows, without its summary: it is cut off.")


def _header(line: str) -> list[str]:
    names = [name.strip().removeprefix("`") for name in line.split(",")]
    missing = [name for name in _NEEDED if name not in names]
    if missing or len(set(names)) != len(names):
        raise BillDamaged(f"The first line does not name the columns {', '.join(missing) or '(one comes twice)'}.")
    if not {"订单金额", "总金额"} & set(names):
        raise BillDamaged("No column says what was paid.")
    return names


def _values(line: str, count: int, number_of_line: int) -> Sequence[str]:
    """Split at comma and backtick: a title may hold commas."""
    values = line[1:].split(",`")
    if not line.startswith("`") or len(values) != count:
        raise BillDamaged(f"Line {number_of_line} has {len(values)} values for {count} columns, or no backtick.")
    return values


def _row(row: Mapping[str, str]) -> BillRow:
    kind = _KINDS.get(row["交易状态"], BillKind.OTHER)
    paid = row.get("订单金额", row.get("总金额", ""))
    # What was asked back; what reached the buyer is less when he had paid with coupons.
    refunded = row.get("申请退款金额") or row.get("退款金额", "")
    column, amount = ("退款金额", refunded) if kind is BillKind.REFUND else ("订单金额", paid)
    return BillRow(
        kind=kind,
        order_no=row["商户订单号"],
        transaction_id=row["微信订单号"],
        amount_fen=fen(amount, column),
        at=beijing(row["交易时间"], "交易时间"),
        state=row.get("退款状态", "") if kind is BillKind.REFUND else row["交易状态"],
        refund_no=_filled(row.get("商户退款单号", "")),
        refund_id=_filled(row.get("微信退款单号", "")),
        refund_state=_REFUND_STATES.get(row.get("退款状态", ""), RefundState.PROCESSING),
        app_id=row.get("公众账号ID", ""),
        merchant_id=row.get("商户号"),
        fee=number(row["手续费"], "手续费") if "手续费" in row else number("0", ""),
        raw=row,
    )


def _filled(value: str) -> str:
    """A row about a payment has 0 for the number of a refund."""
    return "" if value == "0" else value


def _check(sums: BillSums, header: str, rest: Sequence[str]) -> None:
    """Raises BillDamaged unless the summary agrees with the rows, and ends the file."""
    names = [name.strip().removeprefix("`") for name in header.split(",")]
    said = [line for line in rest if line.strip()]
    if len(said) != 1 or not said[0].startswith("`"):
        raise BillDamaged("The summary is cut off, or something follows it.")
    values = dict(zip(names, _values(said[0], len(names), sums.count + 3), strict=True))
    # The count is written like an amount by some: 45.0.
    sums.check_count(values[_SUMMARY], _SUMMARY)
    for label, column in _SUMS.items():
        if label in values:
            sums.check(column, values[label], label)
