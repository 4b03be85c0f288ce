"""WeChat Pay API v3 with its stand-in behind real HTTP: from the order to the day's bill, and what may go wrong."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db.models.functions import Now
from django.test import Client
from django.utils import translation

from notifications.models import Alert
from sandbox import buyer as sandbox_buyer
from sandbox import refunds as sandbox_refunds
from sandbox.faults import write_script
from sandbox.gateways import gateway_of
from sandbox.models import Delivery, Merchant
from tests.conftest import sampled
from tests.refunds import given_back, open_accounts, paid_order, sandbox_server, speak_v3, trade_of
from topup import services
from topup.gateways.errors import NumberTaken, Refused, Retryable, Unknown, Unsigned, WronglySigned
from topup.gateways.orders import NewOrder, TradeState
from topup.gateways.refunds import NewRefund, RefundState
from topup.models import GatewayCall, MerchantAccount, Notice, Order, ProviderCertificate, Refund
from topup.models.sections import WeChatSettings
from topup.services import receiving
from topup.services.options import write_options
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.clock import BEIJING
from voicehelper.secrets import Secret
from voicehelper.wallet.services import wallet_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def shop(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The stand-ins; notices stay where they are written until a test delivers them. Operators read English."""
    monkeypatch.setattr("sandbox.deliveries.send_soon", lambda delivery: None)
    with sandbox_server() as address, translation.override("en"):
        open_accounts(address, settings)
        speak_v3()
        yield address


def gateway() -> Any:
    return services.open_gateway("wechat")


def new_order(**changes: Any) -> NewOrder:
    number = Order.new_number(clock.now())
    url = f"{services.section_of('wechat') and 'http://127.0.0.1:9'}/api/wechat/notify"
    facts = {"order_no": number, "amount_fen": 7300, "subject": "AI服务充值 🎁", "notify_url": url}
    return NewOrder(**facts | {"expires_at": clock.now().replace(microsecond=0) + timedelta(minutes=30)} | changes)


def deliver(order: Order, path: str = "/notify", **headers: str) -> Any:
    """The newest notice about an order, as WeChat Pay would post it now."""
    delivery = (
        Delivery.objects.select_related("trade__merchant").filter(trade__out_trade_no=order.order_no).latest("pk")
    )
    signed = {**gateway_of(delivery.trade).notice_headers(delivery), **headers}
    return Client().post(f"/api/wechat{path}", delivery.body, content_type="application/json", headers=signed)


def test_an_order_whose_notice_is_lost_is_swept_refunded_and_agrees_with_the_bill(
    buyer: User, staff: User, books_agree: Callable[[], None]
) -> None:
    order = services.place_order(buyer, "wechat", 10, client_ip="127.0.0.1")
    assert (order.state, order.sign_type) == (Order.State.PENDING, "RSA")
    sandbox_buyer.pay(trade_of(order), {"drop": {}})
    Order.objects.filter(pk=order.pk).update(next_ask_at=Now())
    services.follow_orders()
    order.refresh_from_db()
    assert (order.state, order.credited_by, wallet_of(buyer).balance) == (Order.State.PAID, "sweep", 5_000_000)
    for number, fen in ((1, 1460), (2, 5840)):
        refund = services.request_refund(order, fen, number=number, actor=staff, reason="too much 🎁")
        assert services.submit_refund(refund).state == Refund.State.SUCCEEDED
    order.refresh_from_db()
    assert (order.state, given_back(order)) == (Order.State.REFUNDED, [1460, 5840])
    out, today = StringIO(), clock.now().astimezone(BEIJING).date().isoformat()
    call_command("reconcile", "--gateway", "wechat", "--date", today, stdout=out)
    assert "1" in out.getvalue()
    books_agree()
    calls = "".join(GatewayCall.objects.values_list("response", flat=True))
    assert "signed by PUB_KEY_ID_" in calls
    assert trade_of(order).merchant.app_id in calls
    assert "oUpF" not in calls
    assert '"openid": "…"' in calls


