"""What a day's bill holds beside our own entries, folded: rows of others, totals that prove nothing, odd rows."""

from django.db.models import QuerySet
from django.utils.translation import gettext

from voicehelper.numbers import grouped

from ..models import Difference, Reconciliation
from . import words


def apart(day: Reconciliation) -> list[tuple[str, str]]:
    """Whose the rows are, and what they come to."""
    return [(str(whose.label), _sums(day.apart[whose])) for whose in Reconciliation.Apart if whose in day.apart]


def _sums(sums: dict[str, int]) -> str:
    parts = [
        (sums["payments"], gettext("%(count)s payments, %(money)s"), sums["payments_fen"]),
        (sums["refunds"], gettext("%(count)s refunds, %(money)s"), sums["refunds_fen"]),
        (sums["others"], gettext("%(count)s of a kind that is not known"), 0),
    ]
    return " · ".join(
        text % {"count": grouped(count), "money": words.money(fen)} for count, text, fen in parts if count
    )


def remarks(day: Reconciliation) -> list[str]:
    """Totals of the file that its rows do not add up to."""
    text = gettext("%(label)s in the file: %(said)s; its rows add up to %(found)s.")
    return [text % {"label": label, "said": said, "found": found} for label, said, found in day.remarks]


def odd(day: Reconciliation) -> QuerySet[Difference]:
    """Rows that were not understood, unless they have gone, the open ones first."""
    rows = day.differences.filter(kind=Difference.Kind.NOT_UNDERSTOOD).exclude(state=Difference.State.VANISHED)
    return rows.order_by("ended", "line", "pk")
