"""D: `kill -9` between any two lines of a reconciliation. Run again, it ends as if nothing had happened."""

from collections.abc import Callable

import pytest

from notifications.models import Alert
from tests.bills import YESTERDAY, Books, missing_there, not_credited, refund_unfinished, refund_unknown_here
from tests.conftest import rarely
from tests.crashpoints import End
from tests.processes import open_sandbox_accounts
from topup.models import Difference, Order, Reconciliation, Refund
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry

from .workers import Workers, lines

pytestmark = pytest.mark.django_db(transaction=True)

POINTS = {
    "before_the_bill_is_asked_for": "topup/services/reconciliation/running.py:_fetch",
    "while_the_bill_is_read": "topup/services/reconciliation/staging.py:_staged",
    "before_the_comparison": "topup/services/reconciliation/comparing.py:compare",
    "before_a_repair": "topup/services/reconciliation/repairing.py:put_right",
    "before_the_statement_that_credits": "voicehelper/wallet/statements.py:run",
    "after_a_repair_before_it_is_noted": "topup/services/refund_settling.py:settle_refund",
    "before_the_totals": "topup/services/reconciliation/comparing.py:totals",
    "before_the_alert": "topup/services/reconciliation/alerts.py:tell",
}
OFTEN = ["before_the_statement_that_credits"]


def reconcile(workers: Workers, kill_at: int | str = 0) -> End:
    return workers.forge.command("reconcile", "--gateway", "wechat", "--date", f"{YESTERDAY}", kill_at=kill_at)


def injected(buyer: User, staff: User) -> Books:
    """A day with something of each: to be credited, to be mirrored, to be followed, and to be listed."""
    books = Books("wechat", buyer, staff)
    for inject in (not_credited, refund_unknown_here, refund_unfinished, missing_there):
        inject(books)
    return books


def whole(days: int = 1) -> None:
    """As an undisturbed run leaves it, with so many injections. A refund that was found, and whose run died before it
    was booked, is found a second time as one that is not finished: only the kinds are compared."""
    assert set(Difference.objects.values_list("kind", "state")) == {
        ("not_credited", "repaired"),
        ("refund_unknown_here", "repaired"),
        ("refund_unfinished", "repaired"),
        ("missing_there", "open"),
    }
    day = Reconciliation.objects.get()
    assert (day.state, day.theirs_payments, day.ours_payments) == ("differs", 3 * days, 4 * days)
    assert (day.theirs_refunds, day.ours_refunds) == (2 * days, 2 * days)
    assert Entry.objects.filter(kind="topup").count() == Order.objects.count() == 4 * days
    assert set(Refund.objects.values_list("state", flat=True)) == {"succeeded"}
    assert Entry.objects.filter(kind="refund").count() == Refund.objects.count() == 2 * days
    assert Alert.objects.filter(event="reconciliation_difference", resolved_at=None).count() == 1


@pytest.mark.parametrize("point", [*OFTEN, *rarely(*sorted(POINTS.keys() - OFTEN))])
def test_D_a_reconciliation_killed_on_the_way_is_made_whole_by_the_next(
    workers: Workers,
    buyer: User,
    staff: User,
    books_agree: Callable[[], None],
    point: str,
) -> None:
    open_sandbox_accounts()
    injected(buyer, staff)
    assert reconcile(workers, POINTS[point]).where
    books_agree()
    assert not reconcile(workers).where
    whole()
    books_agree()


@pytest.mark.rare
def test_D_a_reconciliation_may_be_killed_before_any_line(
    workers: Workers,
    buyer: User,
    staff: User,
    books_agree: Callable[[], None],
) -> None:
    """Each time there is new work to do, and a run that dies a little later on its way."""
    open_sandbox_accounts()
    injected(buyer, staff)
    total = reconcile(workers).lines
    assert total > 300
    whole()
    died = set()
    days = 1
    for line in lines(total, 3):
        injected(buyer, staff)
        days += 1
        died.add(reconcile(workers, line).where)
    assert len(died - {""}) > 1
    assert not reconcile(workers).where
    whole(days)
    books_agree()
    print(f"\nKilled before {len(died - {''})} different lines of a reconciliation.")