# --- Notices ---------------------------------------------------------------------------------------------------------
def test_a_notice_credits_once_and_can_be_replayed_for_ever(buyer: User) -> None:
    order = services.place_order(buyer, "wechat", 10, client_ip="127.0.0.1")
    sandbox_buyer.pay(trade_of(order), {"coupon": {"amount_fen": 100}})
    answers = [deliver(order) for _time in range(2)]
    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 2
    assert list(Notice.objects.order_by("pk").values_list("verdict", flat=True)) == ["credited", "duplicate"]
    assert wallet_of(buyer).balance == 5_000_000
    first = Notice.objects.earliest("pk")
    assert (set(first.headers) > {"wechatpay-signature"}, first.order) == (True, order)
    with time_machine.travel(clock.now() + timedelta(days=2)):
        again = receiving.replay_notice(first, actor="admin")
        assert again.verdict == Notice.Verdict.DUPLICATE
        assert receiving.replay_notice(again, actor="admin").verdict == Notice.Verdict.DUPLICATE
        # What comes so late over the line is refused.
        late = Client().post("/api/wechat/notify", first.body, content_type="application/json", headers=first.headers)
    assert (late.status_code, late.json()) == (401, {"code": "FAIL", "message": "签名验证失败"})


def test_A1_only_wechat_pays_signature_credits_and_its_own_trial_is_no_alarm(buyer: User) -> None:
    order = services.place_order(buyer, "wechat", 10, client_ip="127.0.0.1")
    sandbox_buyer.pay(trade_of(order), {"signtest": {}})
    assert deliver(order).status_code == 401
    assert not Alert.objects.filter(event="forged_notice").exists()
    assert Notice.objects.get().verdict == Notice.Verdict.FORGED
    for fault, status, word in (("wrong_signature", 401, "not that of the key"), ("no_signature", 401, "proxy")):
        Delivery.objects.update(faults={fault: {}})
        assert deliver(order).status_code == status
        assert word in Notice.objects.latest("pk").detail
    assert Alert.objects.filter(event="forged_notice").exists()
    for body, kind in ((b"<xml/>", "text/xml"), (b"{}", "application/json"), (b"", "application/json")):
        assert Client().post("/api/wechat/notify", body, content_type=kind).status_code == 400
    assert wallet_of(buyer).balance == 0
    Delivery.objects.update(faults={})
    assert deliver(order).status_code == 204
    assert wallet_of(buyer).balance == 5_000_000


@pytest.mark.parametrize("before", ["v2 alone", "v2, and v3 with another key"])
def test_a_notice_of_v3_where_no_account_opens_it_is_to_come_again_and_is_good_once_one_does(
    before: str, buyer: User, books_agree: Callable[[], None]
) -> None:
    """200 would count as received, whatever it says."""
    order = services.place_order(buyer, "wechat", 10, client_ip="127.0.0.1")
    sandbox_buyer.pay(trade_of(order))
    write_options({"WechatApiV3Key": "Other3Key0123456789abcdefghiJKLM"})
    write_options({"WechatApiVersion": "v2"})
    MerchantAccount.objects.update(former=Secret())
    if before == "v2 alone":
        MerchantAccount.objects.filter(version="v3").update(kept=Secret())
    answer = deliver(order)
    assert (answer.status_code, answer.json()) == (401, {"code": "FAIL", "message": "签名验证失败"})
    kept = Notice.objects.get()
    assert (kept.verdict, kept.acknowledged, "API v3" in kept.detail) == (Notice.Verdict.FORGED, False, True)
    assert "API v3" in Alert.objects.get(event="forged_notice").content
    other = Client().post("/api/wechat/notify", "{}", content_type="application/json")
    assert (other.status_code, b"return_code" in other.content) == (200, True)
    speak_v3()
    assert receiving.replay_notice(kept, actor="admin").verdict == Notice.Verdict.CREDITED
    assert wallet_of(buyer).balance == 5_000_000
    books_agree()


def test_a_notice_with_another_amount_or_merchant_is_flagged(buyer: User) -> None:
    for fault in ("wrong_amount", "wrong_merchant"):
        order = services.place_order(buyer, "wechat", 10, client_ip="127.0.0.1")
        sandbox_buyer.pay(trade_of(order), {fault: {}})
        assert deliver(order).status_code == 500
        assert Notice.objects.latest("pk").verdict == Notice.Verdict.MISMATCH
    assert wallet_of(buyer).balance == 0


