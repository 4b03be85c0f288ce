"""Alipay in certificate mode with its stand-in behind real HTTP: the way of an order, and what may change or lie."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from django.core.management import call_command
from django.db.models.functions import Now
from django.test import Client
from django.utils import translation

from sandbox import alipay_certificates as theirs
from sandbox import buyer as sandbox_buyer
from sandbox import refunds as sandbox_refunds
from sandbox.faults import write_script
from sandbox.models import Delivery, Merchant
from tests.operators import browser_of
from tests.refunds import given_back, open_accounts, sandbox_server, trade_of, use_certificates, use_public_keys
from topup import services
from topup.gateways.errors import Unknown, Unsigned
from topup.gateways.orders import NewOrder, TradeState
from topup.models import GatewayCall, Notice, Order, ProviderCertificate, Refund
from topup.services.options import OptionsRefused, read_options, write_options
from voicehelper import clock
from voicehelper.accounts.models import User
from voicehelper.clock import BEIJING
from voicehelper.wallet.services import wallet_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def shop(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The stand-ins; notices stay where they are written until a test delivers them. Operators read English."""
    monkeypatch.setattr("sandbox.deliveries.send_soon", lambda delivery: None)
    with sandbox_server() as address, translation.override("en"):
        open_accounts(address, settings)
        yield address


@pytest.fixture
def merchant(shop: str) -> Merchant:
    return use_certificates()


def placed(buyer: User, **options: Any) -> Order:
    return services.place_order(buyer, "alipay", 10, client_ip="127.0.0.1", **options)


def deliver(order: Order) -> str:
    """The newest notice about an order, posted as it was written."""
    body = Delivery.objects.filter(trade__out_trade_no=order.order_no).latest("pk").body
    kind = "application/x-www-form-urlencoded"
    return Client().post("/api/alipay/notify", body, content_type=kind).text


def swept(order: Order) -> Order:
    Order.objects.filter(pk=order.pk).update(next_ask_at=Now())
    services.follow_orders()
    order.refresh_from_db()
    return order


def test_an_order_is_paid_noticed_refunded_and_agrees_with_the_bill(
    buyer: User, staff: User, merchant: Merchant, books_agree: Callable[[], None]
) -> None:
    order = placed(buyer)
    sandbox_buyer.pay(trade_of(order), {"drop": {}})
    assert deliver(order) == "success"
    order.refresh_from_db()
    assert (order.state, order.credited_by, wallet_of(buyer).balance) == (Order.State.PAID, "notice", 5_000_000)
    for number, fen in ((1, 1460), (2, 5840)):
        refund = services.request_refund(order, fen, number=number, actor=staff, reason="too much")
        assert services.submit_refund(refund).state == Refund.State.SUCCEEDED
    order.refresh_from_db()
    assert (order.state, given_back(order)) == (Order.State.REFUNDED, [1460, 5840])
    out, today = StringIO(), clock.now().astimezone(BEIJING).date().isoformat()
    call_command("reconcile", "--gateway", "alipay", "--date", today, stdout=out)
    books_agree()
    asked = GatewayCall.objects.exclude(request="GET bill_download_url").values_list("request", flat=True)
    assert all("app_cert_sn=" in text and f"alipay_root_cert_sn={theirs.ROOT_SERIAL}" in text for text in asked)
    assert services.open_gateway("alipay").probe().ok


@pytest.mark.rare
def test_the_browsers_page_is_asked_for_in_certificate_mode_too(buyer: User, merchant: Merchant) -> None:
    for kind in ("WAP", "PAGE"):
        number = Order.new_number(clock.now())
        ends = clock.now().replace(microsecond=0) + services.POLL_EVERY * 60
        pay = services.open_gateway("alipay")
        new = NewOrder(number, 7300, "AI服务充值", ends, "http://127.0.0.1:9/api/alipay/notify", trade_type=kind)
        url = pay.create(new).pay_url
        assert requests.get(url, timeout=5).ok
        assert pay.query(number).state is TradeState.WAITING
        without = url.replace("app_cert_sn=", "no_cert_sn=")
        assert requests.get(without, timeout=5).status_code == 400


