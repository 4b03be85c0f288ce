"""The month of made-up business that a demo starts with."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from llm.models import Model, Usage
from llm.seeds import plant
from notifications.models import Alert
from sandbox.gateways import GATEWAYS
from sandbox.history import MARK
from topup.models import Difference, GatewayCall, Notice, Order, Reconciliation, RedemptionCode, Refund
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry, Wallet

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _models(db: None) -> None:
    """Tests that commit empty every table, and may have been first on this worker."""
    plant(Model)


@pytest.fixture
def demo() -> User:
    call_command("seed_demo", history=True)
    return User.objects.get(username="demo")


def test_a_demo_has_a_past_in_which_nothing_is_missing_and_its_books_agree(
    demo: User, books_agree: Callable[[], None]
) -> None:
    books_agree()
    assert set(Order.objects.values_list("state", flat=True)) == set(Order.State.values)
    assert set(Order.objects.values_list("gateway", flat=True)) == set(GATEWAYS)
    assert {"succeeded", "failed", "requested"} <= set(Refund.objects.values_list("state", flat=True))
    assert Difference.objects.filter(state="open").count() == 1
    for model in (Notice, GatewayCall, Reconciliation, Alert):
        assert model.objects.count() > 5
    assert RedemptionCode.objects.exclude(redeemed_at=None).count() > 5
    assert Usage.objects.values("model_name").distinct().count() > 4
    # It says that it is made up, and lies in the past.
    assert not Order.objects.exclude(order_no__contains="DEMO").exists()
    assert not Usage.objects.exclude(request_id__startswith="req_demo").exists()
    assert not Entry.objects.filter(kind="topup").exclude(reason=MARK).exists()
    for newest in (Order.objects.latest("created"), Usage.objects.latest("created")):
        assert newest.created < clock.now()


@pytest.mark.rare
def test_the_demo_user_starts_with_ten_units_and_a_past_and_gets_both_once(demo: User) -> None:
    wallet = Wallet.objects.get(user=demo)
    assert (wallet.balance, wallet.held, wallet.used) == (5_000_000, 0, 10_000_000)
    assert set(demo.orders.values_list("state", flat=True)) == {"paid", "refunded", "closed"}
    assert demo.usage.count() > 30
    assert demo.chat_sessions.get().messages.count() == 4
    counts = (Order.objects.count(), Entry.objects.count(), User.objects.count())
    call_command("seed_demo", history=True)
    assert (Order.objects.count(), Entry.objects.count(), User.objects.count()) == counts


@pytest.mark.rare
def test_a_past_is_made_up_quickly_also_where_demo_has_one_of_its_own(books_agree: Callable[[], None]) -> None:
    call_command("seed_demo")
    started = time.process_time()
    call_command("seed_history")
    assert time.process_time() - started < 3
    assert Wallet.objects.get(user__username="demo").used == 0
    books_agree()


def test_no_past_is_made_up_beside_real_accounts_or_in_production(settings: Any) -> None:
    call_command("seed_history")
    assert not User.objects.exists()
    settings.SANDBOX = False
    with pytest.raises(CommandError):
        call_command("seed_history")
