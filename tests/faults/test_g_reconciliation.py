"""Reconciliation: the bill of a day beside our books, both ways. G5 and F3 as far as bills find them; D beside them."""

from collections.abc import Callable, Iterator
from io import StringIO
from itertools import cycle, islice
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from notifications.models import Alert
from tests.bills import INJECTIONS, YESTERDAY, Books, refunded
from tests.conftest import full
from tests.refunds import open_accounts, sandbox_server
from topup.models import Difference, Order, Reconciliation, Refund
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry

pytestmark = pytest.mark.django_db(transaction=True)

State = Difference.State


@pytest.fixture(params=["wechat", "alipay"])
def gateway(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def books(settings: Any, gateway: str, buyer: User, staff: User, monkeypatch: pytest.MonkeyPatch) -> Iterator[Books]:
    monkeypatch.setattr("voicehelper.sandbox.deliveries.send_soon", lambda delivery: None)
    with sandbox_server() as address:
        open_accounts(address, settings)
        yield Books(gateway, buyer, staff)


def run(gateway: str, day: object = YESTERDAY) -> tuple[int, str]:
    """manage.py reconcile: its exit code and what it said."""
    out = StringIO()
    try:
        call_command("reconcile", "--gateway", gateway, "--date", str(day), stdout=out, stderr=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def found() -> dict[str, list[str]]:
    """Kind → order numbers, without notes that explain themselves."""
    kinds: dict[str, list[str]] = {}
    for difference in Difference.objects.exclude(state=State.EXPLAINED).order_by("order_no"):
        kinds.setdefault(difference.kind, []).append(difference.order_no)
    return kinds


def everything() -> object:
    """What a comparison may change."""
    tables = (Order, Refund, Entry, Difference, Alert)
    return [list(model.objects.order_by("pk").values()) for model in tables]


def difference_of_totals(day: Reconciliation) -> int:
    payments = day.theirs_payments_fen - day.ours_payments_fen
    return payments - (day.theirs_refunds_fen - day.ours_refunds_fen)


def test_a_bill_with_differences_of_all_kinds(books: Books, books_agree: Callable[[], None]) -> None:
    """1,000 in `make soak`: all found, the safe ones put right, the rest listed; again, and nothing changes."""
    for _ in range(3):
        books.paid()
        refunded(books)
    expected: dict[str, list[str]] = {}
    for inject in islice(cycle(INJECTIONS), full(1000, 42)):
        expected.setdefault(INJECTIONS[inject], []).append(inject(books))
    code, said = run(books.gateway)
    assert found() == {kind: sorted(numbers) for kind, numbers in expected.items()}
    assert code == 1
    for number in [number for numbers in expected.values() for number in numbers]:
        assert number in said
    states = set(Difference.objects.values_list("kind", "state"))
    assert states == {(kind, "repaired" if kind in Difference.REPAIRABLE else "open") for kind in expected}
    day = Reconciliation.objects.get()
    one = {(d.kind, d.theirs_fen, d.ours_fen) for d in Difference.objects.all()}
    assert ("missing_there", None, 7300) in one
    assert ("paid_twice", 7300, None) in one
    listed = Difference.objects.filter(state="open")
    signs = {"refund": -1}
    total = sum(signs.get(d.kind.partition("_")[0], 1) * ((d.theirs_fen or 0) - (d.ours_fen or 0)) for d in listed)
    assert total == difference_of_totals(day)
    assert Alert.objects.get(event="reconciliation_difference").count == 1
    books_agree()
    before = everything()
    assert run(books.gateway)[0] == 1
    after = everything()
    for was, is_ in zip(before, after, strict=True):
        assert [{**row, "seen": 0} for row in was] == [{**row, "seen": 0} for row in is_]
    books_agree()
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('pg_temp.bill_row')")
        assert cursor.fetchone() == (None,)
