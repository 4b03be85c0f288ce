"""What a bill's rows add up to, beside what the file says: how a file that is cut off shows."""

from collections.abc import Mapping
from decimal import Decimal

from .bill_texts import Unreadable, fen, number, tidy
from .bills import BillDamaged, Remark

# So many different sums are kept that rows which were not understood could make.
_MAX_SUMS = 1024


class BillSums:
    """Columns added up while the rows go by. A row that was not understood may stand in the file's count and sums, or
    not: its amounts, as far as they can be read, explain just that much, and no more."""

    def __init__(self) -> None:
        self.count = 0
        self._odd = 0
        self._sums: dict[str, Decimal] = {}
        # By column: what rows not understood may add. None: anything, since nobody can read it.
        self._perhaps: dict[str, set[Decimal] | None] = {}
        self._blind = False

    def has(self, column: str) -> bool:
        """Whether the file has it; true while there is no row."""
        return not self.count or column in self._sums or column in self._perhaps

    def add(self, columns: Mapping[str, str]) -> None:
        """One row's amounts: column → text, empty for none."""
        self.count += 1
        for name, text in columns.items():
            try:
                self._sums[name] = self._sums.get(name, Decimal(0)) + _amount(text, name)
            except Unreadable:
                self._perhaps[name] = None

    def may_add(self, columns: Mapping[str, str], lines: int = 1) -> None:
        """A row of so many lines that was not understood, or may count elsewhere, and those of its amounts that can be
        told from each other."""
        self._odd += lines
        self._blind = self._blind or not columns
        for name, text in columns.items():
            known = self._perhaps.setdefault(name, {Decimal(0)})
            if known is None:
                continue
            try:
                amount = Decimal(fen(text, name)) / 100
            except Unreadable:
                self._perhaps[name] = None
                continue
            more = {each + part for each in known for part in (-amount, Decimal(0), amount)}
            self._perhaps[name] = more if len(more) <= _MAX_SUMS else None

    def check(self, column: str, said: str, label: str) -> None:
        """Raises BillDamaged unless `column` adds up to what the file says under `label`."""
        found, told = self._sums.get(column, Decimal(0)), _said(said, label)
        perhaps = self._perhaps.get(column, {Decimal(0)})
        if told != found and not self._blind and perhaps is not None and told - found not in perhaps:
            raise BillDamaged(f"{label} is {said}, but the rows add up to {found}.")

    def check_count(self, said: str, label: str, counted: int | None = None) -> None:
        """Raises BillDamaged unless there are as many rows as the file says."""
        count = self.count if counted is None else counted
        if not count <= _said(said, label) <= count + self._odd:
            raise BillDamaged(f"{label} is {said}, but there are {count + self._odd} rows.")

    def remark(self, column: str, said: str, label: str) -> Remark | None:
        """Where a total differs that proves nothing: fees are rounded row by row, and by some in the sum again."""
        found = self._sums.get(column, Decimal(0))
        try:
            return None if number(said, label) == found else Remark(label, said, f"{found}")
        except Unreadable:
            return Remark(label, said, f"{found}") if tidy(said) else None


def _amount(text: str, column: str) -> Decimal:
    return number(text, column) if tidy(text) else Decimal(0)


def _said(text: str, label: str) -> Decimal:
    try:
        return number(text, label)
    except Unreadable as error:
        raise BillDamaged(f"{error}.") from error
