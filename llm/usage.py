"""What a user has used: the rows of the usage log, and their sums by day and model."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncDate

from voicehelper import clock
from voicehelper.accounts.models import ApiKey, User
from voicehelper.wallet.services import wallet_of
from voicehelper.wallet.worth import list_price

from .models import Usage


@dataclass(frozen=True)
class KeyAccount:
    """What a key tells of itself at a moment: amounts in quota."""

    now: datetime
    key: ApiKey
    balance: int
    available: int
    used: int
    quota_per_unit: int

    @property
    def left(self) -> int:
        """What the key may still spend: of its own quota and of its owner's."""
        budget = self.key.budget
        if budget is None or budget.quota is None:
            return self.available
        return max(0, min(self.available, budget.quota - sum(budget.counted(self.now))))

    def units(self, quota: int) -> float:
        """For clients that show money as numbers; nothing is reckoned with it."""
        return round(quota / self.quota_per_unit, 6)


def account_of(user_id: int, key_id: int) -> KeyAccount:
    """What is left to whom this key belongs. Raises ApiKey.DoesNotExist when it is gone meanwhile."""
    key = ApiKey.objects.select_related("user", "budget").get(pk=key_id, user_id=user_id)
    wallet = wallet_of(key.user)
    return KeyAccount(clock.now(), key, wallet.balance, wallet.available, wallet.used, list_price().quota_per_unit)


def spent_between(user_id: int, start: datetime | None, end: datetime | None) -> int:
    """Quota spent from the first day to the last, both included."""
    rows = Usage.objects.filter(user_id=user_id)
    if start is not None:
        rows = rows.filter(created__gte=start)
    if end is not None:
        rows = rows.filter(created__lt=end + timedelta(days=1))
    return int(rows.aggregate(sum=Sum("quota"))["sum"] or 0)


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
