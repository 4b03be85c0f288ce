"""`manage.py seed_history`: a month of a demo's past, once; see sandbox/history."""

from collections.abc import Sequence

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from sandbox.history import MARK, office
from sandbox.history.bills import Bills
from sandbox.history.calendar import Calendar
from sandbox.history.calls import Calls
from sandbox.history.ledger import Ledger
from sandbox.history.recharges import Recharges
from sandbox.history.refunds import Refunds
from sandbox.models import GatewayName, Merchant
from topup.models import Order
from topup.models.sections import AlipaySettings, WeChatSettings
from voicehelper import clock
from voicehelper.accounts.models import User

CUSTOMERS = [f"customer-{number:02d}" for number in range(1, 9)]
# What the demo user's past begins with and uses up, so that its balance is what the welcome gift makes it.
_DEMO_UNITS = 20


class Command(BaseCommand):
    help = "Make up a month of customers, orders, refunds, calls, bills and alerts, unless that was done before."

    def handle(self, *_args: object, **_options: object) -> None:
        if settings.PRODUCTION or not settings.SANDBOX:
            raise CommandError("Demo data is for demo and test mode with SANDBOX=True only.")
        if User.objects.filter(username=CUSTOMERS[0]).exists() or not _at_the_sandbox():
            return
        with transaction.atomic():
            _make_history(Calendar.up_to(clock.now()))


def _at_the_sandbox() -> bool:
    """Whether both gateways are the stand-ins' merchants: what is made up must not stand beside real accounts."""
    numbers = {GatewayName.WECHAT: WeChatSettings.load().mch_id, GatewayName.ALIPAY: AlipaySettings.load().seller_id}
    return all(Merchant.objects.filter(gateway=name, merchant_id=number).exists() for name, number in numbers.items())


def _make_history(calendar: Calendar) -> None:
    ledger, customers, demo = Ledger(), _make_customers(calendar), _fresh_demo()
    recharges, refunds, calls = Recharges(calendar, ledger), Refunds(calendar, ledger), Calls(calendar, ledger)
    recharges.make(customers)
    given_back, waiting = _special_orders(recharges, customers, demo)
    refunds.make(recharges.orders, whole=given_back, waiting=waiting)
    bills = Bills(calendar, recharges, refunds)
    bills.add_strangers()
    recharges.save()
    refunds.save({trade.out_trade_no: trade for trade in recharges.trades})
    office.make_batches(calendar, ledger, customers)
    calls.make(customers)
    if demo is not None:
        calls.spend_all(demo, calendar.ago(days=27))
    calls.save()
    ledger.save()
    if demo is not None:
        calls.talk(demo)
    bills.save()
    office.save_alerts(calendar)


def _make_customers(calendar: Calendar) -> list[User]:
    """Nobody can sign in as one of them."""
    joined = calendar.ago(days=31)
    users = [User(username=name, password=make_password(None), date_joined=joined) for name in CUSTOMERS]
    users[-1].group = "vip"
    return User.objects.bulk_create(users)


def _fresh_demo() -> User | None:
    """The demo user, unless it has a past already."""
    return User.objects.filter(username="demo", wallet=None).first()


def _special_orders(
    recharges: Recharges, customers: Sequence[User], demo: User | None
) -> tuple[Sequence[Order], Order]:
    """One of each kind that operators look for. Returns those that are given back, and one whose refund waits."""
    ago = recharges.calendar.ago
    recharges.one(customers[0], "wechat", ago(days=1.3), "by_hand", 10)
    recharges.one(customers[1], "alipay", ago(days=4.1), "late", 20)
    recharges.one(customers[4], "wechat", ago(minutes=6), "pending", 50)
    recharges.one(customers[5], "alipay", ago(minutes=1), "created", 10)
    recharges.one(customers[6], "wechat", ago(days=3.2), "paid", 10).review = f"买家称付错了订单。（{MARK}）"
    waiting = recharges.one(customers[2], "wechat", ago(days=2.4), "paid", 200)
    if demo is None:
        return [], waiting
    recharges.one(demo, "wechat", ago(days=28), "paid", _DEMO_UNITS)
    recharges.one(demo, "alipay", ago(days=5.2), "closed", 50)
    return [recharges.one(demo, "alipay", ago(days=12.1), "paid", 10)], waiting
