"""Alipay's bill: an address that lives for 30 seconds, and behind it a ZIP of two CSV files in GBK, amounts in yuan.

Text columns end in a tab, which is how a comma inside a title is told from one between columns. Refunds are negative.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import IO

from ..base import Refused, Unknown
from ..bills import (
    DOWNLOAD,
    Bill,
    BillDamaged,
    BillKind,
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
from ..configuration import is_web_address
from ..exchanges import Outgoing
from .wire import AlipayWire, Fields

_KINDS = {"交易": BillKind.PAYMENT, "退款": BillKind.REFUND}
_NO_BILL = re.compile(r"(?i)NO_BILL_DATA|BILL_NOT_EXIST")
_NEEDED = ("支付宝交易号", "商户订单号", "业务类型", "完成时间", "订单金额（元）", "商家实收（元）")
_END = "业务明细列表结束"
# The seller's number, with 0156 behind it.
_ACCOUNT = re.compile(r"#账号：\[([0-9]{1,32})\]")
_MAX_MEMBERS = 8
_MAX_TAIL = 40
_MAX_BYTES = 8 * 1024**3
# CSV of this kind shrinks by 10 to 40; what shrinks much more is made to fill our memory.
_MAX_RATIO = 300
_UTF8_NAME = 0x800
_ENCRYPTED = 0x1


def download(wire: AlipayWire, day: date) -> Bill:
    def read_address(answer: Fields) -> str | None:
        if _NO_BILL.search(answer.get("sub_code", "")):
            return None
        url = answer.get("bill_download_url", "")
        if not is_web_address(url):
            raise Unknown("Alipay's answer holds no bill_download_url.")
        return url

    name, fields = "AlipayDataDataserviceBillDownloadurlQuery", {"bill_type": "trade", "bill_date": f"{day:%Y-%m-%d}"}
    about = f"{day:%Y%m%d}"
    try:
        url = wire.call("bill", name, fields, read_address, expected=_NoBill(), about=about)
    except Refused as error:
        raise BillRefused(
            f"Alipay gives no bill: {error}. Check the day, and that the application may use bills."
        ) from error
    if url is None:
        return no_bill(day, "BILL_NOT_EXIST")

    def get(file: IO[bytes]) -> Bill:
        # The address is a secret: whoever has it can read the bill.
        request = Outgoing(url, b"", "", "GET bill_download_url", method="GET", into=file, limits=DOWNLOAD)
        return wire.exchange("bill", about, request, lambda _answer: read(file, day, wire.merchant_id))

    return fetched(get)


class _NoBill:
    """The sub_codes that say so; their prefix is not documented."""

    def __contains__(self, sub_code: object) -> bool:
        return bool(_NO_BILL.search(str(sub_code)))


def read(file: IO[bytes], day: date, seller_id: str = "") -> Bill:
    """A downloaded bill, of this seller if one is named. Raises BillDamaged; so do the rows."""
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise BillDamaged("What came is not a whole ZIP file.") from error
    detail, summary = _members(archive)
    return Bill(day, rows(archive, detail, summary, seller_id))


def _members(archive: zipfile.ZipFile) -> tuple[zipfile.ZipInfo, zipfile.ZipInfo | None]:
    """The list and the summary. Nothing is ever written under a name from the archive."""
    members = archive.infolist()
    if len(members) > _MAX_MEMBERS or any(_is_bomb(member) for member in members):
        raise BillDamaged("The ZIP file holds more than a bill can.")
    named = [(member, _name(member)) for member in members if _name(member).endswith(".csv")]
    details = [member for member, name in named if "汇总" not in name]
    summaries = [member for member, name in named if "汇总" in name]
    if len(details) != 1 or len(summaries) > 1:
        raise BillDamaged("The ZIP file does not hold one list and its summary.")
    return details[0], summaries[0] if summaries else None


def _name(member: zipfile.ZipInfo) -> str:
    """Names are GBK without the flag that would say so."""
    if member.flag_bits & _UTF8_NAME:
        return member.filename
    return member.filename.encode("cp437", "replace").decode("gb18030", "replace")


def _is_bomb(member: zipfile.ZipInfo) -> bool:
    ratio = member.file_size > _MAX_RATIO * max(member.compress_size, 1024)
    return ratio or member.file_size > _MAX_BYTES or bool(member.flag_bits & _ENCRYPTED)


AllSums = dict[BillKind | None, BillSums]


def rows(
    archive: zipfile.ZipFile, detail: zipfile.ZipInfo, summary: zipfile.ZipInfo | None, seller_id: str = ""
) -> Iterator[BillRow]:
    """Every row, then the comparison with what the list's tail and the summary say."""
    sums: AllSums = {kind: BillSums() for kind in (*BillKind, None)}
    tail: list[str] = []
    try:
        with archive.open(detail) as file:
            yield from _list(file, sums, tail, seller_id)
        told = _check_tail(sums, tail)
        if summary is not None:
            with archive.open(summary) as file:
                told |= _check_summary(sums, list(lines(file, "gb18030")))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise BillDamaged("The ZIP file is cut off or broken.") from error
    if not told:
        raise BillDamaged("Nothing says what the rows should add up to.")


