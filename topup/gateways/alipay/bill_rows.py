"""The files in Alipay's bill: CSV in GBK, amounts in yuan, and what says that they are whole.

Most values end in a tab; titles, times and remarks do not, so a comma inside a title is told from one between columns
by what must stand on both sides of it. Refunds are negative.
"""

import re
import zipfile
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import IO

from ..bill_sums import BillSums
from ..bill_table import Holds, Table, column_name, find_header, fitted
from ..bill_texts import Unreadable, beijing, fen, is_number, lines, number, tidy
from ..bills import BillDamaged, BillKind, BillRow, OddRow, Remark

_KINDS = {"交易": BillKind.PAYMENT, "退款": BillKind.REFUND}
_AMOUNT, _RECEIVED, _FEE = "订单金额（元）", "商家实收（元）", "服务费（元）"
_NEEDED = ("支付宝交易号", "商户订单号", "业务类型", "完成时间", _AMOUNT)
_NUMBERS = {"支付宝交易号", "商户订单号", "门店编号", "终端号", "退款批次号/请求号"}
_TEXTS = {"商品名称", "门店名称", "操作员", "对方账户", "券名称", "备注"}
_COMMA = re.compile(",")
_END = re.compile(r"明细列表\s*结束")
# A line of the provider's own. A title that goes on with # is none.
_COMMENT = re.compile(r"\s*#\s*(-{3}|支付宝|账号|起始日期|终止日期|导出时间|交易合计|退款合计|.*明细列表)")
# The seller's number, with 0156 behind it. Some write a mail address or a phone number there, or stars: no matter.
_ACCOUNT = re.compile(r"#\s*账号:\s*\[\s*(2088[0-9]{12,28})\s*\]")
_MAX_TAIL = 40

AllSums = dict[BillKind | None, BillSums]


def rows(
    archive: zipfile.ZipFile, detail: zipfile.ZipInfo, summary: zipfile.ZipInfo | None, seller_id: str = ""
) -> Iterator[BillRow | OddRow | Remark]:
    """Every row, then the comparison with what the list's tail and the summary say. Raises BillDamaged."""
    sums: AllSums = {kind: BillSums() for kind in (*BillKind, None)}
    tail: list[str] = []
    try:
        with archive.open(detail) as file:
            yield from _list(file, sums, tail, seller_id)
        told = _check_tail(sums, tail)
        if summary is not None:
            with archive.open(summary) as file:
                told |= yield from _compared(sums, [line for _at, line in lines(file)])
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise BillDamaged("The ZIP file is cut off or broken.") from error
    if not told:
        raise BillDamaged("Nothing says what the rows should add up to.")


def _list(file: IO[bytes], sums: AllSums, tail: list[str], seller_id: str) -> Iterator[BillRow | OddRow]:
    """The list's rows, added to `sums`; the comments behind them go to `tail`."""
    text = lines(file)
    header = find_header(_after_comments(text, seller_id), _NEEDED, _COMMA)
    added = [name for name in header if _is_amount(name)]
    table = Table(header, [_holds(name) for name in header], (_COMMA,), _row, is_likely=_is_likely)
    for row in table.rows(_until_end(text, tail)):
        _add(sums, row, added)
        yield row
    if not tail:
        raise BillDamaged("The list has no end: it is cut off.")
    for at, line in text:
        if line.strip() and not line.lstrip().startswith("#"):
            raise BillDamaged(f"Line {at} follows the end of the list.")
        if line.strip() and len(tail) < _MAX_TAIL:
            tail.append(tidy(line))


def _add(sums: AllSums, row: BillRow | OddRow, added: Sequence[str]) -> None:
    """A row, to the sums of its kind and of all; one whose kind is not known may count for either."""
    if isinstance(row, BillRow):
        columns = {name: row.raw[name] for name in added}
        for each in (sums[row.kind], sums[None]):
            each.add(columns)
        for kind in _KINDS.values() if row.kind is BillKind.OTHER else ():
            sums[kind].may_add(columns)
        return
    known = _KINDS.get(tidy(row.values.get("业务类型", "")))
    for each in (sums[known], sums[None]) if known else sums.values():
        each.may_add({name: row.values[name] for name in added if row.values}, row.lines)


