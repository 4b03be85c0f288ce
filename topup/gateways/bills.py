"""A day's bill: the provider's own list of what was paid and given back, read row by row in constant memory.

Bills are not signed. What proves that one is whole are its own counts and sums, compared after the last row: until the
iteration has ended, nothing that was read may be acted on. A row that cannot be read is an OddRow; the others count.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Self

from voicehelper.clock import BEIJING
from voicehelper.net.http import Limits

from .errors import GatewayError
from .refunds import RefundState

# A million rows are about 400 MB; the provider sends them compressed.
DOWNLOAD = Limits(read_s=30, total_s=900, max_bytes=4 * 1024**3)
# Counted from the beginning of the day it is of.
READY_AFTER = timedelta(days=1, hours=10)
# Beyond this, a file of which the greater part is not understood is written in another way than we know.
_MAX_ODD = 100

# What is said in the place of a bill, in codes and in words, of both providers and all their versions.
_NO_BILL = re.compile(
    r"(?i)no[ _.-]*(bill|statement)s?[ _.-]*(data|exists?|found)"
    r"|(bill|statement)s?([ _.-]*(data|file))?[ _.-]*(is |are |do(es)? )?(not?[ _.-]*(exists?|found)|empty)"
    r"|账单(数据)?(不存在|为空)|(不存在|没有|暂无|无)(对账单|(交易)?账单)|无交易(数据|记录|账单)"
)
_NOT_MADE = re.compile(
    r"(?i)(bill|statement)s?[ _.-]*(is )?(being )?creating"
    r"|(bill|statement)s?[ _.-]*(is )?not[ _.-]*(yet )?(ready|generated|created)"
    r"|账单(正在)?生成中|账单(尚|还)?未生成|账单未出"
)


class BillError(GatewayError):
    """Base of what keeps a bill from being used; the text says what to do."""


class BillNotReady(BillError):
    """The provider has not made it yet."""

    outcome = "retryable"

    def __init__(self, day: date, said: str) -> None:
        super().__init__(
            f"There is no bill of {day} yet ({said}). It is made after 10:00 (Beijing) on the day after: try then."
        )


class BillRefused(BillError):
    """The provider will not give it: wrong keys, a product that is not signed, a day too long ago."""

    outcome = "refused"


class BillDamaged(BillError):
    """The file is not what the protocol describes, or its sums do not agree with its rows."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"{problem} Nothing of this bill was used: download it again; if it stays so, ask the provider."
        )


class BillKind(StrEnum):
    """What a row is about. OTHER: a state that is not known, for people to look at."""

    PAYMENT = "payment"
    REFUND = "refund"
    OTHER = "other"


@dataclass(frozen=True)
class BillRow:
    """One payment, or one refund. `amount_fen` is what was asked for, or asked back, never negative; `at` (aware) is
    when it was paid, or the refund begun. `state` is the provider's word, `refund_state` what it means of a refund;
    `app_id`, `merchant_id` and `sub_merchant_id` are whose it is, where the file tells; `raw` is each column by its
    name in the file."""

    kind: BillKind
    order_no: str
    transaction_id: str
    amount_fen: int
    at: datetime
    state: str
    refund_no: str = ""
    refund_id: str = ""
    refund_state: RefundState = RefundState.SUCCEEDED
    app_id: str = ""
    merchant_id: str | None = None
    sub_merchant_id: str = ""
    fee: Decimal = Decimal(0)
    raw: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class OddRow:
    """A row, or what stands in the place of one, that was not understood: its first line's number, its text, what is
    wrong with it, how many lines it takes, and if its values can be told from each other, those by column."""

    at: int
    text: str
    problem: str
    order_no: str = ""
    lines: int = 1
    values: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Remark:
    """A total of the file that is not what its rows add up to, and proves nothing: what it is called, says, and was
    found to be."""

    label: str
    said: str
    found: str


@dataclass
class Totals:
    """What the rows add up to."""

    payments: int = 0
    payments_fen: int = 0
    refunds: int = 0
    refunds_fen: int = 0
    others: int = 0
    odd: int = 0
    fee: Decimal = Decimal(0)

    def add(self, row: BillRow) -> None:
        self.fee += row.fee
        if row.kind is BillKind.PAYMENT:
            self.payments += 1
            self.payments_fen += row.amount_fen
        elif row.kind is BillKind.REFUND:
            self.refunds += 1
            self.refunds_fen += row.amount_fen
        else:
            self.others += 1


class Bill:
    """The rows of one Beijing day; iterate once, inside `with`. `totals` and `remarks` are complete when the iteration
    ended without BillDamaged."""

    def __init__(self, day: date, rows: Iterator[BillRow | OddRow | Remark]) -> None:
        self.day = day
        self.totals = Totals()
        self.remarks: list[Remark] = []
        self.close: Callable[[], object] = lambda: None
        self._rows = rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[BillRow | OddRow]:
        understood, first = 0, ""
        for row in self._rows:
            if isinstance(row, Remark):
                self.remarks.append(row)
                continue
            if isinstance(row, BillRow):
                understood += 1
                self.totals.add(row)
            else:
                self.totals.odd += 1
                first = first or f"line {row.at}: {row.problem}"
            yield row
        if self.totals.odd > max(understood, _MAX_ODD):
            raise BillDamaged(
                f"{self.totals.odd} of its rows are not understood, {understood} are; the first is {first}."
            )


def no_bill(day: date, said: str) -> Bill:
    """An empty bill, for a day that is long over; before that it may yet come: then BillNotReady is raised."""
    ready = datetime(day.year, day.month, day.day, tzinfo=BEIJING) + READY_AFTER
    if datetime.now(BEIJING) < ready:
        raise BillNotReady(day, said)
    return Bill(day, iter(()))


def says_no_bill(text: str) -> bool:
    """Whether a provider's complaint means that there were no trades that day."""
    return bool(_NO_BILL.search(text)) and not says_not_made(text)


def says_not_made(text: str) -> bool:
    """Whether it means that the bill has yet to be made."""
    return bool(_NOT_MADE.search(text))


def fetched(get: Callable[[IO[bytes]], Bill]) -> Bill:
    """The bill that `get` reads out of a temporary file, which lives as long as the bill does."""
    with ExitStack() as stack:
        bill = get(stack.enter_context(TemporaryFile()))
        bill.close = stack.pop_all().close
        return bill
