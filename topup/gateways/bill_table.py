"""The rows of a bill, each by itself: what cannot be read of one says nothing about the others.

Titles and remarks hold whatever people typed: commas, quotes, line breaks. So a row is not simply split: its values
must fit their columns from both ends, and what is left in between belongs to the texts. A row that fits in two ways
which differ in what counts is not understood.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice

from .bill_texts import MAX_LINE_BYTES, Unreadable, beijing, number, tidy
from .bills import BillDamaged, BillRow, OddRow

_ID = re.compile(r"([0-9A-Za-z][0-9A-Za-z_\-|*@]*)?")
_THOUSANDS = 5
# So many line breaks a title may hold, and so many separators more than there are columns.
_MAX_LINES = 64
_MAX_MORE = 128
_MAX_WAYS = 64


class Holds(StrEnum):
    """What stands in a column. TEXT: anything, over several lines; WORD: anything without a separator."""

    TEXT = "text"
    AMOUNT = "amount"
    TIME = "time"
    NUMBER = "number"
    WORD = "word"


def column_name(name: str) -> str:
    """A column's name as it is compared: brackets are full-width, whatever the file writes, and there are no blanks."""
    plain = re.sub(r"\s", "", tidy(name)).replace("帐", "账")
    return plain.replace("(", "（").replace(")", "）")


@dataclass(frozen=True)
class Table:
    """Columns in the order of the file, and what makes a row of their values (raises Unreadable).

    `separators`: what stands between two values, and what else may; `mark`: what stands before a row; `order_no`: a
    column. Of several rows that a line can be, those count that are `is_likely`.
    """

    names: Sequence[str]
    holds: Sequence[Holds]
    separators: Sequence[re.Pattern[str]]
    make: Callable[[Mapping[str, str]], BillRow]
    mark: str = ""
    order_no: str = "商户订单号"
    is_likely: Callable[[Mapping[str, str]], bool] = lambda _values: True
    _before_texts: int = field(init=False)

    def __post_init__(self) -> None:
        first = next((at for at, what in enumerate(self.holds) if what is Holds.TEXT), len(self.holds))
        object.__setattr__(self, "_before_texts", first)

    def rows(self, lines: Iterator[tuple[int, str]]) -> Iterator[BillRow | OddRow]:
        """Every row. A line that is none by itself may go on with the row before it."""
        held: _HeldRow | None = None
        for at, line in lines:
            if not line.strip():
                if held is not None and held.is_open:
                    held = replace(held, text=f"{held.text}\n", lines=held.lines + 1)
                continue
            alone = self._read(at, line)
            if held is None or isinstance(alone.row, BillRow):
                if held is not None:
                    yield held.row
                held = alone
                continue
            joined = self._joined(held, line, alone)
            if joined is None:
                yield held.row
            held = joined or alone
        if held is not None:
            yield held.row

    def _joined(self, held: "_HeldRow", line: str, alone: "_HeldRow") -> "_HeldRow | None":
        """`line` as the rest of the row before it; None when it is a row of its own, or nothing."""
        text = f"{held.text}\n{line}"
        if len(text) > MAX_LINE_BYTES or held.lines == _MAX_LINES:
            return None
        if held.is_open:
            whole = self._read(held.at, text, held.lines + 1)
            return whole if isinstance(whole.row, BillRow) or not self._begins(line) else None
        if not isinstance(held.row, BillRow) or self.holds[-1] is not Holds.TEXT or alone.pieces * 2 >= len(self.names):
            return None
        # A remark that goes on has begun, and no tab has ended it.
        last = held.text.rpartition(",")[2].strip(" `")
        if not last or last.endswith("\t") or self._begins(line):
            return None
        whole = self._read(held.at, text, held.lines + 1)
        return whole if isinstance(whole.row, BillRow) else None

    def _read(self, at: int, text: str, lines: int = 1) -> "_HeldRow":
        problem, most, surely = "", list[str](), True
        for separator in self.separators:
            pieces = separator.split(text[self._begin(text) :])
            try:
                return _HeldRow(at, text, self._row(text, pieces, separator, surely=surely), len(pieces), False, lines)
            except Unreadable as error:
                if len(pieces) > len(most):
                    problem, most = str(error), pieces
            if len(pieces) >= len(self.names):
                break
            surely = False
        values = self._values(most) if surely and len(most) == len(self.names) else {}
        row = OddRow(at, text, problem, tidy(values.get(self.order_no, "")), lines, values)
        return _HeldRow(at, text, row, len(most), len(most) < len(self.names), lines)

    def _begin(self, text: str) -> int:
        """Behind the mark."""
        if not self.mark or text.startswith(self.mark):
            return len(self.mark)
        begin = len(text) - len(text.lstrip())
        return begin + len(self.mark) if text.startswith(self.mark, begin) else begin

    def _values(self, pieces: Sequence[str]) -> dict[str, str]:
        return dict(zip(self.names, (piece.strip() for piece in pieces), strict=True))

    def _row(self, text: str, pieces: list[str], separator: re.Pattern[str], *, surely: bool) -> BillRow:
        """Raises Unreadable. `surely`: as many values as columns are theirs."""
        count, more = len(self.names), len(pieces) - len(self.names)
        while more > 0 and self.holds[-1] is not Holds.TEXT and not tidy(pieces[-1]):
            pieces, more = pieces[:-1], more - 1
        if more == 0 and (surely or all(map(_fits, self.holds, pieces))):
            return self.make(self._values(pieces))
        padded = [*pieces, *[""] * -more]
        if more < 0 and set(self.holds[more:]) == {Holds.TEXT} and all(map(_fits, self.holds, padded)):
            return self.make(self._values(padded))
        if more <= 0 or more > _MAX_MORE:
            raise Unreadable(f"It has {len(pieces)} values for {count} columns")
        return self._fitted(text, pieces, separator)

    def _fitted(self, text: str, pieces: list[str], separator: re.Pattern[str]) -> BillRow:
        """The one row that these values can be. Raises Unreadable."""
        between = [found.span() for found in separator.finditer(text, self._begin(text))]
        begins, stops = [self._begin(text), *(end for _, end in between)], [*(start for start, _ in between), len(text)]
        found: list[BillRow] = []
        problem = f"Its {len(pieces)} values do not fit the {len(self.names)} columns"
        ways = list(islice(_ways(self.holds, pieces), _MAX_WAYS + 1))
        for way in ways:
            ends = [*way[1:], len(pieces)]
            parts = [text[begins[start] : stops[end - 1]] for start, end in zip(way, ends, strict=True)]
            try:
                found.append(self.make(self._values(parts)))
            except Unreadable as error:
                problem = str(error)
        if not found:
            raise Unreadable(problem)
        found = [row for row in found if self.is_likely(row.raw)] or found
        if len(ways) > _MAX_WAYS or any(replace(row, raw={}) != replace(found[0], raw={}) for row in found):
            raise Unreadable(f"Its {len(pieces)} values fit the {len(self.names)} columns in more than one way")
        return found[0]

    def _begins(self, line: str) -> bool:
        """Whether a line begins like a row: most of what stands before the first text fits."""
        separator = self.separators[0 if line.lstrip().startswith(self.mark) else -1]
        pieces = separator.split(line[self._begin(line) :])[: self._before_texts]
        sure = [what for what in self.holds[: self._before_texts] if what is not Holds.WORD]
        fit = sum(
            what is not Holds.WORD and bool(tidy(piece)) and _fits(what, piece)
            for piece, what in zip(pieces, self.holds, strict=False)
        )
        return fit * 2 > len(sure)


