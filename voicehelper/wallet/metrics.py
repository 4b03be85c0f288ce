"""What `/metrics` says of the ledger."""

import math
from collections.abc import Iterator

from django.db.models import Sum
from prometheus_client.core import GaugeMetricFamily

from voicehelper import clock

from .models import AuditRun, Hold, Wallet


def collect() -> Iterator[GaugeMetricFamily]:
    sums = Wallet.objects.aggregate(balance=Sum("balance", default=0), held=Sum("held", default=0))
    yield GaugeMetricFamily("voicehelper_wallet_balance_quota", "Quota of all wallets", value=sums["balance"])
    yield GaugeMetricFamily("voicehelper_wallet_held_quota", "Quota set aside in all wallets", value=sums["held"])
    open_holds = Hold.objects.filter(state=Hold.State.OPEN).count()
    yield GaugeMetricFamily("voicehelper_wallet_open_holds", "Holds that are neither settled nor released", open_holds)
    last = AuditRun.objects.filter(finished__isnull=False).order_by("-started").first()
    finished = last.finished if last else None
    age_s = (clock.now() - finished).total_seconds() if finished else math.inf
    yield GaugeMetricFamily("voicehelper_audit_age_seconds", "Seconds since the last audit ended; +Inf: never", age_s)
    findings = len(last.findings) if last else 0
    yield GaugeMetricFamily("voicehelper_audit_findings", "What the last audit found", findings)
