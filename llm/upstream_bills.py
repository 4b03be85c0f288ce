"""A provider's own count of one day's tokens beside what we captured: what we pay for and charge nobody shows here.

A difference has reasons that are nobody's fault (tries that failed after the provider had begun, calls that ended near
midnight) and some that are: usage estimated badly, a key that somebody else uses too. One percent is the limit.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from itertools import chain
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db.models import Sum
from django.utils.translation import gettext_noop

from notifications.services import raise_alert
from notifications.texts import Text

from .models import Model, Usage, UsageSum

TOLERANCE = Fraction(1, 100)
COLUMNS = ("model", "input_tokens", "output_tokens")
_MOST = 2**62


class UnusableBill(Exception):
    """The file is not a bill; the text says why and how to mend it."""


class TokenSums(NamedTuple):
    """Tokens in and out, of whatever kind."""

    input: int
    output: int


@dataclass(frozen=True)
class UpstreamLine:
    """One model of a comparison, by the provider's own name: tokens on the bill, and those we captured."""

    model: str
    billed: TokenSums
    captured: TokenSums

    @property
    def differs(self) -> bool:
        return any(
            abs(theirs - ours) > TOLERANCE * max(theirs, ours)
            for theirs, ours in zip(self.billed, self.captured, strict=True)
        )

    def __str__(self) -> str:
        told = [
            f"{name} {theirs} billed, {ours} captured"
            for name, theirs, ours in zip(("input", "output"), self.billed, self.captured, strict=True)
        ]
        return f"{self.model}: {'; '.join(told)}"


def read_bill(content: bytes) -> dict[str, TokenSums]:
    """Tokens by the provider's model id, out of a CSV file with the columns `model,input_tokens,output_tokens` in any
    order; other columns are ignored, lines of one model are added up. Raises UnusableBill."""
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        names = [name.strip() for name in reader.fieldnames or ()]
        if any(names.count(column) != 1 for column in COLUMNS):
            wanted = ", ".join(COLUMNS)
            raise UnusableBill(f"The first line must name these columns, each once: {wanted}. It says: {names}.")
        reader.fieldnames = names
        bill: dict[str, TokenSums] = {}
        for row in reader:
            model, read, written = _line(row, reader.line_num)
            known = bill.get(model, TokenSums(0, 0))
            bill[model] = TokenSums(known.input + read, known.output + written)
    except UnicodeDecodeError:
        raise UnusableBill("The file is not UTF-8 text. Save it as CSV (UTF-8).") from None
    except csv.Error as error:
        raise UnusableBill(f"The file is not CSV: {error}.") from None
    return bill


def _line(row: Mapping[str | None, str | None], number: int) -> tuple[str, int, int]:
    if None in row or None in row.values():
        raise UnusableBill(f"Line {number} has not as many values as the first line has columns.")
    model = (row["model"] or "").strip()
    if not (model and model.isprintable()):
        raise UnusableBill(f"Line {number} names no model.")
    return model, _count(row["input_tokens"], number), _count(row["output_tokens"], number)


def _count(text: str | None, number: int) -> int:
    text = (text or "").strip()
    if not (text.isascii() and text.isdigit() and int(text[:20]) <= _MOST):
        raise UnusableBill(f"Line {number}: {text[:40]!r} is no number of tokens. Write digits only: 1234567.")
    return int(text)


def captured(provider: str, day: date, zone: ZoneInfo) -> dict[str, TokenSums]:
    """Tokens we captured on that day of that time zone, by the provider's model id; only models counted in tokens."""
    known = {model.name: model for model in Model.objects.filter(provider=provider)}
    begin = datetime.combine(day, time.min, zone)
    end = datetime.combine(day + timedelta(days=1), time.min, zone)
    rows = Usage.objects.filter(provider=provider, created__gte=begin, created__lt=end)
    gone = UsageSum.objects.filter(provider=provider, hour__gte=begin, hour__lt=end)
    found = [each.values_list("model_name").order_by() for each in (rows, gone)]
    both = [each.annotate(Sum("input_tokens"), Sum("output_tokens")) for each in found]
    sums: dict[str, TokenSums] = {}
    for name, read, written in chain(*both):
        model = known.get(name)
        if model is not None and model.measure != Model.Measure.TOKENS:
            continue
        # A model that was deleted since is known by its name only.
        identity = model.provider_model_id if model else name
        before = sums.get(identity, TokenSums(0, 0))
        sums[identity] = TokenSums(before.input + read, before.output + written)
    return sums


def compare(provider: str, day: date, zone: ZoneInfo, bill: Mapping[str, TokenSums]) -> list[UpstreamLine]:
    """Each model that the bill or our usage knows, in order; an alert when any of them differs."""
    ours, nothing = captured(provider, day, zone), TokenSums(0, 0)
    skipped = set(
        Model.objects.filter(provider=provider)
        .exclude(measure=Model.Measure.TOKENS)
        .values_list("provider_model_id", flat=True)
    ) - set(ours)
    lines = [
        UpstreamLine(model, bill.get(model, nothing), ours.get(model, nothing))
        for model in sorted({*bill, *ours})
        if model not in skipped
    ]
    wrong = [line for line in lines if line.differs]
    if wrong:
        raise_alert(
            "upstream_bill_differs",
            level="warning",
            title=Text(
                gettext_noop("%(provider)s counted other tokens on %(day)s than we did"), provider=provider, day=day
            ),
            content=[Text(gettext_noop("Days of %(zone)s."), zone=zone.key), *map(str, wrong)],
            key=f"upstream_bill_differs:{provider}:{day}",
            platform=provider,
        )
    return lines
