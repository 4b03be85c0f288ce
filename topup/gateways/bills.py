"""A day's bill: the provider's own list of what was paid and given back, read row by row in constant memory.

Bills are not signed. What proves that one is whole are its own counts and sums, compared after the last row: until the
iteration has ended, nothing that was read may be acted on.
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
MAX_LINE_BYTES = 64 * 1024
_READY_AT = timedelta(days=1, hours=10)

_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,8})?")


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
    `app_id` and `merchant_id` are whose it is, where the file tells; `raw` is each column by its name in the file."""

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
    fee: Decimal = Decimal(0)
    raw: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass
class Totals:
    """What the rows add up to."""

    payments: int = 0
    payments_fen: int = 0
    refunds: int = 0
    refunds_fen: int = 0
    others: int = 0
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
    """The rows of one Beijing day; iterate once, inside `with`. `totals` are complete when the iteration ended without
    BillDamaged."""

    def __init__(self, day: date, rows: Iterator[BillRow]) -> None:
        self.day = day
        self.totals = Totals()
        self.close: Callable[[], object] = lambda: None
        self._rows = rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[BillRow]:
        for row in self._rows:
            self.totals.add(row)
            yield row


def no_bill(day: date, said: str) -> Bill:
    """An empty bill, for a day that is long over; before that it may yet come: then BillNotReady is raised."""
    ready = datetime(day.year, day.month, day.day, tzinfo=BEIJING) + _READY_AT
    if datetime.now(BEIJING) < ready:
        raise BillNotReady(day, said)
    return Bill(day, iter(()))


def fetched(get: Callable[[IO[bytes]], Bill]) -> Bill:
    """The bill that `get` reads out of a temporary file, which lives as long as the bill does."""
    with ExitStack() as stack:
        bill = get(stack.enter_context(TemporaryFile()))
        bill.close = stack.pop_all().close
        return bill


def lines(file: IO[bytes], encoding: str) -> Iterator[str]:
    """Lines without their ends and without a BOM. Raises BillDamaged for another encoding or a line without end."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            raise BillDamaged(f"Line {number} is longer than {MAX_LINE_BYTES} bytes.")
        try:
            text = line.decode(encoding)
        except UnicodeDecodeError as error:
            raise BillDamaged(f"Line {number} is not written in {encoding}.") from error
        yield text.removeprefix("\ufeff").rstrip("\r\n") if number == 1 else text.rstrip("\r\n")


def number(text: str, column: str) -> Decimal:
    """A plain decimal. Raises BillDamaged for anything else: exponents, separators, other digits than ASCII's."""
    if not _NUMBER.fullmatch(text):
        raise BillDamaged(f"{column} says {text[:32]!r}, which is not a number.")
    return Decimal(text)


def fen(text: str, column: str) -> int:
    """Yuan in text as fen, exactly. Raises BillDamaged for fractions of a fen."""
    amount = number(text, column) * 100
    if amount != int(amount):
        raise BillDamaged(f"{column} says {text[:32]!r}, which is not a whole number of fen.")
    return int(amount)


def beijing(text: str, column: str) -> datetime:
    """A time of the bill, aware. Raises BillDamaged."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=BEIJING)
    except ValueError as error:
        raise BillDamaged(f"{column} says {text[:32]!r}, which is not a time.") from error


class BillSums:
    """Columns added up while the rows go by, to be compared with what the file says they add up to."""

    def __init__(self) -> None:
        self.count = 0
        self._sums: dict[str, Decimal] = {}

    def add(self, columns: Mapping[str, str]) -> None:
        """One row's amounts: column → text."""
        self.count += 1
        for name, text in columns.items():
            self._sums[name] = self._sums.get(name, Decimal(0)) + number(text, name)

    def check(self, column: str, said: str, label: str) -> None:
        """Raises BillDamaged unless `column` adds up to what the file says under `label`."""
        found = self._sums.get(column, Decimal(0))
        if number(said, label) != found:
            raise BillDamaged(f"{label} is {said}, but the rows add up to {found}.")

    def check_count(self, said: str, label: str, counted: int | None = None) -> None:
        """Raises BillDamaged unless there are as many rows as the file says."""
        count = self.count if counted is None else counted
        if number(said, label) != count:
            raise BillDamaged(f"{label} is {said}, but there are {count} rows.")
