"""Income per day and gateway, in whole fen."""

from collections.abc import Mapping, Sequence
from datetime import date

from django.utils.translation import gettext as _

from voicehelper import charts
from voicehelper.charts import Chart, Scale, Series, Words

from ..gateways import label_of
from . import words


def chart(days: Sequence[date], series: Mapping[str, Sequence[int]]) -> Chart:
    """Bars for one amount in fen per day and gateway."""
    about = Words(_("Income of the last 30 days"), _("No income in the last 30 days."), lambda day: f"{day:%m-%d}")
    return income(days, series, about)


def income(days: Sequence[date], series: Mapping[str, Sequence[int]], about: Words) -> Chart:
    """The same, for any days."""
    named = [Series(name, label_of(name), fen, words.money(sum(fen))) for name, fen in series.items()]
    return charts.stacked(days, named, Scale(words.money, lambda fen: words.money(fen)[:-3], ceiling), about)


def ceiling(fen: int) -> int:
    """The next round amount that four equal steps of whole yuan lead to; at least ¥4."""
    return charts.ceiling(-(-fen // 100)) * 100
