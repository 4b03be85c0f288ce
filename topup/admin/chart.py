"""Income per day and gateway, in whole fen."""

from collections.abc import Mapping, Sequence
from datetime import date

from django.utils.translation import gettext as _

from voicehelper.admin import chart as charts
from voicehelper.admin.chart import Chart, Scale, Series, Words

from . import words


def chart(days: Sequence[date], series: Mapping[str, Sequence[int]]) -> Chart:
    """Bars for one amount in fen per day and gateway."""
    return charts.stacked(
        days,
        [Series(name, words.GATEWAY_NAMES[name], fen, words.money(sum(fen))) for name, fen in series.items()],
        Scale(words.money, lambda fen: words.money(fen)[:-3], ceiling),
        Words(_("Income of the last 30 days"), _("No income in the last 30 days."), lambda day: f"{day:%m-%d}"),
    )


def ceiling(fen: int) -> int:
    """The next round amount that four equal steps of whole yuan lead to; at least ¥4."""
    return charts.ceiling(-(-fen // 100)) * 100
