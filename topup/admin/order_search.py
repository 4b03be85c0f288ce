"""What an operator types into the orders' one box: a number, a name, or what a customer remembers: "73.00 14:20"."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from voicehelper import clock
from voicehelper.clock import BEIJING

from ..gateways import GATEWAYS
from ..money import fen_loosely

_DATE = re.compile(r"(?<!\d)(?:(20\d\d)[-/年])?(1[0-2]|0?[1-9])[-/月](3[01]|[12]\d|0?[1-9])(?:日|(?!\d))")
_TIME = re.compile(r"(?<![\d:.])(2[0-3]|[01]?\d)(?::([0-5]\d)(?::[0-5]\d)?|[点时](?:([0-5]?\d)分?)?)(?![\d:.])")
_HOUR = re.compile(r"(?<!\S)(2[0-3]|[01]?\d)(?!\S)")
_AMOUNT = re.compile(r"(?:¥|rmb|cny)?\s*([\d,]+(?:\.\d{1,2})?)\s*(?:元|块|yuan|rmb|cny)?", re.IGNORECASE)
# As long as no name and no amount: a platform's number of a payment, or what was copied of one.
_NUMBER = re.compile(r"[0-9A-Za-z]{20,64}")
# An order is placed before it is paid, and clocks and memories differ.
_BEFORE, _AFTER = timedelta(minutes=45), timedelta(minutes=15)


@dataclass(frozen=True)
class Remembered:
    """An amount, a time, or both. `plain`: an amount alone and without any sign of it, which could be a name too."""

    which: Q
    plain: bool


def remembered(term: str, now: datetime | None = None) -> Remembered | None:
    """What is remembered of an order: "73.00", "¥73", "73元", "2026-11-30 14", "14:20", or an amount with a time.
    None: it is something else. Times are Beijing's; one without a day is the latest."""
    text = unicodedata.normalize("NFKC", term).strip()
    text, window = _window(text, (now or clock.now()).astimezone(BEIJING))
    found = _AMOUNT.fullmatch(text) if text else None
    if text and found is None:
        return None
    which = Q(created__gte=window[0], created__lt=window[1]) if window else Q()
    if found:
        try:
            which &= Q(amount_fen=fen_loosely(found[1].replace(",", "")))
        except ValueError:
            return None
    return Remembered(which, plain=window is None and text.isdecimal()) if which else None


def _window(text: str, now: datetime) -> tuple[str, tuple[datetime, datetime] | None]:
    """The text without its day and time, and from when to when such an order was placed."""
    day, time = _DATE.search(text), _TIME.search(text)
    for found in (day, time):
        text = text.replace(found[0], " ") if found else text
    hour = _HOUR.search(text) if day and not time else None
    text = (text.replace(hour[0], " ", 1) if hour else text).strip()
    if not (day or time):
        return text, None
    try:
        begins = now.replace(hour=0, minute=0, second=0, microsecond=0)
        if day:
            begins = begins.replace(year=int(day[1] or now.year), month=int(day[2]), day=int(day[3]))
    except ValueError:
        return text, None
    if clock_time := time or hour:
        at = begins + timedelta(hours=int(clock_time[1]), minutes=int((time and (time[2] or time[3])) or 0))
        # What has not been yet was yesterday.
        at -= timedelta(days=1) if not day and at > now else timedelta()
        exact = time is not None and bool(time[2] or time[3])
        return text, (at - _BEFORE, at + (_AFTER if exact else timedelta(hours=1)))
    return text, (begins, begins + timedelta(days=1))


def who_may_know(term: str) -> list[str]:
    """The gateways that can be asked about what may be their own number of a payment, likely ones alone."""
    term = term.strip()
    likely = [name for name, gateway in GATEWAYS.items() if re.fullmatch(gateway.transaction_numbers, term)]
    return likely or (list(GATEWAYS) if _NUMBER.fullmatch(term) else [])
