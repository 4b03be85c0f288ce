"""What a gateway is built from, and how its mistakes are told."""

import re
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

_PLACEHOLDER = re.compile(r"请输入|your[-_ ]|xxx|todo|change[-_ ]?me|placeholder|<", re.IGNORECASE)


@dataclass(frozen=True)
class Problem:
    """Why a configuration cannot work: the field, and how to mend it, in the reader's language."""

    field: str
    message: str


class Config(Protocol):
    """What a gateway is built from: a frozen dataclass that knows its own mistakes."""

    def problems(self) -> list[Problem]:
        """Everything that keeps this configuration from taking payments; empty when it can. Sends nothing."""

    def refund_problems(self) -> list[Problem]:
        """What is wrong with the parts that only refunds want, where they are filled in."""


def is_unset(value: str) -> bool:
    """Whether a field was left empty, at its placeholder, or filled with one repeated character."""
    value = value.strip()
    return len(set(value)) < 2 or bool(_PLACEHOLDER.match(value))


def first_problems(*checks: tuple[bool, str, object]) -> list[Problem]:
    """The first check (is it wrong, which field, what to do) that fails for each field."""
    found: dict[str, Problem] = {}
    for wrong, name, message in checks:
        if wrong:
            found.setdefault(name, Problem(name, str(message)))
    return list(found.values())


def is_web_address(url: str) -> bool:
    """Whether a gateway can live there."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False