def test_a_wrong_api_v3_key_is_told_by_the_first_notice(buyer: User) -> None:
    order = services.place_order(buyer, "wechat", 10, client_ip="127.0.0.1")
    sandbox_buyer.pay(trade_of(order))
    write_options({"WechatApiV3Key": "Other3Key0123456789abcdefghiJKLM"})
    # The one before would open it for a day.
    MerchantAccount.objects.update(former=Secret())
    assert deliver(order).status_code == 401
    assert "APIv3 key once more" in Alert.objects.get(event="forged_notice").content


# --- Refunds made elsewhere ------------------------------------------------------------------------------------------
@pytest.mark.rare
@pytest.mark.parametrize("told_by", ["notice", "bill"])
def test_M_some_went_back_before_the_credit_and_nobody_knows_how_much_until_it_is_told(
    told_by: str, buyer: User, books_agree: Callable[[], None]
) -> None:
    order = services.place_order(buyer, "wechat", 10, client_ip="127.0.0.1")
    sandbox_buyer.pay(trade_of(order), {"drop": {}})
    sandbox_refunds.refund_in_console(trade_of(order), 1460)
    services.ask_provider(order, source="sweep")
    order.refresh_from_db()
    assert (order.state, wallet_of(buyer).balance) == (Order.State.PENDING, 0)
    assert order.review
    if told_by == "notice":
        assert deliver(order, "/refund-notify").status_code == 204
        services.ask_provider(Order.objects.get(pk=order.pk), source="sweep")
    else:
        today = clock.now().astimezone(BEIJING).date().isoformat()
        call_command("reconcile", "--gateway", "wechat", "--date", today, stdout=StringIO())
    order.refresh_from_db()
    assert (order.state, wallet_of(buyer).balance) == (Order.State.PARTLY_REFUNDED, 4_000_000)
    books_agree()


def test_a_refund_in_the_console_is_mirrored_by_its_notice_or_flagged_without_one(buyer: User, staff: User) -> None:
    told, untold, ours = (paid_order(buyer, "wechat") for _each in range(3))
    for order in (told, untold):
        sandbox_refunds.refund_in_console(trade_of(order), 1460)
    assert deliver(told, "/refund-notify").status_code == 204
    services.submit_refund(services.request_refund(ours, 1460, number=1, actor=staff, reason=""))
    for order in (told, untold, ours):
        services.ask_provider(Order.objects.get(pk=order.pk), source="admin")
        order.refresh_from_db()
    assert [order.state for order in (told, untold, ours)] == ["partly_refunded", "paid", "partly_refunded"]
    assert [bool(order.review) for order in (told, untold, ours)] == [False, True, False]
    assert "its bill has the number" in untold.review


# --- The contract ----------------------------------------------------------------------------------------------------
def test_orders_are_made_queried_and_closed_in_every_way_to_pay() -> None:
    pay = gateway()
    native, jsapi, h5 = (new_order(trade_type=way) for way in ("NATIVE", "JSAPI", "MWEB"))
    assert pay.query(native.order_no).state == TradeState.ABSENT
    offer = pay.create(native)
    assert offer.pay_url.startswith("weixin://")
    assert pay.create(native) == offer
    with pytest.raises(NumberTaken):
        pay.create(NewOrder(**vars(native) | {"amount_fen": 1}))
    with pytest.raises(Refused, match="openid"):
        pay.create(jsapi)
    prepay_id = pay.create(NewOrder(**vars(jsapi) | {"openid": "oUpF8uMEb4qRXf22hE3X68TekukE"})).prepay_id
    arguments = {"appId": pay.app_id, **pay.payment_arguments(prepay_id)}
    desk = Client()
    for changed, status in (
        ({"paySign": arguments["paySign"][:-4] + "AAA="}, 400),
        ({"nonceStr": "x"}, 400),
        ({}, 200),
    ):
        asked = {**arguments, **changed}
        assert desk.post("/sandbox/wechat/jsapi", asked, content_type="application/json").status_code == status
    back = "http://127.0.0.1:9/recharge?a=1&b"
    assert (
        "&redirect_url=http%3A%2F%2F127.0.0.1%3A9%2Frecharge%3Fa%3D1%26b"
        in pay.create(NewOrder(**vars(h5) | {"return_url": back})).pay_url
    )
    paid = pay.query(jsapi.order_no)
    assert (paid.state, paid.receipt.amount_fen) == (TradeState.PAID, 7300)
    assert pay.query_transaction(paid.receipt.transaction_id) == paid
    assert pay.query_transaction("4200000000000000000000000000").state == TradeState.ABSENT
    assert [pay.close(order.order_no) for order in (native, native, jsapi)] == ["closed", "closed", "paid"]
    assert pay.close("NEVERSEEN") == TradeState.ABSENT
    with pytest.raises(NumberTaken):
        pay.create(native)
    sent = GatewayCall.objects.filter(operation="create").earliest("pk").request
    assert "🎁" not in sent
    assert "+08:00" in sent