# --- Alipay changes what it signs with -------------------------------------------------------------------------------
@pytest.mark.rare
def test_a_change_of_alipays_certificate_strands_no_open_order(
    buyer: User, staff: User, merchant: Merchant, books_agree: Callable[[], None]
) -> None:
    order, asked, refunded = placed(buyer), placed(buyer), placed(buyer)
    sandbox_buyer.pay(trade_of(refunded), {"drop": {}})
    assert deliver(refunded) == "success"
    new = theirs.rotate(merchant)
    # No notice names a certificate: until an answer did, what is signed with the new one is nobody's word.
    sandbox_buyer.pay(trade_of(order), {"drop": {}})
    assert deliver(order) == "fail"
    sandbox_buyer.pay(trade_of(asked), {"drop": {}})
    assert swept(asked).state == Order.State.PAID
    kept = ProviderCertificate.objects.get(gateway="alipay", merchant_id=merchant.merchant_id)
    assert theirs.serial_of(kept.pem) == new.serial
    assert deliver(order) == "success"
    refunded.refresh_from_db()
    refund = services.request_refund(refunded, 7300, number=1, actor=staff, reason="too much")
    assert services.submit_refund(refund).state == Refund.State.SUCCEEDED
    assert wallet_of(buyer).balance == 10_000_000
    books_agree()
    assert GatewayCall.objects.filter(operation="certificate").count() == 1


@pytest.mark.rare
def test_A1_an_impostors_certificate_moves_nothing_and_is_asked_for_once_a_minute(
    buyer: User, merchant: Merchant
) -> None:
    order = placed(buyer)
    write_script({"gateway": "alipay", "operation": "query", "fault": "forged_certificate", "times": 3})
    sandbox_buyer.pay(trade_of(order), {"drop": {}})
    for _ in range(3):
        with pytest.raises(Unknown):
            services.open_gateway("alipay").query(order.order_no)
    assert GatewayCall.objects.filter(operation="certificate").count() == 1
    assert not ProviderCertificate.objects.exists()
    assert swept(order).state == Order.State.PAID


def test_A1_what_alipay_signs_with_for_another_account_is_not_believed_here(buyer: User, merchant: Merchant) -> None:
    order = placed(buyer)
    sandbox_buyer.pay(trade_of(order), {"drop": {}})
    merchant.merchant_id = "2088000999999999"
    theirs.rotate(merchant)
    with pytest.raises(Unknown, match="made out to"):
        services.open_gateway("alipay").query(order.order_no)
    assert not ProviderCertificate.objects.exists()


def test_many_invented_numbers_are_not_all_asked_for(merchant: Merchant) -> None:
    pay = services.open_gateway("alipay")
    assert [pay.may_fetch_certificate(f"{number:032x}") for number in range(7)] == [True] * 5 + [False] * 2


# --- Public keys, certificates, and back -----------------------------------------------------------------------------
def test_P42_changing_the_mode_and_back_strands_no_open_order(
    buyer: User, shop: str, books_agree: Callable[[], None]
) -> None:
    by_key, told_late = placed(buyer), placed(buyer)
    sandbox_buyer.pay(trade_of(told_late), {"drop": {}})
    # The key of the certificate is another than that of public key mode.
    theirs.rotate(Merchant.objects.get(gateway="alipay"))
    use_certificates()
    assert deliver(told_late) == "success"
    by_certificate, asked, told_later = placed(buyer), placed(buyer), placed(buyer)
    for order in (by_key, told_later):
        sandbox_buyer.pay(trade_of(order), {"drop": {}})
    assert deliver(by_key) == "success"
    use_public_keys()
    assert deliver(told_later) == "success"
    for order in (by_certificate, asked):
        sandbox_buyer.pay(trade_of(order), {"drop": {}})
    assert deliver(by_certificate) == "success"
    assert not Notice.objects.filter(verdict=Notice.Verdict.FORGED).exists()
    assert swept(asked).state == Order.State.PAID
    orders = Order.objects.filter(pk__in=[by_key.pk, told_late.pk, told_later.pk, by_certificate.pk])
    assert set(orders.values_list("state", flat=True)) == {Order.State.PAID}
    books_agree()