def _list(file: IO[bytes], sums: AllSums, tail: list[str], seller_id: str) -> Iterator[BillRow]:
    """The list's rows, added to `sums`; the comments behind them go to `tail`."""
    header: list[str] = []
    for count, line in enumerate(lines(file, "gb18030"), 1):
        if line.startswith("#"):
            if header and len(tail) < _MAX_TAIL:
                tail.append(line)
            elif (account := _ACCOUNT.match(line)) and not account[1].startswith(seller_id):
                raise BillDamaged(f"The bill is of account {account[1]}, not of {seller_id}.")
        elif line.strip() and not header:
            header = _header(line)
        elif line.strip():
            if tail:
                raise BillDamaged(f"Line {count} follows the end of the list.")
            values = dict(zip(header, _values(line, header, count), strict=True))
            row = _row(values)
            for each in (sums[row.kind], sums[None]):
                each.add({name: value for name, value in values.items() if _is_amount(name) and value})
            yield row
    if not any(_END in line for line in tail):
        raise BillDamaged("The list has no end: it is cut off.")


def _names(line: str) -> list[str]:
    """Column names; the brackets are full-width, whatever the file writes."""
    return [name.strip().replace("(", "（").replace(")", "）") for name in line.split(",")]


def _is_amount(name: str) -> bool:
    return name.endswith("（元）")


def _header(line: str) -> list[str]:
    names = _names(line)
    missing = [name for name in _NEEDED if name not in names]
    if missing or len(set(names)) != len(names):
        raise BillDamaged(f"The list does not name the columns {', '.join(missing) or '(one comes twice)'}.")
    return names


def _values(line: str, header: Sequence[str], number_of_line: int) -> Sequence[str]:
    """One value for each column, without its tab; a text that holds commas is put together again."""
    pieces = line.split(",")
    if len(pieces) > len(header):
        pieces = _joined(pieces, header)
    if len(pieces) != len(header):
        raise BillDamaged(f"Line {number_of_line} has {len(pieces)} values for {len(header)} columns.")
    return [piece.strip() for piece in pieces]


def _joined(pieces: Sequence[str], header: Sequence[str]) -> list[str]:
    left = iter(pieces)
    values = []
    for name in header:
        value = next(left, "")
        while not _is_amount(name) and not value.endswith("\t") and (more := next(left, None)) is not None:
            value += "," + more
        values.append(value)
    return values + list(left)


def _row(row: Mapping[str, str]) -> BillRow:
    kind = _KINDS.get(row["业务类型"], BillKind.OTHER)
    amount = fen(row["订单金额（元）"], "订单金额（元）")
    if (kind is BillKind.REFUND and amount > 0) or (kind is BillKind.PAYMENT and amount < 0):
        raise BillDamaged(f"A row about {row['业务类型']} says {row['订单金额（元）']}, which has the wrong sign.")
    return BillRow(
        kind=kind,
        order_no=row["商户订单号"],
        transaction_id=row["支付宝交易号"],
        amount_fen=abs(amount),
        at=beijing(row["完成时间"], "完成时间"),
        state=row["业务类型"],
        refund_no=row.get("退款批次号/请求号", ""),
        fee=number(row.get("服务费（元）") or "0", "服务费（元）"),
        raw=row,
    )


def _check_tail(sums: AllSums, tail: Sequence[str]) -> bool:
    """Compare with 交易合计 and 退款合计, as far as they can be read: their wording is not documented."""
    told = False
    for kind, word in ((BillKind.PAYMENT, "交易合计"), (BillKind.REFUND, "退款合计")):
        line = next((line for line in tail if word in line), "")
        if count := re.search(word + r"[：:]\s*([0-9]+)笔", line):
            sums[kind].check_count(count[1], word)
            told = True
        if received := re.search(r"商家实收(?:退款)?共(-?[0-9.]+)元", line):
            sums[kind].check("商家实收（元）", received[1], word)
    return told


def _check_summary(sums: AllSums, text: Sequence[str]) -> bool:
    """Compare with the line 合计 of the summary, column by column."""
    table = [line for line in text if line.strip() and not line.startswith("#")]
    total = next((line for line in table[1:] if line.startswith("合计")), "")
    if not table or not total:
        raise BillDamaged("The summary has no line 合计.")
    said = dict(zip(_names(table[0]), [value.strip() for value in total.split(",")], strict=False))
    for kind, label in ((BillKind.PAYMENT, "交易订单总笔数"), (BillKind.REFUND, "退款订单总笔数")):
        if label in said:
            sums[kind].check_count(said[label], label)
    for label in ("订单金额（元）", "商家实收（元）", "服务费（元）"):
        if label in said:
            sums[None].check(label, said[label], label)
    return True
