"""Refunds in every order of events that Hypothesis thinks of, with the audit after each step.

The provider is a server of its own that keeps its books in memory and answers over HTTP, rightly signed; it loses
answers before and after its work, refuses, takes its time, and has a console. Each example is rolled back.
"""

import itertools
from contextlib import suppress
from typing import Any
from xml.etree import ElementTree

import pytest
from django.db import transaction
from django.db.models.functions import Now
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.certificates import issue
from tests.conftest import full
from tests.far_side import FarSide, Seen, http
from tests.ledger import spend
from tests.merchants import WECHAT
from tests.orders import pending_order
from topup import services
from topup.gateways.orders import Receipt
from topup.models import Order, RechargeSettings, Refund
from topup.services import RefundRefused
from topup.services.settling import settle_order
from voicehelper.accounts.models import User
from voicehelper.wallet import audit
from voicehelper.wallet.models import Entry, Hold
from voicehelper.wallet.services import InsufficientQuota, credit, wallet_of

pytestmark = pytest.mark.django_db


class Provider:
    """WeChat Pay's books, as far as one order goes: refund number → [fen, state]."""

    def __init__(self) -> None:
        self.reset("", 0)

    def reset(self, order_no: str, paid_fen: int) -> None:
        self.order_no, self.paid_fen = order_no, paid_fen
        self.refunds: dict[str, list[Any]] = {}
        self.first_state = "SUCCESS"
        self.mishap = ""

    def given_back(self) -> int:
        return sum(fen for fen, state in self.refunds.values() if state == "SUCCESS")

    def taken(self) -> int:
        return sum(fen for fen, state in self.refunds.values() if state != "REFUNDCLOSE")

    def answer(self, seen: Seen) -> bytes:
        fields = {element.tag: element.text or "" for element in ElementTree.fromstring(seen.body)}
        mishap, self.mishap = self.mishap, ""
        if mishap == "lost before":
            return http(b"", status="500 Oops")
        work = self._refund if "/secapi/pay/refund" in seen.line else self._query
        said = {"err_code": "NOTENOUGH"} if mishap == "refused" and work == self._refund else work(fields)
        if mishap == "lost after":
            return http(b"", status="500 Oops")
        told = {"return_code": "SUCCESS", "appid": WECHAT.app_id, "mch_id": WECHAT.mch_id, "nonce_str": "n"}
        told["result_code"] = "FAIL" if "err_code" in said else "SUCCESS"
        return http(WECHAT.xml(told | said))

    def _refund(self, fields: dict[str, str]) -> dict[str, str]:
        number, fen = fields["out_refund_no"], int(fields["refund_fee"])
        known = self.refunds.get(number)
        if known is None:
            if fen > self.paid_fen - self.taken():
                return {"err_code": "ERROR"}
            self.refunds[number] = [fen, self.first_state]
        elif known[0] != fen:
            return {"err_code": "PARAM_ERROR"}
        return {
            "out_trade_no": self.order_no,
            "out_refund_no": number,
            "refund_fee": str(fen),
            "refund_id": f"5{number}",
        }

    def _query(self, fields: dict[str, str]) -> dict[str, str]:
        asked = fields.get("out_refund_no")
        found = {number: facts for number, facts in self.refunds.items() if asked in (None, number)}
        if not found:
            return {"err_code": "REFUNDNOTEXIST"}
        said = {"out_trade_no": self.order_no, "total_refund_count": str(len(found))}
        for position, (number, (fen, state)) in enumerate(list(found.items())[int(fields.get("offset", 0)) :][:10]):
            said |= {f"out_refund_no_{position}": number, f"refund_fee_{position}": str(fen)}
            said |= {f"refund_status_{position}": state}
        return said


PROVIDER = Provider()
MONEY = st.integers(1, 7300) | st.sampled_from([1, 2433, 3650, 7299, 7300])


