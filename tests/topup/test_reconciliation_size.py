"""A million rows, and as many orders of ours: what the command takes of memory beside a small day."""

import gzip
import io
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from django.db import connection

from tests.conftest import SOAK, full
from tests.crashpoints import ROOT
from tests.far_side import FarSide, http
from tests.merchants import WECHAT
from tests.orders import pending_order
from tests.processes import environment
from tests.topup.day_bills import wechat_bill, wechat_row
from topup.models import Difference, Order, Reconciliation
from voicehelper.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)

# Copies of one order, credited at noon; numbered from 1.
_ORDERS = """
INSERT INTO topup_order (order_no, user_id, state, gateway, trade_type, app_id, merchant_id, live, sign_type, amount,
    amount_fen, quota, unit_price, ratio, discount, quota_per_unit, in_tokens, created, expires_at, pay_url, paid_at,
    credited_at, credited_by, transaction_id, failure, paid_late, review, client_ip, asked)
SELECT 'MANY' || lpad(n::text, 12, '0'), user_id, 'paid', gateway, trade_type, app_id, merchant_id, live, sign_type,
    amount, amount_fen, quota, unit_price, ratio, discount, quota_per_unit, in_tokens, created, expires_at, pay_url,
    %s, %s, 'notice', '4200' || lpad(n::text, 12, '0'), '', FALSE, '', client_ip, 0
FROM topup_order, generate_series(%s, %s) n WHERE order_no = %s
"""
BLOCK = 10_000


def packed(count: int, day: date, odd: int = 0) -> bytes:
    """A bill of so many payments, of which every thousandth names another amount, and every `odd`th none."""
    out = io.BytesIO()
    head, tail = wechat_bill([wechat_row("x", "x")]).split(wechat_row("x", "x").encode())
    total = f"{73 * count + count // 1000}.00"
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as file:
        file.write(head)
        pattern = wechat_row("%(order)s", "%(paid)s", at=f"{day} 12:00:00", amount="%(yuan)s", paid="%(yuan)s")
        pattern = pattern.replace("0.60%", "0.60%%") + "\r\n"
        for number in range(1, count + 1):
            yuan = "?" if odd and not number % odd else "73.00" if number % 1000 else "74.00"
            file.write((pattern % {"order": f"MANY{number:012d}", "paid": f"4200{number:012d}", "yuan": yuan}).encode())
        summary = tail.decode().lstrip("\r\n").split("\r\n")[0]
        fees = f"{count * 44 // 100}.{count * 44 % 100:02d}000"
        file.write(f"{summary}\r\n`{count},`{total},`0.00,`0.00,`{fees},`{total},`0.00\r\n".encode())
    return out.getvalue()


@pytest.fixture
def far(wechat: Any) -> Iterator[FarSide]:
    with FarSide() as far_side:
        yield far_side


def measured(far: FarSide, day: date) -> tuple[int, int, float]:
    """manage.py reconcile in a process of its own: exit code, the most memory it had (MB), seconds."""
    variables = environment(far.url) | {"WECHAT_PAY_BASE_URL": far.url}
    started = time.monotonic()
    command = [sys.executable, "manage.py", "reconcile", "--gateway", "wechat", "--date", str(day)]
    process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.DEVNULL)
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss // 1024, time.monotonic() - started


def copy_order(pattern: Order, count: int, day: date) -> None:
    """So many orders of a day, and none of another."""
    Order.objects.filter(order_no__startswith="MANY").delete()
    noon = f"{day}T12:00:00+08:00"
    for first in range(1, count + 1, BLOCK):
        last = min(first + BLOCK - 1, count)
        with connection.cursor() as cursor:
            cursor.execute(_ORDERS, [noon, noon, first, last, pattern.order_no])


@pytest.mark.skipif(not SOAK, reason="make soak")
def test_a_million_rows_take_no_more_memory_than_a_thousand(far: FarSide, buyer: User) -> None:
    pattern = pending_order(buyer, WECHAT)
    figures = {}
    for count, day in ((1_000, date(2026, 1, 2)), (full(1_000_000, 5_000), date(2026, 1, 3))):
        copy_order(pattern, count, day)
        content = packed(count, day)
        far.answer = lambda _seen, content=content: http(content)
        code, figures[count], seconds = measured(far, day)
        assert code == 1
        row = Reconciliation.objects.get(day=day)
        assert (row.theirs_payments, row.ours_payments) == (count, count)
        found = Difference.objects.filter(reconciliation=row)
        assert set(found.values_list("kind", flat=True)) == {"amount_differs"}
        assert found.count() == count // 1000
        print(f"\n{count:,} rows: {figures[count]} MB at most, {seconds:.0f} s")
    small, large = figures.values()
    assert large < small + 40


@pytest.mark.rare
def test_ten_thousand_odd_rows_take_no_more_memory_and_are_listed_once(far: FarSide, buyer: User) -> None:
    """Every hundredth of 20,000 rows, in `make soak` of a million."""
    pattern, figures = pending_order(buyer, WECHAT), {}
    for count, day in ((1_000, date(2026, 1, 2)), (full(1_000_000, 20_000), date(2026, 1, 3))):
        copy_order(pattern, count, day)
        content = packed(count, day, odd=100)
        far.answer = lambda _seen, content=content: http(content)
        for runs in (1, 2):
            code, figures[count], seconds = measured(far, day)
            assert code == 1
            row = Reconciliation.objects.get(day=day)
            assert (row.runs, row.theirs_payments) == (runs, count - count // 100)
            found = row.differences.values_list("kind", "state")
            assert Counter(found)["not_understood", "open"] == count // 100
            # Every thousandth is among them.
            assert len(found) == count // 100
            print(f"\n{count:,} rows, {count // 100:,} odd: {figures[count]} MB at most, {seconds:.0f} s")
    small, large = figures.values()
    assert large < small + 40