@pytest.mark.rare
def test_both_versions_and_alipay_answer_by_the_providers_own_number(buyer: User) -> None:
    for name, version in (("wechat", "v2"), ("wechat", "v3"), ("alipay", "v3")):
        write_options({"WechatApiVersion": version})
        order = paid_order(buyer, name)
        found = services.open_gateway(name).query_transaction(order.transaction_id)
        assert (found.state, found.receipt.order_no) == (TradeState.PAID, order.order_no)


@pytest.mark.rare
@pytest.mark.parametrize("signs_refusals", [True, False])
def test_refusals_mean_the_same_whether_wechat_pay_signs_them_or_not(signs_refusals: bool, buyer: User) -> None:
    Merchant.objects.update(signs_refusals=signs_refusals)
    pay, order = gateway(), paid_order(buyer, "wechat")
    refund = NewRefund(order.order_no, "R1", 100, order.amount_fen, "", "http://127.0.0.1:9/api/wechat/refund-notify")
    assert pay.query("NEVERSEEN").state == TradeState.ABSENT
    assert pay.query_refund(order.order_no, "R1").state == RefundState.ABSENT
    probe = pay.probe()
    assert (probe.ok, "both sides" in probe.message) == (True, signs_refusals)
    with pytest.raises(NumberTaken):
        pay.create(new_order(order_no=order.order_no))
    assert pay.close(order.order_no) == TradeState.PAID
    write_script({"gateway": "wechat", "fault": "not_enough"})
    # That a refund failed for good is believed of WeChat Pay alone.
    with pytest.raises(Refused if signs_refusals else Unsigned):
        pay.refund(refund)
    assert pay.refund(refund).state == RefundState.SUCCEEDED
    assert pay.refund(refund) == pay.query_refund(order.order_no, "R1")
    assert given_back(order) == [100]


@pytest.mark.parametrize(
    ("fault", "kind"),
    sampled(
        [
            ("http_202", Retryable),
            ("http_503", Unknown),
            ("http_500", Unknown),
            ("system_error", Retryable),
            ("html", Unknown),
            ("half_body", WronglySigned),
            ("wrong_signature", WronglySigned),
            ("no_signature", Unknown),
            ("signtest", WronglySigned),
        ],
        keep=3,
    ),
)
def test_E10_an_answer_that_cannot_be_trusted_is_unknown_and_the_same_again_works(fault: str, kind: Any) -> None:
    pay, order = gateway(), new_order()
    write_script({"gateway": "wechat", "fault": fault, "operation": "create"})
    with pytest.raises(kind) as caught:
        pay.create(order)
    assert caught.type is kind
    assert pay.create(order).pay_url


@pytest.mark.rare
def test_a_bill_is_fetched_again_when_its_address_is_spent_and_never_used_when_damaged(buyer: User) -> None:
    order, pay, today = paid_order(buyer, "wechat"), gateway(), clock.now().astimezone(BEIJING).date()
    for fault in ("spent_token", "truncated_bill", "wrong_bill_sums", "bill_not_ready"):
        write_script({"gateway": "wechat", "fault": fault, "operation": "bill"})
        if fault == "spent_token":
            with pay.bill(today) as bill:
                assert [row.order_no for row in bill] == [order.order_no]
            continue
        with pytest.raises(Exception, match=r"cut off|add up|no bill of"), pay.bill(today) as bill:
            list(bill)
    assert "token=…" in GatewayCall.objects.filter(operation="bill download").earliest("pk").request


