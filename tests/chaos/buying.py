"""What buyers do: place an order with the product, pay at the stand-in, look at the page; and ours give money back."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from sandbox import buyer as sandbox_buyer
from sandbox import refunds
from sandbox.faults import write_script
from sandbox.models import Script, Trade
from tests.processes import Reply, request
from topup.models import Order
from voicehelper.accounts.models import User
from voicehelper.accounts.services import issue_token

from .plan import COLD, HOT, GiveBack, Plan, Purchase, purchases

TRIES = 8
PATIENCE_S = 10
TELL_EVERY = 500
_QUARTER_S = 0.25


@dataclass
class Crowd:
    """All buyers; `said` counts how their purchases went."""

    plan: Plan
    port: int
    users: Sequence[User]
    tokens: Sequence[str]
    said: Counter[str] = field(default_factory=Counter)
    errors: list[BaseException] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def gathered(cls, plan: Plan, port: int) -> "Crowd":
        users = [User.objects.create_user(f"{'hot' if n < HOT else 'cold'}-{n}") for n in range(HOT + COLD)]
        return cls(plan, port, users, [issue_token(user) for user in users])

    def buy_all(self) -> None:
        """Returns when everybody has done what he wanted, or the time is over."""
        ends, waiting, lock = time.monotonic() + self.plan.seconds, purchases(self.plan), threading.Lock()

        def next_one() -> Iterator[Purchase]:
            while time.monotonic() < ends:
                with lock:
                    purchase = next(waiting, None)
                if purchase is None:
                    return
                yield purchase

        def work(_number: int) -> None:
            try:
                for purchase in next_one():
                    self._buy(purchase)
            except BaseException as error:
                self.errors.append(error)
            finally:
                connection.close()

        try:
            with ThreadPoolExecutor(self.plan.buyers) as pool:
                list(pool.map(work, range(self.plan.buyers)))
        finally:
            self.over.set()
        if self.errors:
            raise self.errors[0]

    # --- One purchase ------------------------------------------------------------------------------------------------
    def _buy(self, purchase: Purchase) -> None:
        order = self._place(purchase)
        trade = order and _trade_of(order)
        self.said["placed" if trade else "not placed"] += 1
        if not purchase.number % TELL_EVERY:
            print(f"{self.said['placed']} orders of {self.plan.orders}", flush=True)
        if order is None or trade is None or purchase.road == "never paid":
            return
        time.sleep(purchase.wait_s)
        late = purchase.road == "paid late"
        if late or purchase.road == "paid as it expires":
            _expire(order)
        if late:
            _wait_until_closed(order)
        try:
            sandbox_buyer.pay(trade, purchase.notice | ({"late": {}} if late else {}))
        except sandbox_buyer.CannotPay as refused:
            self.said[f"not payable: {refused.state}"] += 1
        for _ in range(purchase.polls):
            self._request(purchase, "GET", f"/api/user/topup/orders/{order.order_no}")
        for step in purchase.give_back:
            time.sleep(step.wait_s)
            self._give_back(trade, step)

    def _place(self, purchase: Purchase) -> Order | None:
        """As a page does: again with the same key while there is no answer. A buyer may know the code although nobody
        told him that it was made."""
        if purchase.road == "paid inside create":
            write_script({"gateway": purchase.gateway, "fault": "pay_inside_create"})
        ask = {"amount": purchase.amount, "payment_method": purchase.gateway}
        for _ in range(TRIES):
            reply = self._request(purchase, "POST", f"/api/user/{purchase.gateway}/pay", ask)
            if reply.status == 200:
                break
            self.said[f"placing was answered {reply.status or 'by nobody'}"] += 1
            time.sleep(_QUARTER_S)
        user = self.users[purchase.buyer]
        return Order.objects.filter(user=user, idempotency_key=f"chaos-{purchase.number}").first()

    def _request(self, purchase: Purchase, method: str, path: str, data: Any = None) -> Reply:
        headers = {"Authorization": f"Bearer {self.tokens[purchase.buyer]}"}
        headers["Idempotency-Key"] = f"chaos-{purchase.number}"
        if data is None:
            return request(self.port, method, path, headers=headers, timeout_s=15)
        body = json.dumps(data).encode()
        headers["Content-Type"] = "application/json"
        return request(self.port, method, path, body=body, headers=headers, timeout_s=15)

    def _give_back(self, trade: Trade, step: GiveBack) -> None:
        trade.refresh_from_db()
        fen = min(trade.rest_fen, int(trade.amount_fen * step.share))
        if not fen:
            return
        fault: dict[str, Any] = {"fault": "drop"} if step.lost else {"fault": "hurry", "seconds": 1}
        about = {"gateway": trade.merchant.gateway, "out_trade_no": trade.out_trade_no}
        script = write_script(about | fault)
        refunds.refund_in_console(trade, fen)
        Script.objects.filter(pk=script.pk).delete()
        self.said["given back in part" if fen < trade.amount_fen else "given back in full"] += 1


def _trade_of(order: Order) -> Trade | None:
    return Trade.objects.select_related("merchant").filter(out_trade_no=order.order_no).first()


def _expire(order: Order) -> None:
    """An hour passes for it, on both sides."""
    hour_ago = Now() - timedelta(hours=1)
    Order.objects.filter(pk=order.pk).update(created=hour_ago, expires_at=Now(), next_ask_at=Now())
    Trade.objects.filter(out_trade_no=order.order_no).update(created_at=hour_ago)


def _wait_until_closed(order: Order) -> None:
    """Or for as long as somebody has patience."""
    until = time.monotonic() + PATIENCE_S
    while order.state in Order.OPEN and time.monotonic() < until:
        time.sleep(_QUARTER_S)
        order.refresh_from_db()
