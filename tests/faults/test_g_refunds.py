"""G: refunds. Money goes back once, quota with it, and never more than there was; D9 and A13 beside them."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from notifications.models import Alert
from sandbox import refund_notices, refunds
from sandbox.faults import write_script
from sandbox.management.commands.open_sandbox_accounts import wechat_account
from sandbox.models import Delivery, Merchant
from sandbox.models import Refund as ProviderRefund
from tests.certificates import issue, server_context
from tests.conftest import full, rarely, sampled
from tests.faults.conftest import at_once
from tests.ledger import spend
from tests.refunds import given_back, open_accounts, paid_order, sandbox_server, trade_of
from topup import services
from topup.gateways.base import Gateway
from topup.gateways.errors import Refused
from topup.models import Notice, Order, RechargeSettings, Refund
from topup.services import RefundRefused, receiving
from topup.services.options import write_options
from voicehelper.accounts.models import User
from voicehelper.net.http import HTTP, Limits
from voicehelper.wallet import audit
from voicehelper.wallet.models import Entry, Hold
from voicehelper.wallet.services import InsufficientQuota, wallet_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["wechat", *rarely("alipay")])
def gateway(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def provider(settings: Any, db: None) -> Iterator[str]:
    with sandbox_server() as address:
        open_accounts(address, settings)
        yield address


@pytest.fixture
def order(provider: str, gateway: str, buyer: User, monkeypatch: pytest.MonkeyPatch) -> Order:
    """Ten units, 73.00 yuan, paid and credited. The sandbox's notices stay where they are written."""
    monkeypatch.setattr("sandbox.deliveries.send_soon", lambda delivery: None)
    return paid_order(buyer, gateway)


def ask(order: Order, amount_fen: int, actor: User, **more: Any) -> Refund:
    order.refresh_from_db()
    facts = {"number": services.next_number(order), "reason": "The customer asked for it", "actor": actor} | more
    return services.request_refund(order, amount_fen, **facts)


def refund(order: Order, amount_fen: int, actor: User, **more: Any) -> Refund:
    made = services.submit_refund(ask(order, amount_fen, actor, **more))
    return settle(made)


def settle(made: Refund) -> Refund:
    """The sweep, now."""
    Refund.objects.filter(next_ask_at__isnull=False).update(next_ask_at=Now())
    services.settle_unknown_refunds()
    made.refresh_from_db()
    return made


def state_of(order: Order) -> str:
    order.refresh_from_db()
    return order.state


def held(user: User) -> int:
    return wallet_of(user).held


