"""What a user has used: the rows of the usage log, and their sums by day and model. Rows that are gone are in the sums
that were kept of them (retention.py)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncDate

from voicehelper import clock
from voicehelper.accounts.forgetting import Person, batches
from voicehelper.accounts.models import ApiKey, User
from voicehelper.wallet.services import wallet_of
from voicehelper.wallet.worth import list_price

from .models import Usage, UsageSum


def forget_words(person: Person) -> None:
    """Calls stay, with what they cost; what was said in them, in an error or as a model's name, does not."""
    for found in batches(Usage.objects.filter(user_id=person.user_id).exclude(error="", asked_model="").only("pk")):
        Usage.objects.filter(pk__in=[row.pk for row in found]).update(error="", asked_model="")


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
    rows, sums = Usage.objects.filter(user_id=user_id), UsageSum.objects.filter(user_id=user_id)
    if start is not None:
        rows, sums = rows.filter(created__gte=start), sums.filter(hour__gte=start)
    if end is not None:
        after = end + timedelta(days=1)
        rows, sums = rows.filter(created__lt=after), sums.filter(hour__lt=after)
    return sum(int(each.aggregate(sum=Sum("quota"))["sum"] or 0) for each in (rows, sums))


def usage_of(user: User, *, days: int | None = None, day: date | None = None, model: str = "") -> QuerySet[Usage]:
    """The user's calls, newest first; those of the last so many Beijing days (today is one) or of one, of one model."""
    found = Usage.objects.filter(user=user).order_by("-pk")
    if day is not None:
        begin, end = _span(days, day)
        found = found.filter(created__gte=begin, created__lt=end)
    elif days is not None:
        found = found.filter(created__gte=_since(days))
    return found.filter(model_name=model) if model else found


def _span(days: int | None, day: date | None) -> tuple[datetime, datetime]:
    """One day, or the last so many."""
    today = clock.today()
    first, last = (day, day) if day else (today - timedelta(days=(days or 1) - 1), today)
    return clock.midnight(first), clock.midnight(last + timedelta(days=1))


def summary_of(user: User, days: int, *, day: date | None = None) -> Iterable[dict[str, Any]]:
    """Sums by Beijing day and model, oldest first: day, model, calls, inputTokens, outputTokens, quota. Of the last so
    many days, or of one."""
    names = ("calls", "inputTokens", "outputTokens", "quota")
    found: dict[tuple[date, str], list[int]] = {}
    for day_, model, *numbers in (*_summed_rows(user, days, day), *_summed_sums(user, days, day)):
        before = found.get((day_, model), [0] * len(names))
        found[day_, model] = [mine + more for mine, more in zip(before, numbers, strict=True)]
    for (day_, model), numbers in sorted(found.items()):
        yield {"day": day_.isoformat(), "model": model, **dict(zip(names, numbers, strict=True))}


def _summed_rows(user: User, days: int, day: date | None) -> Iterable[Any]:
    found = usage_of(user, days=days, day=day).order_by()
    rows = found.annotate(day=TruncDate("created", tzinfo=clock.BEIJING)).values_list("day", "model_name")
    return rows.annotate(Count("pk"), Sum("input_tokens"), Sum("output_tokens"), Sum("quota"))


def _summed_sums(user: User, days: int, day: date | None) -> Iterable[Any]:
    """Of calls whose rows are gone."""
    begin, end = _span(days, day)
    rows = UsageSum.objects.filter(user=user, hour__gte=begin, hour__lt=end).annotate(
        day=TruncDate("hour", tzinfo=clock.BEIJING)
    )
    sums = ("calls", "input_tokens", "output_tokens", "quota")
    return rows.values_list("day", "model_name").annotate(*map(Sum, sums)).order_by()


def _since(days: int) -> datetime:
    return clock.midnight(clock.today() - timedelta(days=days - 1))