# --- Keys of WeChat Pay's --------------------------------------------------------------------------------------------
@pytest.mark.rare
def test_while_wechat_pay_switches_to_the_public_key_both_kinds_of_signature_are_right(buyer: User) -> None:
    Merchant.objects.update(by_public_key_percent=0)
    with pytest.raises(WronglySigned):
        gateway().create(new_order())
    assert "start the switch" in gateway().probe().hint
    write_options({"WechatCertificateFetching": True})
    order = services.place_order(buyer, "wechat", 10, client_ip="127.0.0.1")
    assert ProviderCertificate.objects.get().serial in GatewayCall.objects.latest("pk").response
    sandbox_buyer.pay(trade_of(order))
    asked = GatewayCall.objects.filter(operation="certificates").count()
    assert deliver(order).status_code == 204
    # Kept: nobody is asked again.
    assert (asked, GatewayCall.objects.filter(operation="certificates").count()) == (1, 1)
    Merchant.objects.update(by_public_key_percent=100)
    assert gateway().probe().ok


def test_a_merchant_without_public_key_lives_on_platform_certificates_fetched_by_a_job() -> None:
    merchant = Merchant.objects.get(gateway="wechat")
    none = {"WechatPublicKeyId": "", "WechatPublicKey": None}
    write_options({**none, "WechatPlatformCerts": merchant.platform_certificate})
    assert gateway().probe().ok
    write_options({"WechatPlatformCerts": None, "WechatCertificateFetching": True})
    assert services.refresh_certificates() == 1
    assert ProviderCertificate.objects.get().expires > clock.now()
    assert services.refresh_certificates() == 1
    assert gateway().probe().ok
    write_options({"WechatApiV3Key": "Other3Key0123456789abcdefghiJKLM"})
    probe = gateway().probe()
    assert (probe.ok, "APIv3 key is not the one" in probe.hint) == (False, True)
    with pytest.raises(Unknown):
        services.refresh_certificates()


def test_a_stranger_makes_us_fetch_no_certificates(buyer: User) -> None:
    write_options({"WechatCertificateFetching": True})
    order = services.place_order(buyer, "wechat", 10, client_ip="127.0.0.1")
    sandbox_buyer.pay(trade_of(order))
    before = GatewayCall.objects.count()
    stranger = json.dumps({"event_type": "TRANSACTION.SUCCESS", "resource": {"algorithm": "AEAD_AES_256_GCM"}})
    headers = {f"Wechatpay-{name}": "7A" for name in ("Timestamp", "Nonce", "Signature", "Serial")}
    headers["Wechatpay-Timestamp"] = str(int(clock.now().timestamp()))
    post = Client().post("/api/wechat/notify", stranger, content_type="application/json", headers=headers)
    assert (post.status_code, GatewayCall.objects.count()) == (401, before)
    for serial in ("7A", "7a", "07A"):
        assert deliver(order, **{"Wechatpay-Serial": serial}).status_code == 401
    assert GatewayCall.objects.count() == before + 1
    for number in range(7):
        assert deliver(order, **{"Wechatpay-Serial": f"7A{number:02d}"}).status_code == 401
    assert GatewayCall.objects.filter(operation="certificates").count() == 5


def test_the_probe_shows_both_clocks_and_who_signed() -> None:
    probe = gateway().probe()
    assert probe.ok
    assert list(probe.details) == ["Our clock", "The answer’s clock", "The answer is signed with"]
    assert probe.details["The answer is signed with"] == WeChatSettings.load().public_key_id


def test_an_account_that_changes_to_v3_and_back_serves_what_is_under_way_in_its_own_version(buyer: User) -> None:
    orders = []
    for version in ("v3", "v2", "v3"):
        write_options({"WechatApiVersion": version})
        orders.append(services.place_order(buyer, "wechat", 10, client_ip="127.0.0.1"))
    assert [order.sign_type for order in orders] == ["RSA", "HMAC-SHA256", "RSA"]
    write_options({"WechatApiVersion": "v2"})
    for order in orders:
        sandbox_buyer.pay(trade_of(order))
        delivery = Delivery.objects.select_related("trade__merchant").latest("pk")
        played = gateway_of(delivery.trade)
        answer = Client().post(
            "/api/wechat/notify",
            delivery.body,
            content_type=played.NOTICE_TYPE,
            headers=played.notice_headers(delivery),
        )
        assert played.acknowledged(answer.status_code, answer.content.decode())
    assert wallet_of(buyer).balance == 15_000_000
    assert MerchantAccount.objects.count() == 3