@pytest.mark.rare
def test_a_mode_that_is_not_the_consoles_is_named_by_the_probe(merchant: Merchant) -> None:
    Merchant.objects.update(by_certificate=False)
    probe = services.open_gateway("alipay").probe()
    assert (probe.ok, "clear the three certificates" in probe.hint) == (False, True)
    # Without the last of the four, which nobody needs to check signatures.
    use_certificates(AlipayRootCert=theirs.ROOTS.rpartition("-----BEGIN")[0])
    probe = services.open_gateway("alipay").probe()
    assert (probe.ok, "whole file alipayRootCert.crt" in probe.hint) == (False, True)
    write_options({"AlipayAppCert": None, "AlipayCert": None, "AlipayRootCert": None})
    probe = services.open_gateway("alipay").probe()
    assert (probe.ok, "paste the three certificates" in probe.hint) == (False, True)
    with pytest.raises(Unsigned):
        services.open_gateway("alipay").query("PROBE0123456789")


# --- Settings --------------------------------------------------------------------------------------------------------
@pytest.mark.rare
@pytest.mark.parametrize(("years", "words"), [(0, "certificate good until"), (40, "the certificate expired on")])
def test_the_page_says_when_the_certificates_are_over(
    merchant: Merchant, staff: User, monkeypatch: pytest.MonkeyPatch, years: int, words: str
) -> None:
    browser, later = browser_of(staff), clock.now() + timedelta(days=365 * years)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert words in browser.get("/admin/topup/alipaysettings/1/change/").text


def test_the_three_together_replace_the_public_key_and_read_as_their_fingerprints(merchant: Merchant) -> None:
    with pytest.raises(OptionsRefused, match="wants all three"):
        write_options({"AlipayCert": None})
    write_options({"AlipayPublicKey": None})
    found = read_options()
    for name in ("AlipayAppCert", "AlipayCert", "AlipayRootCert"):
        assert (found[name], found[f"{name}Set"], len(found[f"{name}Last4"])) == ("", True, 64)
    with pytest.raises(OptionsRefused) as refused:
        write_options({"AlipayAppCert": None, "AlipayCert": None, "AlipayRootCert": None})
    assert refused.value.errors.keys() == {"AlipayPublicKey"}


@pytest.mark.rare
def test_a_newcomer_switches_in_the_sandboxs_console(shop: str, staff: User) -> None:
    console = f"{shop}/sandbox/"
    page = requests.get(console, timeout=5).text
    merchant = Merchant.objects.get(gateway="alipay")
    for name in merchant.certificate_files:
        url = f"{console}alipay/{merchant.pk}/{name}"
        assert urlsplit(url).path in page
        assert "BEGIN CERTIFICATE" in requests.get(url, timeout=5).text
    assert requests.get(f"{console}alipay/{merchant.pk}/other.crt", timeout=5).status_code == 404
    for expected in (True, False):
        assert requests.post(f"{console}alipay/{merchant.pk}/mode", timeout=5).ok
        assert Merchant.objects.get(pk=merchant.pk).by_certificate is expected
    before = theirs.current(merchant)
    assert requests.post(f"{console}alipay/{merchant.pk}/rotate", timeout=5).ok
    assert theirs.current(merchant) != before
    foreign = {"Origin": "https://evil.example"}
    assert requests.post(f"{console}alipay/{merchant.pk}/rotate", headers=foreign, timeout=5).status_code == 403


@pytest.mark.rare
def test_a_refund_in_the_console_is_told_in_certificate_mode(buyer: User, merchant: Merchant) -> None:
    order = placed(buyer)
    sandbox_buyer.pay(trade_of(order), {"drop": {}})
    assert deliver(order) == "success"
    sandbox_refunds.refund_in_console(trade_of(order), 1000)
    assert deliver(order) == "success"
    assert not Notice.objects.filter(verdict=Notice.Verdict.FORGED).exists()