# --- The plain ways --------------------------------------------------------------------------------------------------
def test_a_refund_in_full_takes_the_quota_and_gives_the_money_back(
    order: Order, buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    made = ask(order, 7300, staff)
    assert (held(buyer), wallet_of(buyer).balance, made.state) == (order.quota, order.quota, "requested")
    assert given_back(order) == []
    made = settle(services.submit_refund(made))
    assert (made.state, state_of(order), given_back(order)) == ("succeeded", "refunded", [7300])
    assert (held(buyer), wallet_of(buyer).balance) == (0, 0)
    entry = Entry.objects.get(kind="refund")
    assert (entry.amount, entry.ref, entry.actor) == (-order.quota, made.ref, "operator")
    assert made.refund_no == f"R{order.order_no}01"
    books_agree()


@pytest.mark.parametrize("amount_fen", sampled([0, -1, 7301], keep=1))
def test_no_more_than_was_paid_can_be_asked_for(order: Order, staff: User, amount_fen: int) -> None:
    with pytest.raises(RefundRefused):
        ask(order, amount_fen, staff)
    assert not Refund.objects.exists()


# --- G1, G2 ----------------------------------------------------------------------------------------------------------
def test_G1_a_form_sent_ten_times_at_once_is_one_refund(
    order: Order, buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    number = services.next_number(order)

    def click() -> Refund:
        mine = Order.objects.get(pk=order.pk)
        made = services.request_refund(mine, 3000, number=number, actor=staff, reason="once")
        return services.submit_refund(made)

    made = at_once(*[click] * 10)
    assert len({each.pk for each in made}) == 1
    settle(made[0])
    assert given_back(order) == [3000]
    assert (Refund.objects.count(), Entry.objects.filter(kind="refund").count()) == (1, 1)
    books_agree()


def test_G1_what_somebody_else_refunded_meanwhile_is_noticed(order: Order, staff: User) -> None:
    number = services.next_number(order)
    refund(order, 100, staff)
    with pytest.raises(RefundRefused, match=r"meanwhile|重新"):
        services.request_refund(order, 200, number=number, actor=staff, reason="late")


def test_G2_refunds_at_once_never_exceed_the_payment(
    order: Order, buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    def try_it() -> None:
        """Different amounts: the same one under the same number would be the same refund."""
        mine = Order.objects.get(pk=order.pk)
        for fen in range(2900, 2900 + full(12, 4)):
            with suppress(RefundRefused):
                ask(mine, fen, staff)

    at_once(*[try_it] * full(6, 3))
    assert [fen for fen in Refund.objects.values_list("amount_fen", flat=True) if fen >= 2900] == [ANY, ANY]
    rest = services.refundable_fen(order)
    assert 0 < rest < 2900
    for _ in range(2):
        settle(Refund.objects.latest("pk"))
    assert sum(given_back(order)) == 7300 - rest
    books_agree()


def test_C15_the_sum_is_checked_under_a_lock_that_is_really_asked_for(order: Order, staff: User) -> None:
    with CaptureQueriesContext(connection) as queries:
        ask(order, 100, staff)
    locks = [query["sql"] for query in queries if "FOR UPDATE" in query["sql"]]
    assert any("topup_order" in sql for sql in locks)
    assert not any("SKIP LOCKED" in sql for sql in locks)


# --- G3 --------------------------------------------------------------------------------------------------------------
def test_G3_quota_that_is_spent_is_not_refunded_and_what_is_left_is_said(
    order: Order, buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    spend(buyer, order.quota - 1_000_000, ref="call-1")
    wallet_of(buyer).refresh_from_db()
    type(wallet_of(buyer)).objects.filter(user=buyer).update(used=order.quota - 1_000_000)
    most = services.unspent_fen(order)
    assert most == 1460
    with pytest.raises(RefundRefused, match=r"14\.60"):
        ask(order, 7300, staff)
    with pytest.raises(RefundRefused):
        ask(order, most + 1, staff)
    assert refund(order, most, staff).state == "succeeded"
    assert wallet_of(buyer).balance == 0
    books_agree()


def test_G3_a_superuser_may_give_money_back_for_spent_quota_and_the_balance_stays_at_zero(
    order: Order, buyer: User, staff: User, other_user: User, books_agree: Callable[[], None]
) -> None:
    spend(buyer, order.quota - 7, ref="call-1")
    type(wallet_of(buyer)).objects.filter(user=buyer).update(used=order.quota - 7)
    with pytest.raises(RefundRefused, match=r"superuser|超级"):
        ask(order, 7300, other_user, take_what_is_left=True)
    made = refund(order, 7300, staff, take_what_is_left=True)
    assert (made.state, made.quota, made.shortfall) == ("succeeded", 7, order.quota - 7)
    assert wallet_of(buyer).balance == 0
    assert Alert.objects.filter(event="refund_shortfall").exists()
    books_agree()


@pytest.mark.rare
def test_G3_quota_set_aside_for_a_refund_cannot_be_spent(order: Order, buyer: User, staff: User) -> None:
    ask(order, 7300, staff)
    with pytest.raises(InsufficientQuota):
        spend(buyer, 1, ref="call-1")


# --- G4 --------------------------------------------------------------------------------------------------------------
def test_G4_a_refund_under_way_is_not_a_refund(
    order: Order, gateway: str, buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    write_script({"gateway": gateway, "operation": "refund", "fault": "refund_slow", "queries": 3})
    made = services.submit_refund(ask(order, 7300, staff))
    for _ in range(2):
        assert (made.state, state_of(order), held(buyer)) == ("submitted", "paid", order.quota)
        assert not Entry.objects.filter(kind="refund").exists()
        books_agree()
        made = settle(made)
    made = settle(made)
    assert (made.state, state_of(order), held(buyer)) == ("succeeded", "refunded", 0)
    books_agree()


def test_G4_a_refund_the_provider_closes_returns_the_quota_once(
    provider: str, buyer: User, staff: User, books_agree: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.deliveries.send_soon", lambda delivery: None)
    order = paid_order(buyer, "wechat")
    write_script({"gateway": "wechat", "fault": "refund_slow", "queries": 1, "then": "REFUNDCLOSE"})
    made = services.submit_refund(ask(order, 7300, staff))
    at_once(*[lambda: services.ask_refund(Refund.objects.select_related("order").get(pk=made.pk))] * 6)
    made.refresh_from_db()
    assert (made.state, state_of(order), held(buyer), wallet_of(buyer).balance) == ("failed", "paid", 0, order.quota)
    assert Hold.objects.get(ref=made.ref).state == "released"
    assert Alert.objects.get(event="refund_failed").count == 1
    # And it can be refunded anew, under a number of its own.
    again = refund(order, 7300, staff)
    assert (again.state, again.refund_no) == ("succeeded", f"R{order.order_no}02")
    books_agree()


def test_G4_money_that_cannot_reach_the_buyer_keeps_the_quota_held_and_calls_somebody(
    provider: str, buyer: User, staff: User, books_agree: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.deliveries.send_soon", lambda delivery: None)
    order = paid_order(buyer, "wechat")
    write_script({"gateway": "wechat", "fault": "refund_slow", "queries": 1, "then": "CHANGE"})
    made = settle(services.submit_refund(ask(order, 7300, staff)))
    assert (made.state, held(buyer)) == ("submitted", order.quota)
    assert made.review
    assert Alert.objects.filter(event="refund_mismatch", level="critical").exists()
    # Paid out in the console, at last.
    ProviderRefund.objects.update(state="succeeded")
    assert (settle(made).state, made.review) == ("succeeded", "")
    books_agree()


def test_G4_a_refusal_is_believed_when_the_query_agrees(
    order: Order, gateway: str, buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    write_script({"gateway": gateway, "operation": "refund", "fault": "not_enough"})
    made = services.submit_refund(ask(order, 7300, staff))
    assert (made.state, held(buyer)) == ("failed", 0)
    assert "NOT" in made.said
    assert refund(order, 7300, staff).state == "succeeded"
    books_agree()


def test_G4_a_refusal_of_a_second_try_does_not_undo_the_first(
    order: Order,
    gateway: str,
    buyer: User,
    staff: User,
    books_agree: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answer to the first was lost; the second is refused for a reason that has nothing to do with it."""
    write_script({"gateway": gateway, "operation": "refund", "fault": "http_500", "after_work": True})
    made = services.submit_refund(ask(order, 7300, staff))
    assert (made.state, given_back(order)) == ("unknown", [7300])

    def refused(self: Gateway, _new: object) -> None:
        raise Refused("NOTENOUGH", "not enough")

    monkeypatch.setattr(type(services.open_gateway(gateway)), "refund", refused)
    made = services.submit_refund(made)
    assert (made.state, wallet_of(buyer).balance) == ("succeeded", 0)
    books_agree()


@pytest.mark.rare
def test_G4_confirmed_ten_times_at_once_it_is_taken_once(
    order: Order, gateway: str, buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    write_script({"gateway": gateway, "operation": "refund", "fault": "refund_slow", "queries": 1})
    made = services.submit_refund(ask(order, 7300, staff))
    at_once(*[lambda: services.ask_refund(Refund.objects.select_related("order").get(pk=made.pk))] * 10)
    made.refresh_from_db()
    assert made.state == "succeeded"
    assert Entry.objects.filter(kind="refund").count() == 1
    books_agree()


# --- G5 --------------------------------------------------------------------------------------------------------------
def test_G5_a_refund_made_in_the_console_is_found_by_its_notice(
    order: Order, gateway: str, buyer: User, books_agree: Callable[[], None]
) -> None:
    refunds.refund_in_console(trade_of(order), 3000)
    assert b"SUCCESS" in deliver(gateway) or gateway == "alipay"
    made = Refund.objects.get()
    assert (made.source, made.state, made.amount_fen, state_of(order)) == (
        "console",
        "succeeded",
        3000,
        "partly_refunded",
    )
    assert wallet_of(buyer).balance == order.quota - order.quota * 3000 // 7300
    assert Alert.objects.filter(event="console_refund").exists()
    # Once more, and nothing more.
    deliver(gateway)
    assert (Refund.objects.count(), Notice.objects.latest("pk").verdict) == (1, "refund")
    books_agree()


def test_G5_a_notice_that_could_not_be_confirmed_is_followed_until_it_is(
    provider: str, buyer: User, books_agree: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.deliveries.send_soon", lambda delivery: None)
    order = paid_order(buyer, "alipay")
    refunds.refund_in_console(trade_of(order), 3000)
    write_script({"gateway": "alipay", "operation": "refund_query", "fault": "http_500", "times": 2})
    assert deliver("alipay") == b"success"
    notice = Notice.objects.latest("pk")
    assert (notice.verdict, receiving.follow_refund_hints(), state_of(order)) == ("unconfirmed", 0, "paid")
    assert (receiving.follow_refund_hints(), receiving.follow_refund_hints()) == (1, 0)
    notice.refresh_from_db()
    assert (notice.verdict, state_of(order)) == ("refund", "partly_refunded")
    books_agree()


@pytest.mark.rare
def test_G5_a_refund_made_in_the_console_is_found_by_asking(
    provider: str, buyer: User, books_agree: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.deliveries.send_soon", lambda delivery: None)
    order = paid_order(buyer, "wechat")
    refunds.refund_in_console(trade_of(order))
    services.ask_provider(order, source="admin")
    assert (Refund.objects.get().source, state_of(order), wallet_of(buyer).balance) == ("console", "refunded", 0)
    books_agree()


@pytest.mark.rare
def test_G5_quota_spent_before_a_refund_in_the_console_is_a_shortfall_and_never_a_debt(
    order: Order, gateway: str, buyer: User, books_agree: Callable[[], None]
) -> None:
    spend(buyer, order.quota - 5, ref="call-1")
    type(wallet_of(buyer)).objects.filter(user=buyer).update(used=order.quota - 5)
    refunds.refund_in_console(trade_of(order))
    deliver(gateway)
    made = Refund.objects.get()
    assert (made.state, made.quota, made.shortfall, wallet_of(buyer).balance) == ("succeeded", 5, order.quota - 5, 0)
    books_agree()


def test_G5_a_refund_of_ours_that_the_console_overtook_fails_and_is_returned(
    order: Order, gateway: str, buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    ours = ask(order, 7300, staff)
    refunds.refund_in_console(trade_of(order))
    ours = services.submit_refund(ours)
    assert ours.state == "failed"
    deliver(gateway)
    assert [(each.source, each.state) for each in Refund.objects.order_by("pk")] == [
        ("admin", "failed"),
        ("console", "succeeded"),
    ]
    assert (state_of(order), wallet_of(buyer).balance, given_back(order)) == ("refunded", 0, [7300])
    books_agree()


def deliver(gateway: str) -> bytes:
    """The newest notice the sandbox wrote, handed to our callback."""
    delivery = Delivery.objects.latest("pk")
    kind = "text/xml" if gateway == "wechat" else "application/x-www-form-urlencoded"
    path = "/" + delivery.url.split("/", 3)[3]
    assert path == ("/api/wechat/refund-notify" if gateway == "wechat" else "/api/alipay/notify")
    answer = Client().post(path, delivery.body.encode(), content_type=kind)
    assert answer.status_code == 200
    return bytes(answer.content)


# --- G6 --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("after_work", sampled([True, False], keep=1), ids=["after it was accepted", "before it was"])
@pytest.mark.parametrize(
    "fault", ["timeout", "wrong_signature", *rarely("http_500", "html", "system_error", "half_body")]
)
def test_G6_no_answer_is_unknown_and_the_same_number_is_sent_again(
    order: Order,
    gateway: str,
    buyer: User,
    staff: User,
    books_agree: Callable[[], None],
    fault: str,
    after_work: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Gateway, "limits", Limits(read_s=0.3, total_s=0.5))
    knows = fault in ("timeout", "http_500", "html", "system_error")
    more: dict[str, Any] = {"after_work": after_work} if knows else {}
    more |= {"seconds": 1} if fault == "timeout" else {}
    write_script({"gateway": gateway, "operation": "refund", "fault": fault} | more)
    made = services.submit_refund(ask(order, 7300, staff))
    assert (made.state, held(buyer), state_of(order)) == ("unknown", order.quota, "paid")
    books_agree()
    monkeypatch.undo()
    for _ in range(2):
        made = settle(made)
    assert (made.state, state_of(order), given_back(order)) == ("succeeded", "refunded", [7300])
    assert ProviderRefund.objects.get().out_refund_no == made.refund_no
    books_agree()


@pytest.mark.rare
def test_G6_a_query_without_an_answer_changes_nothing(
    order: Order, gateway: str, buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    write_script({"gateway": gateway, "operation": "refund", "fault": "refund_slow", "queries": 1})
    made = services.submit_refund(ask(order, 7300, staff))
    write_script({"gateway": gateway, "operation": "refund_query", "fault": "http_500"})
    made = settle(made)
    assert (made.state, held(buyer)) == ("unknown", order.quota)
    assert settle(made).state == "succeeded"
    books_agree()


@pytest.mark.rare
def test_G6_too_many_refunds_at_once_are_sent_again_later(
    order: Order, gateway: str, staff: User, books_agree: Callable[[], None]
) -> None:
    write_script({"gateway": gateway, "operation": "refund", "fault": "frequency_limited"})
    made = services.submit_refund(ask(order, 7300, staff))
    assert made.state == "unknown"
    made = settle(made)
    assert settle(made).state == "succeeded"
    books_agree()


# --- D9, A13, J3 -----------------------------------------------------------------------------------------------------
def test_D9_a_refund_that_was_reserved_and_never_sent_is_sent_by_the_sweep(
    order: Order, buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    made = ask(order, 7300, staff)
    books_agree()
    for _ in range(2):
        made = settle(made)
    assert (made.state, given_back(order)) == ("succeeded", [7300])
    books_agree()


def test_D9_no_provider_is_called_inside_a_transaction(
    order: Order, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside: list[bool] = []
    send = HTTP.send

    def watched(self: HTTP, *args: Any, **kwargs: Any) -> Any:
        inside.append(connection.in_atomic_block)
        return send(self, *args, **kwargs)

    monkeypatch.setattr(HTTP, "send", watched)
    refund(order, 7300, staff)
    assert inside
    assert not any(inside)


def test_A13_a_refund_notice_that_lies_only_makes_us_ask(
    provider: str, buyer: User, staff: User, books_agree: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who has the key, or rearranges blocks, says SUCCESS; the provider says PROCESSING."""
    monkeypatch.setattr("sandbox.deliveries.send_soon", lambda delivery: None)
    order = paid_order(buyer, "wechat")
    write_script({"gateway": "wechat", "fault": "refund_slow", "queries": 5})
    made = services.submit_refund(ask(order, 7300, staff))
    lie = ProviderRefund.objects.select_related("trade__merchant").get()
    lie.state, lie.amount_fen = "succeeded", 999_999
    body = refund_notices.wechat_notice(lie)
    answer = Client().post("/api/wechat/refund-notify", body.encode(), content_type="text/xml")
    assert b"SUCCESS" in answer.content
    made.refresh_from_db()
    assert (made.state, state_of(order), held(buyer)) == ("submitted", "paid", order.quota)
    books_agree()


@pytest.mark.parametrize(
    ("spoil", "verdict"),
    sampled(
        [
            (lambda body: body.replace("<req_info><![CDATA[", "<req_info><![CDATA[AAAA"), "forged"),
            (lambda body: body.replace("<mch_id><![CDATA[1", "<mch_id><![CDATA[2"), "mismatch"),
            (lambda body: "<xml><return_code>SUCCESS</return_code></xml>", "malformed"),
            (lambda body: "<!DOCTYPE x><xml/>", "malformed"),
        ],
        keep=2,
    ),
    ids=range(4),
)
def test_A13_a_forged_refund_notice_is_refused_and_asks_nobody(
    provider: str, buyer: User, spoil: Callable[[str], str], verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.deliveries.send_soon", lambda delivery: None)
    order = paid_order(buyer, "wechat")
    refunds.refund_in_console(trade_of(order), 1000)
    body = spoil(Delivery.objects.latest("pk").body)
    with CaptureQueriesContext(connection) as queries:
        answer = Client().post("/api/wechat/refund-notify", body.encode(), content_type="text/xml")
    assert b"FAIL" in answer.content
    assert Notice.objects.latest("pk").verdict == verdict
    assert not any("topup_gatewaycall" in query["sql"] for query in queries)
    assert not Refund.objects.exists()


def test_A13_a_refund_notice_for_an_order_nobody_knows_is_sent_again(provider: str, buyer: User) -> None:
    order = paid_order(buyer, "wechat")
    made = ProviderRefund(trade=trade_of(order), out_refund_no="R1", refund_id="5", amount_fen=1, state="succeeded")
    made.trade.out_trade_no = "20260101000000000000000000000000"
    answer = Client().post(
        "/api/wechat/refund-notify", refund_notices.wechat_notice(made).encode(), content_type="text/xml"
    )
    assert "订单不存在" in answer.content.decode()


@pytest.mark.rare
def test_J3_a_refund_that_was_not_approved_can_be_withdrawn(
    order: Order, buyer: User, staff: User, other_user: User, books_agree: Callable[[], None]
) -> None:
    RechargeSettings.load()
    RechargeSettings.objects.update(approve_refunds_above=50)
    made = ask(order, 7300, other_user)
    services.withdraw_refund(made, by=staff, reason="not agreed")
    assert (made.state, held(buyer), given_back(order)) == ("failed", 0, [])
    with pytest.raises(RefundRefused):
        services.withdraw_refund(made, by=staff, reason="again")
    sent = refund(order, 100, staff)
    with pytest.raises(RefundRefused):
        services.withdraw_refund(sent, by=staff, reason="too late")
    books_agree()


# --- The certificate, through the whole product ----------------------------------------------------------------------
@pytest.mark.rare
def test_over_tls_only_the_merchants_own_certificate_moves_money(
    settings: Any, db: None, buyer: User, staff: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = issue("Test authority")
    (tmp_path / "authority.pem").write_text(authority.pem)
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(tmp_path / "authority.pem"))
    # The stand-in's merchants are their own authorities; clients of this one's are let through to be told apart.
    wechat_account()
    context = server_context(issue("127.0.0.1", by=authority), clients_of=authority)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=Merchant.objects.get(gateway="wechat").client_certificate)
    with sandbox_server(context) as address:
        open_accounts(address, settings)
        order = paid_order(buyer, "wechat")
        # It names the merchant, but is not the one that the platform made for him.
        stranger = issue(Merchant.objects.get(gateway="wechat").merchant_id, by=authority)
        own = {"WechatClientCert": Merchant.objects.get(gateway="wechat").client_certificate}
        own["WechatClientKey"] = Merchant.objects.get(gateway="wechat").client_key
        write_options({"WechatClientCert": stranger.pem, "WechatClientKey": stranger.key})
        made = services.submit_refund(ask(order, 7300, staff))
        assert (made.state, given_back(order)) == ("unknown", [])
        assert "证书" in made.said
        write_options(own)
        assert settle(settle(made)).state == "succeeded"


# --- The audit sees what must not be ---------------------------------------------------------------------------------
def test_the_audit_finds_refunds_that_do_not_add_up(order: Order, buyer: User, staff: User) -> None:
    made = refund(order, 3000, staff)
    wrong: dict[str, Callable[[], object]] = {
        "refunds <= paid": lambda: Refund.objects.update(amount_fen=7301),
        "a refund has one entry": lambda: Refund.objects.update(quota=made.quota - 1),
    }
    for rule, break_it in wrong.items():
        with transaction.atomic():
            break_it()
            assert any(finding.startswith(rule) for finding in audit.run(full=True).findings), rule
            transaction.set_rollback(True)
    Refund.objects.update(state="unknown", finished_at=None, next_ask_at=None)
    Refund.objects.update(created=order.created.replace(year=2020))
    found = " ".join(audit.run(full=True).findings)
    for rule in ("held = open refunds", "nothing stuck", "a refund has one entry"):
        assert rule in found
