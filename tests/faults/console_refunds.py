"""An order that is paid, and given back in the provider's console; who hears of what, and when, is up to the test."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import F
from django.db.models.functions import Now
from django.test import Client

from sandbox import buyer as sandbox_buyer
from sandbox import refunds
from sandbox.gateways import gateway_of
from sandbox.models import Delivery, Trade
from sandbox.models import Refund as ProviderRefund
from tests.refunds import open_accounts, sandbox_server, trade_of
from topup import services
from topup.models import Order, Refund
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.wallet.models import Entry

QUOTA, PAID, PART = 5_000_000, 7300, 4380


@pytest.fixture
def shop(settings: Any, db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Both platforms' stand-ins. Their notices stay where they are written, until a test delivers them."""
    monkeypatch.setattr("sandbox.deliveries.send_soon", lambda delivery: None)
    with sandbox_server() as address:
        open_accounts(address, settings)
        yield address


class Play:
    """One order, paid at the stand-in, of which nobody here has heard; what may happen next are methods. It is given
    back in these parts, of which only the last one's notice can be delivered."""

    def __init__(self, buyer: User, gateway: str, *parts: int) -> None:
        self.order = services.place_order(buyer, gateway, 10, client_ip="127.0.0.1")
        self.parts, self.fen = parts, sum(parts)
        sandbox_buyer.pay(trade_of(self.order))
        self.payment = self._newest()
        self.refund: Delivery | None = None

    def give_back(self) -> None:
        for fen in self.parts:
            refunds.refund_in_console(trade_of(self.order), fen)
        self.refund = self._newest()

    def give_back_more(self, fen: int) -> None:
        self.parts, self.fen = (fen,), self.fen + fen
        self.give_back()

    def notice(self) -> bool:
        return self._deliver(self.payment, "/notify")

    def refund_notice(self) -> bool:
        assert self.refund is not None
        return self._deliver(self.refund, "/refund-notify" if self.order.gateway == "wechat" else "/notify")

    def query(self) -> None:
        services.ask_provider(Order.objects.select_related("user").get(pk=self.order.pk), source="admin")

    def sweep(self) -> None:
        Order.objects.filter(pk=self.order.pk, next_ask_at__isnull=False).update(next_ask_at=Now())
        services.follow_orders()

    def bill(self) -> None:
        """That what went back was never credited stays a difference."""
        day = ("--gateway", self.order.gateway, "--date", str(clock.today()))
        with suppress(SystemExit):
            call_command("reconcile", *day, stdout=StringIO(), stderr=StringIO())

    def expire(self) -> None:
        Order.objects.filter(pk=self.order.pk).update(
            created=Now() - timedelta(hours=1), expires_at=Now() - timedelta(minutes=30)
        )

    def close_here(self) -> None:
        """As if the provider had known no such order when its time was over."""
        self.expire()
        Order.objects.filter(pk=self.order.pk).update(state="closed", closed_at=Now(), next_ask_at=None)

    def credited(self) -> int:
        """What the order brought its buyer, and kept."""
        refs = [self.order.order_no, *self.order.refunds.values_list("ref", flat=True)]
        return sum(Entry.objects.filter(ref__in=refs).values_list("amount", flat=True))

    def is_right(self) -> None:
        """Exactly what was not given back; and the order says what happened."""
        self.order.refresh_from_db()
        kept = QUOTA - QUOTA * self.fen // PAID
        assert self.credited() == kept
        if self.order.state == Order.State.CLOSED:
            assert kept == 0
            assert "aid and refunded at the provider" in self.order.review
            assert self.order.next_ask_at is None
        else:
            assert self.order.state == (Order.State.PARTLY_REFUNDED if kept else Order.State.REFUNDED)

    def _newest(self) -> Delivery:
        written = Delivery.objects.select_related("trade__merchant").filter(trade__out_trade_no=self.order.order_no)
        return written.latest("pk")

    def _deliver(self, delivery: Delivery, path: str) -> bool:
        gateway = gateway_of(delivery.trade)
        answer = Client().post(
            f"/api/{self.order.gateway}{path}",
            delivery.body.encode(),
            content_type=gateway.NOTICE_TYPE,
            headers=gateway.notice_headers(delivery),
        )
        return gateway.acknowledged(answer.status_code, answer.content.decode())


def to_an_earlier_day() -> None:
    """All that was, on both sides: no bill of today holds it."""
    days = timedelta(days=3)
    Trade.objects.update(paid_at=F("paid_at") - days)
    ProviderRefund.objects.update(created_at=F("created_at") - days)
    Order.objects.update(**{name: F(name) - days for name in ("created", "paid_at", "credited_at")})
    Refund.objects.update(**{name: F(name) - days for name in ("created", "succeeded_at", "finished_at")})
