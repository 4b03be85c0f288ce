"""What people do with a difference: note it as settled, or open it again. Either is kept with who, when and why."""

from django.db import transaction
from django.db.models.functions import Now

from ...models import Difference, Reconciliation
from .alerts import resolve


def settle(difference: Difference, *, by: str, reason: str) -> bool:
    """Somebody has dealt with it. False: it was not open any more."""
    return _move(difference, Difference.State.OPEN, state=Difference.State.SETTLED, actor=by, note=reason, ended=Now())


def settle_odd(reconciliation: Reconciliation, *, by: str, reason: str) -> int:
    """Somebody has looked at the rows of a day that were not understood; how many were open."""
    opened = {"kind": Difference.Kind.NOT_UNDERSTOOD, "state": Difference.State.OPEN}
    facts = {"state": Difference.State.SETTLED, "actor": by, "note": reason, "ended": Now()}
    with transaction.atomic():
        count = reconciliation.differences.filter(**opened).update(**facts)
        refresh_state(reconciliation)
    return count


def reopen(difference: Difference, *, by: str, reason: str) -> bool:
    """It was not settled after all. False: somebody else was first."""
    return _move(difference, Difference.State.SETTLED, state=Difference.State.OPEN, actor=by, note=reason, ended=None)


def _move(difference: Difference, before: Difference.State, **facts: object) -> bool:
    with transaction.atomic():
        moved = Difference.objects.filter(pk=difference.pk, state=before).update(**facts) == 1
        if moved:
            refresh_state(difference.reconciliation)
    return moved


def refresh_state(reconciliation: Reconciliation) -> None:
    """What the day's differences make of it."""
    row = Reconciliation.objects.filter(pk=reconciliation.pk)
    reconciliation.refresh_from_db()
    if reconciliation.compared is None:
        state = Reconciliation.State.NO_BILL
    elif reconciliation.differences.filter(state=Difference.State.OPEN).exists():
        state = Reconciliation.State.DIFFERS
    else:
        state = Reconciliation.State.AGREED
        resolve(reconciliation)
    row.update(state=state)
    reconciliation.state = state
