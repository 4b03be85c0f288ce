"""What costs more when there is more: nothing but what is said to."""

from typing import Any

import pytest

from tests.conftest import SOAK, full

from . import growth

pytestmark = pytest.mark.timeout(7200)


@pytest.mark.rare
@pytest.mark.skipif(not SOAK, reason="make soak: it measures, and wants the machine for itself")
def test_with_many_rows_everything_costs_as_with_few(django_db_blocker: Any) -> None:
    """200,000 orders in `make soak`, and a million entries and calls; the best of some tries, by the CPU."""
    orders = full(growth.MANY, 5_000)
    with django_db_blocker.unblock():
        few, many = (growth.measure(each, paid=160) for each in (growth.FEW, orders))
    growth.show(growth.FEW, orders, [few, many])
    assert set(many["page ms"]) > growth.BY_ROWS
    costs = {name: (few[part][name], ms) for part in growth.FLAT for name, ms in many[part].items()}
    dearer = {name: pair for name, pair in costs.items() if pair[1] > growth.MOST * pair[0]}
    assert not set(dearer) - growth.BY_ROWS, dearer
    # Chosen by lot, closed days are read again, and those are larger; the entries that are not closed are as many.
    assert many["audit"]["incremental, s"] < 4 * few["audit"]["incremental, s"]
    for part, name in (("audit", "full, MiB more"), ("retention", "MiB more")):
        assert many[part][name] < 32 + 2 * few[part][name], part
