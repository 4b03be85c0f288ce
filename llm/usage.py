"""What a user has used: the rows of the usage log, and their sums by day and model."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncDate

from voicehelper import clock
from voicehelper.accounts.models import User

from .models import Usage


def usage_of(user: User, *, days: int | None = None, model: str = "") -> QuerySet[Usage]:
    """The user's calls, newest first; those of the last so many Beijing days (today is one), of one model."""
    found = Usage.objects.filter(user=user).order_by("-pk")
    if days is not None:
        found = found.filter(created__gte=_since(days))
    return found.filter(model_name=model) if model else found


def summary_of(user: User, days: int) -> Iterable[dict[str, Any]]:
    """Sums by Beijing day and model, oldest first: day, model, calls, inputTokens, outputTokens, quota."""
    day = TruncDate("created", tzinfo=clock.BEIJING)
    rows = usage_of(user, days=days).order_by().annotate(day=day).values("day", "model_name")
    sums = rows.annotate(
        calls=Count("pk"), input=Sum("input_tokens"), output=Sum("output_tokens"), charged=Sum("quota")
    ).order_by("day", "model_name")
    for row in sums:
        yield {
            "day": row["day"].isoformat(),
            "model": row["model_name"],
            "calls": row["calls"],
            "inputTokens": row["input"],
            "outputTokens": row["output"],
            "quota": row["charged"],
        }


def _since(days: int) -> datetime:
    return clock.midnight(clock.today() - timedelta(days=days - 1))
