"""What the calls of some days were charged and cost; rows that are gone are in the sums that were kept of them."""

from datetime import date, timedelta

from django.db.models import Q, Sum

from voicehelper import clock
from voicehelper.wallet.margins import CallMargin

from .models import Usage, UsageSum

_KNOWN = Q(cost__isnull=False)


def margin_of(first: date, last: date) -> CallMargin:
    """From the first Beijing day to the last."""
    begin, end = clock.midnight(first), clock.midnight(last + timedelta(days=1))
    rows = Usage.objects.filter(created__gte=begin, created__lt=end).aggregate(
        # Before the sum that goes by the column's own name.
        costed=Sum("quota", filter=_KNOWN, default=0),
        charged=Sum("quota", default=0),
        spent=Sum("cost", default=0),
    )
    sums = UsageSum.objects.filter(hour__gte=begin, hour__lt=end).aggregate(
        known=Sum("costed", default=0), charged=Sum("quota", default=0), spent=Sum("cost", default=0)
    )
    return CallMargin(
        int(rows["charged"] + sums["charged"]),
        int(rows["costed"] + sums["known"]),
        int(rows["spent"] + sums["spent"]),
    )