@dataclass(frozen=True)
class _HeldRow:
    """A row that waits for what the next line is. `is_open`: there are too few values yet."""

    at: int
    text: str
    row: BillRow | OddRow
    pieces: int
    is_open: bool
    lines: int = 1


def _fits(what: Holds, piece: str) -> bool:
    try:
        if what is Holds.AMOUNT:
            return not tidy(piece) or number(piece, "") is not None
        if what is Holds.TIME:
            return not tidy(piece) or beijing(piece, "") is not None
    except Unreadable:
        return False
    return what is not Holds.NUMBER or _ID.fullmatch(tidy(piece)) is not None


def _ways(holds: Sequence[Holds], pieces: Sequence[str]) -> Iterator[list[int]]:
    """The pieces at which each column can begin, so that all of them are used up. A text takes one or more, an amount
    with separators before thousands a few."""
    ends = _can_end(holds, pieces)

    def follow(column: int, begun: list[int]) -> Iterator[list[int]]:
        if column == len(holds):
            yield begun[:-1]
            return
        for end in _spans(holds[column], pieces, begun[-1]):
            if ends[column + 1][end]:
                yield from follow(column + 1, [*begun, end])

    return follow(0, [0])


def fitted(holds: Sequence[Holds], pieces: Sequence[str]) -> list[str]:
    """The pieces put together as values of the columns, in the first way they fit; as they are when they do not."""
    way = next(_ways(holds, pieces), [*range(len(pieces))])
    return [",".join(pieces[start:end]) for start, end in zip(way, [*way[1:], len(pieces)], strict=True)]


def _can_end(holds: Sequence[Holds], pieces: Sequence[str]) -> list[list[bool]]:
    """Whether the columns from one on can use up the pieces from one on, read from the end."""
    size = len(pieces)
    table = [[False] * (size + 1) for _ in range(len(holds) + 1)]
    table[len(holds)][size] = True
    for column in range(len(holds) - 1, -1, -1):
        after, here = table[column + 1], table[column]
        for start in range(size - 1, -1, -1):
            if holds[column] is Holds.TEXT:
                here[start] = after[start + 1] or here[start + 1]
            else:
                here[start] = any(after[end] for end in _spans(holds[column], pieces, start))
    return table


def _spans(what: Holds, pieces: Sequence[str], start: int) -> Iterator[int]:
    """Where a column that begins at `start` can end."""
    if start >= len(pieces):
        return
    if what is Holds.TEXT:
        yield from range(start + 1, len(pieces) + 1)
        return
    if _fits(what, pieces[start]):
        yield start + 1
    if what is Holds.AMOUNT and pieces[start].strip():
        for end in range(start + 2, min(start + _THOUSANDS, len(pieces)) + 1):
            if _fits(what, ",".join(pieces[start:end])):
                yield end


def find_header(
    lines: Iterator[tuple[int, str]], needed: Sequence[str], separator: re.Pattern[str], patience: int = 32
) -> list[str]:
    """The first line that names the columns, as `column_name` makes them; blank lines and others may stand before it.
    Raises BillDamaged."""
    missing: Sequence[str] = needed
    for _at, line in islice((each for each in lines if each[1].strip()), patience):
        names = [column_name(name) for name in separator.split(line.strip())]
        while names and not names[-1]:
            names.pop()
        lacking = [name for name in needed if name not in names]
        if not lacking:
            twice = [name for name in needed if names.count(name) > 1]
            if twice:
                raise BillDamaged(f"The file names {', '.join(twice)} twice.")
            return [name if names.index(name) == at else f"{name}#{at}" for at, name in enumerate(names)]
        missing = min(missing, lacking, key=len)
    raise BillDamaged(f"The file does not name the columns {', '.join(missing)}.")
