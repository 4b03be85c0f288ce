"""After the chaos: everything works again, a day goes by, and nothing is left to be done."""

import time
from datetime import timedelta

from django.db.models import Count
from django.db.models.functions import Now

from sandbox import deliveries
from sandbox.models import Delivery, Script, Trade, TradeState
from topup.models import Notice, Order, Refund

from .breaking import make_due

# So long may one round take: twenty thousand orders are asked about in it.
ROUND_S = 600
MOST_ROUNDS = 20


def send_again() -> None:
    """A provider repeats for a day what nobody acknowledged; what was lost stays lost."""
    waiting = Delivery.objects.filter(acknowledged_at=None).exclude(faults__has_key="drop")
    waiting.update(next_try_at=Now(), tries=0)
    Script.objects.all().delete()


def a_day_goes_by() -> None:
    """Nobody can pay any more what is not paid."""
    Order.objects.filter(next_ask_at__isnull=False).update(
        created=Now() - timedelta(hours=31), expires_at=Now() - timedelta(hours=30)
    )
    Trade.objects.filter(state=TradeState.WAITING).update(created_at=Now() - timedelta(hours=31))


def until_quiet(*, all_over: bool = True) -> None:
    """Sweep after sweep, by the workers, until one changes nothing. Raises RuntimeError when that does not come.

    Unless the time of all orders is over, some more expire during each sweep: that is no change.
    """
    before: object = None
    for _ in range(MOST_ROUNDS):
        make_due()
        _wait()
        now = _state(all_over)
        if now == before:
            return
        before = now
    raise RuntimeError(f"After {MOST_ROUNDS} sweeps there is still something to do: {before}")


def _wait() -> None:
    deadline = time.monotonic() + ROUND_S
    while _busy():
        if time.monotonic() > deadline:
            raise RuntimeError("The workers do not come to an end.")
        if not deliveries.deliver():
            time.sleep(0.2)


def _busy() -> bool:
    due = [model._default_manager.filter(next_ask_at__lte=Now()) for model in (Order, Refund)]
    due.append(Delivery.objects.filter(acknowledged_at=None, next_try_at__lte=Now() + timedelta(seconds=2)))
    return any(some.exists() for some in due)


def _state(all_over: bool) -> object:
    """What a sweep could change."""
    orders = Order.objects.all() if all_over else Order.objects.exclude(review="", credited_at=None)
    kinds = orders.values_list("state", "review").annotate(Count("pk")).order_by("state", "review")
    refunds = Refund.objects.values_list("state").annotate(Count("pk")).order_by("state")
    followed = orders.filter(next_ask_at__isnull=False).count()
    open_hints = Notice.objects.filter(verdict=Notice.Verdict.UNCONFIRMED, acknowledged=True).count()
    return list(kinds), list(refunds), followed, open_hints