class Refunding(RuleBasedStateMachine):
    """One buyer, one paid order, an operator and a superuser."""

    def __init__(self) -> None:
        super().__init__()
        self.rollback = transaction.atomic()
        self.rollback.__enter__()
        self.buyer = User.objects.create_user("machine-buyer")
        self.helper = User.objects.create_user("machine-helper", is_staff=True)
        self.boss = User.objects.create_superuser("machine-boss")
        self.order = pending_order(self.buyer, WECHAT)
        PROVIDER.reset(self.order.order_no, self.order.amount_fen)
        receipt = Receipt(
            "wechat", self.order.order_no, "42", self.order.amount_fen, "CNY", WECHAT.app_id, WECHAT.mch_id, live=False
        )
        settle_order(receipt, source="notice")
        self.order.refresh_from_db()
        self.other_quota = 0
        self.calls = itertools.count()

    def open_refunds(self) -> list[Refund]:
        return list(self.order.refunds.filter(state__in=Refund.OPEN).select_related("order__user"))

    def fresh(self) -> Order:
        return Order.objects.select_related("user").get(pk=self.order.pk)

    # --- The operator ------------------------------------------------------------------------------------------------
    @rule(fen=MONEY, boss=st.booleans(), left=st.booleans(), clicks=st.integers(1, 2), send=st.booleans())
    def refund(self, fen: int, boss: bool, left: bool, clicks: int, send: bool) -> None:
        order = self.fresh()
        actor, number = (self.boss if boss else self.helper), services.next_number(order)
        # What the console did may be found while ours is on its way.
        asked_here = Refund.objects.exclude(source="console")
        before = asked_here.count()
        for _ in range(clicks):
            with suppress(RefundRefused):
                made = services.request_refund(
                    order, fen, number=number, actor=actor, reason="why not", take_what_is_left=left
                )
                if send:
                    services.submit_refund(made)
        assert asked_here.count() - before <= 1
        # Only what the console does can exceed the payment, while ours is still under way.
        assert services.refundable_fen(order) >= 0 or order.refunds.filter(source="console").exists()

    @precondition(lambda self: self.open_refunds())
    @rule(data=st.data(), send=st.booleans())
    def approve_or_withdraw(self, data: Any, send: bool) -> None:
        refund = data.draw(st.sampled_from(self.open_refunds()))
        with suppress(RefundRefused):
            if send:
                services.approve_refund(refund, by=self.boss)
                services.submit_refund(refund)
            else:
                services.withdraw_refund(refund, by=self.boss, reason="no")

    @precondition(lambda self: self.open_refunds())
    @rule(data=st.data(), again=st.booleans())
    def ask_or_send_again(self, data: Any, again: bool) -> None:
        refund = data.draw(st.sampled_from(self.open_refunds()))
        services.submit_refund(refund) if again else services.ask_refund(refund)

    @rule()
    def sweep(self) -> None:
        Refund.objects.filter(next_ask_at__isnull=False).update(next_ask_at=Now())
        services.settle_unknown_refunds()

    # --- The provider ------------------------------------------------------------------------------------------------
    @rule(mishap=st.sampled_from(["lost before", "lost after", "refused"]))
    def something_goes_wrong_next(self, mishap: str) -> None:
        PROVIDER.mishap = mishap

    @rule(state=st.sampled_from(["SUCCESS", "PROCESSING"]))
    def takes_its_time(self, state: str) -> None:
        PROVIDER.first_state = state

    @precondition(lambda self: any(state in ("PROCESSING", "CHANGE") for _fen, state in PROVIDER.refunds.values()))
    @rule(state=st.sampled_from(["SUCCESS", "REFUNDCLOSE", "CHANGE"]))
    def makes_up_its_mind(self, state: str) -> None:
        facts = next(facts for facts in PROVIDER.refunds.values() if facts[1] in ("PROCESSING", "CHANGE"))
        facts[1] = state

    @rule(fen=MONEY)
    def refund_in_the_console(self, fen: int) -> None:
        fen = min(fen, PROVIDER.paid_fen - PROVIDER.taken())
        if fen > 0:
            PROVIDER.refunds[f"CONSOLE{len(PROVIDER.refunds)}"] = [fen, PROVIDER.first_state]

    @rule(known=st.booleans())
    def a_notice_comes(self, known: bool) -> None:
        number = next(iter(PROVIDER.refunds), "R1") if known else "R-of-nobody"
        services.refund_was_told(self.fresh(), number)

    # --- The buyer ---------------------------------------------------------------------------------------------------
    @rule(share=st.integers(1, 100))
    def spends(self, share: int) -> None:
        quota = wallet_of(self.buyer).available * share // 100
        ref = f"call-{next(self.calls)}"
        with suppress(InsufficientQuota, ValueError):
            spend(self.buyer, quota, ref=ref)
            self.other_quota -= quota

    @rule(quota=st.integers(1, 1_000_000))
    def gets_more(self, quota: int) -> None:
        credit(self.buyer, quota, kind=Entry.Kind.GIFT, ref=f"gift-{next(self.calls)}", actor="test")
        self.other_quota += quota

    # --- What always holds -------------------------------------------------------------------------------------------
    @invariant()
    def the_books_agree(self) -> None:
        assert audit.run(full=True).findings == []

    @invariant()
    def nothing_is_given_away(self) -> None:
        wallet = wallet_of(self.buyer)
        refunds = list(self.order.refunds.all())
        taken = sum(refund.quota for refund in refunds if refund.state == "succeeded")
        assert wallet.balance == self.order.quota + self.other_quota - taken >= wallet.held >= 0
        assert PROVIDER.given_back() <= self.order.amount_fen
        # What is finished here is finished there.
        for refund in refunds:
            if refund.state == "succeeded":
                assert PROVIDER.refunds[refund.refund_no] == [refund.amount_fen, "SUCCESS"]

    def teardown(self) -> None:
        """Everything becomes quiet: then both sides say the same."""
        try:
            PROVIDER.mishap = ""
            for facts in PROVIDER.refunds.values():
                facts[1] = "SUCCESS" if facts[1] in ("PROCESSING", "CHANGE") else facts[1]
            PROVIDER.first_state = "SUCCESS"
            for refund in self.open_refunds():
                with suppress(RefundRefused):
                    services.withdraw_refund(refund, by=self.boss, reason="the end")
            for _ in range(3):
                self.sweep()
            services.find_refunds(self.fresh())
            assert self.open_refunds() == []
            assert not Hold.objects.filter(state="open").exists()
            here = sum(refund.amount_fen for refund in self.order.refunds.filter(state="succeeded"))
            assert here == PROVIDER.given_back()
            self.the_books_agree()
            self.nothing_is_given_away()
        finally:
            transaction.set_rollback(True)
            self.rollback.__exit__(None, None, None)


@pytest.mark.rare
@pytest.mark.timeout(6 * 3600)
def test_G_refunds_survive_every_order_of_events(db: None, wechat: Any, settings: Any) -> None:
    authority = issue("Test authority")
    client = issue("1900000109", by=authority)
    with FarSide(PROVIDER.answer) as side:
        settings.WECHAT_PAY_BASE_URL = side.url
        wechat.configure(WechatClientCert=client.pem, WechatClientKey=client.key)
        RechargeSettings.objects.update(approve_refunds_above=50)
        run_state_machine_as_test(Refunding, settings=SETTINGS)


SETTINGS = settings(
    max_examples=full(2000, 12),
    stateful_step_count=full(30, 20),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
