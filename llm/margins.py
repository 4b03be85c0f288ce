"""What the calls of some days were charged and cost, out of the sums of days."""

from datetime import date

from voicehelper.wallet.margins import CallMargin

from . import usage_days


def margin_of(first: date, last: date) -> CallMargin:
    """From the first Beijing day to the last."""
    return CallMargin(*usage_days.totals("SUM(quota), SUM(costed), SUM(cost)", first, last))
