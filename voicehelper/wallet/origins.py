"""What lines of a statement are about. The apps that cause them say so in AppConfig.ready(): whose reference stands for
what, and where the single calls of a day are listed."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date

from .account_statement import LineKind


@dataclass(frozen=True)
class LineOrigin:
    """`text` for users, `url` its page, `receipt` the address of what can be printed, `number` what programs call it
    by. Empty: there is none."""

    text: str = ""
    url: str = ""
    receipt: str = ""
    number: str = ""


Named = Callable[[Collection[str]], Mapping[str, LineOrigin]]

_named: dict[LineKind, Named] = {}
_calls: list[Callable[[date, str], str]] = []


def named_by(kind: LineKind, read: Named) -> None:
    """Have the references of a kind explained by a function: of many at once; what it leaves out has no origin."""
    _named[kind] = read


def calls_listed_at(address: Callable[[date, str], str]) -> None:
    """Where the calls of a Beijing day and model are."""
    _calls[:] = [address]


def origins_of(kind: LineKind, refs: Collection[str]) -> Mapping[str, LineOrigin]:
    return _named[kind](refs) if kind in _named and refs else {}


def calls_of(day: date, model: str) -> str:
    """An address, or ""."""
    return _calls[0](day, model) if _calls else ""
