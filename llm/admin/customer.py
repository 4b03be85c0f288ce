"""What a customer's calls came to, on their page: thirty days, model by model."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db.models import Count, F, Max, Q, QuerySet, Sum
from django.http import HttpRequest
from django.utils.translation import gettext as _

from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.admin import customer
from voicehelper.admin.base import list_url, may
from voicehelper.admin.columns import link, moment
from voicehelper.admin.customer import CustomerTable, Heading
from voicehelper.admin.front_page import Card
from voicehelper.numbers import grouped, percent

from ..models import Usage
from .prices import PriceList

DAYS, MODELS = 30, 8


def _lately(user: User) -> QuerySet[Any]:
    since = clock.midnight(clock.today() - timedelta(days=DAYS - 1))
    return Usage.objects.filter(user=user, created__gte=since)


def used(request: HttpRequest, user: User) -> Iterable[Card]:
    if not may(request, Usage, "view"):
        return
    failed = Count("pk", filter=Q(outcome=Usage.Outcome.FAILED))
    found = _lately(user).aggregate(calls=Count("pk"), failed=failed, quota=Sum("quota", default=0))
    quota, calls = int(found["quota"]), found["calls"]
    facts = {
        "yuan": PriceList.now().yuan(quota),
        "calls": grouped(calls),
        "failed": percent(found["failed"], calls),
    }
    note = _("%(yuan)s · %(calls)s calls, %(failed)s failed") % facts if calls else ""
    yield Card(_("Used in 30 days"), grouped(quota), note, list_url(Usage, username=user.username))


def usage(request: HttpRequest, user: User) -> CustomerTable | None:
    if not may(request, Usage, "view"):
        return None
    headings = [
        Heading(_("Model")),
        Heading(_("Calls"), is_figure=True),
        Heading(_("Failed"), is_figure=True),
        Heading(_("Tokens"), is_figure=True),
        Heading(_("Quota"), is_figure=True),
        Heading(_("Last call")),
    ]
    found = _lately(user).values("model_name").order_by()
    sums = found.annotate(
        calls=Count("pk"),
        failed=Count("pk", filter=Q(outcome=Usage.Outcome.FAILED)),
        tokens=Sum(F("input_tokens") + F("output_tokens"), default=0),
        charged=Sum("quota", default=0),
        last=Max("created"),
    ).order_by("-charged", "-calls")[:MODELS]
    rows = [
        (
            link(list_url(Usage, username=user.username, model_name=row["model_name"]), row["model_name"] or "—"),
            grouped(row["calls"]),
            grouped(row["failed"]),
            grouped(int(row["tokens"])),
            grouped(int(row["charged"])),
            moment(row["last"]),
        )
        for row in sums
    ]
    every = list_url(Usage, username=user.username)
    return CustomerTable(_("Usage of 30 days"), headings, rows, _("No calls in 30 days."), every)


def join() -> None:
    customer.counts(30, used)
    customer.shows(50, usage)