def _after_comments(text: Iterator[tuple[int, str]], seller_id: str) -> Iterator[tuple[int, str]]:
    for at, line in text:
        if not line.lstrip().startswith("#"):
            yield at, line
        elif (account := _ACCOUNT.match(tidy(line))) and not account[1].startswith(seller_id):
            raise BillDamaged(f"The bill is of account {account[1]}, not of {seller_id}.")


def _until_end(text: Iterator[tuple[int, str]], tail: list[str]) -> Iterator[tuple[int, str]]:
    """The lines before the end of the list, which goes to `tail`."""
    for at, line in text:
        if "#" in line and (comment := _COMMENT.match(line)):
            if _END.search(line, comment.start()):
                tail.append(tidy(line))
                return
        else:
            yield at, line


def _is_amount(name: str) -> bool:
    return name.endswith("（元）")


def _holds(name: str) -> Holds:
    if name in _TEXTS:
        return Holds.TEXT
    if name.endswith("时间"):
        return Holds.TIME
    if name in _NUMBERS:
        return Holds.NUMBER
    return Holds.AMOUNT if _is_amount(name) else Holds.WORD


def _row(row: Mapping[str, str]) -> BillRow:
    """Raises Unreadable."""
    word, transaction_id = tidy(row["业务类型"]), tidy(row["支付宝交易号"])
    kind = _KINDS.get(word, BillKind.OTHER)
    amount = fen(row[_AMOUNT], _AMOUNT)
    if (kind is BillKind.REFUND and amount > 0) or (kind is BillKind.PAYMENT and amount < 0):
        raise Unreadable(f"A row about {word} says {row[_AMOUNT][:32]}, which has the wrong sign")
    if not amount and kind is not BillKind.OTHER:
        raise Unreadable(f"{_AMOUNT} says that it was nothing")
    if not word or not transaction_id:
        raise Unreadable("It has no transaction number or no kind")
    fee = row.get(_FEE, "")
    return BillRow(
        kind=kind,
        order_no=tidy(row["商户订单号"]),
        transaction_id=transaction_id,
        amount_fen=abs(amount),
        at=beijing(row["完成时间"], "完成时间"),
        state=word,
        refund_no=tidy(row.get("退款批次号/请求号", "")),
        fee=number(fee, _FEE) if is_number(fee) else number("0", ""),
        raw=row,
    )


def _is_likely(row: Mapping[str, str]) -> bool:
    """What was paid is what was received, and the seller's own discount."""
    parts = [row.get(name, "") for name in (_RECEIVED, "商家优惠（元）")]
    return sum(number(part, "") for part in parts if is_number(part)) == number(row[_AMOUNT], "")


def _check_tail(sums: AllSums, tail: Sequence[str]) -> bool:
    """Compare with 交易合计 and 退款合计, as far as they can be read: their wording is not documented."""
    told = False
    for kind, word in ((BillKind.PAYMENT, "交易合计"), (BillKind.REFUND, "退款合计")):
        line = next((line for line in tail if word in line), "")
        if count := re.search(word + r":\s*([0-9,.]+)\s*笔", line):
            sums[kind].check_count(count[1], word)
            told = True
        received = re.search(r"商家实收(?:退款)?共([^元]{1,32}元)", line)
        if received and sums[None].has(_RECEIVED):
            sums[kind].check(_RECEIVED, received[1], word)
    return told


def _compared(sums: AllSums, text: Sequence[str]) -> Generator[Remark, None, bool]:
    """Compare with the line 合计 of the summary, column by column; returns whether there is one."""
    table = [line for line in text if line.strip() and not line.lstrip().startswith("#")]
    total = next((line for line in table[1:] if "合计" in map(tidy, _COMMA.split(line))), "")
    if not table or not total:
        raise BillDamaged("The summary has no line 合计.")
    names = [column_name(name) for name in _COMMA.split(table[0])]
    holds = [Holds.AMOUNT if _is_amount(name) or name.endswith("笔数") else Holds.WORD for name in names]
    said = dict(zip(names, map(tidy, fitted(holds, _COMMA.split(total))), strict=False))
    for kind, label in ((BillKind.PAYMENT, "交易订单总笔数"), (BillKind.REFUND, "退款订单总笔数")):
        if label in said:
            sums[kind].check_count(said[label], label)
    for label in (_AMOUNT, _RECEIVED):
        if label in said and sums[None].has(label):
            sums[None].check(label, said[label], label)
    if remark := sums[None].remark(_FEE, said.get(_FEE, ""), _FEE):
        yield remark
    return True
