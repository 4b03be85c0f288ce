"""The sweep gets through very many orders, asks about each once however many runs there are, and does not grow."""

from collections.abc import Callable

import pytest

from tests.conftest import full
from topup.models import Order

from .sweep import Plan, measure

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(3600)]


@pytest.mark.rare
def test_two_runs_at_once_get_through_all_that_is_due_and_ask_about_each_order_once(
    books_agree: Callable[[], None],
) -> None:
    """100,000 in `make soak`, in beats of the usual length."""
    orders = full(100_000, 1_200)
    plan = Plan(orders=orders, beats=0, budget_s=full(12, 1), delay_s=0.01)
    found = measure(plan)

    print(found)
    assert sum(run["orders"] for run in found["runs"]) == orders
    assert found["asked"] == {"queries": orders, "orders": orders}
    tenth = orders // 10
    assert found["states"] == {"closed": 4 * tenth, "paid": tenth, "pending": 5 * tenth}
    assert not Order.objects.exclude(review="").exists()
    for run in found["runs"]:
        # The next beat goes on; and the last has nothing to do.
        assert run["beats"] > 1
        assert run["memory_kib"][-1] < 1.1 * run["memory_kib"][0]
    books_agree()
