"""What `/metrics` says of orders and notices."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import product

from django.db.models import Count, Sum
from prometheus_client.core import GaugeMetricFamily

from voicehelper import clock

from .gateways import GATEWAYS
from .models import Difference, Notice, Order, Reconciliation

DAY = timedelta(days=1)


def collect() -> Iterator[GaugeMetricFamily]:
    since = clock.now() - DAY
    orders = GaugeMetricFamily("voicehelper_orders_day", "Orders of the last 24 hours", labels=["gateway", "state"])
    placed = Order.objects.filter(created__gte=since).values_list("gateway", "state").annotate(Count("pk")).order_by()
    counted = {(gateway, state): count for gateway, state, count in placed}
    for labels in product(GATEWAYS, Order.State.values):
        orders.add_metric(labels, counted.get(labels, 0))
    yield orders
    income = GaugeMetricFamily("voicehelper_income_day_fen", "Fen credited in the last 24 hours", labels=["gateway"])
    paid = Order.objects.filter(credited_at__gte=since).values_list("gateway").annotate(Sum("amount_fen")).order_by()
    fen = dict(paid)
    for gateway in GATEWAYS:
        income.add_metric([gateway], fen.get(gateway, 0))
    yield income
    review = Order.objects.exclude(review="").count()
    yield GaugeMetricFamily("voicehelper_orders_to_review", "Orders an operator has to look at", review)
    opened = Difference.objects.filter(state=Difference.State.OPEN).count()
    yield GaugeMetricFamily("voicehelper_differences_open", "Differences with a provider's bill", opened)
    no_bill = Reconciliation.objects.filter(state=Reconciliation.State.NO_BILL).count()
    yield GaugeMetricFamily("voicehelper_days_without_bill", "Days that no usable bill was had for", no_bill)
    notices = GaugeMetricFamily("voicehelper_notices_day", "Notices of 24 hours", labels=["gateway", "verdict"])
    told = Notice.objects.filter(received__gte=since).values_list("gateway", "verdict").annotate(Count("pk")).order_by()
    counted = {(gateway, verdict): count for gateway, verdict, count in told}
    for labels in product(GATEWAYS, Notice.Verdict.values):
        notices.add_metric(labels, counted.get(labels, 0))
    yield notices
