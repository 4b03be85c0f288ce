"""A user's quota by day and model, as stacked bars (templates/llm/chart.html)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from django.utils.translation import gettext as _

from voicehelper.charts import USERS, Chart, Scale, Series, Words, ceiling, stacked
from voicehelper.numbers import grouped

# As many models have a colour of their own; the others share the last one.
COLOURS = 6


def by_day_and_model(sums: Iterable[Mapping[str, Any]], days: int, today: date) -> Chart:
    """A chart of `usage.summary_of`: the last so many days, the models that cost most first. Its table leaves out days
    without any."""
    dates = [today - timedelta(days=days - 1 - number) for number in range(days)]
    place = {day.isoformat(): number for number, day in enumerate(dates)}
    amounts: dict[str, list[int]] = defaultdict(lambda: [0] * days)
    for row in sums:
        if row["day"] in place:
            amounts[row["model"]][place[row["day"]]] += row["quota"]
    words = Words(_("Quota by day and model"), _("Nothing was charged in this period."), lambda day: f"{day:%m-%d}")
    chart = stacked(dates, _series(amounts), Scale(grouped, grouped, ceiling), words, USERS)
    used = [any(row[number] for row in amounts.values()) for number in range(days)]
    return replace(chart, table=[row for row, any_quota in zip(chart.table, used, strict=True) if any_quota])


def _series(amounts: Mapping[str, list[int]]) -> list[Series]:
    used = sorted(((sum(row), name) for name, row in amounts.items() if any(row)), key=lambda pair: (-pair[0], pair[1]))
    found = [
        Series(f"c{n}", name, amounts[name], grouped(total)) for n, (total, name) in enumerate(used[: COLOURS - 1])
    ]
    rest = used[COLOURS - 1 :]
    if rest:
        together = [sum(day) for day in zip(*(amounts[name] for _total, name in rest), strict=True)]
        name = rest[0][1] if len(rest) == 1 else _("Others")
        found.append(Series(f"c{COLOURS - 1}", name, together, grouped(sum(together))))
    return found
