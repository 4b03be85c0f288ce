"""Who spent what: what the ledger says, with tokens and the operator's cost of the same calls beside it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db.models import Q, Sum

from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.wallet.spenders import Spender, spenders

from .models import Usage, UsageSum

_AT_ONCE = 500
_IN_TOKENS = Q(operation__in=("chat", "embeddings"))
_NAMES = ("tokens_in", "tokens_out", "costed", "cost")


@dataclass(frozen=True)
class SpenderRow:
    """A user with what was spent (quota), and of the calls with a known cost what they were charged and cost."""

    user: User
    calls: int
    quota: int
    tokens_in: int
    tokens_out: int
    costed: int
    cost: int


def spender_rows(found: Sequence[Spender], first: date, last: date) -> list[SpenderRow]:
    """Users and details of some spenders, in their order."""
    ids = [each.user_id for each in found]
    users, details = User.objects.in_bulk(ids), _details(ids, first, last)
    nothing = (0, 0, 0, 0)
    return [
        SpenderRow(users[each.user_id], each.calls, each.quota, *details.get(each.user_id, nothing)) for each in found
    ]


def every_spender(first: date, last: date) -> Iterator[SpenderRow]:
    """All of them, most first."""
    found = spenders(first, last, limit=1_000_000).some
    for start in range(0, len(found), _AT_ONCE):
        yield from spender_rows(found[start : start + _AT_ONCE], first, last)


def _details(ids: Sequence[int], first: date, last: date) -> Mapping[int, Sequence[int]]:
    """By user: tokens in and out (of chat and embeddings), charged and cost of calls whose cost is known."""
    begin, end = clock.midnight(first), clock.midnight(last + timedelta(days=1))
    rows = Usage.objects.filter(user__in=ids, created__gte=begin, created__lt=end).values_list("user")
    sums = UsageSum.objects.filter(user__in=ids, hour__gte=begin, hour__lt=end).values_list("user")
    tokens = {
        "tokens_in": Sum("input_tokens", filter=_IN_TOKENS, default=0),
        "tokens_out": Sum("output_tokens", filter=_IN_TOKENS, default=0),
    }
    charged = Sum("quota", filter=Q(cost__isnull=False), default=0)
    kept: Iterable[Any] = sums.annotate(**tokens, known=Sum("costed", default=0), spent=Sum("cost", default=0))
    there: Iterable[Any] = rows.annotate(**tokens, known=charged, spent=Sum("cost", default=0))
    found: dict[int, list[int]] = {}
    for user, *numbers in (*there, *kept):
        before = found.get(user, [0] * len(_NAMES))
        found[user] = [mine + int(more) for mine, more in zip(before, numbers, strict=True)]
    return found
