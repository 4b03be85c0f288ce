"""The files in Alipay's bill: CSV in GBK, amounts in yuan, and what says that they are whole.

Text columns end in a tab, which is how a comma inside a title is told from one between columns. Refunds are negative.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

from ..bills import BillDamaged, BillKind, BillRow, BillSums, beijing, fen, lines, number

_KINDS = {"交易": BillKind.PAYMENT, "退款": BillKind.REFUND}
_NEEDED = ("支付宝交易号", "商户订单号", "业务类型", "完成时间", "订单金额（元）", "商家实收（元）")
_END = "业务明细列表结束"
# The seller's number, with 0156 behind it.
_ACCOUNT = re.compile(r"#账号：\[([0-9]{1,32})\]")
_MAX_TAIL = 40

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
